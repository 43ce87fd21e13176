"""Builds operations out of differences: ids, reasons and risks follow one rule everywhere."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from reconciler.model.agent import LiveAgent
from reconciler.model.desired import DesiredAgent
from reconciler.model.plan import Change, Effect, Operation, OperationKind, Plane, Risk

_REVOKING = frozenset[OperationKind]({"revoke_agent", "revoke_key"})


def operation_for(
    kind: OperationKind,
    agent: DesiredAgent,
    live: LiveAgent,
    changes: tuple[Change, ...],
    *,
    reason: str = "",
    risk: Risk | None = None,
    depends_on: tuple[str, ...] = (),
) -> Operation:
    """An operation on a live agent; reason and risk follow from its changes unless they are given."""
    return Operation(
        id=f"{kind}:{agent.name}",
        kind=kind,
        agent=agent.name,
        reason=reason or reason_of(changes),
        agent_id=live.id,
        version=live.version,
        depends_on=depends_on,
        risk=risk or _gravest_effect(changes),
        changes=changes,
        source=agent.position_of(changes[0].path),
    )


def reason_of(changes: Sequence[Change]) -> str:
    """Why these fields change, by who moved them."""
    causes = {change.cause for change in changes}
    if causes == {"outside"}:
        return "changed outside"
    if causes & {"both"} or len(causes) > 1:
        return "changed outside and in the configuration"
    return "differs from the configuration" if causes == {"new"} else "configuration changed"


def _gravest_effect(changes: Sequence[Change]) -> Effect:
    effects: set[Effect] = {change.effect for change in changes}
    if "widening" in effects:
        return "widening"
    return "narrowing" if "narrowing" in effects else "neutral"


def merged(operations: Sequence[Operation]) -> tuple[Operation, ...]:
    """Operations with one id become one, with the changes of all."""
    found: dict[str, Operation] = {}
    for operation in operations:
        earlier = found.get(operation.id)
        found[operation.id] = operation if earlier is None else _joined(earlier, operation)
    return tuple(found.values())


def _joined(first: Operation, second: Operation) -> Operation:
    reason = f"{first.reason}; {second.reason}"
    return replace(first, changes=(*first.changes, *second.changes), reason=reason)


def permissions_for(operations: Iterable[Operation], *, plane: Plane = "sdk") -> tuple[str, ...]:
    """The permissions that it takes to carry these operations out: read, write, and admin to revoke."""
    kinds = {operation.kind for operation in operations}
    verbs = ["read", *(["write"] if kinds else []), *(["admin"] if kinds & _REVOKING else [])]
    resource = "agents" if plane == "sdk" else "dashboard_agents"
    return tuple(f"{resource}:{verb}" for verb in verbs)


def mint_operation(
    agent: DesiredAgent, *, reason: str, live: LiveAgent | None, depends_on: tuple[str, ...] = ()
) -> Operation:
    """The operation that mints a key and delivers it to the agent's sinks."""
    where = "mint and deliver to " + ", ".join(agent.deliver_to)
    return Operation(
        id=f"mint_key:{agent.name}",
        kind="mint_key",
        agent=agent.name,
        reason=reason,
        agent_id=live.id if live else None,
        version=live.version if live else None,
        depends_on=depends_on,
        changes=(Change("key", None, where, cause="config" if live else "new"),),
        source=agent.position_of("deliver_to"),
    )
