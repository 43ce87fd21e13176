"""Reads what the ``alter`` executable prints. Its JSON is not published, so names and nesting are guessed.

Accepted are an object or an object that holds one, an array or an object that holds one, and names in
snake_case or camelCase. What is needed and is missing is named. Keys inside scopes, policy and metadata are
data and stay as they are.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import get_args

from reconciler import errors
from reconciler.alter import wire
from reconciler.alter.answers import clean_text, count_of
from reconciler.alter.fields import Fields
from reconciler.model.activity import ActionKind, AuditEvent, RegistryEntry
from reconciler.model.agent import LiveAgent
from reconciler.model.key import AgentKey, KeyId, MintedKey
from reconciler.model.values import Json

_LISTS = ("items", "agents", "keys", "events", "entries", "data", "results", "registry", "audit")
_HOLDERS = ("agent", "key", "entry", "data", "result", "item")
# Without one of these an agent of a list is looked at by itself; the mark stands in the metadata.
_NEEDED_OF_AGENT = ("name", "type", "status", "scopes", "metadata", "version", "created_at")
_PLAINTEXT_NAMES = ("api_key", "plaintext", "secret", "token", "value", "key")
_KINDS = frozenset(get_args(ActionKind))

Document = dict[str, Json]


def rows_of(document: Json, *, what: str, route: str) -> list[Document]:
    """The rows of a list, each with its names in snake_case."""
    return [_named(Fields(row, what=what, route=route).raw) for row in _list(document, what, route)]


def page_of(document: Json, rows: list[LiveAgent], *, offset: int, limit: int) -> wire.Page:
    """A page of agents. What the answer does not say about the whole is concluded from its length."""
    told = _named(document) if isinstance(document, dict) else {}
    has_more = told.get("has_more")
    if not isinstance(has_more, bool):
        has_more = len(rows) >= limit
    total = count_of(told.get("total"))
    if total is None:  # of pages that do not know it each says another, so that the walk is repeated
        total = offset + len(rows) + has_more
    return wire.Page(tuple(rows), total, has_more)


def is_whole_agent(row: Document) -> bool:
    """Whether a row shows all that has to be known of an agent."""
    return agent_id_of(row) != "" and all(name in row for name in _NEEDED_OF_AGENT)


def agent_id_of(row: Document) -> str:
    """The agent's id, or nothing."""
    found = row.get("id") or row.get("agent_id")
    return found if isinstance(found, str) else ""


def object_of(document: Json, *, what: str, route: str) -> Document:
    """The object itself, or the one that it holds; fields that stand beside that one stay with it."""
    found = _named(Fields(document, what=what, route=route).raw)
    for name in _HOLDERS:
        inner = found.get(name)
        if isinstance(inner, dict) and "name" not in found:
            rest = {key: value for key, value in found.items() if key != name}
            return {**rest, **_named(inner)}
    return found


def read_agent(row: Document, *, route: str) -> LiveAgent:
    """One agent; ``errors.BadAnswer`` names what is missing."""
    for name in _NEEDED_OF_AGENT:
        Fields(row, what="agent", route=route).require(name)
    return wire.read_agent({**row, "id": agent_id_of(row) or None}, route=route)


def read_keys(document: Json, *, route: str) -> tuple[AgentKey, ...]:
    """All keys of an agent, oldest first."""
    keys = (read_key(row, route=route) for row in rows_of(document, what="key", route=route))
    return tuple(sorted(keys, key=lambda key: key.created_at))


def read_key(row: Document, *, route: str) -> AgentKey:
    """One key."""
    known = {
        "key_id": row.get("key_id") or row.get("id"),
        "key_prefix": row.get("key_prefix") or row.get("prefix") or "(not shown)",
        "name": row.get("name") or "(not shown)",
    }
    return wire.read_key({**row, **{name: value for name, value in known.items() if value}}, route=route)


def read_minted(document: Json, *, route: str) -> MintedKey:
    """The key in the answer to a create or a mint, wherever in it the plaintext stands."""
    outer = _named(Fields(document, what="minted key", route=route).raw)
    inner = outer.get("key")
    flat = {**outer, **(_named(inner) if isinstance(inner, dict) else {})}
    plaintext = next((flat[name] for name in _PLAINTEXT_NAMES if isinstance(flat.get(name), str)), None)
    key_id = flat.get("key_id") or (_named(inner).get("id") if isinstance(inner, dict) else None)
    if key_id is None and "name" not in outer and "agent" not in outer:
        key_id = outer.get("id")  # of a mint alone; that of a create is the agent's
    prefix = flat.get("key_prefix") or flat.get("prefix")
    return wire.read_minted({"api_key": plaintext, "key_id": key_id, "key_prefix": prefix}, route=route)


