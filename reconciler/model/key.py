"""An API key of an agent as the API shows it: never with its plaintext."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import NewType

from reconciler.model.secret import Secret

KeyId = NewType("KeyId", str)


@dataclass(frozen=True, slots=True)
class AgentKey:
    """One key. ``last_used_at`` is written lazily by the server: good for hours, not for minutes."""

    key_id: KeyId
    key_prefix: str
    name: str
    created_at: datetime
    deprecated_at: datetime | None = None
    revoked_at: datetime | None = None
    last_used_at: datetime | None = None
    # Whether the server told ``last_used_at`` at all, be it that there was no use.
    tells_use: bool = True

    @property
    def is_unused(self) -> bool:
        """Whether it was never used, by what the server says; what it does not say is no proof."""
        return self.tells_use and self.last_used_at is None

    @property
    def is_live(self) -> bool:
        """Whether the key still authenticates; a deprecated one does."""
        return self.revoked_at is None


@dataclass(frozen=True, slots=True)
class MintedKey:
    """A key at the only moment when its plaintext is known.

    ``plaintext`` is ``None`` when a create was replayed: the key exists and nobody holds it.
    """

    key_id: KeyId
    key_prefix: str
    plaintext: Secret | None
