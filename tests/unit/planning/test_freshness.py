"""A saved plan is carried out only while it still is what would be planned now."""

import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta

import pytest

from reconciler.errors import StalePlan
from reconciler.model.agent import LiveAgent
from reconciler.model.desired import Desired, FreezeWindow
from reconciler.model.diagnostic import Position
from reconciler.model.plan import Plan
from reconciler.planning.freshness import allowances_of, check_inputs, refreshed
from reconciler.planning.plan_document import plan_document, read_plan
from tests.support.builders import (
    BASE_URL,
    NOW,
    allowing,
    configuration,
    declared,
    ids,
    live,
    mark_of,
    owned,
    planned,
    refused_ids,
)

LATER = NOW + timedelta(hours=1)
DESIRED = configuration(
    declared("new", deliver_to=("vault",)), declared("wider", scopes={"s": ["a"]}), declared("still")
)
LIVE = (owned("wider"), owned("still"), owned("gone"))
ALL = ["revoke_agent:gone", "create_agent:new", "mint_key:new", "set_scopes:wider"]


def saved(
    desired: Desired = DESIRED, agents: Iterable[LiveAgent] = LIVE, *, allow: tuple[str, ...] = ()
) -> Plan:
    """A plan that went through a file."""
    return read_plan(json.loads(json.dumps(plan_document(planned(desired, *agents, allow=allow)))))


def moved(name: str, *, version: int = 4) -> list[LiveAgent]:
    return [replace(agent, version=version) if agent.name == name else agent for agent in LIVE]


def after(
    plan: Plan, agents: Iterable[LiveAgent], *, desired: Desired = DESIRED, allow: tuple[str, ...] = ()
) -> Plan:
    return refreshed(plan, planned(desired, *agents, now=LATER, allow=allow))


def test_a_plan_of_the_same_inputs_fits() -> None:
    plan = saved()
    check_inputs(plan, DESIRED, base_url=BASE_URL, plane="sdk", now=plan.expires_at - timedelta(seconds=1))
    assert after(plan, LIVE) == plan
    assert ids(plan) == ALL


def test_an_expired_plan_is_refused() -> None:
    plan = saved()
    with pytest.raises(StalePlan, match="expired at 2026-12-01T12:00:00Z"):
        check_inputs(plan, DESIRED, base_url=BASE_URL, plane="sdk", now=plan.expires_at)


def test_a_plan_made_at_a_time_to_come_is_refused() -> None:
    plan = saved()
    a_little_fast = plan.created_at - timedelta(minutes=59)
    check_inputs(plan, DESIRED, base_url=BASE_URL, plane="sdk", now=a_little_fast)
    with pytest.raises(StalePlan, match="says that it is made at"):
        check_inputs(plan, DESIRED, base_url=BASE_URL, plane="sdk", now=a_little_fast - timedelta(hours=1))


def test_a_plan_for_another_address_is_refused() -> None:
    with pytest.raises(StalePlan, match=r"for https://alter\.test, this run for https://elsewhere\.test"):
        check_inputs(saved(), DESIRED, base_url="https://elsewhere.test", plane="sdk", now=NOW)


def test_a_plan_for_another_plane_is_refused() -> None:
    with pytest.raises(StalePlan, match="for the sdk plane, this run for the dashboard plane"):
        check_inputs(saved(), DESIRED, base_url=BASE_URL, plane="dashboard", now=NOW)


def test_a_plan_of_another_app_or_owner_is_refused() -> None:
    app = configuration(*DESIRED.agents.values(), app="payments-test")
    with pytest.raises(StalePlan, match="for payments/agents in payments-prod, the configuration for"):
        check_inputs(saved(), app, base_url=BASE_URL, plane="sdk", now=NOW)
    owner = configuration(*DESIRED.agents.values(), owner="others")
    with pytest.raises(StalePlan, match="the configuration for others in payments-prod"):
        check_inputs(saved(), owner, base_url=BASE_URL, plane="sdk", now=NOW)


def test_a_plan_of_another_configuration_is_refused() -> None:
    changed = configuration(*DESIRED.agents.values(), declared("more"))
    with pytest.raises(StalePlan, match="configuration changed") as caught:
        check_inputs(saved(), changed, base_url=BASE_URL, plane="sdk", now=NOW)
    assert "plan --save" in caught.value.hint


