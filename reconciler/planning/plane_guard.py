"""The guard ``plane``: what the dashboard plane cannot do is refused by name, before anything is changed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from reconciler.model.plan import Blocked, Operation
from reconciler.planning.facts import Facts
from reconciler.planning.fingerprint import canonical

# The metadata, the mark in it, is one argument of a command, and Linux takes 128 KiB (MAX_ARG_STRLEN).
_LONGEST_METADATA_BYTES = 96 * 1024
_WITH_METADATA = frozenset({"create_agent", "adopt_agent", "update_agent"})
_NEEDS = "the dashboard plane (ALTER_PAT) cannot {what}: this takes the app's runtime key (ALTER_API_KEY)"


def plane(facts: Facts, operations: Sequence[Operation]) -> Iterator[Blocked]:
    """Nothing lets this through but the other plane, which can do everything."""
    if facts.plane == "sdk":
        return
    for operation in operations:
        if what := _beyond(facts, operation):
            yield Blocked("plane", operation.agent, _NEEDS.format(what=what), "", operation)


def _beyond(facts: Facts, operation: Operation) -> str:
    """What of an operation the ``alter`` executable has no command for."""
    if operation.kind in _WITH_METADATA and _metadata_bytes(facts, operation) > _LONGEST_METADATA_BYTES:
        return f"write metadata of more than {_LONGEST_METADATA_BYTES // 1024} KiB"
    sets_policy = any(change.path.partition(".")[0] == "policy" for change in operation.changes)
    match operation.kind:
        case "set_scopes":
            return "change the scopes of a live agent"
        case "suspend_agent" | "resume_agent" if operation.agent_id is not None:
            return "suspend or resume an agent"
        case "create_agent" | "update_agent" if sets_policy:
            return "set a policy"
        case "create_agent" if facts.desired.agents[operation.agent].status == "inactive":
            # Left active it could do what its declaration says it must not.
            return "create an agent that is declared inactive"
        case _:
            return ""


def _metadata_bytes(facts: Facts, operation: Operation) -> int:
    """How long the metadata would be at most: what is live of it, and what is declared."""
    live, declared = facts.live.get(operation.agent), facts.desired.agents.get(operation.agent)
    parts = (live.metadata if live else {}, declared.metadata if declared else {})
    return sum(len(canonical(part).encode()) for part in parts)
