"""Finds drift: live agents and keys against what was applied last, and against the configuration.

Pure, in two steps, because whom to ask about is known only after the first: ``find_drift`` from the live
state, then ``planning/attribution.py`` with what the audit feed tells of the agents that it names.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fnmatch import fnmatchcase

from reconciler.model.activity import ACTIVITY_DAYS, RegistryEntry
from reconciler.model.agent import AgentName, LiveAgent
from reconciler.model.caller import BY_HAND, caller_of
from reconciler.model.desired import Desired, DesiredAgent
from reconciler.model.drift import MARK_PATH, SEVERITIES, DriftFinding, IgnoredDrift
from reconciler.planning.agent_plan import plan_declared, plan_undeclared
from reconciler.planning.expiry import expired_at
from reconciler.planning.facts import Facts
from reconciler.planning.field_drift import changes_since, differences, field_drift
from reconciler.planning.key_drift import key_drift
from reconciler.planning.ownership import inherited_mark, our_mark

_UNUSED_FOR = timedelta(days=ACTIVITY_DAYS)


@dataclass(frozen=True, slots=True)
class Seen:
    """What else was read: revoked agents, and the registry; ``None`` when there is none to read."""

    revoked: Sequence[LiveAgent] = ()
    registry: Sequence[RegistryEntry] | None = field(default=None)


def find_drift(facts: Facts, seen: Seen, names: Iterable[AgentName]) -> tuple[DriftFinding, ...]:
    """What differs of these agents, nobody named yet. ``facts.keys`` holds the keys of every owned one."""
    found: list[DriftFinding] = []
    for name in names:
        declared, live = facts.desired.agents.get(name), facts.live.get(name)
        mark = our_mark(facts.desired, live) if live else None
        if live is None or mark is None:
            found += _not_ours(facts, declared, live, seen)
        elif declared is None:
            found += changes_since(live, mark)
            found += key_drift(facts, None, live, mark)
            found += _not_applied(facts, None, live)
            found += _unused(facts, live, seen)
        else:
            found += field_drift(declared, live, mark)
            found += key_drift(facts, declared, live, mark)
            found += _unused(facts, live, seen)
    return tuple(found)


def shadow_agents(facts: Facts, seen: Seen) -> tuple[DriftFinding, ...]:
    """Who is at work in this app, and is neither declared, nor an agent that is or was, nor ourselves."""
    agents = (*facts.live.values(), *seen.revoked)
    ours = {facts.desired.owner, *facts.desired.former_owners, BY_HAND}
    owners = ours | {agent.mark.owner for agent in agents if agent.mark}
    known = {agent.id.lower() for agent in agents} | set(map(caller_of, owners))
    known |= {agent.name for agent in agents} | set(facts.desired.agents)
    return tuple(
        DriftFinding(
            kind="shadow_agent",
            severity="high",
            agent=AgentName(entry.name or entry.actor_id),
            path="agent",
            message=f"is at work in this app and is no agent of it, declared or live{_seen_at_work(entry)}",
            live={"actor_id": entry.actor_id, "type": entry.type, "recent_count": entry.recent_count},
        )
        for entry in seen.registry or ()
        if entry.actor_id.lower() not in known and (entry.name or entry.actor_id) not in known
    )


def sorted_drift(findings: Iterable[DriftFinding]) -> tuple[DriftFinding, ...]:
    """Drift before notices, the gravest first, and of those who may do more before the others."""

    def gravity(finding: DriftFinding) -> tuple[object, ...]:
        severity = SEVERITIES.index(finding.severity)
        return (not finding.is_drift, severity, finding.effect != "widening", finding.agent, finding.id)

    return tuple(sorted(findings, key=gravity))


def without_ignored(
    desired: Desired, findings: Iterable[DriftFinding], *, now: datetime
) -> tuple[tuple[DriftFinding, ...], tuple[IgnoredDrift, ...]]:
    """What counts, and what a rule of the configuration takes out that has not ended by ``now``."""
    rules = [rule for rule in desired.ignore_drift if rule.until is None or now < rule.until]
    kept, ignored = list[DriftFinding](), list[IgnoredDrift]()
    for finding in findings:
        rule = next((rule for rule in rules if _matches(rule.agent, rule.path, finding)), None)
        if rule is None:
            kept.append(finding)
        else:
            ignored.append(IgnoredDrift(finding, rule.reason, rule))
    return tuple(kept), tuple(ignored)


def _matches(agent: str, path: str, finding: DriftFinding) -> bool:
    names = [str(finding.agent)]
    if finding.kind == "shadow_agent":
        names.append(str(finding.live["actor_id"]))
    # Who names a field means what is in it, too.
    is_inside = finding.path.startswith((f"{path}.", f"{path}["))
    return any(fnmatchcase(name, agent) for name in names) and (is_inside or fnmatchcase(finding.path, path))


def _not_ours(
    facts: Facts, declared: DesiredAgent | None, live: LiveAgent | None, seen: Seen
) -> Iterator[DriftFinding]:
    """A declared agent that is not live, or not under this owner yet."""
    if declared is None:
        return
    # What has expired and is gone is as it should be, whoever revoked it.
    is_over = live is None and expired_at(declared, facts.now) is not None
    former = None if live or is_over else _revoked_before(facts, declared.name, seen)
    if former is None:
        yield from _not_applied(facts, declared, live)
        if live is not None and inherited_mark(facts.desired, live) is None:
            yield from differences(declared, live)
        return
    yield DriftFinding(
        kind="agent_revoked_outside",
        severity="high",
        agent=declared.name,
        path="agent",
        message="was revoked with all its keys; apply creates it again, with a new key",
        agent_id=former.id,
        live="revoked",
        declared=declared.status,
        source=declared.position,
    )


def _revoked_before(facts: Facts, name: AgentName, seen: Seen) -> LiveAgent | None:
    """The latest agent of that name that was ours and is revoked."""
    found = [agent for agent in seen.revoked if agent.name == name and our_mark(facts.desired, agent)]
    return max(found, key=lambda agent: agent.created_at, default=None)


def _not_applied(
    facts: Facts, declared: DesiredAgent | None, live: LiveAgent | None
) -> Iterator[DriftFinding]:
    """What the next apply would do to the agent as a whole."""
    plan = (
        plan_declared(facts, declared, live) if declared else plan_undeclared(facts, live) if live else None
    )
    if plan and plan.is_unowned and declared and live:
        yield DriftFinding(
            kind="not_applied",
            severity="low",
            agent=live.name,
            path=MARK_PATH,
            message="adopt agent: is live as declared, and carries no mark: `alter-sync adopt` puts it under"
            " this owner",
            agent_id=live.id,
            live=live.status,
            declared=declared.status,
            source=declared.position,
        )
    for operation in plan.operations if plan else ():
        if operation.kind in {"create_agent", "adopt_agent", "revoke_agent"}:
            yield DriftFinding(
                kind="not_applied",
                severity="low",
                agent=operation.agent,
                path=MARK_PATH if live and live.mark is None else "agent",
                message=f"{operation.kind.replace('_', ' ')}: {operation.reason}",
                agent_id=operation.agent_id,
                live=live.status if live else None,
                declared=declared.status if declared else None,
                source=operation.source,
            )


def _unused(facts: Facts, live: LiveAgent, seen: Seen) -> Iterator[DriftFinding]:
    """An active agent that nobody used for a month. What the registry does not know, the agent may tell."""
    entry = next((entry for entry in seen.registry or () if entry.actor_id.lower() == live.id.lower()), None)
    uses = [key.last_used_at for key in facts.keys.get(live.id, ())]
    uses += [live.last_used_at, entry.last_activity_at if entry else None]
    last = max(filter(None, uses), default=None)
    quiet_since = last or live.created_at
    if live.status != "active" or facts.now - quiet_since < _UNUSED_FOR or (entry and entry.recent_count):
        return
    yield DriftFinding(
        kind="unused_agent",
        severity="low",
        agent=live.name,
        path="agent",
        message=f"no activity in {ACTIVITY_DAYS} days; {_last(last)}",
        agent_id=live.id,
        live=live.status,
    )


def _last(moment: object) -> str:
    return f"last used {moment:%Y-%m-%d}" if moment else "never used"


def _seen_at_work(entry: RegistryEntry) -> str:
    actions = "action" if entry.recent_count == 1 else "actions"
    count = f", {entry.recent_count} {actions} in {ACTIVITY_DAYS} days" if entry.recent_count else ""
    last = f"; last seen {entry.last_activity_at:%Y-%m-%d %H:%M} UTC" if entry.last_activity_at else ""
    return f" ({entry.type or 'an actor'} {entry.actor_id}{count}){last}"
