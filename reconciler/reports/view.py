"""The neutral view that every report is made from: a plan's agents grouped and sorted, gravest first.

Its texts are as the API and the configuration gave them. Whoever shows one escapes it for the place.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import IntEnum

from reconciler.model.agent import AgentName
from reconciler.model.key import AgentKey
from reconciler.model.mark import Delivered
from reconciler.model.plan import Operation, OperationKind, Plan, Risk, Waiting
from reconciler.planning.rotation import Rotation
from reconciler.reports.advice import RefusalView, apply_command, next_step, refusals
from reconciler.reports.changes import ChangeView, change_view, gains_of, losses_of

_LABELS: Mapping[OperationKind, str] = {
    "create_agent": "create",
    "adopt_agent": "adopt",
    "update_agent": "update",
    "set_scopes": "update",
    "suspend_agent": "suspend",
    "resume_agent": "resume",
    "revoke_agent": "revoke",
    "mint_key": "mint key",
    "deprecate_key": "deprecate key",
    "undeprecate_key": "undeprecate key",
    "revoke_key": "revoke key",
}
# In the order of the counts; the first one that an agent has is what its block is called.
_AGENT_LABELS = ("create", "adopt", "update", "replace", "suspend", "resume", "revoke")
_KEY_LABELS = ("mint key", "deprecate key", "undeprecate key", "revoke key")
_SIGNS = {"create": "+", "adopt": "+", "replace": "±", "revoke": "-"}
# A key of its own that a create brings along needs no word in the title.
_SILENT_AFTER_CREATE = frozenset({"mint key"})


class Gravity(IntEnum):
    """What a reader must not miss, in the order of reading."""

    REVOCATION = 0
    WIDENING = 1
    NARROWING = 2
    OTHER = 3


@dataclass(frozen=True, slots=True)
class OperationView:
    """One operation of an agent. ``label`` is its verb."""

    id: str
    kind: OperationKind
    label: str
    reason: str
    risk: Risk
    changes: tuple[ChangeView, ...]
    key_id: str = ""


@dataclass(frozen=True, slots=True)
class AgentView:
    """Everything that happens to one agent. ``source`` is ``file:line:column`` or empty."""

    name: AgentName
    gravity: Gravity
    sign: str
    labels: tuple[str, ...]
    source: str
    operations: tuple[OperationView, ...]

    @property
    def title(self) -> str:
        """All its verbs."""
        return ", ".join(self.labels)

    def revocations(self) -> tuple[OperationView, ...]:
        """What cannot be undone."""
        return tuple(operation for operation in self.operations if _is_revocation(operation))

    def reasons(self) -> tuple[tuple[str, str], ...]:
        """Why, once each: ``(label, reason)``, without the revocations and what a create brings along."""
        found: dict[str, str] = {}
        for operation in self.operations:
            silent = self.is_new and operation.label in _SILENT_AFTER_CREATE
            if operation.reason and not silent and not _is_revocation(operation):
                found.setdefault(operation.reason, operation.label)
        return tuple((label, reason) for reason, label in found.items())

    @property
    def is_new(self) -> bool:
        """Whether the agent is created, also in place of another one."""
        return any(operation.kind == "create_agent" for operation in self.operations)

    @property
    def is_revoked(self) -> bool:
        """Whether the agent itself goes, also when another one takes its place."""
        return any(operation.kind == "revoke_agent" for operation in self.operations)

    def moves(self) -> tuple[OperationView, ...]:
        """The steps that let the agent do more or less than now, other than the end of it."""
        return tuple(
            operation
            for operation in self.operations
            if not _is_revocation(operation) and (_gains(operation) or any(map(losses_of, operation.changes)))
        )

    def gains(self) -> tuple[str, ...]:
        """What the agent may do that it may not do now: ``provider:scope``, or a field and its new value."""
        return tuple(gain for operation in self.operations for gain in _gains(operation))

    def losses(self) -> tuple[str, ...]:
        """What the agent may do now and not any more, in the same words. A revoked agent loses everything."""
        changes = (change for operation in self.operations for change in operation.changes)
        return tuple(loss for change in changes for loss in losses_of(change))


@dataclass(frozen=True, slots=True)
class PlanView:
    """A plan as it is read. ``agents`` come gravest first, then by name."""

    counts: str
    agents: tuple[AgentView, ...]
    waiting: tuple[Waiting, ...]
    refusals: tuple[RefusalView, ...]
    unmanaged: tuple[AgentName, ...]
    next_step: str


@dataclass(frozen=True, slots=True)
class StatusRow:
    """One agent in ``status``. ``keys`` of ``None``: not read. ``owner`` is the mark's, or empty.

    ``rotation`` explains every live key of a declared agent that is ours, as of ``read_at``.
    """

    name: str
    declared: bool
    owned: bool
    type: str
    status: str
    version: int
    scopes: int
    pending_until: datetime | None = None
    keys: tuple[AgentKey, ...] | None = None
    delivered: Delivered | None = None
    last_used_at: datetime | None = None
    owner: str = ""
    note: str = ""
    rotation: Rotation | None = None
    due_at: datetime | None = None
    read_at: datetime | None = None

    @property
    def is_live(self) -> bool:
        """Whether the agent exists; one that is only declared has no version yet."""
        return self.version > 0


def view_of(plan: Plan, *, command: str = "alter-sync apply") -> PlanView:
    """The view of a plan. ``command`` is how this user would call apply."""
    replaced = frozenset(plan.replaced)
    grouped: dict[AgentName, list[Operation]] = {}
    for operation in plan.operations:
        grouped.setdefault(operation.agent, []).append(operation)
    agents = [_agent(name, found, is_replaced=name in replaced) for name, found in grouped.items()]
    command = apply_command(command, targets=plan.targets, allowed=plan.allowed, shard=plan.shard)
    return PlanView(
        counts=_counts(plan, agents),
        agents=tuple(sorted(agents, key=lambda agent: (agent.gravity, agent.name))),
        waiting=plan.waiting,
        refusals=refusals(plan.blocked, command=command),
        unmanaged=plan.unmanaged,
        next_step=next_step(plan, command),
    )


def moment_text(moment: datetime) -> str:
    """A time for people, to the minute."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def _agent(name: AgentName, operations: list[Operation], *, is_replaced: bool) -> AgentView:
    views = tuple(_operation(operation, is_replaced=is_replaced) for operation in operations)
    present = {view.label for view in views}
    labels = [label for label in (*_AGENT_LABELS, *_KEY_LABELS) if label in present]
    if any(view.kind == "create_agent" for view in views):
        labels = [label for label in labels if label not in _SILENT_AFTER_CREATE]
    source = next((str(operation.source) for operation in operations if operation.source), "")
    sign = "-" if labels == ["revoke key"] else _SIGNS.get(labels[0], "~")
    return AgentView(name, min(map(_gravity, views)), sign, tuple(labels), source, views)


