"""What counts for the guards about keys, whatever put an operation into the plan."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import timedelta

import pytest

from reconciler.model.agent import AgentId, AgentName, LiveAgent
from reconciler.model.desired import Desired, FreezeWindow, GuardSettings
from reconciler.model.diagnostic import Position
from reconciler.model.key import AgentKey, KeyId
from reconciler.model.mark import Claim
from reconciler.model.plan import Blocked, Operation, OperationKind
from reconciler.planning.facts import Allowances, Facts
from reconciler.planning.guards import ABSOLUTE, GUARDS, refusals
from tests.support.builders import (
    NOW,
    aged_key,
    allowing,
    claim_of,
    configuration,
    delivered_ago,
    ids,
    live,
    mark_of,
    planned,
    refused_ids,
)
from tests.unit.planning.guard_scenarios import (
    DAY,
    GONE,
    SECOND,
    UNCOUNTED,
    due,
    holding,
    names,
    overdue_keys,
    rotating,
)
from tests.unit.planning.key_states import HOUR, NEWER, OLDER

ALPHA = rotating("alpha")


def operation(kind: OperationKind, key_id: str | None = None, agent: str = "alpha") -> Operation:
    return Operation(
        id=f"{kind}:{agent}:{key_id}",
        kind=kind,
        agent=AgentName(agent),
        reason="made up",
        agent_id=AgentId(f"id-{agent}"),
        version=3,
        key_id=None if key_id is None else KeyId(key_id),
    )


def guarded(
    operations: Iterable[Operation],
    *keys: AgentKey,
    found: LiveAgent | None = None,
    desired: Desired = ALPHA,
    allow: Allowances | None = None,
    is_read: bool = True,
) -> tuple[Blocked, ...]:
    """What the guards say of operations that no plan came up with."""
    found = found or holding("alpha", retiring=["k-0"])
    read: Mapping[AgentId, tuple[AgentKey, ...]] = {found.id: keys} if is_read else {}
    facts = Facts(desired, {found.name: found}, NOW, allow or Allowances(), read)
    return refusals(facts, tuple(operations))


def reasons(blocked: Iterable[Blocked]) -> dict[str, str]:
    return {entry.guard: entry.reason for entry in blocked}


def test_of_the_guards_about_keys_one_is_absolute() -> None:
    assert {"last-active-key", "plane"} == ABSOLUTE
    assert set(GUARDS) >= ABSOLUTE


# --- last-active-key ---


@pytest.mark.parametrize(
    "allow", [(), ("last-active-key",), ("last-active-key=alpha", "key-in-use=alpha"), tuple(GUARDS)]
)
def test_nothing_lets_the_delivered_key_be_revoked(allow: tuple[str, ...]) -> None:
    doomed = operation("revoke_key", "k-1")
    deprecated = replace(NEWER, deprecated_at=NOW - 20 * DAY)
    blocked = guarded([doomed], OLDER, deprecated, allow=allowing(*allow))
    entry = next(entry for entry in blocked if entry.guard == "last-active-key")
    reason = "key k-1 is the one that the sinks hold"
    assert entry == Blocked("last-active-key", AgentName("alpha"), reason, "", doomed)


def test_the_delivered_key_stays_although_another_is_about_to_be_minted() -> None:
    blocked = guarded([operation("mint_key"), operation("revoke_key", "k-1")], OLDER, NEWER)
    assert "last-active-key" in reasons(blocked)


def test_the_only_live_key_is_not_revoked() -> None:
    nothing_delivered = live(mark=mark_of())
    gone = aged_key("k-9", revoked=DAY)
    doomed = operation("revoke_key", "k-0")
    blocked = guarded([doomed], OLDER, gone, found=nothing_delivered, allow=allowing(*GUARDS))
    assert reasons(blocked) == {"last-active-key": "without key k-0 the agent would have no key at all"}


def test_all_keys_at_once_are_not_revoked() -> None:
    nothing_delivered = live(mark=mark_of())
    both = [operation("revoke_key", "k-0"), operation("revoke_key", "k-1")]
    blocked = guarded(both, OLDER, NEWER, found=nothing_delivered)
    refused = [entry.operation.key_id for entry in blocked if entry.operation and entry.guard in ABSOLUTE]
    assert refused == ["k-0", "k-1"]
    one = guarded(both[:1], OLDER, NEWER, found=nothing_delivered)
    assert "last-active-key" not in reasons(one)


def test_the_only_key_may_go_when_another_is_delivered_before() -> None:
    claimed = live(mark=mark_of(claim=claim_of(age=HOUR)))
    lost = aged_key("k-0", made=HOUR)
    revoke = operation("revoke_key", "k-0")
    assert guarded([operation("mint_key"), revoke], lost, found=claimed) == ()
    assert set(reasons(guarded([revoke], lost, found=claimed))) == {"last-active-key"}


def test_what_happens_to_other_agents_leaves_no_key() -> None:
    nothing_delivered = live(mark=mark_of())
    others = [operation("mint_key", agent="beta"), operation("revoke_key", "k-5", agent="beta")]
    blocked = guarded([operation("revoke_key", "k-0"), *others], OLDER, found=nothing_delivered)
    refused = {entry.agent: entry.reason for entry in blocked if entry.guard == "last-active-key"}
    assert refused == {
        "alpha": "without key k-0 the agent would have no key at all",
        "beta": "the agent's keys were not read",
    }


def test_a_key_is_not_revoked_when_the_keys_were_not_read() -> None:
    blocked = guarded([operation("revoke_key", "k-0")], is_read=False)
    assert reasons(blocked) == {"last-active-key": "the agent's keys were not read"}


# --- key-in-use ---


def in_use(*keys: AgentKey, claim: Claim | None = None, allow: tuple[str, ...] = ()) -> dict[str, str]:
    mark = mark_of(delivered=delivered_ago(), claim=claim, retiring=["k-0"])
    doomed = operation("revoke_key", "k-0")
    return reasons(guarded([doomed], *keys, found=live(mark=mark), allow=allowing(*allow)))


def test_a_key_that_may_go_is_let_through() -> None:
    assert in_use(OLDER, NEWER) == {}


def test_a_key_with_an_obstacle_is_refused_and_all_are_told() -> None:
    used = replace(OLDER, last_used_at=NOW - HOUR)
    assert in_use(used, replace(NEWER, last_used_at=None)) == {
        "key-in-use": (
            "key k-0 waits for key k-1 to be used (require_use); was used at 2026-11-24T11:00:00Z; "
            "quiet until 2026-11-25T12:00:00Z at the earliest (quiet_for)"
        )
    }
    assert in_use(used, NEWER, allow=("key-in-use=alpha",)) == {}
    assert in_use(used, NEWER, allow=("key-in-use",)) == {}
    assert "key-in-use" in in_use(used, NEWER, allow=("key-in-use=beta", "freeze"))


def test_a_key_that_is_not_deprecated_is_refused() -> None:
    assert in_use(replace(OLDER, deprecated_at=None), NEWER) == {
        "key-in-use": "key k-0 is not deprecated yet"
    }


def test_a_key_that_is_revoked_or_gone_already_harms_nobody() -> None:
    used = replace(OLDER, last_used_at=NOW)
    assert in_use(replace(used, revoked_at=NOW), NEWER) == {}
    assert in_use(NEWER) == {}


def test_a_key_that_nobody_can_hold_is_let_through() -> None:
    claim = claim_of(age=HOUR)
    lost = aged_key("k-0", made=HOUR)
    assert in_use(lost, NEWER, claim=claim) == {}
    assert in_use(lost, NEWER, claim=claim_of("", age=9 * HOUR, lost=["k-0"])) == {}
    for not_lost, other_claim in (
        (replace(lost, last_used_at=NOW - timedelta(minutes=1)), claim),
        (replace(lost, tells_use=False), claim),
        (aged_key("k-0", made=2 * HOUR), claim),
        (lost, claim_of(age=HOUR, keys=["k-0"])),
        # Whoever gave the work back did not make it.
        (lost, claim_of("", age=HOUR, lost=["k-9"])),
        (lost, None),
    ):
        assert "key-in-use" in in_use(not_lost, NEWER, claim=other_claim)


def test_a_key_that_may_go_does_not_hide_the_one_after_it() -> None:
    used = aged_key("k-9", made=40 * DAY, deprecated=2 * DAY, used=HOUR)
    both = [operation("revoke_key", "k-0"), operation("revoke_key", "k-9")]
    [refusal] = guarded(both, OLDER, used, NEWER)
    assert (refusal.guard, refusal.operation) == ("key-in-use", both[1])


def test_only_revocations_of_keys_are_looked_at() -> None:
    used = replace(OLDER, last_used_at=NOW)
    for kind in ("deprecate_key", "undeprecate_key", "mint_key"):
        assert guarded([operation(kind, "k-0")], used, NEWER) == ()


def test_to_let_a_key_in_use_go_takes_the_agents_name() -> None:
    desired, found = rotating("alpha"), holding("alpha", retiring=["k-0"])
    keys = {"alpha": overdue_keys(used=HOUR)}
    assert planned(desired, found, keys=keys).operations == ()
    assert planned(desired, found, keys=keys, allow=("key-in-use",)).operations == ()
    plan = planned(desired, found, keys=keys, allow=("key-in-use=alpha",))
    assert ids(plan) == ["revoke_key:alpha:k-0"]
    assert plan.operations[0].reason.startswith("allowed by name, although it was used at ")


def test_an_overdue_key_makes_the_run_fail_where_the_policy_says_so() -> None:
    found = holding("alpha", retiring=["k-0"])
    for on_overdue, refused in (("warn", False), ("block", True), ("revoke", True)):
        plan = planned(
            rotating("alpha", on_overdue=on_overdue), found, keys={"alpha": overdue_keys(used=HOUR)}
        )
        assert (plan.operations, bool(plan.blocked)) == ((), refused)
        assert [entry.stage for entry in plan.waiting] == ([] if refused else ["overdue"])


# --- key-cap ---


def capped(cap: int, *keys: AgentKey, claim: Claim | None = None) -> list[str]:
    """Why there is no room for another key, or nothing."""
    desired = rotating("alpha", guards=replace(UNCOUNTED, key_cap=cap))
    found = live(mark=mark_of(delivered=delivered_ago("gone"), claim=claim))
    plan = planned(desired, found, keys={"alpha": (GONE, *keys)})
    assert bool(plan.operations) is not bool(plan.blocked)
    return [entry.reason for entry in plan.blocked]


def test_the_cap_is_what_the_server_is_thought_to_have() -> None:
    assert GuardSettings().key_cap == 5


def test_the_holders_of_the_room_are_named_with_their_last_use() -> None:
    keys = (aged_key("k-2", used=HOUR), aged_key("k-3"), aged_key("k-4", revoked=HOUR))
    assert capped(3, *keys) == []
    [reason] = capped(2, *keys)
    assert reason.startswith(
        "2 of 2 keys are live (guards.key_cap); the room is held by k-2 (used 2026-11-24T11:00:00Z), "
        "k-3 (never used) (and "
    )
    assert capped(1, *keys)[0].startswith("2 of 1 keys are live")


def test_a_key_that_goes_in_the_same_run_leaves_its_room() -> None:
    claim = claim_of(age=HOUR)
    lost = aged_key("k-3", made=HOUR)
    assert capped(2, aged_key("k-2"), lost, claim=claim) == []
    assert capped(2, aged_key("k-2"), lost)


@pytest.mark.parametrize(
    ("keys", "count"),
    [
        ((OLDER, NEWER), 3),
        ((OLDER,), 3),
        ((), 3),
        ((OLDER, NEWER, aged_key("k-8", revoked=DAY)), 2),
        ((OLDER, NEWER, aged_key("k-8")), 3),
    ],
)
def test_keys_that_an_old_list_does_not_show_take_their_room(keys: tuple[AgentKey, ...], count: int) -> None:
    found = holding("alpha", retiring=["k-0", "k-8"])
    for cap in (2, 3, 4):
        desired = rotating("alpha", guards=replace(UNCOUNTED, key_cap=cap))
        told = reasons(guarded([operation("mint_key")], *keys, found=found, desired=desired))
        assert set(told) == ({"key-cap"} if count >= cap else set())
        assert told.get("key-cap", f"{count} of {cap} keys").startswith(f"{count} of {cap} keys")


def test_keys_of_others_take_no_room() -> None:
    desired = rotating("alpha", guards=replace(UNCOUNTED, key_cap=2))
    mint, revoke = operation("mint_key"), operation("revoke_key", "k-0", agent="beta")
    blocked = guarded([mint, revoke], OLDER, NEWER, desired=desired)
    assert "key-cap" in reasons(blocked)


def test_the_first_key_of_a_new_agent_has_room() -> None:
    desired = rotating("new", guards=replace(UNCOUNTED, key_cap=1))
    assert ids(planned(desired)) == ["create_agent:new", "mint_key:new"]


def test_keys_that_were_not_read_take_no_room() -> None:
    desired = rotating("alpha", guards=replace(UNCOUNTED, key_cap=1))
    assert guarded([operation("mint_key")], is_read=False, desired=desired) == ()


# --- rotation-pace ---


def paced(limit: int, ages: Mapping[str, int | None], *allow: str) -> list[str]:
    """The agents whose keys of so many days are rotated; ``None`` is for no delivered key."""
    desired = rotating(*ages, guards=replace(UNCOUNTED, max_rotations_per_run=limit))
    fleet = [holding(name, "gone" if age is None else "k-1", age=DAY) for name, age in ages.items()]
    retiring = [replace(agent, metadata=holding(agent.name, retiring=["x"]).metadata) for agent in fleet]
    marked = [
        agent if ages[agent.name] is None else waiting for agent, waiting in zip(fleet, retiring, strict=True)
    ]
    keys = {name: (GONE,) if age is None else due(age) for name, age in ages.items()}
    plan = planned(desired, *marked, keys=keys, allow=allow)
    return [op.agent for op in plan.operations if op.kind == "mint_key"]


def test_the_pace_is_fifty_unless_said() -> None:
    assert GuardSettings().max_rotations_per_run == 50
    fleet = dict.fromkeys(names(51), 30)
    assert len(paced(50, fleet)) == 50


def test_those_that_are_due_for_the_longest_time_go_first() -> None:
    fleet = {"a": 30, "b": 33, "c": 31, "d": 32}
    assert [paced(limit, fleet) for limit in range(5)] == [
        [],
        ["b"],
        ["b", "d"],
        ["b", "c", "d"],
        ["a", "b", "c", "d"],
    ]


def test_those_without_a_key_go_before_all_others_and_equals_by_name() -> None:
    assert paced(1, {"a": 99, "b": None}) == ["b"]
    assert paced(2, {"a": 30, "b": 30, "c": 30}) == ["a", "b"]
    assert paced(1, {"b": None, "a": None}) == ["a"]


def test_those_let_through_by_name_do_not_count() -> None:
    fleet = {"a": 33, "b": 32, "c": 31}
    assert paced(1, fleet, "rotation-pace=c") == ["a", "c"]
    assert paced(1, fleet, "rotation-pace=a") == ["a", "b"]
    assert paced(1, fleet, "rotation-pace") == ["a", "b", "c"]


def test_new_agents_do_not_count() -> None:
    desired = rotating("a", "new", guards=replace(UNCOUNTED, max_rotations_per_run=1))
    plan = planned(desired, holding("a", "gone"), keys={"a": (GONE,)})
    assert ids(plan) == ["mint_key:a", "create_agent:new", "mint_key:new"]
    none = replace(desired, guards=replace(UNCOUNTED, max_rotations_per_run=0))
    assert refused_ids(planned(none, holding("a", "gone"), keys={"a": (GONE,)})) == {
        ("rotation-pace", "mint_key:a")
    }


def test_the_pace_tells_how_many_are_due_and_how_to_go_on() -> None:
    desired = rotating(*names(3), guards=replace(UNCOUNTED, max_rotations_per_run=1))
    fleet = [holding(name, age=30 * DAY) for name in names(3)]
    plan = planned(desired, *fleet, keys={name: due(30) for name in names(3)})
    assert [(entry.agent, entry.allow) for entry in plan.blocked] == [
        ("a01", "--allow rotation-pace"),
        ("a02", "--allow rotation-pace"),
    ]
    assert plan.blocked[0].reason == (
        "3 rotations are due, and one run does 1 (guards.max_rotations_per_run): run again for the rest "
        "(and 1 more of this agent's operations with it)"
    )


# --- other guards ---


def test_cleaning_up_marks_does_not_count_as_changes() -> None:
    settings = GuardSettings(max_changes=replace(GuardSettings().max_changes, count=0, percent=0))
    desired = rotating("alpha", "beta", guards=settings)
    fleet = [
        live("alpha", mark=mark_of(delivered=delivered_ago(), claim=claim_of(age=HOUR, keys=["k-1"]))),
        holding("beta", retiring=["k-0"]),
    ]
    plan = planned(desired, *fleet, keys={"alpha": (NEWER,), "beta": (NEWER,)})
    assert (ids(plan), plan.blocked) == (["update_agent:alpha", "update_agent:beta"], ())


def test_cleaning_up_together_with_a_change_counts() -> None:
    settings = GuardSettings(max_changes=replace(GuardSettings().max_changes, count=0, percent=0))
    desired = rotating("alpha", guards=settings)
    agent = replace(desired.agents[AgentName("alpha")], display_name="New")
    changed = replace(desired, agents={agent.name: agent})
    plan = planned(changed, holding("alpha", retiring=["k-0"]), keys={"alpha": (NEWER,)})
    assert refused_ids(plan) == {("max-changes", "update_agent:alpha")}


def test_steps_on_keys_are_no_changes_of_agents_and_a_freeze_stops_them() -> None:
    settings = GuardSettings(max_changes=replace(GuardSettings().max_changes, count=0, percent=0))
    found, keys = holding("alpha", retiring=["k-0"]), {"alpha": (OLDER, NEWER)}
    desired = rotating("alpha", guards=settings)
    assert ids(planned(desired, found, keys=keys)) == ["revoke_key:alpha:k-0"]
    window = FreezeWindow(NOW, NOW + SECOND, "", Position("agents.yaml", 3, 3))
    frozen = replace(desired, freeze=(window,))
    assert refused_ids(planned(frozen, found, keys=keys)) == {("freeze", "revoke_key:alpha:k-0")}


def test_a_key_stays_when_the_mint_that_it_waits_for_is_refused() -> None:
    found = live(mark=mark_of(claim=claim_of(age=HOUR)))
    desired = rotating("alpha", guards=replace(UNCOUNTED, max_rotations_per_run=0))
    plan = planned(desired, found, keys={"alpha": (aged_key("k-0", made=HOUR),)})
    assert plan.operations == ()
    assert refused_ids(plan) == {("rotation-pace", "mint_key:alpha")}


def test_no_declared_agent_is_needed_for_the_facts_of_others() -> None:
    assert guarded([operation("revoke_key", "k-0")], OLDER, NEWER, desired=configuration()) != ()
