"""Agents, keys, events and actors as JSON documents of ``alter-sync agents``. Times are RFC 3339 in UTC.

What looks like a key is hidden in everything that is read: people paste keys into names and metadata.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

from reconciler.model.activity import AuditEvent, RegistryEntry
from reconciler.model.agent import AgentId, AgentName, LiveAgent
from reconciler.model.key import AgentKey, KeyId, MintedKey
from reconciler.model.mark import Mark, format_time
from reconciler.model.secret import concealed

T = TypeVar("T")

# Of no agent and no key: what fields a document has can be told before there is anything to show.
NO_AGENT = LiveAgent(AgentId(""), AgentName(""), "agent", "active", 0, datetime.fromtimestamp(0, UTC))
NO_KEY = AgentKey(KeyId(""), "", "", datetime.fromtimestamp(0, UTC))
NO_NEW_KEY = MintedKey(KeyId(""), "", plaintext=None)


@dataclass(frozen=True, slots=True)
class Slice(Generic[T]):
    """Some of the rows that there are. ``total`` is ``None`` where nobody knows it."""

    rows: Sequence[T]
    limit: int
    offset: int
    has_more: bool
    total: int | None = None

    def as_json(self) -> dict[str, Any]:
        """Where these rows stand among all."""
        total = {} if self.total is None else {"total": self.total}
        return {**total, "limit": self.limit, "offset": self.offset, "has_more": self.has_more}


@dataclass(frozen=True, slots=True)
class HandedOver:
    """The sink that holds a new key: its name in the configuration, and where in it."""

    sink: str
    place: str


def agents_document(page: Slice[LiveAgent]) -> dict[str, Any]:
    """One page of agents."""
    items = [_agent(agent) for agent in page.rows]
    return {"format": "alter-sync.agents/1", "items": items, **page.as_json()}


def agent_document(agent: LiveAgent) -> dict[str, Any]:
    """One agent."""
    return {"format": "alter-sync.agent/1", **_agent(agent)}


def created_document(
    agent: LiveAgent, minted: MintedKey, *, delivered_to: HandedOver | None
) -> dict[str, Any]:
    """A new agent with its first key."""
    return {**agent_document(agent), "format": "alter-sync.created/1", **_minted(minted, delivered_to)}


def minted_document(
    agent: LiveAgent, minted: MintedKey, *, delivered_to: HandedOver | None
) -> dict[str, Any]:
    """A new key. ``api_key`` is ``null``: who wants to show it puts it in."""
    return {"format": "alter-sync.minted-key/1", **_of(agent), **_minted(minted, delivered_to)}


def keys_document(agent: LiveAgent, keys: Sequence[AgentKey]) -> dict[str, Any]:
    """All keys of an agent."""
    items = [_key(key, agent.mark) for key in keys]
    return {"format": "alter-sync.keys/1", **_of(agent), "items": items}


def key_document(agent: LiveAgent, key: AgentKey) -> dict[str, Any]:
    """One key."""
    return {"format": "alter-sync.key/1", **_of(agent), **_key(key, agent.mark)}


def events_document(agent_id: AgentId, page: Slice[AuditEvent]) -> dict[str, Any]:
    """One page of what was done to an agent."""
    items = [
        {
            "at": format_time(event.at),
            "action": event.action,
            "kind": event.kind,
            "actor": event.actor or None,
            "key_id": event.key_id,
            "changed": None if event.fields is None else list(event.fields),
        }
        for event in page.rows
    ]
    return {"format": "alter-sync.audit/1", "agent_id": agent_id, "items": concealed(items), **page.as_json()}


def registry_document(page: Slice[RegistryEntry]) -> dict[str, Any]:
    """One page of the actors that were seen."""
    items = [_entry(entry) for entry in page.rows]
    return {"format": "alter-sync.registry/1", "items": items, **page.as_json()}


def entry_document(entry: RegistryEntry) -> dict[str, Any]:
    """One of them."""
    return {"format": "alter-sync.registry-entry/1", **_entry(entry)}


def key_status(key: AgentKey) -> str:
    """``active``, ``deprecated`` or ``revoked``."""
    if not key.is_live:
        return "revoked"
    return "active" if key.deprecated_at is None else "deprecated"


def sinks_with(key: AgentKey, mark: Mark | None) -> tuple[str, ...]:
    """The names of the sinks to which alter-sync delivered a key, by the mark."""
    delivered = mark.delivered if mark else None
    return delivered.sinks if delivered and delivered.key_id == key.key_id else ()


def _agent(agent: LiveAgent) -> dict[str, Any]:
    pending = agent.scopes_pending
    found: dict[str, Any] = {
        "id": agent.id,
        "name": agent.name,
        "display_name": agent.display_name,
        "type": agent.type,
        "status": agent.status,
        "scopes": agent.scopes.as_json(),
        "scopes_pending": None if pending is None else pending.as_json(),
        "scopes_applies_at": _time(agent.scopes_applies_at),
        "policy": agent.policy,
        "metadata": agent.metadata,
        "version": agent.version,
        "created_at": format_time(agent.created_at),
        "last_used_at": _time(agent.last_used_at),
        "owner": agent.mark.owner if agent.mark else None,
    }
    return {name: concealed(value) for name, value in found.items()}


def _of(agent: LiveAgent) -> dict[str, str]:
    return {"agent_id": agent.id, "agent": concealed(agent.name)}


def _minted(minted: MintedKey, delivered_to: HandedOver | None) -> dict[str, Any]:
    place = None if delivered_to is None else {"sink": delivered_to.sink, "place": delivered_to.place}
    return {
        "key_id": minted.key_id,
        "key_prefix": concealed(minted.key_prefix),
        "api_key": None,
        "delivered_to": place,
    }


def _key(key: AgentKey, mark: Mark | None) -> dict[str, Any]:
    return {
        "key_id": key.key_id,
        "key_prefix": concealed(key.key_prefix),
        "name": concealed(key.name),
        "status": key_status(key),
        "created_at": format_time(key.created_at),
        "deprecated_at": _time(key.deprecated_at),
        "revoked_at": _time(key.revoked_at),
        "last_used_at": _time(key.last_used_at),
        "delivered_to": list(sinks_with(key, mark)),
    }


def _entry(entry: RegistryEntry) -> Mapping[str, Any]:
    return {
        "actor_id": concealed(entry.actor_id),
        "name": concealed(entry.name) or None,
        "type": concealed(entry.type) or None,
        "last_activity_at": _time(entry.last_activity_at),
        "activity_count_30d": entry.recent_count,
    }


def _time(moment: datetime | None) -> str | None:
    return format_time(moment) if moment else None