def _operation(operation: Operation, *, is_replaced: bool) -> OperationView:
    replaces = is_replaced and operation.kind in {"create_agent", "revoke_agent"}
    return OperationView(
        id=operation.id,
        kind=operation.kind,
        label="replace" if replaces else _LABELS[operation.kind],
        reason=operation.reason,
        risk=operation.risk,
        changes=tuple(change_view(change, operation.kind) for change in operation.changes),
        key_id=operation.key_id or "",
    )


def _gravity(operation: OperationView) -> Gravity:
    effects = {operation.risk, *(change.effect for change in operation.changes)}
    if _is_revocation(operation):
        return Gravity.REVOCATION
    if "widening" in effects:
        return Gravity.WIDENING
    return Gravity.NARROWING if "narrowing" in effects else Gravity.OTHER


def _is_revocation(operation: OperationView) -> bool:
    return operation.risk == "destructive" or operation.kind in {"revoke_agent", "revoke_key"}


def _gains(operation: OperationView) -> list[str]:
    found = [gain for change in operation.changes for gain in gains_of(change)]
    # A risk without a field that explains it is still named.
    return found or ([operation.label] if operation.risk == "widening" else [])


def _counts(plan: Plan, agents: Iterable[AgentView]) -> str:
    """What happens to how many, zeros left out.

    Agents are counted, not operations: fields and scopes of one agent are two operations of one update.
    """
    labels = [label for agent in agents for label in {operation.label for operation in agent.operations}]
    keys = [_LABELS[operation.kind] for operation in plan.operations]
    to_do = [f"{count} to {label}" for label in _AGENT_LABELS if (count := labels.count(label))]
    to_do += [
        f"{count} {'key' if count == 1 else 'keys'} to {label.removesuffix(' key')}"
        for label in _KEY_LABELS
        if (count := keys.count(label))
    ]
    rest = {
        "waiting": len(plan.waiting),
        "blocked": len(plan.blocked),
        "in sync": plan.in_sync,
        "unmanaged": len(plan.unmanaged),
    }
    parts = [", ".join(to_do) or "no changes", *(f"{count} {what}" for what, count in rest.items() if count)]
    return "Plan: " + "; ".join(parts)
