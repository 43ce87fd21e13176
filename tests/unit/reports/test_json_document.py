"""Documents for programs keep to their schema and are inert in a log."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft7Validator

from reconciler.errors import ConcurrentUpdate, UsageError
from reconciler.model.outcome import Outcome
from reconciler.planning.plan_document import plan_document
from reconciler.reports.json_document import (
    diagnostics_document,
    dump,
    error_document,
    outcome_document,
    select_fields,
    status_document,
)
from tests.unit.reports.samples import FINDINGS, HOSTILE, PARTIAL, hostile_plan
from tests.unit.reports.test_status_table import GONE, HELD, KEY, OBSERVING, ROWS, USED

SCHEMA = json.loads(
    (Path(__file__).parents[3] / "schemas" / "outcome.schema.json").read_text(encoding="utf-8")
)


def _without_descriptions(schema: Any, path: str = "") -> list[str]:
    if not isinstance(schema, dict):
        return []
    missing = [
        f"{path}/{name}"
        for name, field in schema.get("properties", {}).items()
        if isinstance(field, dict) and "description" not in field
    ]
    return missing + [
        found for key, value in schema.items() for found in _without_descriptions(value, f"{path}/{key}")
    ]


def test_the_schema_is_valid_and_describes_every_field() -> None:
    Draft7Validator.check_schema(SCHEMA)
    assert _without_descriptions(SCHEMA) == []


@pytest.mark.parametrize("outcome", [PARTIAL, Outcome("r", "sha256:p", ())])
def test_an_outcome_keeps_to_its_schema(outcome: Outcome) -> None:
    document = json.loads(dump(outcome_document(outcome), "json"))
    Draft7Validator(SCHEMA).validate(document)


def test_a_document_with_anything_else_in_it_breaks_the_schema() -> None:
    assert not Draft7Validator(SCHEMA).is_valid({**outcome_document(PARTIAL), "more": 1})


def test_an_outcome_document_says_what_became_of_each_operation() -> None:
    document = outcome_document(PARTIAL)
    assert document["summary"] == {"done": 3, "failed": 2, "not_tried": 3, "blocked": 1}
    assert document["interrupted"] == 130
    assert document["operations"][2]["error"] == {
        "exit": 5,
        "code": "agent_concurrent_update",
        "message": "somebody changed the agent since it was read",
        "hint": "plan again and look at what they did",
        "retryable": True,
    }
    assert document["operations"][0]["error"] is None
    assert document["blocked"][0]["allow"] == "--allow revoke-in-use=busy-bot"


def test_an_error_document_has_the_five_promised_fields() -> None:
    assert error_document(ConcurrentUpdate("m", hint="h")) == {
        "exit": 5,
        "code": "agent_concurrent_update",
        "message": "m",
        "hint": "h",
        "retryable": True,
    }


def test_findings_are_counted_by_severity() -> None:
    document = diagnostics_document(FINDINGS)
    assert document["summary"] == {"errors": 0, "warnings": 1}
    assert document["findings"][0]["line"] == 9


def test_a_status_document_has_times_in_utc_and_no_plaintext() -> None:
    document = status_document(ROWS)
    first, second = document["agents"][:2]
    assert first["delivered"] == {
        "key_id": "key-1",
        "at": "2026-11-24T09:00:00Z",
        "sinks": ["vault", "local"],
    }
    assert [key["revoked_at"] for key in first["keys"]] == ["2026-11-24T09:00:00Z", None, None]
    assert second["last_used_at"] is None
    theirs = document["agents"][5]
    assert (theirs["keys"], theirs["delivered"]) == (None, None)


def test_a_status_document_says_how_far_each_rotation_is() -> None:
    agents = {agent["name"]: agent for agent in status_document(ROWS)["agents"]}

    def rotation_of(name: str) -> tuple[Any, ...]:
        return tuple(agents[name][field] for field in ("stage", "due_at", "waiting_until"))

    assert rotation_of("nightly-sync") == ("observing", "2027-02-13T09:00:00Z", "2026-11-25T09:00:00Z")
    assert rotation_of("own-keys") == ("undelivered", None, None)
    assert rotation_of("theirs") == (None, None, None)
    assert agents["nightly-sync"]["reason"] == OBSERVING.reason
    assert (agents["own-keys"]["reason"], agents["theirs"]["reason"]) == ("no sink", None)


def test_a_status_document_explains_every_key_and_says_what_comes_next() -> None:
    agents = {agent["name"]: agent for agent in status_document(ROWS)["agents"]}
    explained = {
        key["key_id"]: (key["next"], key["explanation"])
        for name in ("nightly-sync", "surprised")
        for key in agents[name]["keys"]
    }
    assert explained == {
        "key-g": (None, "revoked"),
        "key-0-with-a-long-id": ("wait", USED),
        "key-1": ("keep", HELD.reason),
        "key-odd": ("deprecate", "is in no sink and not in the mark: minted outside, or lost"),
    }
    undeclared = replace(ROWS[4], keys=(KEY, GONE))
    keys = status_document([undeclared])["agents"][0]["keys"]
    assert [(key["next"], key["explanation"]) for key in keys] == [(None, undeclared.note), (None, "revoked")]


def test_jsonl_has_one_line_for_each_row() -> None:
    lines = dump(outcome_document(PARTIAL), "jsonl").split("\n")
    assert [json.loads(line)["id"] for line in lines] == [entry.id for entry in PARTIAL.operations]
    assert [json.loads(line)["name"] for line in dump(status_document(ROWS), "jsonl").split("\n")] == [
        row.name for row in ROWS
    ]
    assert json.loads(dump(error_document(UsageError("m")), "jsonl"))["exit"] == 2
    assert dump(status_document(()), "jsonl") == ""


def test_fields_of_rows_are_chosen_in_the_order_asked_for() -> None:
    chosen = select_fields(status_document(ROWS), ["version", "name"])
    assert list(chosen) == ["agents"]
    assert list(chosen["agents"][0]) == ["version", "name"]


def test_fields_of_the_document_are_chosen_too() -> None:
    document = outcome_document(PARTIAL)
    assert select_fields(document, ["run", "resume"]) == {"run": "run-7", "resume": PARTIAL.resume}
    assert select_fields(document, ["run", "id"])["operations"][0] == {"id": "1"}
    assert select_fields(document, ["operations"]) == {"operations": document["operations"]}
    assert select_fields(document, ["operations", "id"])["operations"] == document["operations"]
    assert select_fields(error_document(UsageError("m")), ["code"]) == {"code": "usage"}


def test_no_fields_means_all() -> None:
    assert select_fields({"a": 1}, []) == {"a": 1}


def test_an_unknown_field_is_refused_with_the_nearest_match() -> None:
    with pytest.raises(UsageError, match="no field 'nmae'") as caught:
        select_fields(status_document(ROWS), ["nmae"])
    assert caught.value.hint.startswith("did you mean 'name'? fields: format, agents, name,")
    with pytest.raises(UsageError) as caught:
        select_fields({"a": 1}, ["zzz"])
    assert caught.value.hint == "fields: a"


def test_a_list_without_rows_accepts_every_field() -> None:
    assert select_fields(status_document(()), ["name"]) == {"agents": []}


def test_hostile_texts_are_inert_in_json_and_come_back_whole() -> None:
    text = dump(plan_document(hostile_plan()), "json")
    assert all(line.isascii() and line.isprintable() for line in text.split("\n"))
    assert "##[" not in text
    assert "##vso[" not in text
    assert json.loads(text)["unmanaged"] == list(HOSTILE)


@given(st.text(st.characters(exclude_categories=())))
def test_any_text_comes_back_from_json_as_it_was(text: str) -> None:
    dumped = dump({"a": text}, "jsonl")
    assert dumped.isprintable()
    assert json.loads(dumped) == {"a": text}
