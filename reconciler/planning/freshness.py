"""Whether a saved plan still fits: made again from today's inputs, it must come out the same.

Agents that the plan does not touch may have moved. What a guard refuses *now* is refused, whatever the saved
plan says; everything else that differs makes the whole plan stale, and nothing of it is done.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

from reconciler.errors import StalePlan
from reconciler.model.desired import Desired
from reconciler.model.mark import format_time
from reconciler.model.plan import PLAN_LIFETIME, Operation, Plan, Plane
from reconciler.planning.facts import Allowances
from reconciler.planning.fingerprint import digest
from reconciler.planning.ordering import with_dependents
from reconciler.planning.plan_document import operation_document

_AGAIN = "make a new plan with `alter-sync plan --save`, review it, and apply that"


def check_inputs(saved: Plan, desired: Desired, *, base_url: str, plane: Plane, now: datetime) -> None:
    """Refuses a plan of another configuration, app or time, before anything is read from the API."""
    # The digest leaves the times out, so the end is counted from the beginning and not believed.
    expires_at = min(saved.expires_at, saved.created_at + PLAN_LIFETIME)
    if now >= expires_at:
        raise StalePlan(f"the saved plan expired at {format_time(expires_at)}", hint=_AGAIN)
    if (saved.owner, saved.app) != (desired.owner, desired.app.name):
        theirs, ours = f"{saved.owner} in {saved.app}", f"{desired.owner} in {desired.app.name}"
        raise StalePlan(f"the saved plan is for {theirs}, the configuration for {ours}", hint=_AGAIN)
    if saved.base_url != base_url:
        raise StalePlan(f"the saved plan is for {saved.base_url}, this run for {base_url}", hint=_AGAIN)
    if saved.plane != plane:
        raise StalePlan(
            f"the saved plan is for the {saved.plane} plane, this run for the {plane} plane", hint=_AGAIN
        )
    if saved.config_digest != digest(desired):
        raise StalePlan("the configuration changed since the plan was saved", hint=_AGAIN)


def allowances_of(saved: Plan) -> Allowances:
    """What was let through when the plan was made."""
    pairs = (text.partition("=") for text in saved.allowed)
    return Allowances(frozenset((guard, agent or None) for guard, _, agent in pairs))


def refreshed(saved: Plan, current: Plan) -> Plan:
    """The saved plan as it may be carried out now; ``StalePlan`` when a touched agent has moved.

    ``current`` is the plan made from the same configuration, targets and allowances just now.
    """
    today = {operation.id: operation for operation in current.operations}
    refused_now = {entry.operation.id for entry in current.blocked if entry.operation}
    planned = {operation.id for operation in saved.operations}
    fallen = with_dependents(refused_now & planned, saved.operations)
    kept = tuple(operation for operation in saved.operations if operation.id not in fallen)
    moved = list(_moved(kept, today))
    if moved:
        shown = "; ".join(moved[:5]) + (f"; and {len(moved) - 5} more" if len(moved) > 5 else "")
        raise StalePlan(f"live agents changed since the plan was saved: {shown}", hint=_AGAIN)
    refused_then = {(entry.guard, entry.agent) for entry in saved.blocked}
    blocked = tuple(
        entry
        for entry in current.blocked
        if (entry.guard, entry.agent) in refused_then or (entry.operation and entry.operation.id in planned)
    )
    replaced = tuple(name for name in saved.replaced if any(op.agent == name for op in kept))
    return replace(saved, operations=kept, blocked=blocked, waiting=current.waiting, replaced=replaced)


def _moved(operations: tuple[Operation, ...], today: dict[str, Operation]) -> Iterator[str]:
    for operation in operations:
        now = today.get(operation.id)
        if now is None:
            yield f"{operation.agent}: {operation.kind} is not what it needs any more"
        elif now.version != operation.version:
            yield f"{operation.agent}: planned for version {operation.version}, live is {now.version}"
        elif _essence(now) != _essence(operation):
            yield f"{operation.agent}: {operation.kind} would now do something else"


def _essence(operation: Operation) -> str:
    # Where the block stands in the file does not matter, nor how a reason is worded.
    document = operation_document(operation)
    return digest({key: value for key, value in document.items() if key not in {"source", "reason"}})
