"""For each guard, inputs that it refuses and the same inputs just below its threshold."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta

from reconciler.model.agent import LiveAgent
from reconciler.model.desired import CountLimit, Desired, FreezeWindow, GuardSettings, RotationPolicy
from reconciler.model.diagnostic import Position
from reconciler.model.key import AgentKey
from tests.support.builders import (
    NOW,
    aged_key,
    configuration,
    declared,
    delivered_ago,
    live,
    mark_of,
    owned,
    sink,
)

ROOMY = CountLimit(1_000, 100)
# The guards that count would interfere with those that do not.
UNCOUNTED = GuardSettings(max_revocations=ROOMY, max_changes=ROOMY, max_scope_removals=ROOMY)
SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)
DAY = timedelta(hours=24)

Keys = Mapping[str, Iterable[AgentKey]]


@dataclass(frozen=True)
class Scenario:
    """Inputs that one guard refuses, what it refuses, and the same inputs just below its threshold."""

    guard: str
    desired: Desired
    agents: tuple[LiveAgent, ...]
    refused: frozenset[str]
    below: tuple[Desired, tuple[LiveAgent, ...]]
    per_agent: bool = True
    # The keys that were read, by name of agent: for what is refused, and below.
    keys: Keys = field(default_factory=dict)
    keys_below: Keys = field(default_factory=dict)


def names(count: int, prefix: str = "a") -> list[str]:
    return [f"{prefix}{index:02}" for index in range(count)]


def owned_fleet(total: int, *, scopes: int = 0) -> tuple[LiveAgent, ...]:
    return tuple(owned(name, scopes={"s": names(scopes, "s")}) for name in names(total))


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


def rotating(*names: str, guards: GuardSettings = UNCOUNTED, on_overdue: str = "warn") -> Desired:
    """Agents that deliver their keys to one sink and rotate by age."""
    policy = RotationPolicy(max_age=30 * DAY, on_overdue=on_overdue)
    agents = [declared(name, deliver_to=("vault",), rotation=policy) for name in names]
    return configuration(*agents, sinks=(sink(),), guards=guards)


def holding(
    name: str, key_id: str = "k-1", *, age: timedelta = DAY, retiring: Iterable[str] = ()
) -> LiveAgent:
    """A live agent whose sinks hold a key since ``age``, while older ones are on their way out."""
    return live(name, mark=mark_of(delivered=delivered_ago(key_id, age=age), retiring=retiring))


def overdue_keys(*, used: timedelta) -> tuple[AgentKey, ...]:
    """One key delivered and in use, and one that is deprecated for too long and was used ``used`` ago."""
    old = aged_key("k-0", made=40 * DAY, deprecated=15 * DAY, used=used)
    return (old, aged_key("k-1", made=DAY, used=DAY / 2))


def due(*ages: int) -> tuple[AgentKey, ...]:
    """Keys of so many days; the last is the delivered one, ``k-1``."""
    others = [aged_key(f"k-x{index}", made=days * DAY) for index, days in enumerate(ages[:-1])]
    return (*others, aged_key("k-1", made=ages[-1] * DAY))


# A key that the mark tells of and that somebody revoked.
GONE = aged_key("gone", made=90 * DAY, revoked=DAY)
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
        configuration(declared(display_name="A"), declared("beta", display_name="B")),
        (live(), live("beta")),
        frozenset({"adopt_agent:alpha", "adopt_agent:beta"}),
        # What is as declared is left alone, so there is nothing to refuse.
        (configuration(declared(display_name="A")), (live(display_name="A"),)),
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
        (
            configuration(KEPT, declared("pause", status="inactive"), guards=UNCOUNTED),
            (owned("kept"), owned("gone"), owned("pause")),
        ),
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
            configuration(
                declared("new", scopes={"google": ["drive.file"]}), declared("less"), guards=SENSITIVE
            ),
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
        "key-in-use",
        rotating("alpha", "beta", on_overdue="block"),
        (holding("alpha", retiring=["k-0"]), holding("beta", retiring=["k-0"])),
        frozenset({"revoke_key:alpha:k-0", "revoke_key:beta:k-0"}),
        (rotating("alpha", on_overdue="block"), (holding("alpha", retiring=["k-0"]),)),
        keys={"alpha": overdue_keys(used=DAY + HOUR - SECOND), "beta": overdue_keys(used=timedelta())},
        keys_below={"alpha": overdue_keys(used=DAY + HOUR)},
    ),
    Scenario(
        "key-cap",
        rotating("alpha", "beta", guards=replace(UNCOUNTED, key_cap=2)),
        (holding("alpha", "gone"), holding("beta", "gone")),
        frozenset({"mint_key:alpha", "mint_key:beta"}),
        (rotating("alpha", guards=replace(UNCOUNTED, key_cap=3)), (holding("alpha", "gone"),)),
        keys={"alpha": (GONE, *due(40, 30)), "beta": (*due(50, 40, 30), GONE)},
        keys_below={"alpha": (GONE, *due(40, 30))},
    ),
    Scenario(
        "rotation-pace",
        rotating(*names(3), guards=replace(UNCOUNTED, max_rotations_per_run=1)),
        tuple(holding(name, age=30 * DAY) for name in names(3)),
        frozenset({"mint_key:a00", "mint_key:a02"}),
        (
            rotating(*names(3), guards=replace(UNCOUNTED, max_rotations_per_run=3)),
            tuple(holding(name, age=30 * DAY) for name in names(3)),
        ),
        per_agent=False,
        keys={"a00": due(30), "a01": due(31), "a02": due(30)},
        keys_below={"a00": due(30), "a01": due(31), "a02": due(30)},
    ),
    Scenario(
        "freeze",
        frozen(timedelta(), timedelta(days=1)),
        (owned("wider"),),
        frozenset({"create_agent:new", "set_scopes:wider"}),
        (frozen(timedelta(days=-1), timedelta()), (owned("wider"),)),
    ),
)
