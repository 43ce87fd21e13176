"""Carries values over the wire: JSON to model and back, plaintexts into ``Secret`` and out of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, cast, get_args

from reconciler import errors
from reconciler.alter.fields import Fields
from reconciler.alter.key_format import app_key_fault
from reconciler.alter.signing import derive_signing_key
from reconciler.model.agent import AgentId, AgentName, AgentPatch, AgentStatus, AgentType, LiveAgent, NewAgent
from reconciler.model.key import AgentKey, KeyId, MintedKey
from reconciler.model.secret import Secret
from reconciler.model.values import Json, JsonObject, without_nulls
from reconciler.planning.fingerprint import same

T_co = TypeVar("T_co", covariant=True)

_TYPES = get_args(AgentType)
_STATUSES = get_args(AgentStatus)
# As many as Alter itself shows of a key: enough to recognise it, useless to anybody else.
_PREFIX_LENGTH = 15


class Parser(Protocol[T_co]):
    """Reads an answer; ``route`` is what messages call the request."""

    def __call__(self, document: Json, *, route: str) -> T_co: ...


@dataclass(frozen=True, slots=True)
class Page:
    """One page of the list of agents. ``total`` is what the server claims, not what we count."""

    agents: tuple[LiveAgent, ...]
    total: int
    has_more: bool


class Credential:
    """The app's API key, ready to be sent: the only thing of this package that reveals it."""

    __slots__ = ("_api_key", "signing_key")

    def __init__(self, api_key: Secret) -> None:
        fault = app_key_fault(api_key.reveal())
        if fault:
            raise errors.AuthError(
                f"the API key cannot be used: {fault}",
                code="malformed_key",
                hint="copy the app's runtime key (alter_rk_…) once more, all of it",
            )
        self._api_key = api_key
        self.signing_key = derive_signing_key(api_key.reveal().encode())

    def header(self) -> dict[str, str]:
        """The header that names the key to the server."""
        return {"x-api-key": self._api_key.reveal()}

    def conceal(self, text: str) -> str:
        """The text without the API key, also when something broke the key into pieces."""
        plaintext = self._api_key.reveal()
        concealed = text.replace(plaintext, "(key)")
        # White space inside, or another case, is still the key for anybody who reads it.
        squeezed = "".join(concealed.split()).lower()
        return "(withheld: it contains the API key)" if plaintext.lower() in squeezed else concealed


def token_environment(token: Secret) -> dict[str, str]:
    """How the ``alter`` executable is told a personal access token: by its environment, never by a word."""
    return {"ALTER_PAT": token.reveal()}


def without_token(output: bytes, token: Secret) -> bytes:
    """What the executable printed, without the token that it was given: nothing documents how one looks."""
    return output.replace(token.reveal().encode(), b"(token)")


def new_agent_body(body: NewAgent) -> dict[str, Json]:
    """What ``POST /sdk/agents`` takes."""
    document: dict[str, Json] = {
        "name": body.name,
        "type": body.type,
        "scopes": body.scopes.as_json(),
        "metadata": body.metadata,
    }
    return document | _present({"display_name": body.display_name, "policy": body.policy})


def patch_body(patch: AgentPatch) -> dict[str, Json]:
    """What ``PATCH /sdk/agents/{id}`` takes; absent fields are left alone."""
    scopes = None if patch.scopes is None else patch.scopes.as_json()
    return _present(
        {
            "display_name": patch.display_name,
            "metadata": patch.metadata,
            "scopes": scopes,
            "policy": patch.policy,
            "status": patch.status,
        }
    )


def encode(document: JsonObject) -> bytes:
    """Compact JSON. The digest in the signature is over these very bytes."""
    return json.dumps(document, separators=(",", ":"), default=_plain).encode()


def shows_patch(agent: LiveAgent, patch: AgentPatch) -> bool:
    """Whether the agent is as if the patch had been applied; a staged narrowing counts."""
    return (
        patch.display_name in (None, agent.display_name)
        and patch.status in (None, agent.status)
        and patch.scopes in (None, agent.target_scopes)
        and (patch.metadata is None or same(without_nulls(patch.metadata), without_nulls(agent.metadata)))
        and (patch.policy is None or _redacted(patch.policy) == _redacted(agent.policy))
    )


