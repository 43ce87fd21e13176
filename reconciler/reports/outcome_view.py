"""The neutral view of an outcome that every report is made from: agents by the worst that became of them.

Its texts are as the API and the configuration gave them. Whoever shows one escapes it for the place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from reconciler.model.agent import AgentName
from reconciler.model.outcome import OperationOutcome, Outcome, Status

# In the order of reading. An agent stands where the worst of its operations is.
WORST_FIRST: Mapping[Status, str] = {"failed": "Failed", "not_tried": "Not tried", "done": "Done"}
SIGNS: Mapping[Status, str] = {"failed": "✗", "not_tried": "·", "done": "✓"}
INTERRUPTED = "Interrupted: everything that was begun is finished or undone."


@dataclass(frozen=True, slots=True)
class AgentOutcome:
    """What became of one agent. ``status`` is the worst of its operations."""

    name: AgentName
    status: Status
    operations: tuple[OperationOutcome, ...]

    @property
    def is_uniform(self) -> bool:
        """Whether the same became of all its operations."""
        return len({operation.status for operation in self.operations}) == 1


@dataclass(frozen=True, slots=True)
class OutcomeView:
    """An outcome as it is read. ``agents`` come worst first, then by name."""

    counts: str
    agents: tuple[AgentOutcome, ...]
    next_step: str

    def of_status(self, status: Status) -> tuple[AgentOutcome, ...]:
        """The agents whose worst this is."""
        return tuple(agent for agent in self.agents if agent.status == status)


def outcome_view_of(outcome: Outcome) -> OutcomeView:
    """The view of an outcome."""
    grouped: dict[AgentName, list[OperationOutcome]] = {}
    for operation in outcome.operations:
        grouped.setdefault(operation.agent, []).append(operation)
    agents = [AgentOutcome(name, _worst(found), tuple(found)) for name, found in grouped.items()]
    order = list(WORST_FIRST)
    return OutcomeView(
        counts=_counts(outcome),
        agents=tuple(sorted(agents, key=lambda agent: (order.index(agent.status), agent.name))),
        next_step=_next_step(outcome),
    )


def kind_text(operation: OperationOutcome) -> str:
    """What was to be done, in words."""
    return operation.kind.replace("_", " ")


def is_worth_a_detail(operation: OperationOutcome) -> bool:
    """Whether a short line says more than the kind: where a key went is what people look for."""
    return operation.kind in {"mint_key", "undeprecate_key", "revoke_key"}


def _counts(outcome: Outcome) -> str:
    counts = outcome.counts()
    parts = [f"{count} {status.replace('_', ' ')}" for status, count in counts.items() if count]
    blocked = f"; {len(outcome.blocked)} blocked" if outcome.blocked else ""
    return f"Apply: {', '.join(parts) or 'nothing to do'}{blocked}"


def _worst(operations: Sequence[OperationOutcome]) -> Status:
    present = {operation.status for operation in operations}
    return next(status for status in WORST_FIRST if status in present)


def _next_step(outcome: Outcome) -> str:
    if outcome.resume:
        return f"Go on with `{outcome.resume}`."
    if outcome.blocked:
        return "Everything else is done; what is blocked stays as it is."
    if any(operation.status != "done" for operation in outcome.operations):
        return "Run `alter-sync plan` to see what is left."
    if outcome.waiting:
        agents = len({entry.agent for entry in outcome.waiting})
        who = "1 agent still waits" if agents == 1 else f"{agents} agents still wait"
        return f"Everything else is done; {who}, see the plan."
    return "Everything is done." if outcome.operations else "Nothing was to be done."
