"""The plan of ``apply --only-drift``, case by case; ``tests/property`` has the general rule."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from reconciler.model.desired import DesiredAgent, FreezeWindow, RotationPolicy
from reconciler.model.diagnostic import Position
from reconciler.model.key import AgentKey
from reconciler.model.mark import Delivered, Mark
from reconciler.planning.agent_diff import diff_agent
from reconciler.planning.planner import LiveState, PlanOptions, make_plan
from reconciler.planning.request import applied_spec, patch_request
from tests.support.builders import (
    NOW,
    aged_key,
    claim_of,
    configuration,
    declared,
    delivered_ago,
    ids,
    live,
    mark_of,
    owned,
    planned,
    refused_ids,
    sink,
)
from tests.support.drift import changed, repair_plan

POLICY = RotationPolicy(max_age=timedelta(days=30))
DELIVERING = declared(deliver_to=("vault",), rotation=POLICY)


def on_keys(
    *keys: AgentKey, agent: DesiredAgent = DELIVERING, delivered: Delivered | None = None, **mark: Any
) -> list[str]:
    """The operations for one agent with these keys, whose delivered key is k-1."""
    recorded = delivered or delivered_ago("k-1", age=timedelta(days=80))
    found = live(mark=mark_of(agent, delivered=recorded, **mark))
    sinks = (sink("vault"), sink("local"))
    return ids(repair_plan(configuration(agent, sinks=sinks), found, keys={"alpha": keys})[1])


def test_it_puts_back_what_others_did_and_leaves_what_the_configuration_is_ahead_of() -> None:
    before = declared(scopes={"google": ["a"], "slack": ["x"]}, display_name="One", metadata={"team": "x"})
    now = declared(scopes={"google": ["a"], "slack": ["y"]}, display_name="One", metadata={"team": "y"})
    found = live(
        mark=mark_of(before),
        scopes={"google": ["a", "admin"], "slack": ["x"]},
        display_name="Hers",
        metadata={"team": "x"},
    )
    applied, plan = repair_plan(configuration(now), found)
    assert changed(plan) == [("alpha", "scopes.google"), ("alpha", "display_name")]
    request = patch_request(applied, applied.agents[found.name], found, plan.operations, claim=None)
    assert request.body.scopes is not None
    assert request.body.scopes.as_json() == {"google": ["a"], "slack": ["x"]}
    assert request.body.display_name == "One"
    assert request.body.metadata is not None
    assert request.body.metadata["team"] == "x"
    mark = Mark.from_json(request.body.metadata["alter-sync"])
    assert mark is not None
    assert mark.spec == applied_spec(before)


def test_without_drift_there_is_nothing_to_do_however_much_is_pending() -> None:
    now = [
        declared("alpha", scopes={"google": ["b"]}, type="service", protect=True, policy={"n": 2}),
        declared("newcomer", scopes={"google": ["b"]}, deliver_to=("vault",)),
        declared("foundling"),
        declared("theirs"),
    ]
    fleet = [
        owned("alpha", scopes={"google": ["a"]}),
        owned("leaver"),
        live("foundling", scopes={"google": ["a"]}),
        live("theirs", mark=mark_of(owner="other")),
    ]
    _, plan = repair_plan(configuration(*now, sinks=(sink(),)), *fleet, allow=("unowned", "foreign-owner"))
    assert (ids(plan), plan.blocked, plan.waiting) == ([], (), ())


def test_what_both_moved_becomes_what_the_configuration_says() -> None:
    found = live(mark=mark_of(declared(display_name="One")), display_name="Hers")
    _, plan = repair_plan(configuration(declared(display_name="Two")), found)
    [change] = plan.operations[0].changes
    assert (change.before, change.after, change.cause) == ("Hers", "Two", "both")


def test_a_key_with_a_dot_is_not_taken_for_a_place_inside_another() -> None:
    before = declared(metadata={"x": {"y": 1, "z": 1}, "x.y": 1, "team": "a"})
    now = declared(metadata={"x": {"y": 2, "z": 1}, "x.y": 1, "team": "a"})
    found = live(mark=mark_of(before), metadata={"x": {"y": 1, "z": 1}, "x.y": 9, "team": "b"})
    applied, plan = repair_plan(configuration(now), found)
    request = patch_request(applied, applied.agents[found.name], found, plan.operations, claim=None)
    assert request.body.metadata is not None
    own = {key: value for key, value in request.body.metadata.items() if key != "alter-sync"}
    assert own == {"x": {"y": 1, "z": 1}, "x.y": 1, "team": "a"}


def test_a_pending_policy_stays_pending_although_the_server_hides_what_is_in_it() -> None:
    """What is redacted to a number would look like the new policy, if the mark forgot the old one."""
    before = declared(display_name="One", policy={"approvers": ["ann", "bob"]})
    now = declared(display_name="One", policy={"approvers": ["eve", "mallory"]})
    found = live(mark=mark_of(before), display_name="Hers", policy={"approvers_count": 2})
    applied, plan = repair_plan(configuration(now), found)
    assert changed(plan) == [("alpha", "display_name")]
    request = patch_request(applied, applied.agents[found.name], found, plan.operations, claim=None)
    assert request.body.policy is None
    assert request.body.metadata is not None
    after = replace(found, display_name="One", metadata=request.body.metadata)
    diff = diff_agent(now, after, after.mark)
    assert [change.path for change in diff.update] == ["policy"]
    assert {change.cause for change in diff.update} == {"config"}


def test_a_type_that_may_be_replaced_does_not_keep_the_rest_from_being_put_back() -> None:
    before = declared(type="agent", display_name="One")
    found = live(mark=mark_of(before), display_name="Hers")
    desired = configuration(replace(before, type="service"))
    for allow in ((), ("replace",)):
        assert ids(repair_plan(desired, found, allow=allow)[1]) == ["update_agent:alpha"]


def test_an_agent_that_is_suspended_or_resumed_outside_is_put_back() -> None:
    sleeper = live("sleeper", mark=mark_of(declared("sleeper", status="inactive")))
    worker = live("worker", mark=mark_of(declared("worker")), status="inactive")
    desired = configuration(declared("sleeper", status="inactive"), declared("worker"))
    assert ids(repair_plan(desired, sleeper, worker)[1]) == ["suspend_agent:sleeper", "resume_agent:worker"]


def test_an_expired_agent_that_somebody_resumed_is_suspended_again_and_not_revoked() -> None:
    agent = declared(expires_at=NOW - timedelta(days=9))
    suspended = mark_of(replace(agent, status="inactive"))
    _, plan = repair_plan(configuration(agent), live(mark=suspended))
    assert ids(plan) == ["suspend_agent:alpha"]
    assert ids(repair_plan(configuration(agent), live(mark=suspended, status="inactive"))[1]) == []


def test_an_agent_that_has_just_expired_is_left_to_a_whole_apply() -> None:
    agent = declared(expires_at=NOW - timedelta(days=9))
    assert ids(repair_plan(configuration(agent), live(mark=mark_of(agent)))[1]) == []


def test_a_field_that_the_dashboard_owns_is_not_put_back() -> None:
    agent = declared(display_name="One", metadata={"team": "x"}, ignore=["display_name", "metadata.team"])
    found = live(mark=mark_of(declared(display_name="One", metadata={"team": "x"})), metadata={"team": "z"})
    assert ids(repair_plan(configuration(agent), found)[1]) == []


@pytest.mark.parametrize(
    ("declared_grace", "pending", "applied", "grace_seconds"),
    [
        (None, None, {"google": ["a"]}, 0),
        (timedelta(hours=2), None, {"google": ["a"]}, 7200),
        (None, {"google": ["a", "admin"]}, {"google": ["a"]}, None),
        (None, None, {"google": ["a", "b"]}, None),
    ],
)
def test_what_was_granted_outside_ends_at_once_unless_the_configuration_takes_scopes_away_as_well(
    declared_grace: timedelta | None,
    pending: Any,
    applied: Any,
    grace_seconds: int | None,
) -> None:
    now = declared(scopes={"google": ["a"]}, narrowing_grace=declared_grace)
    found = live(
        mark=mark_of(declared(scopes=applied)), scopes={"google": ["a", "b", "admin"]}, pending=pending
    )
    repaired, plan = repair_plan(configuration(now), found)
    assert ids(plan) == ["set_scopes:alpha"]
    request = patch_request(repaired, repaired.agents[found.name], found, plan.operations, claim=None)
    assert request.grace_seconds == grace_seconds


# Keys.


def test_a_key_that_is_old_enough_is_not_rotated() -> None:
    assert on_keys(aged_key("k-1", made=timedelta(days=80))) == []
    found = live(mark=mark_of(DELIVERING, delivered=delivered_ago("k-1", age=timedelta(days=80))))
    keys = {"alpha": [aged_key("k-1", made=timedelta(days=80))]}
    whole = planned(configuration(DELIVERING, sinks=(sink(),)), found, keys=keys)
    assert "mint_key:alpha" in ids(whole)


def test_a_rollback_that_left_a_sink_behind_is_no_work_of_others() -> None:
    left = replace(delivered_ago("k-1"), left=("local",))
    assert on_keys(aged_key("k-1"), delivered=left) == []
    assert on_keys(aged_key("k-1"), aged_key("k-9"), delivered=left) == ["deprecate_key:alpha:k-9"]
    assert on_keys(aged_key("k-1", revoked=timedelta(hours=1)), delivered=left) == ["mint_key:alpha"]


@pytest.mark.parametrize("key_age", [timedelta(days=1), timedelta(days=80)])
def test_a_key_that_lives_is_neither_replaced_nor_deprecated_even_if_the_configuration_asks_for_it(
    key_age: timedelta,
) -> None:
    """The plan itself lets nothing through, also of a configuration that is not as it was applied."""
    agent = replace(DELIVERING, deliver_to=("vault", "local"))
    found = live(mark=mark_of(agent, delivered=delivered_ago("k-1", age=key_age)))
    state = LiveState([found], {found.id: (aged_key("k-1", made=key_age),)})
    desired = configuration(agent, sinks=(sink("vault"), sink("local")))
    for only_drift, expected in ((False, ["mint_key:alpha", "deprecate_key:alpha:k-1"]), (True, [])):
        options = PlanOptions("1.2.3", only_drift=only_drift)
        assert ids(make_plan(desired, state, now=NOW, options=options)) == expected


def test_keys_from_before_a_leak_are_not_rotated_either() -> None:
    agent = replace(DELIVERING, rotation=replace(POLICY, rotate_keys_before=NOW))
    assert on_keys(aged_key("k-1", made=timedelta(days=80)), agent=agent) == []


def test_an_older_key_is_never_revoked_however_quiet_it_is() -> None:
    older = aged_key("k-0", made=timedelta(days=200), deprecated=timedelta(days=90))
    newer = aged_key("k-1", made=timedelta(days=80), used=timedelta(hours=1))
    assert on_keys(newer, older, retiring=("k-0",)) == []


def test_an_older_key_that_a_run_did_not_deprecate_yet_is_left_to_a_whole_apply() -> None:
    assert on_keys(aged_key("k-1"), aged_key("k-0", made=timedelta(days=90)), retiring=("k-0",)) == []


def test_a_key_minted_outside_is_deprecated() -> None:
    assert on_keys(aged_key("k-1"), aged_key("k-9")) == ["deprecate_key:alpha:k-9"]


def test_a_delivered_key_that_was_deprecated_outside_is_restored() -> None:
    assert on_keys(aged_key("k-1", deprecated=timedelta(hours=1))) == ["undeprecate_key:alpha:k-1"]


def test_a_delivered_key_that_was_revoked_outside_is_replaced() -> None:
    gone = aged_key("k-1", revoked=timedelta(hours=1))
    assert on_keys(gone) == ["mint_key:alpha"]
    assert on_keys(gone, aged_key("k-9")) == ["mint_key:alpha", "deprecate_key:alpha:k-9"]


def test_an_older_key_that_was_revoked_outside_is_forgotten() -> None:
    gone = aged_key("k-0", revoked=timedelta(hours=1))
    assert on_keys(aged_key("k-1"), gone, retiring=("k-0",)) == ["update_agent:alpha"]
    assert on_keys(aged_key("k-1"), gone) == []


def test_a_sink_that_was_added_is_not_delivered_to() -> None:
    agent = replace(DELIVERING, deliver_to=("vault", "local"))
    assert on_keys(aged_key("k-1"), agent=agent) == []
    # When a new key has to be, it goes where the lost one was.
    found = live(mark=mark_of(agent, delivered=delivered_ago("k-1")))
    desired = configuration(agent, sinks=(sink("vault"), sink("local")))
    _, plan = repair_plan(desired, found, keys={"alpha": [aged_key("k-1", revoked=timedelta(hours=1))]})
    assert plan.operations[0].changes[0].after == "mint and deliver to vault"


def test_a_first_key_is_not_delivered() -> None:
    found = live(mark=mark_of(DELIVERING))
    _, plan = repair_plan(
        configuration(DELIVERING, sinks=(sink(),)), found, keys={"alpha": [aged_key("k-9")]}
    )
    assert ids(plan) == []


def test_a_claim_that_is_at_work_is_waited_for_and_a_dead_one_is_not_ended() -> None:
    agent = replace(DELIVERING, display_name="One")
    for age, expected in ((timedelta(minutes=1), []), (timedelta(hours=1), ["update_agent:alpha"])):
        mark = mark_of(agent, delivered=delivered_ago("k-1"), claim=claim_of("run-1", age=age, keys=("k-1",)))
        found = live(mark=mark, display_name="Hers")
        desired = configuration(agent, sinks=(sink(),))
        _, plan = repair_plan(desired, found, keys={"alpha": [aged_key("k-1"), aged_key("k-9", made=age)]})
        assert ids(plan) == expected
        assert [entry.stage for entry in plan.waiting] == ([] if expected else ["claimed"])
        assert all(change.path != "claim" for operation in plan.operations for change in operation.changes)


# Guards look at it as at any plan.


def test_a_freeze_holds_it_up_as_well() -> None:
    window = FreezeWindow(NOW - timedelta(days=1), NOW + timedelta(days=1), "", Position("agents.yaml", 9, 3))
    agent = declared(display_name="One")
    found = live(mark=mark_of(agent), display_name="Hers")
    _, plan = repair_plan(configuration(agent, freeze=(window,)), found)
    assert (ids(plan), refused_ids(plan)) == ([], {("freeze", "update_agent:alpha")})


def test_the_mark_of_a_protected_agent_keeps_that_from_being_suspended() -> None:
    agent = declared(status="inactive")
    found = live(mark=mark_of(agent, protect=True))
    _, plan = repair_plan(configuration(agent), found)
    assert refused_ids(plan) == {("protected", "suspend_agent:alpha")}


@pytest.mark.parametrize("declares", [True, False])
def test_protection_is_neither_put_on_nor_taken_off(declares: bool) -> None:
    agent = declared(display_name="One", protect=declares)
    found = live(mark=mark_of(agent, protect=not declares), display_name="Hers")
    applied, plan = repair_plan(configuration(agent), found)
    request = patch_request(applied, applied.agents[found.name], found, plan.operations, claim=None)
    assert request.body.metadata is not None
    mark = Mark.from_json(request.body.metadata["alter-sync"])
    assert mark is not None
    assert mark.protect is not declares
