"""The plan as a document: what the schema promises, and what was written is what is read."""

import copy
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, get_args

import pytest
from jsonschema import Draft7Validator

from reconciler.errors import StalePlan
from reconciler.model.diagnostic import Diagnostic, Position
from reconciler.model.plan import OPERATION_KINDS, PLAN_FORMAT, Cause, Effect, Plan, Risk
from reconciler.model.secret import Secret
from reconciler.model.shard import Shard
from reconciler.planning.facts import Facts
from reconciler.planning.guards import REFUSERS
from reconciler.planning.plan_document import plan_digest, plan_document, read_plan
from reconciler.planning.planner import LiveState, PlanOptions, make_plan
from tests.support.builders import (
    NOW,
    aged_key,
    allowing,
    claim_of,
    configuration,
    declared,
    delivered_ago,
    live,
    mark_of,
    owned,
    planned,
)
from tests.unit.planning.guard_scenarios import SCENARIOS
from tests.unit.planning.rich_plan import RICH_ALLOW, RICH_KEYS, rich

SCHEMA = json.loads((Path(__file__).parents[3] / "schemas" / "plan.schema.json").read_text(encoding="utf-8"))
VALIDATOR = Draft7Validator(SCHEMA, format_checker=Draft7Validator.FORMAT_CHECKER)


def rich_plan() -> Plan:
    desired, agents = rich()
    return planned(desired, *agents, allow=RICH_ALLOW, targets=("*",), keys=RICH_KEYS)


def key_plan() -> Plan:
    """One operation: the revocation of a key that a run lost when it was cut off."""
    agent = declared(deliver_to=("vault",))
    claim = claim_of(age=timedelta(hours=1))
    found = live(mark=mark_of(agent, claim=claim, delivered=delivered_ago("k-1", age=timedelta(minutes=59))))
    keys = [aged_key("k-1", made=timedelta(minutes=59)), aged_key("k-2", made=timedelta(hours=1))]
    return planned(configuration(agent), found, keys={"alpha": keys})


def finding_plan() -> Plan:
    expired = declared("old", expires_at=NOW - timedelta(days=9))
    agents = (live("former", mark=mark_of(owner="payments")),)
    findings = (Diagnostic("error", "made-up", "with a place", Position("a.yaml", 1, 2), "a hint"),)
    desired = configuration(expired, former_owners=("payments",))
    options = PlanOptions("1", allow=allowing("freeze"))
    return make_plan(desired, LiveState(agents), now=NOW, options=options, findings=findings)


def plans() -> Iterator[Plan]:
    yield planned(configuration())
    yield rich_plan()
    yield key_plan()
    yield finding_plan()
    for scenario in SCENARIOS:
        yield planned(scenario.desired, *scenario.agents, keys=scenario.keys)
    stranger = live("stranger", mark=mark_of(app="payments-test"))
    yield planned(configuration(), stranger)


def stored(plan: Plan) -> Any:
    """The document as it comes back from a file."""
    return json.loads(json.dumps(plan_document(plan)))


def nodes(schema: Any) -> Iterator[Any]:
    if isinstance(schema, dict):
        yield schema
        for value in schema.values():
            yield from nodes(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from nodes(value)


def test_the_schema_is_a_schema_that_describes_every_field_and_allows_no_other() -> None:
    Draft7Validator.check_schema(SCHEMA)
    objects = [node for node in nodes(SCHEMA) if "additionalProperties" in node]
    assert len(objects) > 8
    for node in objects:
        assert node["additionalProperties"] is False
        for name, field in node["properties"].items():
            assert field.get("description"), name


def test_every_plan_document_fits_the_schema() -> None:
    for plan in plans():
        assert [error.message for error in VALIDATOR.iter_errors(stored(plan))] == []


def test_the_schema_names_every_kind_cause_effect_risk_and_guard() -> None:
    operation = SCHEMA["definitions"]["operation"]["properties"]
    change = operation["changes"]["items"]["properties"]
    assert operation["kind"]["enum"] == list(OPERATION_KINDS)
    assert operation["risk"]["enum"] == list(get_args(Risk))
    assert change["effect"]["enum"] == list(get_args(Effect))
    assert change["cause"]["enum"] == list(get_args(Cause))
    guards = SCHEMA["properties"]["blocked"]["items"]["properties"]["guard"]["enum"]
    assert guards == list(REFUSERS)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("format",), "alter-sync.plan/2"),
        (("extra",), 1),
        (("plan_digest",), "sha256:12"),
        (("created_at",), "2026-11-24 12:00"),
        (("summary", "create"), -1),
        (("operations", 0, "kind"), "drop_database"),
        (("operations", 0, "key_id"), "k-1"),
        (("operations", 0, "precondition"), {}),
        (("blocked", 0, "guard"), "gut-feeling"),
        (("blocked", 0, "allow"), "--force"),
        (("waiting", 0, "until"), 5),
    ],
)
def test_the_schema_refuses_another_document(path: tuple[str | int, ...], value: object) -> None:
    document = stored(rich_plan())
    place = document
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    assert list(VALIDATOR.iter_errors(document))


