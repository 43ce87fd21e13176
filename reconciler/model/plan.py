"""The plan: every operation that apply will carry out, and why; what waits; what a guard refuses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, get_args

from reconciler.model.agent import AgentId, AgentName
from reconciler.model.diagnostic import Diagnostic, Position
from reconciler.model.key import KeyId
from reconciler.model.shard import EVERYTHING, Shard
from reconciler.model.values import Json

PLAN_FORMAT = "alter-sync.plan/1"
# How long a saved plan may be carried out.
PLAN_LIFETIME = timedelta(days=7)

OperationKind = Literal[
    "create_agent",
    "adopt_agent",
    "update_agent",
    "set_scopes",
    "suspend_agent",
    "resume_agent",
    "revoke_agent",
    "mint_key",
    "deprecate_key",
    "undeprecate_key",
    "revoke_key",
]
# How the live API is reached: signed HTTP with an app's key, or the ``alter`` executable with a token.
Plane = Literal["sdk", "dashboard"]
OPERATION_KINDS: tuple[OperationKind, ...] = get_args(OperationKind)

# widening: the agent may do more than before; narrowing: less; destructive: cannot be undone.
Risk = Literal["widening", "narrowing", "destructive", "neutral"]
Effect = Literal["widening", "narrowing", "neutral"]
# Why a field differs, seen from the value that was applied last: the configuration moved ahead, the live
# agent was changed outside, both, or nothing was applied yet.
Cause = Literal["config", "outside", "both", "new"]


@dataclass(frozen=True, slots=True)
class Change:
    """One field that an operation changes. A value that does not exist is ``None``."""

    path: str
    before: Json
    after: Json
    effect: Effect = "neutral"
    cause: Cause = "config"


@dataclass(frozen=True, slots=True)
class Operation:
    """One step of a plan.

    ``version`` is the precondition: the live agent's version that the step was planned for, ``None`` when no
    such agent may be live. ``depends_on`` holds ids of operations that have to be done before.
    """

    id: str
    kind: OperationKind
    agent: AgentName
    reason: str
    agent_id: AgentId | None = None
    version: int | None = None
    depends_on: tuple[str, ...] = ()
    risk: Risk = "neutral"
    changes: tuple[Change, ...] = ()
    source: Position | None = None
    key_id: KeyId | None = None

    def named_key(self) -> KeyId:
        """The key that a step on one key is about; every kind of those but ``mint_key`` names it."""
        if self.key_id is None:
            raise AssertionError(f"{self.id} names no key")
        return self.key_id


@dataclass(frozen=True, slots=True)
class Waiting:
    """Something that is on its way and needs time, not work."""

    agent: AgentName
    stage: str
    reason: str
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Blocked:
    """One refusal: which guard, why with its numbers, and the narrowest flag that lets exactly this through.

    ``allow`` is empty when nothing can let it through. ``operation`` is what would have been done.
    """

    guard: str
    agent: AgentName | None
    reason: str
    allow: str
    operation: Operation | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """A finished plan. ``plan_digest`` covers everything but the times."""

    tool_version: str
    owner: str
    app: str
    base_url: str
    created_at: datetime
    expires_at: datetime
    config_digest: str
    live_digest: str
    operations: tuple[Operation, ...] = ()
    waiting: tuple[Waiting, ...] = ()
    blocked: tuple[Blocked, ...] = ()
    unmanaged: tuple[AgentName, ...] = ()
    in_sync: int = 0
    replaced: tuple[AgentName, ...] = ()
    targets: tuple[str, ...] = ()
    allowed: tuple[str, ...] = ()
    findings: tuple[Diagnostic, ...] = ()
    plan_digest: str = ""
    plane: Plane = "sdk"
    shard: Shard = EVERYTHING

    @property
    def has_changes(self) -> bool:
        """Whether apply would do anything."""
        return bool(self.operations)

    def summary(self) -> Mapping[str, int]:
        """The counts of the plan document. A replaced agent counts as that, not as revoked and created."""
        replaced = set(self.replaced)
        kinds = Counter(
            operation.kind
            for operation in self.operations
            if not (operation.agent in replaced and operation.kind in {"create_agent", "revoke_agent"})
        )
        risks = Counter(operation.risk for operation in self.operations)
        return {
            "create": kinds["create_agent"],
            "update": kinds["update_agent"] + kinds["set_scopes"],
            "revoke": kinds["revoke_agent"],
            "suspend": kinds["suspend_agent"],
            "resume": kinds["resume_agent"],
            "adopt": kinds["adopt_agent"],
            "replace": len(replaced),
            "mint_key": kinds["mint_key"],
            "deprecate_key": kinds["deprecate_key"],
            "revoke_key": kinds["revoke_key"],
            "widening": risks["widening"],
            "narrowing": risks["narrowing"],
            "waiting": len(self.waiting),
            "blocked": len(self.blocked),
            "unmanaged": len(self.unmanaged),
            "in_sync": self.in_sync,
        }