def read_event(row: Document, *, route: str) -> AuditEvent:
    """One line of the audit feed."""
    action = _text_of(row, "action", "event", "event_type", "type")
    detail = next(
        (_named(row[name]) for name in ("detail", "details") if isinstance(row.get(name), dict)), {}
    )
    changed = _first({**detail, **row}, "changed", "changed_fields", "fields", "changes")
    key_id = _text_of({**detail, **row}, "key_id", "target_key_id")
    return AuditEvent(
        at=_time_of(row, "at", "timestamp", "created_at", "occurred_at", "time", what="event", route=route),
        kind=kind_of(action),
        action=action,
        actor=_actor_of(row),
        key_id=KeyId(key_id) if key_id else None,
        fields=tuple(map(str, changed)) if isinstance(changed, list | dict) else None,
    )


def read_entry(row: Document, *, route: str) -> RegistryEntry:
    """One actor of the registry."""
    actor_id = _text_of(row, "actor_id", "id", "agent_id")
    if not actor_id:
        raise errors.BadAnswer(f'{route}: an answer that does not fit: an entry has no field "actor_id"')
    times = ("last_activity_at", "last_activity", "last_seen_at", "last_seen", "last_active_at")
    seen = next((name for name in times if row.get(name)), None)
    return RegistryEntry(
        actor_id=actor_id,
        name=_text_of(row, "name", "display_name", "caller", "label"),
        type=_text_of(row, "type", "actor_type", "kind"),
        last_activity_at=Fields(row, what="entry", route=route).time(seen) if seen else None,
        recent_count=next(
            (count for name, value in row.items() if "30" in name and (count := count_of(value)) is not None),
            None,
        ),
    )


def kind_of(action: str) -> ActionKind:
    """What an action of the feed is, however it is spelled: ``agent.update``, ``AgentUpdated``, …"""
    words = set(re.findall(r"[a-z]+", re.sub(r"([a-z])([A-Z])", r"\1 \2", action).lower()))

    def says(*stems: str) -> bool:
        return any(word.startswith(stem) for word in words for stem in stems)

    noun = "key" if says("key") else "agent"
    verb = "other"
    if says("undeprecat"):
        verb = "undeprecate"
    elif says("deprecat"):
        verb = "deprecate"
    elif says("revok", "delet"):
        verb = "revoke"
    elif says("mint") or (says("creat") and noun == "key"):
        verb, noun = "mint", "key"
    elif says("creat"):
        verb = "create"
    elif says("updat", "chang", "edit", "suspend", "resum", "patch"):
        verb = "update"
    kind = f"{verb}_{noun}"
    return kind if kind in _KINDS else "other"  # type: ignore[return-value]


def _list(document: Json, what: str, route: str) -> list[Json]:
    if isinstance(document, list):
        return document
    if isinstance(document, dict):
        found = [value for value in document.values() if isinstance(value, list)]
        named = [document[name] for name in _LISTS if isinstance(document.get(name), list)]
        if named or len(found) == 1:
            return (named or found)[0]
        inner = [value for value in document.values() if isinstance(value, dict)]
        if len(inner) == 1:
            return _list(inner[0], what, route)
    raise errors.BadAnswer(f"{route}: an answer that does not fit: it holds no list of {what}s")


def _named(row: Mapping[str, Json]) -> Document:
    """Its own names in snake_case; what they hold is not looked into."""
    return {re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower(): value for name, value in row.items()}


def _first(row: Mapping[str, Json], *names: str) -> Json:
    return next((row[name] for name in names if row.get(name) is not None), None)


def _text_of(row: Mapping[str, Json], *names: str) -> str:
    texts = (row[name] for name in names if isinstance(row.get(name), str))
    return clean_text(next(texts, ""), conceal=str)


def _actor_of(row: Document) -> str:
    names = ("actor", "actor_email", "actor_name", "user", "user_email", "performed_by", "by", "caller")
    for name in names:
        value = row.get(name)
        if isinstance(value, dict):
            value = _first(_named(value), "email", "name", "display_name", "id")
        if isinstance(value, str) and value:
            return clean_text(value, conceal=str)
    return ""


def _time_of(row: Document, *names: str, what: str, route: str) -> datetime:
    return Fields(row, what=what, route=route).time(next((n for n in names if row.get(n)), names[0]))
