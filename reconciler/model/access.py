"""What each agent may do and which keys it has, as one picture: for reports that show more than a plan."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from reconciler.model.agent import AgentName, AgentStatus, AgentType
from reconciler.model.key import KeyId
from reconciler.model.scopes import Scopes


@dataclass(frozen=True, slots=True)
class KeyLine:
    """One key from its mint to its end. ``next`` is the step of its rotation, empty when nobody plans one.

    ``until`` is when that step may come, as far as anybody knows. Never a plaintext.
    """

    key_id: KeyId
    prefix: str
    minted_at: datetime
    deprecated_at: datetime | None = None
    revoked_at: datetime | None = None
    last_used_at: datetime | None = None
    # Whether the server told ``last_used_at`` at all, be it that there was no use.
    tells_use: bool = True
    # Whether this is the key that the sinks hold, by the mark.
    is_delivered: bool = False
    next: str = ""
    reason: str = ""
    until: datetime | None = None

    @property
    def quiet_since(self) -> datetime | None:
        """The last use, or the mint when there was none; ``None`` is unknown, which is not quiet."""
        return (self.last_used_at or self.minted_at) if self.tells_use else None


@dataclass(frozen=True, slots=True)
class AgentAccess:
    """One live agent. ``keys`` of ``None``: not read. ``stage`` is empty where nobody rotates the keys."""

    agent: AgentName
    type: AgentType
    status: AgentStatus
    # What the scopes are once a staged narrowing is over.
    scopes: Scopes
    last_used_at: datetime | None = None
    stage: str = ""
    reason: str = ""
    until: datetime | None = None
    due_at: datetime | None = None
    sinks: tuple[str, ...] = ()
    keys: tuple[KeyLine, ...] | None = None


@dataclass(frozen=True, slots=True)
class Access:
    """The agents in order of their names, as of ``seen_at``. ``unread``: why keys or agents are missing."""

    seen_at: datetime
    agents: tuple[AgentAccess, ...] = ()
    unread: str = ""
