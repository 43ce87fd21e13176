"""For each guard, inputs that it refuses and the same inputs just below its threshold."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta

from reconciler.model.agent import LiveAgent
from reconciler.model.desired import CountLimit, Desired, FreezeWindow, GuardSettings
from reconciler.model.diagnostic import Position
from tests.support.builders import NOW, configuration, declared, live, mark_of, owned

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
        "freeze",
        frozen(timedelta(), timedelta(days=1)),
        (owned("wider"),),
        frozenset({"create_agent:new", "set_scopes:wider"}),
        (frozen(timedelta(days=-1), timedelta()), (owned("wider"),)),
    ),
)
