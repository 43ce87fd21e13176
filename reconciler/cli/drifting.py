"""Reads what drift is found in: all agents and their keys, and, where there is a credential, the past."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

from reconciler.cli.console import Console
from reconciler.cli.live_plan import names_of
from reconciler.cli.selection import check_targets
from reconciler.cli.wiring import Session
from reconciler.errors import ApiError, FileMissing
from reconciler.model.shard import EVERYTHING, Shard

if TYPE_CHECKING:
    from reconciler.model.activity import RegistryEntry
    from reconciler.model.desired import Desired
    from reconciler.model.drift import Drift, DriftFinding
    from reconciler.planning.drift import Seen
    from reconciler.planning.facts import Facts
    from reconciler.planning.planner import LiveState
    from reconciler.ports import AuditFeed

T = TypeVar("T")

_WHO, _SHADOWS = "who did it", "shadow agents"
_NO_FEED = f"{_WHO}, {_SHADOWS}: there is no token for the dashboard plane (ALTER_PAT)"


def find_drift(
    console: Console,
    session: Session,
    live: LiveState,
    targets: Sequence[str],
    *,
    shard: Shard = EVERYTHING,
) -> Drift:
    """Everything that differs of the targets, with who did it as far as the audit feed tells."""
    from reconciler.model.drift import Drift
    from reconciler.planning.drift import find_drift, shadow_agents, sorted_drift
    from reconciler.planning.selecting import matches
    from reconciler.planning.telling import drift_without_keys

    names = names_of(session, live)
    check_targets(targets, names, unknown=session.unknown)
    facts = _facts(session, live)
    feed = _Feed(session.feed, parallelism=session.parallelism)
    seen = _seen(session, facts, feed)
    chosen = [name for name in names if shard.holds(name) and (not targets or matches(name, targets))]
    found = list(feed.attributed(find_drift(facts, seen, chosen), session.desired))
    if not targets:
        found += [shadow for shadow in shadow_agents(facts, seen) if shard.holds(shadow.agent)]
    differing = {finding.agent for finding in found if finding.kind != "unused_agent"}
    declared = session.desired.agents
    if feed.reason and session.feed is not None:
        console.say(f"not told: {feed.reason}")
    drift = Drift(
        owner=session.desired.owner,
        app=session.desired.app.name,
        seen_at=facts.now,
        findings=sorted_drift(found),
        unmanaged=tuple(
            n for n in names if shard.holds(n) and n not in declared and facts.live[n].mark is None
        ),
        in_sync=sum(name in declared and name in facts.live and name not in differing for name in chosen),
        feed=feed.reason,
        targets=tuple(sorted(targets)),
        shard=shard,
    )
    return drift_without_keys(drift)


def _facts(session: Session, live: LiveState) -> Facts:
    from reconciler.planning.expiry import as_of
    from reconciler.planning.facts import Facts

    now = session.clock.now()
    by_name = {agent.name: agent for agent in live.agents}
    return Facts(
        as_of(session.desired, now),
        by_name,
        now,
        keys=live.keys,
        dead_runs=live.dead_runs,
        plane=session.plane,
    )


def _seen(session: Session, facts: Facts, feed: _Feed) -> Seen:
    """The registry, and revoked agents if it or a missing agent makes them worth a look."""
    from reconciler.planning.drift import Seen, shadow_agents

    seen = Seen(registry=feed.registry())
    if facts.desired.agents.keys() - facts.live.keys() or shadow_agents(facts, seen):
        everything = session.api.list_agents(with_revoked=True)
        return replace(seen, revoked=[agent for agent in everything if agent.status == "revoked"])
    return seen


@dataclass(slots=True)
class _Feed:
    """The audit feed and the registry, which may be missing or refuse: ``reason`` says what is not told."""

    port: AuditFeed | None
    parallelism: int
    reason: str = ""

    def registry(self) -> Sequence[RegistryEntry] | None:
        from reconciler.alter.snapshot import read_registry

        return self._read(read_registry, what=_SHADOWS)

    def attributed(self, findings: Sequence[DriftFinding], desired: Desired) -> Sequence[DriftFinding]:
        from reconciler.alter.snapshot import read_events
        from reconciler.planning.attribution import asked_about, attributed, callers_of

        wanted = asked_about(findings)
        events = self._read(lambda feed: read_events(feed, wanted, parallelism=self.parallelism), what=_WHO)
        if events is None:
            return findings
        return tuple(attributed(findings, events, ours=callers_of(desired)))

    def _read(self, read: Callable[[AuditFeed], T], *, what: str) -> T | None:
        if self.port is None:
            self.reason = _NO_FEED
            return None
        try:
            return read(self.port)
        except (ApiError, FileMissing) as error:
            why = f"{what}: {error.message}; {error.hint}" if error.hint else f"{what}: {error.message}"
            self.reason = f"{self.reason}; {why}" if self.reason else why
            return None
