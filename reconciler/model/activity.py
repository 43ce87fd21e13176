"""What the dashboard plane tells of the past: who did what to an agent, which actors were seen at work."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from reconciler.model.key import KeyId

# What an audit event is about; "other" is whatever a newer server writes.
ActionKind = Literal[
    "create_agent",
    "update_agent",
    "revoke_agent",
    "mint_key",
    "revoke_key",
    "deprecate_key",
    "undeprecate_key",
    "other",
]
# How many days the registry's count of activity covers.
ACTIVITY_DAYS = 30


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """One action on an agent. ``action`` and ``actor`` are the server's words, ``actor`` empty if unknown.

    ``fields`` are the agent's fields that an update changed; ``None`` when the feed does not say.
    """

    at: datetime
    kind: ActionKind
    action: str
    actor: str = ""
    key_id: KeyId | None = None
    fields: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class RegistryEntry:
    """One actor that was seen in audit data: an agent by its id, or a caller by an id of the server's.

    ``recent_count`` is its activity within ``ACTIVITY_DAYS``; unknown parts are ``None`` or empty.
    """

    actor_id: str
    name: str = ""
    type: str = ""
    last_activity_at: datetime | None = None
    recent_count: int | None = None
