"""Who may pass: identifies the key of an SDK request, meters it, and checks what it may do."""

import json
import sqlite3
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import Response

from reconciler.sandbox.agent_keys import use_key
from reconciler.sandbox.answers import Refusal
from reconciler.sandbox.catalog import SCOPE_VERSION
from reconciler.sandbox.keys import digest
from reconciler.sandbox.limits import RateLimiter
from reconciler.sandbox.signature import SignatureVerifier, SignedRequest
from reconciler.sandbox.store import Actor, Store

_ACTOR_IDS = uuid.UUID("6f0c0d2c-6a1e-5c9b-9a53-5f0c1d9f3b7e")
_STATE_REFUSALS = {
    "revoked": ("key_revoked", "The API key is revoked."),
    "expired": ("key_expired", "The API key has expired."),
    "rotated": ("key_rotated_grace_expired", "The key was replaced and its overlap is over."),
}


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
                response = refusal.answer()
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
            raise Refusal(
                401,
                "invalid_key",
                message="No key matches the one that was sent.",
                hint="Look for a typing error, or create a new key.",
            )
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
        agent_id: str | None = key["agent_id"]
        if caller is not None:
            request.scope["state"]["caller"] = caller
            agent_id = self._caller_agent(key, caller) or agent_id
            extra_headers["X-Alter-Actor-ID"] = str(uuid.uuid5(_ACTOR_IDS, f"{key['app_id']}/{caller}"))
        return Actor(
            app_id=key["app_id"],
            key_id=key["id"],
            agent_id=agent_id,
            caller=caller,
            request_id=request.scope["state"]["request_id"],
        )

    def _caller_agent(self, key: sqlite3.Row, caller: str) -> str | None:
        """The agent a caller names, if it names one by its id; other callers are mere labels."""
        try:
            agent_id = str(uuid.UUID(caller))
        except ValueError:
            return None
        if key["agent_id"] not in (None, agent_id):
            raise Refusal(
                400, "caller_agent_mismatch", message="The caller is not the agent this key belongs to."
            )
        found = self._store.row("SELECT app_id, status FROM agents WHERE id = ?", agent_id)
        suspended_self = key["agent_id"] == agent_id
        if found is None or found["app_id"] != key["app_id"]:
            active = False
        else:
            active = found["status"] == "active" or suspended_self
        if not active:
            raise Refusal(
                404, "caller_agent_unresolved", message="The caller names no active agent of this app."
            )
        return agent_id

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
    state = "revoked" if key["revoked_at"] is not None else key["state"]
    if state != "active":
        code, message = _STATE_REFUSALS.get(state, ("key_not_active", "The API key is not active."))
        raise Refusal(401, code, message=message, hint="Use another key.")
    if key["known_app_id"] is None:
        # The official client looks for this one among server errors, not among refused credentials.
        raise Refusal(500, "app_not_found_for_key", message="The app of this key could not be loaded.")


def _check_permission(key: sqlite3.Row, headers: Mapping[str, str], permission: str | None) -> None:
    if permission is None:
        return
    granted = set(json.loads(key["permissions"]))
    constraints = headers.get("x-alter-scope-constraints")
    if constraints:
        granted &= set(constraints.split(","))
    if permission in granted:
        return
    raise Refusal(
        403,
        "insufficient_scope",
        message=f"The key lacks {permission}.",
        hint=f"Use a key that holds {permission}.",
        extra={
            "required": [permission],
            "granted": sorted(granted),
            "missing": [permission],
            "required_any_of": False,
            "scope_version": SCOPE_VERSION,
            "current_scope_version": SCOPE_VERSION,
            "scope_version_mismatch": False,
            "documentation_url": None,
        },
        enveloped=True,
    )
