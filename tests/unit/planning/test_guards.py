"""Each guard refuses from its threshold on, says its numbers, and lets through exactly what is allowed."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest

from reconciler.model.agent import LiveAgent
from reconciler.model.desired import CountLimit, Desired, FreezeWindow, GuardSettings
from reconciler.model.diagnostic import Position
from reconciler.model.plan import Plan
from reconciler.planning.facts import Allowances, Facts
from reconciler.planning.guards import GUARDS
from tests.support.builders import (
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

ROOMY = CountLimit(1_000, 100)
# The guards that count would interfere with those that do not.
UNCOUNTED = GuardSettings(max_revocations=ROOMY, max_changes=ROOMY, max_scope_removals=ROOMY)
SECOND = timedelta(seconds=1)


@dataclass(frozen=True)
class Scenario:
    """Inputs that one guard refuses, what it refuses, and the same inputs just below its threshold."""

    guard: str
    desired: Desired
    agents: tuple[LiveAgent, ...]
    refused: frozenset[str]
    below: tuple[Desired, tuple[LiveAgent, ...]]
    allow: tuple[str, ...] = ()
    per_agent: bool = True


def names(count: int, prefix: str = "a") -> list[str]:
    return [f"{prefix}{index:02}" for index in range(count)]


def owned_fleet(total: int, *, scopes: int = 0) -> tuple[LiveAgent, ...]:
    return tuple(owned(name, scopes={"s": names(scopes, "s")}) for name in names(total))


def keeping(total: int, *, settings: GuardSettings = UNCOUNTED) -> Desired:
    """Declares all of the fleet but the first agents, which are left to be revoked."""
    return configuration(*(declared(name) for name in names(40)[:total]), guards=settings)


def revoking(doomed: int, total: int) -> tuple[Desired, tuple[LiveAgent, ...]]:
    kept = [declared(name) for name in names(total)[doomed:]]
    settings = replace(UNCOUNTED, max_revocations=CountLimit(3, 10))
    return configuration(*kept, guards=settings), owned_fleet(total)


def changing(changed: int, total: int) -> tuple[Desired, tuple[LiveAgent, ...]]:
    agents = [
        declared(name, display_name="New" if index < changed else None)
        for index, name in enumerate(names(total))
    ]
    settings = replace(UNCOUNTED, max_changes=CountLimit(10, 50))
    return configuration(*agents, guards=settings), owned_fleet(total)


def narrowing(removed: int, total: int) -> tuple[Desired, tuple[LiveAgent, ...]]:
    """Two agents: one keeps its scopes, of the other's ``removed`` are taken away."""
    settings = replace(UNCOUNTED, max_scope_removals=CountLimit(10, 30))
    one, rest = {"s": names(removed, "s")}, {"s": names(total - removed, "s")}
    desired = configuration(declared("one"), declared("rest", scopes=rest), guards=settings)
    return desired, (owned("one", scopes=one), owned("rest", scopes=rest))


def frozen(start: timedelta, end: timedelta) -> Desired:
    window = FreezeWindow(NOW + start, NOW + end, "year end", Position("agents.yaml", 20, 5))
    return configuration(declared("new"), declared("wider", scopes={"s": ["a"]}), freeze=(window,))


def used(age: timedelta) -> tuple[LiveAgent, ...]:
    return (owned("gone", last_used_at=NOW - age), owned("kept"))


DAY = timedelta(hours=24)
SENSITIVE = replace(UNCOUNTED, sensitive_scopes=("google:drive", "*:*Admin*"))
KEPT = declared("kept")

