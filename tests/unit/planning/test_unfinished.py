"""What a run that was cut off left behind is finished by the next one."""

from datetime import timedelta

import pytest

from reconciler.model.desired import DesiredAgent
from reconciler.model.key import AgentKey
from reconciler.model.mark import Claim, Delivered, RunId
from reconciler.model.plan import Operation, Plan
from reconciler.planning.planner import needs_keys
from reconciler.planning.unfinished import is_active
from tests.support.builders import (
    NOW,
    claim_of,
    configuration,
    declared,
    delivery_of,
    ids,
    key,
    live,
    mark_of,
    planned,
)

OLD = timedelta(minutes=15)
WITH_SINK = declared(deliver_to=("vault",))
WITHOUT_SINK = declared()


def plan_after(
    claim: Claim | None,
    *keys: AgentKey,
    agent: DesiredAgent = WITH_SINK,
    delivered: Delivered | None = None,
    dead_runs: tuple[str, ...] = (),
) -> Plan:
    found = live(mark=mark_of(agent, claim=claim, delivered=delivered))
    return planned(configuration(agent), found, keys={"alpha": keys}, dead_runs=dead_runs)


def only(plan: Plan) -> Operation:
    [operation] = plan.operations
    return operation


@pytest.mark.parametrize(
    ("claim", "dead", "active"),
    [
        (claim_of("r", age=timedelta()), [], True),
        (claim_of("r", age=OLD - timedelta(seconds=1)), [], True),
        (claim_of("r", age=OLD), [], False),
        (claim_of("r", age=timedelta(days=90)), [], False),
        # A clock that runs ahead a little is a clock; one that is far ahead is no reason to wait for days.
        (claim_of("r", age=timedelta(minutes=-14)), [], True),
        (claim_of("r", age=timedelta(days=-2)), [], False),
        (claim_of("r"), ["r"], False),
        (claim_of("r"), ["other"], True),
        (claim_of(""), [], False),
    ],
)
def test_a_claim_is_active_while_its_run_may_be_at_work(claim: Claim, dead: list[str], active: bool) -> None:
    assert is_active(claim, NOW, [RunId(run) for run in dead]) is active


def test_keys_have_to_be_read_only_of_declared_agents_with_a_claim() -> None:
    names = ["claimed", "free", "undeclared", "foreign", "unowned"]
    desired = configuration(*(declared(name) for name in names if name != "undeclared"))
    claimed = mark_of(claim=claim_of())
    agents = [
        live("claimed", mark=claimed),
        live("free", mark=mark_of()),
        live("undeclared", mark=claimed),
        live("foreign", mark=mark_of(owner="others", claim=claim_of())),
        live("unowned"),
    ]
    assert needs_keys(desired, agents) == ("id-claimed",)


def test_without_a_claim_there_is_nothing_to_finish() -> None:
    assert not plan_after(None, key("k-1"), key("k-2")).has_changes


def test_an_agent_that_a_run_is_working_on_is_left_to_it() -> None:
    claim = claim_of("run-7", age=timedelta(minutes=5))
    found = live(mark=mark_of(WITH_SINK, claim=claim), display_name="moved")
    agent = declared(deliver_to=("vault",), display_name="A")
    plan = planned(configuration(agent), found)
    assert not plan.operations
    [waiting] = plan.waiting
    assert (waiting.stage, waiting.until) == ("claimed", NOW + timedelta(minutes=10))
    assert "run-7" in waiting.reason
    assert plan.in_sync == 0


def test_a_dead_run_is_taken_over_at_once() -> None:
    plan = plan_after(claim_of("run-7"), dead_runs=("run-7",))
    assert ids(plan) == ["mint_key:alpha"]
    assert "run-7" in only(plan).reason


def test_a_claim_given_back_is_taken_over_at_once() -> None:
    plan = plan_after(claim_of(""))
    assert ids(plan) == ["mint_key:alpha"]
    assert "given back" in only(plan).reason


def test_a_lost_first_key_is_revoked_after_a_new_one_is_delivered() -> None:
    plan = plan_after(claim_of(age=OLD), key("k-1"))
    assert ids(plan) == ["mint_key:alpha", "revoke_key:alpha:k-1"]
    mint, revoke = plan.operations
    assert mint.version == revoke.version == 3
    assert mint.changes[0].after == "mint and deliver to vault"
    assert (revoke.key_id, revoke.depends_on, revoke.risk) == ("k-1", (mint.id,), "destructive")


def test_keys_that_were_there_before_the_claim_are_left_alone() -> None:
    plan = plan_after(claim_of(age=OLD, keys=["k-0"]), key("k-0"))
    assert ids(plan) == ["mint_key:alpha"]


def test_a_key_lost_beside_a_delivered_one_is_revoked() -> None:
    plan = plan_after(claim_of(age=OLD, keys=["k-1"]), key("k-1"), key("k-2"), delivered=delivery_of("k-1"))
    assert ids(plan) == ["revoke_key:alpha:k-2"]
    assert only(plan).depends_on == ()


def test_a_key_that_the_sinks_hold_is_kept_and_the_claim_dropped() -> None:
    plan = plan_after(claim_of(age=OLD), key("k-1"), delivered=delivery_of("k-1"))
    assert ids(plan) == ["update_agent:alpha"]
    [change] = only(plan).changes
    assert (change.path, change.before, change.after) == ("claim", "run-1", None)


def test_a_used_key_that_no_sink_holds_is_left_to_a_human() -> None:
    plan = plan_after(claim_of(age=OLD), key("k-1"), key("k-2", used=True), delivered=delivery_of("k-1"))
    assert ids(plan) == ["update_agent:alpha"]
    [waiting] = plan.waiting
    assert (waiting.stage, waiting.until) == ("orphaned", None)
    assert "k-2" in waiting.reason


def test_a_delivered_key_that_was_revoked_since_is_minted_anew() -> None:
    plan = plan_after(claim_of(age=OLD), key("k-1", revoked=True), delivered=delivery_of("k-1"))
    assert ids(plan) == ["mint_key:alpha"]


def test_a_used_key_that_was_never_recorded_is_not_revoked_when_a_new_one_is_delivered() -> None:
    plan = plan_after(claim_of(age=OLD), key("k-1", used=True))
    assert ids(plan) == ["mint_key:alpha"]


def test_revoked_keys_need_no_revocation() -> None:
    plan = plan_after(claim_of(age=OLD), key("k-1"), key("k-2", revoked=True), delivered=delivery_of("k-1"))
    assert ids(plan) == ["update_agent:alpha"]


def test_without_sinks_nothing_is_minted_and_the_claim_is_dropped() -> None:
    plan = plan_after(claim_of(age=OLD), key("k-1"), agent=WITHOUT_SINK)
    assert ids(plan) == ["update_agent:alpha"]
    assert not plan.waiting


def test_without_sinks_a_used_key_is_told_of() -> None:
    plan = plan_after(claim_of(age=OLD), key("k-1", used=True), agent=WITHOUT_SINK)
    assert ids(plan) == ["update_agent:alpha"]
    assert [waiting.stage for waiting in plan.waiting] == ["orphaned"]


def test_dropping_a_claim_and_other_changes_are_one_operation() -> None:
    agent = declared(display_name="A")
    found = live(mark=mark_of(agent, claim=claim_of(age=OLD)), display_name="B")
    plan = planned(configuration(agent), found)
    assert [change.path for change in only(plan).changes] == ["display_name", "claim"]
    assert only(plan).reason.startswith("changed outside; drops the claim")
