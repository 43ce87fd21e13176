"""Drift for tests of decisions: what is found in small fleets, and the plan that puts it back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from reconciler.model.activity import ActionKind, AuditEvent, RegistryEntry
from reconciler.model.agent import AgentId, AgentName, LiveAgent
from reconciler.model.desired import Desired, DriftIgnore
from reconciler.model.diagnostic import Position
from reconciler.model.drift import Drift, DriftFinding, DriftKind, Severity
from reconciler.model.key import AgentKey, KeyId
from reconciler.model.mark import RunId
from reconciler.model.plan import Plan
from reconciler.planning.drift import Seen, find_drift
from reconciler.planning.expiry import as_of
from reconciler.planning.facts import Facts
from reconciler.planning.planner import LiveState, PlanOptions, make_plan
from reconciler.planning.repair import as_applied
from tests.support.builders import APP, BASE_URL, NOW, OWNER, allowing

JANE = "jane@corp.example"
RULE_PLACE = Position("agents.yaml", 40, 5)

Keys = Mapping[str, Iterable[AgentKey]]


def facts_of(
    desired: Desired,
    *agents: LiveAgent,
    keys: Keys | None = None,
    dead_runs: Iterable[str] = (),
    now: datetime = NOW,
) -> Facts:
    """One look at the world, with the configuration as of that moment."""
    return Facts(
        as_of(desired, now),
        {agent.name: agent for agent in agents},
        now,
        keys=_by_id(keys),
        dead_runs=frozenset(map(RunId, dead_runs)),
    )


def drift_in(
    desired: Desired,
    *agents: LiveAgent,
    keys: Keys | None = None,
    dead_runs: Iterable[str] = (),
    seen: Seen | None = None,
    now: datetime = NOW,
) -> tuple[DriftFinding, ...]:
    """What is found in these agents, before anybody is named."""
    facts = facts_of(desired, *agents, keys=keys, dead_runs=dead_runs, now=now)
    return find_drift(facts, seen or Seen(), sorted({*facts.desired.agents, *facts.live}))


def repair_plan(
    desired: Desired,
    *agents: LiveAgent,
    keys: Keys | None = None,
    dead_runs: Iterable[str] = (),
    allow: tuple[str, ...] = (),
    now: datetime = NOW,
) -> tuple[Desired, Plan]:
    """The plan of ``apply --only-drift``, and the configuration that it is carried out for."""
    applied = as_applied(as_of(desired, now), {agent.name: agent for agent in agents})
    state = LiveState(agents, _by_id(keys), frozenset(map(RunId, dead_runs)))
    options = PlanOptions("1.2.3", base_url=BASE_URL, allow=allowing(*allow), only_drift=True)
    return applied, make_plan(applied, state, now=now, options=options)


def changed(plan: Plan) -> list[tuple[str, str]]:
    """Agent and path of every change of a plan."""
    return [(operation.agent, change.path) for operation in plan.operations for change in operation.changes]


def finding(
    kind: DriftKind = "changed_outside",
    *,
    agent: str = "alpha",
    path: str = "display_name",
    severity: Severity = "low",
    key_id: str | None = None,
    **more: object,
) -> DriftFinding:
    """One finding of a live agent."""
    return DriftFinding(
        kind=kind,
        severity=severity,
        agent=AgentName(agent),
        path=path,
        message="was changed",
        agent_id=AgentId(f"id-{agent}"),
        key_id=None if key_id is None else KeyId(key_id),
        **more,  # type: ignore[arg-type]
    )


def drift_of(*findings: DriftFinding, owner: str = OWNER, app: str = APP) -> Drift:
    """Everything that was found."""
    return Drift(owner, app, NOW, findings)


def event(
    kind: ActionKind = "update_agent",
    *,
    actor: str = JANE,
    minutes_ago: int = 5,
    fields: Iterable[str] | None = None,
    key_id: str | None = None,
) -> AuditEvent:
    """One line of the audit feed."""
    return AuditEvent(
        at=NOW - timedelta(minutes=minutes_ago),
        kind=kind,
        action=kind.replace("_", "."),
        actor=actor,
        key_id=None if key_id is None else KeyId(key_id),
        fields=None if fields is None else tuple(fields),
    )


def actor(actor_id: str, name: str = "", *, count: int | None = 4, days_ago: int = 1) -> RegistryEntry:
    """Somebody who was seen at work."""
    return RegistryEntry(actor_id, name, "agent", NOW - timedelta(days=days_ago), count)


def rule(agent: str = "*", path: str = "*", *, until: datetime | None = None) -> DriftIgnore:
    """A rule of the configuration."""
    return DriftIgnore(agent, path, "the migration team edits it", until, RULE_PLACE)


def _by_id(keys: Keys | None) -> dict[AgentId, tuple[AgentKey, ...]]:
    return {AgentId(f"id-{name}"): tuple(found) for name, found in (keys or {}).items()}
