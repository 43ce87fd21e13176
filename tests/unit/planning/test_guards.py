"""Each guard refuses from its threshold on, says its numbers, and lets through exactly what is allowed."""

import pytest

from reconciler.model.plan import Plan
from reconciler.planning.guards import ABSOLUTE, GUARDS
from tests.support.builders import ids, planned, refused_ids
from tests.unit.planning.guard_scenarios import SCENARIOS, Scenario

by_guard = pytest.mark.parametrize("scenario", SCENARIOS, ids=[scenario.guard for scenario in SCENARIOS])


def plan_of(scenario: Scenario, *allow: str) -> Plan:
    return planned(scenario.desired, *scenario.agents, allow=allow, keys=scenario.keys)


def refused_by(plan: Plan, guard: str) -> set[str]:
    return {id_ for name, id_ in refused_ids(plan) if name == guard}


def agent_of(operation_id: str) -> str:
    return operation_id.split(":")[1]


def test_every_guard_of_the_registry_has_its_scenario_but_the_one_that_no_plan_can_ask_for() -> None:
    assert [scenario.guard for scenario in SCENARIOS] == [name for name in GUARDS if name not in ABSOLUTE]


@by_guard
def test_a_guard_refuses_what_it_is_for_and_nothing_else(scenario: Scenario) -> None:
    plan = plan_of(scenario)
    assert refused_by(plan, scenario.guard) == scenario.refused
    assert {guard for guard, _ in refused_ids(plan)} == {scenario.guard}
    assert not scenario.refused & set(ids(plan))


@by_guard
def test_below_its_threshold_a_guard_refuses_nothing(scenario: Scenario) -> None:
    desired, agents = scenario.below
    plan = planned(desired, *agents, keys=scenario.keys_below)
    assert not plan.blocked


@by_guard
def test_the_flag_that_a_refusal_names_lets_exactly_that_through(scenario: Scenario) -> None:
    flags = {entry.allow.removeprefix("--allow ") for entry in plan_of(scenario).blocked}
    if not scenario.per_agent:
        assert flags == {scenario.guard}
    for flag in flags:
        plan = plan_of(scenario, flag)
        agent = flag.partition("=")[2]
        through = {id_ for id_ in scenario.refused if agent in {"", agent_of(id_)}}
        assert through <= set(ids(plan))
        assert refused_by(plan, scenario.guard) == scenario.refused - through


@by_guard
def test_allowing_another_guard_or_another_agent_lets_nothing_through(scenario: Scenario) -> None:
    others = [guard for guard in GUARDS if guard != scenario.guard]
    plan = plan_of(scenario, *others, f"{scenario.guard}=nobody")
    assert refused_by(plan, scenario.guard) >= scenario.refused


@by_guard
def test_a_refusal_by_name_is_lifted_by_name(scenario: Scenario) -> None:
    for id_ in scenario.refused:
        plan = plan_of(scenario, f"{scenario.guard}={agent_of(id_)}")
        assert id_ not in refused_by(plan, scenario.guard)
        assert id_ in ids(plan)


def test_a_guard_that_names_one_agent_offers_to_let_that_one_through() -> None:
    for scenario in SCENARIOS:
        for entry in plan_of(scenario).blocked:
            suffix = f"={entry.agent}" if scenario.per_agent else ""
            assert entry.allow == f"--allow {scenario.guard}{suffix}"


@pytest.mark.parametrize(
    ("guard", "numbers"),
    [
        (
            "max-revocations",
            "4 of 39 owned agents would be revoked at once (10 %): more than 3 and more than 10 %",
        ),
        (
            "max-changes",
            "11 of 21 owned agents would be changed at once (52 %): more than 10 and more than 50 %",
        ),
        (
            "max-scope-removals",
            "12 of 39 granted scopes would be removed at once (31 %): more than 10 and more than 30 %",
        ),
        (
            "unowned",
            "a live agent of this name was not made by alter-sync; `alter-sync adopt` puts it under this "
            "owner and changes nothing else (and 1 more of this agent's operations with it)",
        ),
        (
            "protected",
            "its live mark says protect; to unprotect it, declare it with `protect: false` and apply first",
        ),
        ("empty-config", "the configuration declares no agents, but 2 live ones belong to it"),
        ("revoke-in-use", "last used at 2026-11-23T12:00:01Z, within the last 24 h"),
        ("sensitive-scopes", "would grant google:drive (google:drive)"),
        ("replace", "type agent → service needs revoke and create, with new keys"),
        (
            "key-in-use",
            "key k-0 was used at 2026-11-23T11:00:01Z; "
            "quiet until 2026-11-24T12:00:01Z at the earliest (quiet_for)",
        ),
        (
            "key-cap",
            "2 of 2 keys are live (guards.key_cap); the room is held by k-x0 (never used), k-1 (never used) "
            "(and 2 more of this agent's operations with it)",
        ),
        (
            "rotation-pace",
            "3 rotations are due, and one run does 1 (guards.max_rotations_per_run): run again for the rest "
            "(and 1 more of this agent's operations with it)",
        ),
        ("freeze", "frozen until 2026-11-25T12:00:00Z (year end), see agents.yaml:20:5"),
    ],
)
def test_a_refusal_says_its_numbers(guard: str, numbers: str) -> None:
    [scenario] = [scenario for scenario in SCENARIOS if scenario.guard == guard]
    assert plan_of(scenario).blocked[0].reason == numbers