SCENARIOS = (
    Scenario(
        "wrong-app",
        configuration(declared("new"), declared("alpha"), guards=UNCOUNTED),
        (live(mark=mark_of(app="payments-test")),),
        frozenset({"adopt_agent:alpha", "create_agent:new"}),
        (configuration(declared("new"), declared("alpha"), guards=UNCOUNTED), (owned("alpha"),)),
        per_agent=False,
    ),
    Scenario(
        "foreign-owner",
        configuration(declared(), declared("beta")),
        (live(mark=mark_of(owner="others")), live("beta", mark=mark_of(owner="others"))),
        frozenset({"adopt_agent:alpha", "adopt_agent:beta"}),
        (configuration(declared(), former_owners=("others",)), (live(mark=mark_of(owner="others")),)),
    ),
    Scenario(
        "unowned",
        configuration(declared(), declared("beta")),
        (live(), live("beta")),
        frozenset({"adopt_agent:alpha", "adopt_agent:beta"}),
        (configuration(declared()), (owned("alpha"),)),
    ),
    Scenario(
        "empty-config",
        configuration(guards=UNCOUNTED),
        owned_fleet(2),
        frozenset({"revoke_agent:a00", "revoke_agent:a01"}),
        (configuration(declared("a00"), guards=UNCOUNTED), owned_fleet(2)),
        per_agent=False,
    ),
    Scenario(
        "max-revocations",
        *revoking(4, 39),
        frozenset(f"revoke_agent:{name}" for name in names(4)),
        revoking(4, 40),
        per_agent=False,
    ),
    Scenario(
        "max-changes",
        *changing(11, 21),
        frozenset(f"update_agent:{name}" for name in names(11)),
        changing(11, 22),
        per_agent=False,
    ),
    Scenario(
        "max-scope-removals",
        *narrowing(12, 39),
        frozenset({"set_scopes:one"}),
        narrowing(12, 40),
        per_agent=False,
    ),
    Scenario(
        "protected",
        configuration(KEPT, declared("pause", status="inactive", protect=True), guards=UNCOUNTED),
        (owned("kept"), owned("gone", protect=True), owned("pause", protect=True)),
        frozenset({"revoke_agent:gone", "suspend_agent:pause"}),
        (configuration(KEPT, declared("pause", status="inactive"), guards=UNCOUNTED), (owned("kept"), owned("gone"), owned("pause"))),
    ),
    Scenario(
        "revoke-in-use",
        configuration(KEPT),
        (*used(DAY - SECOND), owned("gone2", last_used_at=NOW + timedelta(days=300))),
        frozenset({"revoke_agent:gone", "revoke_agent:gone2"}),
        (configuration(KEPT), used(DAY)),
    ),
    Scenario(
        "sensitive-scopes",
        configuration(
            declared("new", scopes={"google": ["drive", "mail"]}),
            declared("wider", scopes={"okta": ["USERS.ADMIN.read"]}),
            guards=SENSITIVE,
        ),
        (owned("wider"),),
        frozenset({"create_agent:new", "set_scopes:wider"}),
        (
            configuration(declared("new", scopes={"google": ["drive.file"]}), declared("less"), guards=SENSITIVE),
            (owned("less", scopes={"google": ["drive"]}),),
        ),
    ),
    Scenario(
        "replace",
        configuration(declared("one", type="service"), declared("two", type="service")),
        (owned("one"), owned("two")),
        frozenset({"revoke_agent:one", "revoke_agent:two"}),
        (configuration(declared("one", type="agent")), (owned("one"),)),
    ),
    Scenario(
        "freeze",
        frozen(timedelta(), timedelta(days=1)),
        (owned("wider"),),
        frozenset({"create_agent:new", "set_scopes:wider"}),
        (frozen(timedelta(days=-1), timedelta()), (owned("wider"),)),
    ),
)  # fmt: skip
by_guard = pytest.mark.parametrize("scenario", SCENARIOS, ids=[scenario.guard for scenario in SCENARIOS])


def plan_of(scenario: Scenario, *allow: str) -> Plan:
    return planned(scenario.desired, *scenario.agents, allow=allow)


def refused_by(plan: Plan, guard: str) -> set[str]:
    return {id_ for name, id_ in refused_ids(plan) if name == guard}


def test_every_guard_of_the_registry_has_its_scenario() -> None:
    assert [scenario.guard for scenario in SCENARIOS] == list(GUARDS)


@by_guard
def test_a_guard_refuses_what_it_is_for_and_nothing_else(scenario: Scenario) -> None:
    plan = plan_of(scenario)
    assert refused_by(plan, scenario.guard) == scenario.refused
    assert {guard for guard, _ in refused_ids(plan)} == {scenario.guard}
    assert not scenario.refused & set(ids(plan))


@by_guard
def test_below_its_threshold_a_guard_refuses_nothing(scenario: Scenario) -> None:
    desired, agents = scenario.below
    plan = planned(desired, *agents)
    assert not plan.blocked


@by_guard
def test_the_flag_that_a_refusal_names_lets_exactly_that_through(scenario: Scenario) -> None:
    flags = {entry.allow.removeprefix("--allow ") for entry in plan_of(scenario).blocked}
    if not scenario.per_agent:
        assert flags == {scenario.guard}
    for flag in flags:
        plan = plan_of(scenario, flag)
        agent = flag.partition("=")[2]
        through = {id_ for id_ in scenario.refused if not agent or id_.endswith(f":{agent}")}
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
        agent = id_.partition(":")[2]
        plan = plan_of(scenario, f"{scenario.guard}={agent}")
        assert id_ not in refused_by(plan, scenario.guard)
        assert id_ in ids(plan)


