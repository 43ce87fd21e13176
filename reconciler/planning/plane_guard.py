"""The guard ``plane``: what the dashboard plane cannot do is refused by name, before anything is changed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from reconciler.model.plan import Blocked, Operation
from reconciler.planning.facts import Facts

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