def read_agent(document: Json, *, route: str) -> LiveAgent:
    """One agent; ``errors.BadAnswer`` names what is missing or wrong."""
    fields = Fields(document, what="agent", route=route)
    return LiveAgent(
        id=AgentId(fields.identifier("id")),
        name=AgentName(fields.text("name")),
        type=cast(AgentType, fields.one_of("type", _TYPES)),
        status=cast(AgentStatus, fields.one_of("status", _STATUSES)),
        version=fields.count("version"),
        created_at=fields.time("created_at"),
        scopes=fields.scopes("scopes"),
        display_name=fields.optional_text("display_name"),
        scopes_pending=fields.scopes("scopes_pending") if fields.has("scopes_pending") else None,
        scopes_applies_at=fields.optional_time("scopes_applies_at"),
        policy=fields.mapping("policy") if fields.has("policy") else {},
        metadata=fields.mapping("metadata") if fields.has("metadata") else {},
        last_used_at=fields.optional_time("last_used_at"),
        stored_legacy_secrets=fields.texts("stored_legacy_managed_secret_names"),
    )


def read_page(document: Json, *, route: str) -> Page:
    """One page of agents."""
    fields = Fields(document, what="page", route=route)
    agents = tuple(read_agent(item, route=route) for item in fields.items("items"))
    return Page(agents, fields.count("total"), fields.flag("has_more"))


def read_matches(document: Json, *, route: str) -> tuple[LiveAgent, ...]:
    """The agents in the answer to a search by name, which need not say anything about pages."""
    items = Fields(document, what="page", route=route).items("items")
    return tuple(read_agent(item, route=route) for item in items)


def read_key(document: Json, *, route: str) -> AgentKey:
    """One key of an agent."""
    fields = Fields(document, what="key", route=route)
    return AgentKey(
        key_id=KeyId(fields.identifier("key_id")),
        key_prefix=fields.text("key_prefix"),
        name=fields.text("name"),
        created_at=fields.time("created_at"),
        deprecated_at=fields.optional_time("deprecated_at"),
        revoked_at=fields.optional_time("revoked_at"),
        last_used_at=fields.optional_time("last_used_at"),
        tells_use="last_used_at" in fields.raw,
    )


def read_keys(document: Json, *, route: str) -> tuple[AgentKey, ...]:
    """All keys of an agent, oldest first whatever order they came in."""
    items = Fields(document, what="list of keys", route=route).items("items")
    return tuple(sorted((read_key(item, route=route) for item in items), key=lambda key: key.created_at))


def read_minted(document: Json, *, route: str) -> MintedKey:
    """The key in the answer to a create or a mint. Its plaintext is ``null`` when a create was replayed."""
    fields = Fields(document, what="minted key", route=route)
    key_id, prefix = KeyId(fields.identifier("key_id")), fields.optional_text("key_prefix") or ""
    fields.require("api_key")
    if not fields.has("api_key"):
        return MintedKey(key_id, prefix, plaintext=None)
    plaintext = fields.text("api_key")
    return MintedKey(key_id, prefix or plaintext[:_PREFIX_LENGTH], plaintext=Secret(plaintext))


def read_provider_scopes(document: Json, *, route: str) -> dict[str, frozenset[str]]:
    """The catalogue of providers: provider → names of its scopes."""
    providers = Fields(document, what="catalogue", route=route).mapping("providers")
    return {
        provider: frozenset(Fields(entry, what="provider", route=route).mapping("available_scopes"))
        for provider, entry in providers.items()
    }


def read_key_permissions(document: Json, *, route: str) -> frozenset[str]:
    """The catalogue of key permissions, each as ``resource:verb``."""
    fields = Fields(document, what="catalogue", route=route)
    found = set(fields.texts("action_verbs"))
    for resource, entry in fields.mapping("resources").items():
        verbs = Fields(entry, what="resource", route=route).texts("verbs")
        found.update(f"{resource}:{verb}" for verb in verbs)
    return frozenset(found)


def _present(fields: Mapping[str, Json]) -> dict[str, Json]:
    return {name: value for name, value in fields.items() if value is not None}


def _plain(value: object) -> Any:
    # The model holds read-only mappings; json knows only dict.
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"not a JSON value: {type(value).__name__}")


def _redacted(policy: JsonObject) -> Json:
    """The policy as the server shows it: how many approvers, not who (alter-sdk 0.29, ``AgentInfo``)."""
    plain = without_nulls(json.loads(encode(policy)))
    approval = plain.get("requires_approval")
    if isinstance(approval, dict) and isinstance(approval.get("approvers"), list):
        approvers = approval.pop("approvers")
        approval["approvers_count"] = len(approvers)
    return plain
