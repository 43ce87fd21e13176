"""What guards are made of: their type, how they refuse an operation, and which they look at."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from reconciler.model.plan import Blocked, Operation
from reconciler.planning.facts import Facts

Guard = Callable[[Facts, Sequence[Operation]], Iterable[Blocked]]


def refuse(guard: str, operation: Operation, reason: str, *, whole: bool = False) -> Blocked:
    """A refusal with the narrowest flag that lets it through: for this agent, or for the ``whole`` plan."""
    allow = f"--allow {guard}" if whole else f"--allow {guard}={operation.agent}"
    return Blocked(guard, operation.agent, reason, allow, operation)


def of_kinds(operations: Sequence[Operation], *kinds: str) -> Iterator[Operation]:
    """The operations of these kinds, in their order."""
    return (operation for operation in operations if operation.kind in kinds)
