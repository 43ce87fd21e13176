"""An agent as the API shows it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, NewType

from reconciler.model.mark import MARK_KEY, Mark
from reconciler.model.scopes import Scopes
from reconciler.model.values import JsonObject

AgentId = NewType("AgentId", str)
AgentName = NewType("AgentName", str)
AgentType = Literal["agent", "service"]
AgentStatus = Literal["active", "inactive", "revoked"]


@dataclass(frozen=True, slots=True)
class LiveAgent:
    """One agent, read from the API. Times are aware and in UTC; ``metadata`` still contains the mark."""

    id: AgentId
    name: AgentName
    type: AgentType
    status: AgentStatus
    version: int
    created_at: datetime
    scopes: Scopes = field(default_factory=Scopes)
    display_name: str | None = None
    scopes_pending: Scopes | None = None
    scopes_applies_at: datetime | None = None
    policy: JsonObject = field(default_factory=dict)
    metadata: JsonObject = field(default_factory=dict)
    last_used_at: datetime | None = None
    stored_legacy_secrets: tuple[str, ...] = ()
    # What we remember on this agent; ``None`` when it carries no mark of ours. Read from the metadata once,
    # because planning asks for it many times.
    mark: Mark | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "mark", Mark.from_json(self.metadata.get(MARK_KEY)))

    @property
    def target_scopes(self) -> Scopes:
        """What the scopes will be when nothing more is done: the pending set if one is staged."""
        return self.scopes if self.scopes_pending is None else self.scopes_pending

    @property
    def own_metadata(self) -> JsonObject:
        """The metadata without the mark. A value of ``null`` is no value."""
        return {key: value for key, value in self.metadata.items() if key != MARK_KEY and value is not None}


@dataclass(frozen=True, slots=True)
class NewAgent:
    """The body of a create."""

    name: AgentName
    type: AgentType
    scopes: Scopes
    metadata: JsonObject
    display_name: str | None = None
    policy: JsonObject | None = None


@dataclass(frozen=True, slots=True)
class AgentPatch:
    """The body of one PATCH. ``None`` leaves a field alone; ``metadata`` and ``policy`` are whole blocks."""

    display_name: str | None = None
    metadata: JsonObject | None = None
    scopes: Scopes | None = None
    policy: JsonObject | None = None
    status: AgentStatus | None = None
