"""The outside world in one page: what planning's results are carried out through."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from reconciler.model.activity import AuditEvent, RegistryEntry
from reconciler.model.agent import AgentId, AgentName, AgentPatch, LiveAgent, NewAgent
from reconciler.model.key import AgentKey, KeyId, MintedKey
from reconciler.model.secret import Secret


class AgentApi(Protocol):
    """The live API. Every method raises ``errors.ApiError`` or one of its kinds, and nothing else.

    Reads and writes that are idempotent by contract are retried inside, within a time budget. When an answer
    is lost for good, ``errors.Unreachable`` is raised: the caller has to find out what happened.
    """

    def list_agents(self, *, with_revoked: bool = False) -> tuple[LiveAgent, ...]:
        """All non-revoked agents, each once, in order of their names; or all that there ever were."""
        ...

    def get_agent(self, agent_id: AgentId) -> LiveAgent:
        """One agent by id, also a revoked one; ``errors.NotFound`` when there is none."""
        ...

    def find_agent(self, name: AgentName) -> LiveAgent | None:
        """The non-revoked agent of that name, or ``None``."""
        ...

    def create_agent(self, body: NewAgent, *, idempotency_key: str) -> tuple[LiveAgent, MintedKey]:
        """Creates; a replay of the same key and body gives the same agent and a key without plaintext."""
        ...

    def update_agent(
        self,
        agent_id: AgentId,
        patch: AgentPatch,
        *,
        expected_version: int,
        grace_seconds: int | None = None,
    ) -> LiveAgent:
        """Applies a patch. After a lost answer it reads the agent before it tries again.

        ``grace_seconds`` (0 to 604,800) is how long removed scopes still work; only sent with scopes.
        """
        ...

    def revoke_agent(self, agent_id: AgentId) -> LiveAgent:
        """Revokes the agent and all its keys. Terminal, idempotent."""
        ...

    def list_keys(self, agent_id: AgentId) -> tuple[AgentKey, ...]:
        """Every key, revoked ones too, oldest first."""
        ...

    def mint_key(self, agent_id: AgentId) -> MintedKey:
        """Mints a key, in one attempt that is never repeated. ``errors.Unreachable``: outcome unknown."""
        ...

    def deprecate_key(self, agent_id: AgentId, key_id: KeyId) -> AgentKey:
        """Marks a key as to be retired. It still authenticates. Idempotent."""
        ...

    def undeprecate_key(self, agent_id: AgentId, key_id: KeyId) -> AgentKey:
        """Takes the mark off again. Idempotent."""
        ...

    def revoke_key(self, agent_id: AgentId, key_id: KeyId) -> AgentKey:
        """Revokes a key, never with force. Terminal, idempotent."""
        ...

    def revoke_last_key(self, agent_id: AgentId, key_id: KeyId) -> AgentKey:
        """Revokes a key with force, even the only one: a person's decision, never made by a plan."""
        ...

    def provider_scopes(self) -> Mapping[str, frozenset[str]]:
        """The catalogue: provider → names of its scopes. Needs the permission ``providers:read``."""
        ...


class AuditFeed(Protocol):
    """The past, from the dashboard plane. Every method raises ``errors.ApiError`` or one of its kinds."""

    def audit_events(self, agent_id: AgentId, *, limit: int = 500, offset: int = 0) -> tuple[AuditEvent, ...]:
        """What was done to one agent, newest first. ``limit`` is 1 to 500. Needs ``dashboard_audit:read``."""
        ...

    def registry(self, *, limit: int = 1000, offset: int = 0) -> tuple[RegistryEntry, ...]:
        """One page of the actors seen in audit data. Needs ``dashboard_agents:read``."""
        ...

    def registry_entry(self, actor_id: str) -> RegistryEntry:
        """One of them; ``errors.NotFound`` when it was never seen."""
        ...


@dataclass(frozen=True, slots=True)
class Delivery:
    """One key on its way into a sink."""

    owner: str
    app: str
    agent: AgentName
    key_id: KeyId
    key_prefix: str
    plaintext: Secret


@dataclass(frozen=True, slots=True)
class SinkReading:
    """What a sink holds for an agent. ``fingerprint`` is that of ``Secret``; unknown parts are ``None``.

    With the ``plaintext`` a delivery that was cut off between two sinks can be finished with the same key.
    """

    key_id: KeyId | None
    fingerprint: str | None
    plaintext: Secret | None = field(default=None, repr=False, compare=False)


class SecretSink(Protocol):
    """One place where keys of agents go. Every method raises ``errors.SinkError`` and nothing else.

    A sink writes idempotently by key id and keeps the previous version until ``forget_previous``.
    """

    @property
    def name(self) -> str:
        """The name of the sink in the configuration."""
        ...

    def place(self, agent: AgentName) -> str:
        """Where this agent's key goes, for people: a path, an address. Never the key itself."""
        ...

    def probe(self, agent: AgentName, *, owner: str, app: str) -> None:
        """Raises when a key could not be delivered there now, e.g. because the place is somebody else's."""
        ...

    def deliver(self, delivery: Delivery) -> None:
        """Writes the key. A repetition with the same key id changes nothing."""
        ...

    def read_back(self, agent: AgentName) -> SinkReading | None:
        """What the sink holds now; ``None`` when it holds nothing, or cannot be read (``is_readable``)."""
        ...

    def forget_previous(self, agent: AgentName) -> None:
        """Drops the version that the last delivery replaced. Nothing happens when there is none."""
        ...

    def restore_previous(self, agent: AgentName) -> bool:
        """Puts the previous version back in place; ``False`` when the sink keeps none. Idempotent."""
        ...

    @property
    def is_readable(self) -> bool:
        """Whether ``read_back`` tells the truth; a write-only store counts on its acknowledgement."""
        ...


class Clock(Protocol):
    """The time, and the only way to wait."""

    def now(self) -> datetime:
        """The time, aware and in UTC."""
        ...

    def sleep(self, seconds: float) -> None:
        """Waits."""
        ...
