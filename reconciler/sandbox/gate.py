"""Who may pass: identifies the key of an SDK request, meters it, and checks what it may do."""

import asyncio
import sqlite3
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import Response

from reconciler.sandbox import access
from reconciler.sandbox.agent_keys import use_key
from reconciler.sandbox.answers import Refusal
from reconciler.sandbox.keys import digest
from reconciler.sandbox.limits import RateLimiter
from reconciler.sandbox.registry import FLUSH_SECONDS, SeenActor, caller_id
from reconciler.sandbox.responses import refuse
from reconciler.sandbox.signature import SignatureVerifier, SignedRequest
from reconciler.sandbox.store import Actor, Store


@dataclass(frozen=True, slots=True)
class Call:
    """A request that has passed the gate, as the routes see it."""

    store: Store
    actor: Actor
    path: Mapping[str, str]
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes


Handler = Callable[[Call], Response]
Endpoint = Callable[[Request], Awaitable[Response]]


class Gate:
    def __init__(self, store: Store, *, verifier: SignatureVerifier, limiter: RateLimiter) -> None:
        self._store = store
        self._verifier = verifier
        self._limiter = limiter

    def guard(
        self,
        handler: Handler,
        *,
        permission: str | None,
        agents_allowed: bool = False,
        suspended_allowed: bool = False,
    ) -> Endpoint:
        """`agents_allowed` False marks a control-plane route, where only keys of apps may act."""

        async def endpoint(request: Request) -> Response:
            body = await request.body()
            query = request.scope["query_string"].decode("latin-1")
            extra_headers: dict[str, str] = {}
            try:
                headers = _single_headers(request)
                key = self._authenticated_key(request, headers, body)
                actor = self._actor(request, key, headers, extra_headers)
                if key["agent_id"] is not None:
                    self._check_agent(key, agents_allowed=agents_allowed, suspended_allowed=suspended_allowed)
                _check_permission(key, headers, permission)
                call = Call(
                    store=request.scope["state"].get("store", self._store),
                    actor=actor,
                    path=request.path_params,
                    query=dict(parse_qsl(query, keep_blank_values=True)),
                    headers=headers,
                    body=body,
                )
                response = handler(call)
            except Refusal as refusal:
                response = refuse(refusal)
            response.headers.update(extra_headers)
            return response

        return endpoint

    def _authenticated_key(self, request: Request, headers: Mapping[str, str], body: bytes) -> sqlite3.Row:
        plaintext = headers.get("x-api-key", "")
        key = self._store.row(
            "SELECT keys.*, apps.id AS known_app_id FROM keys LEFT JOIN apps ON apps.id = keys.app_id"
            " WHERE digest = ?",
            digest(plaintext),
        )
        if key is None:
            raise access.unknown("key")
        request.scope["state"]["key_id"] = key["id"]
        signed = SignedRequest(
            method=request.method,
            path=request.scope["path"],
            query=request.scope["query_string"].decode("latin-1"),
            headers=headers,
            body=body,
        )
        self._verifier.verify(signed, plaintext)
        _check_state(key)
        return key

    def _actor(
        self, request: Request, key: sqlite3.Row, headers: Mapping[str, str], extra_headers: dict[str, str]
    ) -> Actor:
        if key["deprecated_at"] is not None:
            extra_headers["X-Alter-Key-Deprecated"] = "true"
        extra_headers.update(self._limiter.admit(key["id"]))
        caller = headers.get("x-alter-caller")
        caller_type = headers.get("x-alter-caller-type")
        agent_id: str | None = key["agent_id"]
        if caller is not None:
            request.scope["state"]["caller"] = caller
            agent = self._caller_agent(key, caller)
            actor_id = caller_id(key["app_id"], caller)
            extra_headers["X-Alter-Actor-ID"] = actor_id
            seen = SeenActor(key["app_id"], actor_id, caller, caller_type or "agent")
            if agent is not None:
                agent_id = agent["id"]
                seen = SeenActor(key["app_id"], agent["id"], agent["name"], agent["type"])
            if seen.actor_id != key["agent_id"]:  # the use of an agent's own key counts already
                self._notice(seen)
        return Actor(
            app_id=key["app_id"],
            key_id=key["id"],
            agent_id=agent_id,
            caller=caller,
            request_id=request.scope["state"]["request_id"],
            caller_type=caller_type,
        )

    def _notice(self, seen: SeenActor) -> None:
        if self._store.sightings.add(seen, at=self._store.now()):
            asyncio.get_running_loop().call_later(FLUSH_SECONDS, self._store.sightings.flush)

    def _caller_agent(self, key: sqlite3.Row, caller: str) -> sqlite3.Row | None:
        """The agent a caller names, if it names one by its id; other callers are mere labels."""
        try:
            agent_id = str(uuid.UUID(caller))
        except ValueError:
            return None
        if key["agent_id"] not in (None, agent_id):
            raise Refusal(
                400, "caller_agent_mismatch", message="The caller is not the agent this key belongs to."
            )
        found = self._store.row("SELECT id, name, type, app_id, status FROM agents WHERE id = ?", agent_id)
        suspended_self = key["agent_id"] == agent_id
        if found is None or found["app_id"] != key["app_id"]:
            active = False
        else:
            active = found["status"] == "active" or suspended_self
        if not active:
            raise Refusal(
                404, "caller_agent_unresolved", message="The caller names no active agent of this app."
            )
        return found

    def _check_agent(self, key: sqlite3.Row, *, agents_allowed: bool, suspended_allowed: bool) -> None:
        use_key(self._store, key)
        if not agents_allowed:
            raise Refusal(
                403,
                "agent_cannot_mint_subagents",
                message="An agent's key cannot manage agents.",
                hint="Use a runtime key of the app.",
            )
        agent = self._store.rows("SELECT status FROM agents WHERE id = ?", key["agent_id"])[0]
        if agent["status"] != "active" and not suspended_allowed:
            raise Refusal(401, "agent_inactive", message="The agent is suspended.", hint="Resume the agent.")


def _single_headers(request: Request) -> dict[str, str]:
    """Lower-case names. A header sent twice could be read one way here and another way elsewhere."""
    headers: dict[str, str] = {}
    for raw_name, raw_value in request.scope["headers"]:
        name = raw_name.decode("latin-1")
        if name in headers and name.startswith("x-a"):
            raise Refusal(401, "duplicate_signature_header", message=f"{name} was sent more than once.")
        headers[name] = raw_value.decode("latin-1")
    return headers


def _check_state(key: sqlite3.Row) -> None:
    access.check_state("revoked" if key["revoked_at"] is not None else key["state"], "key")
    if key["known_app_id"] is None:
        # The official client looks for this one among server errors, not among refused credentials.
        raise Refusal(500, "app_not_found_for_key", message="The app of this key could not be loaded.")


def _check_permission(key: sqlite3.Row, headers: Mapping[str, str], permission: str | None) -> None:
    if permission is None:
        return
    granted = access.granted_to(key)
    constraints = headers.get("x-alter-scope-constraints")
    if constraints:
        asked = set(constraints.split(","))
        if not asked <= granted:
            message = "A request can only be narrowed to permissions that the key holds."
            raise Refusal(400, "constraint_not_narrowing", message=message, enveloped=True)
        granted &= asked
    access.check_permission(permission, granted=granted, what="key")