def test_moving_a_block_in_the_file_does_not_make_a_plan_stale() -> None:
    agents = [replace(agent, position=Position("other.yaml", 90, 1)) for agent in DESIRED.agents.values()]
    elsewhere = replace(configuration(*agents), position=Position("other.yaml", 80, 1))
    plan = saved()
    check_inputs(plan, elsewhere, base_url=BASE_URL, plane="sdk", now=LATER)
    assert after(plan, LIVE, desired=elsewhere) == plan


def test_the_wording_of_a_reason_does_not_make_a_plan_stale() -> None:
    plan = saved()
    reworded = replace(
        plan, operations=tuple(replace(operation, reason="in other words") for operation in plan.operations)
    )
    assert refreshed(plan, reworded) == plan


@pytest.mark.parametrize("name", ["wider", "gone"])
def test_a_touched_agent_at_another_version_makes_the_plan_stale(name: str) -> None:
    with pytest.raises(StalePlan, match=f"{name}: planned for version 3, live is 4"):
        after(saved(), moved(name))


def test_other_agents_may_have_moved() -> None:
    plan = saved()
    more = [*moved("still"), live("unmanaged"), live("theirs", mark=mark_of(owner="others"))]
    assert after(plan, more) == plan


def test_another_agent_that_needs_work_now_is_no_part_of_the_saved_plan() -> None:
    plan = saved()
    paused = [replace(agent, status="inactive") if agent.name == "still" else agent for agent in LIVE]
    assert ids(after(plan, paused)) == ALL


def test_an_operation_that_is_done_already_makes_the_plan_stale() -> None:
    without = [agent for agent in LIVE if agent.name != "gone"]
    with pytest.raises(StalePlan, match="gone: revoke_agent is not what it needs any more"):
        after(saved(), without)
    with pytest.raises(StalePlan, match="new: create_agent is not what it needs any more"):
        after(saved(), [*LIVE, live("new")], allow=("unowned",))


def test_an_operation_that_would_do_something_else_makes_the_plan_stale() -> None:
    others = [owned("wider", scopes={"t": ["z"]}), *LIVE[1:]]
    with pytest.raises(StalePlan, match="wider: set_scopes would now do something else"):
        after(saved(), others)


def test_many_moved_agents_are_told_in_short() -> None:
    names = [f"a{index}" for index in range(7)]
    desired = configuration(*(declared(name, display_name="N") for name in names))
    plan = saved(desired, [owned(name) for name in names])
    with pytest.raises(StalePlan, match=r"a4: [^;]+; and 2 more$"):
        after(plan, [owned(name, version=5) for name in names], desired=desired)


def test_what_a_guard_refuses_now_is_refused_although_it_was_planned() -> None:
    used = [replace(agent, last_used_at=LATER) if agent.name == "gone" else agent for agent in LIVE]
    current = after(saved(), used)
    assert ids(current) == [id_ for id_ in ALL if id_ != "revoke_agent:gone"]
    assert refused_ids(current) == {("revoke-in-use", "revoke_agent:gone")}


def test_dependents_fall_with_what_is_refused_now() -> None:
    window = FreezeWindow(LATER, LATER + timedelta(days=1), "", Position("agents.yaml", 2, 1))
    frozen = replace(DESIRED, freeze=(window,))
    plan = saved(frozen)
    assert ids(plan) == ALL
    current = after(plan, LIVE, desired=frozen, allow=("freeze=wider", "freeze=gone"))
    assert ids(current) == ["revoke_agent:gone", "set_scopes:wider"]


def test_a_replacement_that_is_refused_now_is_no_replacement() -> None:
    desired = configuration(declared(type="service", deliver_to=("vault",)))
    plan = saved(desired, [owned("alpha")], allow=("replace",))
    assert plan.replaced == ("alpha",)
    current = after(plan, [owned("alpha", last_used_at=LATER)], desired=desired, allow=("replace",))
    assert (current.operations, current.replaced) == ((), ())
    assert {guard for guard, _ in refused_ids(current)} == {"revoke-in-use"}
    unused = after(plan, [owned("alpha")], desired=desired, allow=("replace",))
    assert unused.replaced == ("alpha",)


def test_what_a_guard_refuses_of_other_agents_is_not_reported() -> None:
    current = after(saved(), [*LIVE, owned("gone-too", protect=True)])
    assert ids(current) == ALL
    assert current.blocked == ()


def test_a_saved_plan_knows_what_was_let_through() -> None:
    plan = planned(configuration(), allow=("freeze", "unowned=a"))
    assert allowances_of(plan) == allowing("freeze", "unowned=a")
    assert allowances_of(planned(configuration())) == allowing()
