"""In which order operations are carried out, and which of them fall with another."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from graphlib import TopologicalSorter

from reconciler.model.plan import Blocked, Operation


def ordered(operations: Iterable[Operation]) -> tuple[Operation, ...]:
    """By agent and, within one, dependencies first. The same operations give the same order."""
    by_id = {operation.id: operation for operation in sorted(operations, key=lambda op: (op.agent, op.id))}
    graph = {
        operation.id: [dependency for dependency in operation.depends_on if dependency in by_id]
        for operation in by_id.values()
    }
    position = {id_: index for index, id_ in enumerate(TopologicalSorter(graph).static_order())}
    return tuple(sorted(by_id.values(), key=lambda op: (op.agent, position[op.id])))


def work_units(operations: Sequence[Operation]) -> tuple[tuple[Operation, ...], ...]:
    """One tuple for each agent, in the order of ``ordered``. Agents do not depend on each other."""
    units: dict[str, list[Operation]] = {}
    for operation in ordered(operations):
        units.setdefault(operation.agent, []).append(operation)
    return tuple(tuple(unit) for unit in units.values())


def with_dependents(refused: Collection[str], operations: Sequence[Operation]) -> frozenset[str]:
    """The ids of refused operations and of all that depend on them.

    An agent is revoked for its successor only: when that may not be created, it is not revoked either.
    """
    fallen = set(refused)
    for operation in operations:
        if operation.kind == "create_agent" and operation.id in fallen:
            fallen.update(operation.depends_on)
    for operation in ordered(operations):
        if fallen.intersection(operation.depends_on):
            fallen.add(operation.id)
    return frozenset(fallen)


def with_dependent_counts(blocked: Sequence[Blocked], operations: Sequence[Operation]) -> tuple[Blocked, ...]:
    """Says of a refusal how many more operations fall with it."""
    units = {unit[0].agent: unit for unit in work_units(operations)} if blocked else {}

    def dependents(operation: Operation) -> int:
        return len(with_dependents({operation.id}, units[operation.agent])) - 1

    return tuple(
        replace(entry, reason=f"{entry.reason} (and {count} more of this agent's operations with it)")
        if entry.operation and (count := dependents(entry.operation))
        else entry
        for entry in blocked
    )