def test_a_guard_that_names_one_agent_offers_to_let_that_one_through() -> None:
    for scenario in SCENARIOS:
        for entry in plan_of(scenario).blocked:
            suffix = f"={entry.agent}" if scenario.per_agent else ""
            assert entry.allow == f"--allow {scenario.guard}{suffix}"


@pytest.mark.parametrize(
    ("make", "below"),
    [
        # Many agents, but a small part of them: the count alone refuses nothing.
        (revoking, (5, 50)),
        (changing, (30, 60)),
        (narrowing, (30, 100)),
        # A large part, but of few agents.
        (revoking, (3, 4)),
        (changing, (10, 10)),
        (narrowing, (10, 10)),
    ],
)  # fmt: skip
def test_a_counting_guard_needs_both_the_count_and_the_share(
    make: Callable[[int, int], tuple[Desired, tuple[LiveAgent, ...]]], below: tuple[int, int]
) -> None:
    desired, agents = make(*below)
    assert not planned(desired, *agents).blocked


@pytest.mark.parametrize(
    ("guard", "numbers"),
    [
        ("max-revocations", "4 of 39 owned agents would be revoked at once (10 %): more than 3 and more than 10 %"),
        ("max-changes", "11 of 21 owned agents would be changed at once (52 %): more than 10 and more than 50 %"),
        ("max-scope-removals", "12 of 39 granted scopes would be removed at once (31 %): more than 10 and more than 30 %"),
        ("empty-config", "the configuration declares no agents, but 2 live ones belong to it"),
        ("revoke-in-use", "last used at 2026-11-23T12:00:01Z, within the last 24 h"),
        ("sensitive-scopes", "would grant google:drive (google:drive)"),
        ("replace", "type agent → service needs revoke and create, with new keys"),
        ("freeze", "frozen until 2026-11-25T12:00:00Z (year end), see agents.yaml:20:5"),
    ],
)  # fmt: skip
def test_a_refusal_says_its_numbers(guard: str, numbers: str) -> None:
    [scenario] = [scenario for scenario in SCENARIOS if scenario.guard == guard]
    assert plan_of(scenario).blocked[0].reason == numbers


def test_what_is_allowed_by_name_does_not_count_against_the_others() -> None:
    for make, affected in ((revoking, 4), (changing, 11)):
        desired, agents = make(affected, affected + 2)
        guard = "max-revocations" if make is revoking else "max-changes"
        assert planned(desired, *agents).blocked
        assert not planned(desired, *agents, allow=(f"{guard}=a00",)).blocked


def test_narrowings_allowed_by_name_do_not_count_against_the_others() -> None:
    settings = replace(UNCOUNTED, max_scope_removals=CountLimit(10, 30))
    desired = configuration(declared("one"), declared("two"), guards=settings)
    agents = [owned(name, scopes={"s": names(8, "s")}) for name in ("one", "two")]
    assert len(planned(desired, *agents).blocked) == 2
    assert not planned(desired, *agents, allow=("max-scope-removals=one",)).blocked


def test_an_agent_with_several_changes_counts_once() -> None:
    agents = [declared(name, display_name="N", status="inactive") for name in names(10)]
    desired = configuration(*agents, guards=replace(UNCOUNTED, max_changes=CountLimit(10, 50)))
    assert not planned(desired, *owned_fleet(10)).blocked


def test_creations_and_adoptions_are_no_changes_of_owned_agents() -> None:
    settings = replace(UNCOUNTED, max_changes=CountLimit(0, 0))
    desired = configuration(declared("new", status="inactive"), declared("found"), guards=settings)
    plan = planned(desired, live("found"), owned("kept"), allow=("unowned", "max-changes=kept"))
    assert not plan.blocked
    assert "suspend_agent:new" in ids(plan)


def test_widening_and_pending_removals_are_no_removals() -> None:
    settings = replace(UNCOUNTED, max_scope_removals=CountLimit(0, 0))
    wider = declared("wider", scopes={"s": ["a", "b"]})
    pending = declared("pending", scopes={"s": ["a"]})
    desired = configuration(wider, pending, guards=settings)
    leaving = live("pending", scopes={"s": ["a", "b"]}, pending={"s": ["a"]}, mark=mark_of(pending))
    assert not planned(desired, owned("wider", scopes={"s": ["a"]}), leaving).blocked


