"""The SDK plane of the live API: every route behind the port ``AgentApi``."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self, TypeVar
from urllib.parse import quote, urlencode

from reconciler import errors
from reconciler.alter import snapshot, wire
from reconciler.alter.retry import ApiEvent, Exchange, RetryPolicy
from reconciler.alter.routes import route_of
from reconciler.alter.session import Session
from reconciler.alter.stats import ApiStats
from reconciler.alter.transport import READ_SECONDS, Transport
from reconciler.alter.update import Update
from reconciler.model.agent import AgentId, AgentName, AgentPatch, LiveAgent, NewAgent
from reconciler.model.key import AgentKey, KeyId, MintedKey
from reconciler.model.secret import Secret
from reconciler.model.values import Json, JsonObject
from reconciler.ports import Clock

T = TypeVar("T")

_AGENTS = "/sdk/agents"
_IDEMPOTENCY_KEY = re.compile(r"[\x21-\x7e]{1,255}")


class SdkPlane:
    """``AgentApi`` over signed HTTP. Safe to use from many threads; close it at the end."""

    def __init__(self, session: Session) -> None:
        self._session = session

    @classmethod
    def connect(
        cls,
        *,
        base_url: str,
        api_key: Secret,
        owner: str,
        clock: Clock,
        parallelism: int = 32,
        on_event: Callable[[ApiEvent], None] | None = None,
        is_stopping: Callable[[], bool] = lambda: False,
        on_exchange: Callable[[Exchange], None] | None = None,
        budget_seconds: float = 60,
        read_seconds: float = READ_SECONDS,
    ) -> Self:
        """Checks URL and key offline; nothing is sent before the first call.

        ``on_event`` is called in whatever thread makes the request. ``budget_seconds``: for how long after
        its first failure a request is repeated; not at all any more once ``is_stopping``. Raises
        ``errors.UsageError`` for the URL and ``errors.AuthError``, code ``malformed_key``, for the key.
        """
        credential = wire.Credential(api_key)
        transport = Transport(
            base_url=base_url,
            credential=credential,
            owner=owner,
            clock=clock,
            read_seconds=read_seconds,
        )
        return cls(
            Session(
                transport=transport,
                credential=credential,
                clock=clock,
                policy=RetryPolicy(budget_seconds=budget_seconds),
                parallelism=parallelism,
                on_event=on_event,
                is_stopping=is_stopping,
                on_exchange=on_exchange,
            )
        )

    def close(self) -> None:
        """Closes the connections."""
        self._session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def stats(self) -> ApiStats:
        """What the conversation cost so far."""
        return self._session.stats()

    # Agents.

    def list_agents(self, *, with_revoked: bool = False) -> tuple[LiveAgent, ...]:
        """All agents; one request for each thousand, unless the list moves meanwhile."""
        revoked = "true" if with_revoked else "false"

        def fetch_page(offset: int) -> wire.Page:
            query = {"include_revoked": revoked, "limit": snapshot.PAGE_SIZE, "offset": offset}
            return self._call("GET", f"{_AGENTS}?{urlencode(query)}", wire.read_page)

        return snapshot.read_agents(fetch_page, with_revoked=with_revoked)

    def get_agent(self, agent_id: AgentId) -> LiveAgent:
        """One agent by id, also a revoked one."""
        return self._call("GET", _agent_path(agent_id), wire.read_agent)

    def find_agent(self, name: AgentName) -> LiveAgent | None:
        """The non-revoked agent of exactly that name, whatever else the server adds."""
        matches = self._call("GET", f"{_AGENTS}?{urlencode({'name': name})}", wire.read_matches)
        found = (agent for agent in matches if agent.name == name and agent.status != "revoked")
        return next(found, None)

    def create_agent(self, body: NewAgent, *, idempotency_key: str) -> tuple[LiveAgent, MintedKey]:
        """Creates; repeated only under its idempotency key, and then the plaintext may be gone."""
        if not _IDEMPOTENCY_KEY.fullmatch(idempotency_key):
            raise errors.ApiError(
                "an idempotency key is 1 to 255 printable ASCII characters", code="bad_request"
            )
        return self._call(
            "POST",
            _AGENTS,
            _read_created,
            document=wire.new_agent_body(body),
            headers={"Idempotency-Key": idempotency_key},
        )

    def update_agent(
        self,
        agent_id: AgentId,
        patch: AgentPatch,
        *,
        expected_version: int,
        grace_seconds: int | None = None,
    ) -> LiveAgent:
        """Applies a patch; after a lost answer it looks before it tries again (``alter/update.py``)."""
        path = _agent_path(agent_id)
        query = {"expected_version": expected_version}
        if grace_seconds is not None and patch.scopes is not None:
            query["grace_seconds"] = grace_seconds

        def send_patch() -> LiveAgent:
            document = self._session.exchange(
                "PATCH", f"{path}?{urlencode(query)}", document=wire.patch_body(patch)
            )
            return wire.read_agent(document, route=route_of("PATCH", path))

        def read_back() -> LiveAgent:
            return wire.read_agent(self._session.exchange("GET", path), route=route_of("GET", path))

        update = Update(
            send_patch=send_patch, read_back=read_back, patch=patch, expected_version=expected_version
        )
        return self._session.repeat(update.attempt, route=route_of("PATCH", path))

    def revoke_agent(self, agent_id: AgentId) -> LiveAgent:
        """Revokes the agent and all its keys."""
        return self._call("DELETE", _agent_path(agent_id), wire.read_agent)

    # Keys.

    def list_keys(self, agent_id: AgentId) -> tuple[AgentKey, ...]:
        """Every key, revoked ones too, oldest first."""
        return self._call("GET", _keys_path(agent_id), wire.read_keys)

    def mint_key(self, agent_id: AgentId) -> MintedKey:
        """One attempt. Whatever leaves the outcome open is ``errors.Unreachable``, a 5xx too."""
        path = _keys_path(agent_id)
        try:
            document = self._session.exchange("POST", path, document={})
            return wire.read_minted(document, route=route_of("POST", path))
        except errors.Unreachable:
            raise
        except errors.ApiError as exc:
            if not isinstance(exc, errors.BadAnswer) and exc.status < 500:
                raise
            raise errors.Unreachable(
                f"{exc.message}; a key may have been minted all the same",
                status=exc.status,
                code=exc.code,
                hint=exc.hint,
            ) from exc

    def deprecate_key(self, agent_id: AgentId, key_id: KeyId) -> AgentKey:
        """Marks a key as to be retired; the time of the first call stays."""
        return self._call("PATCH", _keys_path(agent_id, key_id, "deprecate"), wire.read_key, document={})

    def undeprecate_key(self, agent_id: AgentId, key_id: KeyId) -> AgentKey:
        """Takes the mark off again."""
        return self._call("PATCH", _keys_path(agent_id, key_id, "undeprecate"), wire.read_key, document={})

    def revoke_key(self, agent_id: AgentId, key_id: KeyId) -> AgentKey:
        """Revokes a key, never with force."""
        return self._call("DELETE", _keys_path(agent_id, key_id), wire.read_key)

    def revoke_last_key(self, agent_id: AgentId, key_id: KeyId) -> AgentKey:
        """Revokes a key with force, even the only one."""
        return self._call("DELETE", f"{_keys_path(agent_id, key_id)}?force=true", wire.read_key)

    # Catalogues.

    def provider_scopes(self) -> Mapping[str, frozenset[str]]:
        """Provider → names of its scopes. Needs the permission ``providers:read``."""
        return self._call("GET", "/sdk/oauth/provider-catalog", wire.read_provider_scopes)

    def key_permissions(self) -> frozenset[str]:
        """Every permission that an API key can hold, such as ``agents:read``. Needs none itself."""
        return self._call("GET", "/sdk/scopes", wire.read_key_permissions)

    def _call(
        self,
        method: str,
        path: str,
        parse: wire.Parser[T],
        *,
        document: JsonObject | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> T:
        """For what may be repeated as it stands: reads, and changes that are idempotent by contract."""
        route = route_of(method, path)

        def attempt() -> T:
            return parse(
                self._session.exchange(method, path, document=document, headers=headers), route=route
            )

        return self._session.repeat(attempt, route=route)


def _read_created(document: Json, *, route: str) -> tuple[LiveAgent, MintedKey]:
    return wire.read_agent(document, route=route), wire.read_minted(document, route=route)


def _agent_path(agent_id: AgentId) -> str:
    return f"{_AGENTS}/{_segment(agent_id)}"


def _keys_path(agent_id: AgentId, *rest: str) -> str:
    return "/".join((_agent_path(agent_id), "keys", *map(_segment, rest)))


def _segment(text: str) -> str:
    # An empty segment, or one of dots, would make the request one about something else.
    if not text.strip("."):
        raise errors.ApiError(f"no usable id: {text!r}", code="bad_request")
    return quote(text, safe="")
