"""Desired and live in, a plan out: what has to be done, why, and what is not done and why not.

The planner decides for each agent by itself; then the guards look at the whole and refuse; then what depends
on something refused is taken out as well.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from reconciler.errors import Refused
from reconciler.model.agent import AgentId, AgentName, LiveAgent
from reconciler.model.desired import DEFAULT_BASE_URL, Desired
from reconciler.model.diagnostic import Diagnostic
from reconciler.model.key import AgentKey
from reconciler.model.mark import RunId
from reconciler.model.plan import PLAN_LIFETIME, Operation, Plan, Plane, Waiting
from reconciler.model.policy import Policies
from reconciler.model.shard import EVERYTHING, Shard
from reconciler.planning.adoption import unowned_finding
from reconciler.planning.agent_plan import (
    AgentPlan,
    plan_adoption,
    plan_declared,
    plan_rotation,
    plan_undeclared,
)
from reconciler.planning.expiry import as_of
from reconciler.planning.facts import Allowances, Facts
from reconciler.planning.fingerprint import digest
from reconciler.planning.guards import refusals
from reconciler.planning.key_facts import may_need_work
from reconciler.planning.ordering import ordered, with_dependent_counts, with_dependents
from reconciler.planning.ownership import inherited_mark, our_mark
from reconciler.planning.plan_document import plan_digest
from reconciler.planning.policies import judged
from reconciler.planning.repair import repairing
from reconciler.planning.selecting import matches, refused_in
from reconciler.planning.telling import plan_without_keys

# What else waits is the business of a whole apply.
_WAITS_OF_REPAIRS = frozenset({"claimed", "narrowing"})


@dataclass(frozen=True, slots=True)
class LiveState:
    """What was read from the API: all non-revoked agents, and the keys of those that ``needs_keys`` names.

    ``dead_runs`` are runs known to have ended, so that what they claimed may be taken over at once.
    """

    agents: Sequence[LiveAgent]
    keys: Mapping[AgentId, Sequence[AgentKey]] = field(default_factory=dict)
    dead_runs: frozenset[RunId] = frozenset()


@dataclass(frozen=True, slots=True)
class PlanOptions:
    """What the command line asks for. ``targets`` are names or globs; none means everything.

    With ``rotate`` the plan is about the keys of these agents alone: a rotation now, or its rollback. With
    ``adopt``, names or globs, it only marks them; an empty one means every declared agent that is not ours.
    With ``only_drift`` it puts back what was changed outside, of a configuration ``as_applied``. ``policies``
    are asked about every operation. What is not of the ``shard`` is left out at the end, behind the guards.
    """

    tool_version: str
    base_url: str = DEFAULT_BASE_URL
    targets: tuple[str, ...] = ()
    allow: Allowances = field(default_factory=Allowances)
    rotate: frozenset[AgentName] = frozenset()
    again: bool = False
    is_rollback: bool = False
    plane: Plane = "sdk"
    adopt: tuple[str, ...] | None = None
    only_drift: bool = False
    policies: Policies | None = None
    shard: Shard = EVERYTHING


def needs_keys(
    desired: Desired,
    agents: Iterable[LiveAgent],
    *,
    now: datetime,
    rotate: Collection[AgentName] = (),
) -> tuple[AgentId, ...]:
    """The agents whose keys a plan has to look at: something is due or in flight, by mark and policy."""
    return tuple(
        live.id
        for live in agents
        if (agent := desired.agents.get(live.name))
        and (mark := our_mark(desired, live))
        and (live.name in rotate or may_need_work(agent, mark, now))
    )


def make_plan(
    desired: Desired,
    live: LiveState,
    *,
    now: datetime,
    options: PlanOptions,
    findings: Sequence[Diagnostic] = (),
) -> Plan:
    """The plan that brings ``live`` to ``desired``. The same inputs give the same plan."""
    facts = _facts(desired, live, now=now, options=options)
    names = sorted({*facts.desired.agents, *facts.live})
    parts = _parts(facts, [name for name in names if _is_target(name, options)], options)
    operations = ordered(_wanted(facts, parts, options))
    verdicts = judged(facts, operations, options.policies, base_url=options.base_url)
    blocked = (*refusals(facts, operations), *verdicts.blocked)
    fallen = with_dependents({entry.operation.id for entry in blocked if entry.operation}, operations)
    # Only here, because guards count over everything: many small parts would pass where the whole does not.
    holds = options.shard.holds
    parts = {name: part for name, part in parts.items() if holds(name)}
    kept = tuple(op for op in operations if op.id not in fallen and holds(op.agent))
    waiting = _waiting(parts.values(), options)
    busy = {op.agent for op in operations} | {entry.agent for entry in waiting}
    plan = Plan(
        tool_version=options.tool_version,
        owner=desired.owner,
        app=desired.app.name,
        base_url=options.base_url,
        created_at=now,
        expires_at=now + PLAN_LIFETIME,
        config_digest=digest(desired),
        live_digest=_live_digest(facts),
        operations=kept,
        waiting=waiting,
        blocked=refused_in(options.shard, with_dependent_counts(blocked, operations)),
        unmanaged=_unmanaged(facts, filter(holds, names)),
        # An adoption compares nothing, so it cannot say.
        in_sync=0 if options.adopt is not None else _in_sync(facts, parts, busy),
        replaced=_replaced(kept),
        targets=options.targets,
        allowed=options.allow.as_texts(),
        plane=options.plane,
        shard=options.shard,
        findings=(*findings, *_findings(parts), *verdicts.findings),
    )
    told = plan_without_keys(plan)
    return replace(told, plan_digest=plan_digest(told))


def _is_target(name: AgentName, options: PlanOptions) -> bool:
    if options.rotate:
        return name in options.rotate
    if options.adopt:
        return matches(name, options.adopt)
    return not options.targets or matches(name, options.targets)


def _facts(desired: Desired, live: LiveState, *, now: datetime, options: PlanOptions) -> Facts:
    return Facts(
        as_of(desired, now),
        {agent.name: agent for agent in live.agents},
        now,
        _allowed(options),
        live.keys,
        live.dead_runs,
        options.rotate,
        again=options.again,
        plane=options.plane,
    )


def _allowed(options: PlanOptions) -> Allowances:
    """What may pass: to ask for an adoption is to let the guard pass that is there to ask for one."""
    if options.adopt is None:
        return options.allow
    return Allowances(options.allow.pairs | {("unowned", None)})


def _parts(facts: Facts, names: Iterable[AgentName], options: PlanOptions) -> Mapping[AgentName, AgentPlan]:
    """The plan of each agent. Who asks for what cannot be is told of all such agents at once."""
    parts, refused = {}, list[Refused]()
    for name in names:
        try:
            parts[name] = _plan_agent(facts, name, options)
        except Refused as error:
            refused.append(error)
    if refused:
        raise Refused("; ".join(error.message for error in refused), hint=refused[0].hint)
    return parts


def _wanted(facts: Facts, parts: Mapping[AgentName, AgentPlan], options: PlanOptions) -> Iterator[Operation]:
    """The operations of all agents, or what of them puts something back."""
    for part in parts.values():
        for operation in part.operations:
            wanted = repairing(facts, operation) if options.only_drift else operation
            if wanted is not None:
                yield wanted


def _waiting(parts: Iterable[AgentPlan], options: PlanOptions) -> tuple[Waiting, ...]:
    found = (entry for part in parts for entry in part.waiting)
    return tuple(one for one in found if not options.only_drift or one.stage in _WAITS_OF_REPAIRS)


def _plan_agent(facts: Facts, name: AgentName, options: PlanOptions) -> AgentPlan:
    declared, live = facts.desired.agents.get(name), facts.live.get(name)
    if options.adopt is not None:
        named = name in options.adopt
        return plan_adoption(facts, declared, live, is_named=named) if declared else AgentPlan()
    if declared is None:
        return plan_undeclared(facts, live) if live and not options.rotate else AgentPlan()
    if options.rotate:
        return plan_rotation(facts, declared, live, backwards=options.is_rollback)
    return plan_declared(facts, declared, live)


def _in_sync(facts: Facts, parts: Collection[AgentName], busy: Collection[AgentName]) -> int:
    return sum(name in facts.live and name in parts and name not in busy for name in facts.desired.agents)


def _findings(parts: Mapping[AgentName, AgentPlan]) -> tuple[Diagnostic, ...]:
    unowned = unowned_finding([name for name, part in parts.items() if part.is_unowned])
    return (*unowned, *(finding for part in parts.values() for finding in part.findings))


def _unmanaged(facts: Facts, names: Iterable[AgentName]) -> tuple[AgentName, ...]:
    return tuple(name for name in names if name not in facts.desired.agents and facts.live[name].mark is None)


def _replaced(operations: Sequence[Operation]) -> tuple[AgentName, ...]:
    created = {operation.agent for operation in operations if operation.kind == "create_agent"}
    revoked = {operation.agent for operation in operations if operation.kind == "revoke_agent"}
    return tuple(sorted(created & revoked))


def _live_digest(facts: Facts) -> str:
    """A digest of the agents that concern this configuration: declared ones and owned ones."""
    concerned = (
        live
        for name, live in facts.live.items()
        if name in facts.desired.agents or inherited_mark(facts.desired, live)
    )
    return digest(sorted([live.id, live.name, live.version] for live in concerned))
