"""The guards about keys: they look once more, without regard to how an operation came into the plan."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from reconciler.model.key import AgentKey, KeyId
from reconciler.model.mark import format_time
from reconciler.model.plan import Blocked, Operation
from reconciler.planning.facts import IN_USE_GUARD, Facts
from reconciler.planning.key_facts import KeyFacts
from reconciler.planning.refusal import of_kinds, refuse
from reconciler.planning.retirement import is_lost, may_revoke, obstacles


def last_active_key(facts: Facts, operations: Sequence[Operation]) -> Iterator[Blocked]:
    """The key is the delivered one, or no other would be left. Nothing lets this through."""
    for operation in of_kinds(operations, "revoke_key"):
        known = facts.key_facts(operation.agent)
        reason = _why_last(known, operation, operations)
        if reason:
            yield Blocked("last-active-key", operation.agent, reason, "", operation)


def key_in_use(facts: Facts, operations: Sequence[Operation]) -> Iterator[Blocked]:
    """The key may still be in use, or the one that replaces it is not yet."""
    for operation in of_kinds(operations, "revoke_key"):
        known = facts.key_facts(operation.agent)
        key = _key_of(known, operation)
        if known is None or key is None or is_lost(known, key) or may_revoke(known, key):
            continue
        reasons = "; ".join(obstacle.reason for obstacle in obstacles(known, key))
        yield refuse(IN_USE_GUARD, operation, f"key {key.key_id} {reasons}")


def key_cap(facts: Facts, operations: Sequence[Operation]) -> Iterator[Blocked]:
    """There is no room for another key. Alter has a limit for each agent, and refuses the mint as well."""
    for operation in of_kinds(operations, "mint_key"):
        known = facts.key_facts(operation.agent)
        going = {op.key_id for op in of_kinds(operations, "revoke_key") if op.agent == operation.agent}
        keys = [key for key in known.keys if key.is_live and key.key_id not in going] if known else []
        cap = facts.desired.guards.key_cap
        unlisted = _unlisted(known) if known else []
        if len(keys) + len(unlisted) >= cap:
            shown = [f"{key.key_id} ({_state_of(key)})" for key in keys]
            holders = ", ".join([*shown, *(f"{key_id} (not listed)" for key_id in unlisted)])
            count = len(keys) + len(unlisted)
            reason = f"{count} of {cap} keys are live (guards.key_cap); the room is held by {holders}"
            yield refuse("key-cap", operation, reason)


def rotation_pace(facts: Facts, operations: Sequence[Operation]) -> Iterator[Blocked]:
    """Too many rotations in one run: those that are due for the longest time go first."""
    rotations = [
        operation
        for operation in of_kinds(operations, "mint_key")
        if operation.agent_id is not None and not facts.allow.permits("rotation-pace", operation.agent)
    ]
    limit = facts.desired.guards.max_rotations_per_run
    reason = f"{len(rotations)} rotations are due, and one run does {limit} (guards.max_rotations_per_run)"
    for operation in sorted(rotations, key=lambda op: (_age_of(facts, op), op.agent))[limit:]:
        yield refuse("rotation-pace", operation, f"{reason}: run again for the rest", whole=True)


def _why_last(known: KeyFacts | None, operation: Operation, operations: Sequence[Operation]) -> str:
    if known is None:
        return "the agent's keys were not read"
    delivered = known.mark.delivered
    if delivered is not None and delivered.key_id == operation.key_id:
        return f"key {operation.key_id} is the one that the sinks hold"
    own = [op for op in operations if op.agent == operation.agent]
    going = {op.key_id for op in of_kinds(own, "revoke_key")}
    left = [key for key in known.keys if key.is_live and key.key_id not in going]
    if left or any(of_kinds(own, "mint_key")):
        return ""
    return f"without key {operation.key_id} the agent would have no key at all"


def _key_of(known: KeyFacts | None, operation: Operation) -> AgentKey | None:
    keys = known.keys if known else ()
    return next((key for key in keys if key.key_id == operation.key_id and key.is_live), None)


def _unlisted(known: KeyFacts) -> list[KeyId]:
    """The keys that the mark knows and the list does not show: it may be an old one, or cut short."""
    recorded = {*known.mark.retiring, *([known.mark.delivered.key_id] if known.mark.delivered else ())}
    return sorted(recorded - {key.key_id for key in known.keys})


def _state_of(key: AgentKey) -> str:
    if key.last_used_at is not None:
        return f"used {format_time(key.last_used_at)}"
    return "never used"


def _age_of(facts: Facts, operation: Operation) -> datetime:
    known = facts.key_facts(operation.agent)
    delivered = known.delivered if known else None
    return delivered.created_at if delivered else datetime.min.replace(tzinfo=facts.now.tzinfo)
