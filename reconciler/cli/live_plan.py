"""Reads the live state of a session and makes its plan."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from reconciler.cli.console import Console
from reconciler.cli.selection import check_allowed_names, check_targets
from reconciler.cli.wiring import Session, tool_version
from reconciler.errors import ApiError
from reconciler.model.shard import EVERYTHING, Shard
from reconciler.planning.ownership import our_mark

if TYPE_CHECKING:
    from reconciler.model.agent import AgentName, LiveAgent
    from reconciler.model.diagnostic import Diagnostic
    from reconciler.model.plan import Plan
    from reconciler.planning.facts import Allowances
    from reconciler.planning.planner import LiveState


def read_live(
    session: Session, *, rotate: Collection[AgentName] = (), targets: Sequence[str] = ()
) -> LiveState:
    """The live agents, and the keys of those targets for which something is due, in flight or asked for."""
    from reconciler.alter.snapshot import read_keys
    from reconciler.cli.run_identity import dead_runs
    from reconciler.planning.planner import LiveState, needs_keys
    from reconciler.planning.selecting import matches

    agents = _listed(session)
    planned = [agent for agent in agents if not targets or matches(agent.name, targets)]
    wanted = needs_keys(session.desired, planned, now=session.clock.now(), rotate=rotate)
    keys = read_keys(session.api, wanted, parallelism=session.parallelism)
    return LiveState(agents, keys, dead_runs(agents))


def plan_session(
    console: Console,
    session: Session,
    *,
    targets: Sequence[str] = (),
    allow: Allowances,
    rotate: frozenset[AgentName] = frozenset(),
    **asked: Any,
) -> Plan:
    """Reads the live state and makes the plan. ``asked`` are further fields of ``PlanOptions``."""
    live = read_live(session, rotate=rotate, targets=targets)
    return _checked_plan(console, session, live, targets=targets, allow=allow, rotate=rotate, **asked)


def _checked_plan(
    console: Console,
    session: Session,
    live: LiveState,
    *,
    targets: Sequence[str],
    allow: Allowances,
    with_catalogue: bool = True,
    **asked: Any,
) -> Plan:
    """The plan for a live state, once it is certain that the agents that were named are there.

    Without the catalogue it lacks the warnings about scopes, and costs a request less.
    """
    from reconciler.planning.planner import PlanOptions, make_plan

    names = names_of(session, live)
    check_targets(targets, names, unknown=session.unknown)
    check_allowed_names(allow, names, unknown=session.unknown)
    return make_plan(
        session.desired,
        live,
        now=session.clock.now(),
        options=PlanOptions(
            tool_version=tool_version(),
            base_url=session.base_url,
            targets=tuple(sorted(targets)),
            allow=allow,
            plane=session.plane,
            **asked,
        ),
        findings=(
            *session.findings,
            *(_catalogue_findings(console, session) if with_catalogue else ()),
        ),
    )


def plan_repair(
    console: Console,
    session: Session,
    *,
    targets: Sequence[str],
    allow: Allowances,
    **further: Any,
) -> tuple[Session, Plan]:
    """The plan that puts back what was changed outside, and the session with the configuration for it."""
    from reconciler.planning.expiry import as_of
    from reconciler.planning.repair import as_applied

    live = read_everything(session)
    timely = as_of(session.desired, session.clock.now())
    applied = as_applied(timely, {agent.name: agent for agent in live.agents})
    repaired = replace(session, desired=applied)
    asked: dict[str, Any] = {"targets": targets, "allow": allow, "only_drift": True, **further}
    return repaired, _checked_plan(console, repaired, live, **asked)


def read_everything(session: Session, *, shard: Shard = EVERYTHING) -> LiveState:
    """The live agents, and the keys of all that are ours, or of those in one part."""
    from reconciler.alter.snapshot import read_keys
    from reconciler.cli.run_identity import dead_runs
    from reconciler.planning.planner import LiveState

    agents = _listed(session)
    ours = [agent.id for agent in agents if shard.holds(agent.name) and our_mark(session.desired, agent)]
    keys = read_keys(session.api, ours, parallelism=session.parallelism)
    return LiveState(agents, keys, dead_runs(agents))


def _listed(session: Session) -> Sequence[LiveAgent]:
    agents = session.api.list_agents()
    session.on_agents(agents)
    return agents


def names_of(session: Session, live: LiveState) -> list[AgentName]:
    """Every agent that is declared or live."""
    return sorted({*session.desired.agents, *(agent.name for agent in live.agents)})


def _catalogue_findings(console: Console, session: Session) -> tuple[Diagnostic, ...]:
    """Scopes that the provider catalogue does not know. The catalogue is a help, never a condition."""
    from reconciler.config.loader import catalogue_findings

    if not session.desired.agents:
        return ()
    try:
        catalogue = session.api.provider_scopes()
    except ApiError as error:
        if console.is_verbose:
            console.say(f"scope names are not checked: {error.message}")
        return ()
    return catalogue_findings(session.desired, catalogue)