def test_a_step_on_one_key_has_to_name_it() -> None:
    document = stored(key_plan())
    [revoke] = document["operations"]
    assert revoke.pop("key_id") == "k-2"
    assert list(VALIDATOR.iter_errors(document))


def test_the_document_has_the_fields_in_the_order_of_the_schema() -> None:
    document = plan_document(rich_plan())
    assert list(document) == SCHEMA["required"]
    assert list(plan_document(replace(rich_plan(), shard=Shard(1, 2)))) == list(SCHEMA["properties"])
    assert list(document["summary"]) == list(SCHEMA["properties"]["summary"]["properties"])
    operation = list(document["operations"][0])
    assert operation == [
        name for name in SCHEMA["definitions"]["operation"]["properties"] if name in operation
    ]
    assert document["format"] == PLAN_FORMAT


def test_what_was_written_is_what_is_read() -> None:
    for plan in plans():
        again = read_plan(stored(plan))
        assert again == replace(
            plan, operations=again.operations, blocked=again.blocked, waiting=(), findings=(), unmanaged=()
        )
        document, original = plan_document(again), plan_document(plan)
        for name in ("operations", "blocked", "replaced", "targets", "allowed", "plan_digest", "app"):
            assert document[name] == original[name]


def test_the_digest_is_that_of_the_content() -> None:
    plan = rich_plan()
    assert plan.plan_digest == plan_digest(plan)
    assert plan_digest(replace(plan, plan_digest="", created_at=NOW - timedelta(days=1))) == plan.plan_digest
    assert plan_digest(replace(plan, in_sync=99)) != plan.plan_digest


def _leaves(document: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    if isinstance(document, dict | list):
        for name, value in document.items() if isinstance(document, dict) else enumerate(document):
            yield from _leaves(value, (*path, name))
    else:
        yield path


def test_a_document_that_was_changed_anywhere_but_in_its_times_is_refused() -> None:
    document = stored(key_plan())
    for path in _leaves(document):
        if path[0] in {"created_at", "expires_at"}:
            continue
        tampered = copy.deepcopy(document)
        place = tampered
        for name in path[:-1]:
            place = place[name]
        place[path[-1]] = "sha256:" + "0" * 64 if path[0] == "plan_digest" else "tampered"
        with pytest.raises(StalePlan, match="was changed after it was written") as caught:
            read_plan(tampered)
        assert "--save" in caught.value.hint


@pytest.mark.parametrize("name", ["operations", "blocked"])
def test_a_document_with_an_entry_taken_out_or_doubled_is_refused(name: str) -> None:
    for change in (lambda entries: entries[1:], lambda entries: [*entries, entries[0]]):
        document = stored(rich_plan())
        document[name] = change(document[name])
        with pytest.raises(StalePlan):
            read_plan(document)


def test_no_plaintext_can_get_into_a_plan() -> None:
    agent = declared(metadata={"oops": Secret("plaintext")})
    with pytest.raises(TypeError):
        planned(configuration(agent))


def test_facts_allow_nothing_unless_told() -> None:
    assert not Facts(configuration(), {}, NOW).allow.permits("freeze", "alpha")
    assert planned(configuration(), owned("alpha")).allowed == ()