@pytest.mark.parametrize(
    ("block", "remembered", "refused"),
    [
        (None, None, False),
        (None, True, True),
        (None, False, False),
        (True, None, True),
        (True, False, True),
        # To unprotect takes one apply by itself, so that one mistake cannot do both.
        (False, True, True),
        (False, None, False),
    ],
)
def test_the_block_or_the_live_mark_protects(
    block: bool | None, remembered: bool | None, refused: bool
) -> None:
    desired = configuration(declared(status="inactive", protect=block))
    plan = planned(desired, owned("alpha", protect=remembered))
    assert bool(plan.blocked) is refused


def test_deleting_the_block_of_a_protected_agent_does_not_unprotect_it() -> None:
    plan = planned(configuration(KEPT), owned("kept"), owned("gone", protect=True))
    assert refused_ids(plan) == {("protected", "revoke_agent:gone")}
    assert plan.blocked[0].reason.startswith("its live mark says protect")
    by_block = planned(configuration(declared(status="inactive", protect=True)), owned("alpha"))
    assert by_block.blocked[0].reason.startswith("its block says protect")


def test_never_used_agents_are_not_in_use() -> None:
    assert not planned(configuration(KEPT), owned("kept"), owned("gone")).blocked


def test_scopes_that_an_agent_has_already_are_not_granted() -> None:
    agent = declared(scopes={"google": ["drive", "mail"]})
    desired = configuration(agent, guards=SENSITIVE)
    assert not planned(desired, owned("alpha", scopes={"google": ["drive"]})).blocked
    taking_back = live(
        scopes={"google": ["drive", "mail"]}, pending={"google": ["mail"]}, mark=mark_of(agent)
    )
    assert refused_ids(planned(desired, taking_back)) == {("sensitive-scopes", "set_scopes:alpha")}


def test_every_sensitive_scope_is_named_with_its_pattern() -> None:
    settings = replace(UNCOUNTED, sensitive_scopes=("*:drive*", "google:*"))
    plan = planned(configuration(declared(scopes={"google": ["drive"], "slack": ["a"]}), guards=settings))
    assert plan.blocked[0].reason == "would grant google:drive (*:drive*), google:drive (google:*)"


def test_overlapping_freezes_refuse_once() -> None:
    window = FreezeWindow(NOW - DAY, NOW + DAY, "", Position("agents.yaml", 3, 3))
    plan = planned(configuration(declared(), freeze=(window, window)))
    [refusal] = plan.blocked
    assert refusal.reason == "frozen until 2026-11-25T12:00:00Z, see agents.yaml:3:3"


def test_an_empty_configuration_that_owns_nothing_is_no_mistake() -> None:
    assert not planned(configuration(), live(), live("beta", mark=mark_of(owner="others"))).blocked


def test_several_guards_may_refuse_one_operation() -> None:
    plan = planned(configuration(KEPT), owned("kept"), owned("gone", protect=True, last_used_at=NOW))
    assert refused_ids(plan) == {("protected", "revoke_agent:gone"), ("revoke-in-use", "revoke_agent:gone")}
    half = planned(
        configuration(KEPT),
        owned("kept"),
        owned("gone", protect=True, last_used_at=NOW),
        allow=("protected",),
    )
    assert not half.operations


def test_allowances_are_pairs_of_a_guard_and_an_agent() -> None:
    allow = allowing("freeze", "unowned=b", "unowned=a")
    assert allow.as_texts() == ("freeze", "unowned=a", "unowned=b")
    assert allow.permits("freeze", None)
    assert allow.permits("freeze", "x")
    assert allow.permits("unowned", "a")
    assert not allow.permits("unowned", "c")
    assert not allow.permits("unowned", None)
    assert not Allowances().permits("freeze", "x")


def test_facts_know_whose_an_agent_is() -> None:
    ours, theirs, nobodys = owned("ours"), live("theirs", mark=mark_of(owner="others")), live("nobodys")
    facts = Facts(configuration(), {agent.name: agent for agent in (ours, theirs, nobodys)}, NOW)
    assert facts.owned() == {ours.name: ours}
    assert facts.mark_of(ours.name) == ours.mark
    assert facts.mark_of(theirs.name) == theirs.mark
    assert facts.mark_of(nobodys.name) is None
    assert facts.mark_of(declared("missing").name) is None
