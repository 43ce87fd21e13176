"""Whether a saved plan still fits: made again from today's inputs, it must come out the same.

Agents that the plan does not touch may have moved. What a guard refuses *now* is refused, whatever the saved
plan says; everything else that differs makes the whole plan stale, and nothing of it is done.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal, get_args

from reconciler.errors import StalePlan
from reconciler.model.agent import AgentName
from reconciler.model.desired import Desired
from reconciler.model.mark import format_time
from reconciler.model.plan import PLAN_LIFETIME, Blocked, Operation, Plan, Plane
from reconciler.planning.facts import Allowances
from reconciler.planning.fingerprint import digest
from reconciler.planning.ordering import with_dependents
from reconciler.planning.plan_document import operation_document

PLAN_AGAIN = "make a new plan with `alter-sync plan --save`, review it, and apply that"
_FIRST_AGENTS = 5
# Two machines may disagree a little. More than that is no time at which a plan can have been made.
_CLOCK_SKEW = timedelta(hours=1)

StaleKind = Literal["edited", "expired", "app", "server", "plane", "configuration", "agent"]
STALE_KINDS: tuple[StaleKind, ...] = get_args(StaleKind)


@dataclass(frozen=True, slots=True)
class Staleness:
    """One reason why a saved plan does not fit any more; ``agent`` only when it is one that moved."""

    kind: StaleKind
    message: str
    agent: AgentName | None = None


def stale_inputs(
    saved: Plan, desired: Desired, *, base_url: str, plane: Plane, now: datetime
) -> Iterator[Staleness]:
    """What is wrong before anything is read from the API: another configuration, app or time."""
    # The digest leaves the times out, so the end is counted from the beginning and not believed.
    expires_at = min(saved.expires_at, saved.created_at + PLAN_LIFETIME)
    if saved.created_at > now + _CLOCK_SKEW:
        yield Staleness("edited", f"the saved plan says that it is made at {format_time(saved.created_at)}")
    if now >= expires_at:
        yield Staleness("expired", f"the saved plan expired at {format_time(expires_at)}")
    if (saved.owner, saved.app) != (desired.owner, desired.app.name):
        theirs, ours = f"{saved.owner} in {saved.app}", f"{desired.owner} in {desired.app.name}"
        yield Staleness("app", f"the saved plan is for {theirs}, the configuration for {ours}")
    if saved.base_url != base_url:
        yield Staleness("server", f"the saved plan is for {saved.base_url}, this run for {base_url}")
    if saved.plane != plane:
        yield Staleness(
            "plane", f"the saved plan is for the {saved.plane} plane, this run for the {plane} plane"
        )
    if saved.config_digest != digest(desired):
        yield Staleness("configuration", "the configuration changed since the plan was saved")


def check_inputs(saved: Plan, desired: Desired, *, base_url: str, plane: Plane, now: datetime) -> None:
    """Refuses a plan of another configuration, app or time, before anything is read from the API."""
    for reason in stale_inputs(saved, desired, base_url=base_url, plane=plane, now=now):
        raise StalePlan(reason.message, hint=PLAN_AGAIN)


def allowances_of(saved: Plan) -> Allowances:
    """What was let through when the plan was made."""
    pairs = (text.partition("=") for text in saved.allowed)
    return Allowances(frozenset((guard, agent or None) for guard, _, agent in pairs))


def stale_agents(saved: Plan, current: Plan) -> tuple[Staleness, ...]:
    """The agents of the saved plan that moved so that its operations do not come out the same."""
    today = {operation.id: operation for operation in current.operations}
    return tuple(
        Staleness("agent", f"{operation.agent}: {what}", operation.agent)
        for operation in _kept(saved, current)
        if (what := _movement(operation, today.get(operation.id)))
    )


def refused_now(saved: Plan, current: Plan) -> tuple[Blocked, ...]:
    """What guards refuse today of the operations that the saved plan would carry out."""
    planned = {operation.id for operation in saved.operations}
    return tuple(entry for entry in current.blocked if entry.operation and entry.operation.id in planned)


def refreshed(saved: Plan, current: Plan) -> Plan:
    """The saved plan as it may be carried out now; ``StalePlan`` when a touched agent has moved.

    ``current`` is the plan made from the same configuration, targets and allowances just now.
    """
    moved = [reason.message for reason in stale_agents(saved, current)]
    if moved:
        more = f"; and {len(moved) - _FIRST_AGENTS} more" if len(moved) > _FIRST_AGENTS else ""
        shown = "; ".join(moved[:_FIRST_AGENTS]) + more
        raise StalePlan(f"live agents changed since the plan was saved: {shown}", hint=PLAN_AGAIN)
    kept = _kept(saved, current)
    refused_then = {(entry.guard, entry.agent) for entry in saved.blocked}
    planned = {operation.id for operation in saved.operations}
    blocked = tuple(
        entry
        for entry in current.blocked
        if (entry.guard, entry.agent) in refused_then or (entry.operation and entry.operation.id in planned)
    )
    replaced = tuple(name for name in saved.replaced if any(op.agent == name for op in kept))
    return replace(
        saved,
        operations=kept,
        blocked=blocked,
        waiting=current.waiting,
        replaced=replaced,
        findings=current.findings,
    )


def _kept(saved: Plan, current: Plan) -> tuple[Operation, ...]:
    """The operations that no guard refuses now, nor with one that they depend on."""
    refused = {entry.operation.id for entry in refused_now(saved, current) if entry.operation}
    fallen = with_dependents(refused, saved.operations)
    return tuple(operation for operation in saved.operations if operation.id not in fallen)


def _movement(operation: Operation, now: Operation | None) -> str:
    """What became of an operation since; empty when it comes out the same."""
    if now is None:
        return f"{operation.kind} is not what it needs any more"
    if now.version != operation.version:
        return f"planned for version {operation.version}, live is {now.version}"
    return "" if _essence(now) == _essence(operation) else f"{operation.kind} would now do something else"


def _essence(operation: Operation) -> str:
    # Where the block stands in the file does not matter, nor how a reason is worded.
    document = operation_document(operation)
    return digest({key: value for key, value in document.items() if key not in {"source", "reason"}})
