"""Agents, keys, events and actors of ``alter-sync agents`` as text: tables of many, cards of one."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import datetime

from reconciler.model.activity import ACTIVITY_DAYS, AuditEvent, RegistryEntry
from reconciler.model.agent import LiveAgent
from reconciler.model.key import AgentKey, MintedKey
from reconciler.model.scopes import Scopes
from reconciler.model.secret import concealed
from reconciler.model.values import JsonObject
from reconciler.reports.agents_documents import HandedOver, Slice, key_status, sinks_with
from reconciler.reports.columns import align, join, pad
from reconciler.reports.escaping import MESSAGE_LIMIT, for_terminal
from reconciler.reports.styles import Style
from reconciler.reports.view import moment_text

_NONE = "-"
_AGENTS = ("NAME", "DISPLAY NAME", "TYPE", "STATUS", "PROVIDERS", "OWNER", "LAST USED (UTC)", "ID")
_KEYS = ("KEY ID", "PREFIX", "NAME", "STATUS", "CREATED (UTC)", "LAST USED (UTC)", "IN SINKS")
_EVENTS = ("AT (UTC)", "ACTION", "ACTOR", "CHANGED", "KEY ID")
_ACTORS = ("NAME", "TYPE", "LAST ACTIVITY (UTC)", f"ACTIVITY ({ACTIVITY_DAYS} DAYS)", "ACTOR ID")

Pairs = Sequence[tuple[str, str]]


def agents_text(page: Slice[LiveAgent], *, style: Style, width: int | None) -> str:
    """One line for each agent, in the order given."""
    rows = [
        (
            agent.name,
            agent.display_name or _NONE,
            agent.type,
            agent.status,
            ", ".join(agent.scopes.providers()) or _NONE,
            agent.mark.owner if agent.mark else _NONE,
            _moment(agent.last_used_at, "never"),
            agent.id,
        )
        for agent in page.rows
    ]
    return _paged(_table(_AGENTS, rows, style=style, width=width), page, "agent")


def agent_text(agent: LiveAgent, *, style: Style) -> str:
    """One agent, field by field."""
    return _card(_agent_pairs(agent), style)


def created_text(
    agent: LiveAgent, minted: MintedKey, *, delivered_to: HandedOver | None, style: Style
) -> str:
    """A new agent and its first key, without the plaintext."""
    return _card([*_agent_pairs(agent), *_minted_pairs(minted, delivered_to)], style)


def minted_text(agent: LiveAgent, minted: MintedKey, *, delivered_to: HandedOver | None, style: Style) -> str:
    """A new key, without the plaintext."""
    return _card([*_of(agent), *_minted_pairs(minted, delivered_to)], style)


def keys_text(agent: LiveAgent, keys: Sequence[AgentKey], *, style: Style, width: int | None) -> str:
    """One line for each key, in the order given."""
    rows = [
        (
            key.key_id,
            key.key_prefix,
            key.name,
            key_status(key),
            _moment(key.created_at),
            _use(key),
            ", ".join(sinks_with(key, agent.mark)) or _NONE,
        )
        for key in keys
    ]
    live = sum(key.is_live for key in keys)
    lines = _table(_KEYS, rows, style=style, width=width)
    return "\n".join([*lines, "", f"{_counted(len(keys), 'key')}, {live} live"])


def key_text(agent: LiveAgent, key: AgentKey, *, style: Style) -> str:
    """One key, field by field."""
    pairs = [
        ("key", key.key_id),
        ("prefix", key.key_prefix),
        ("name", key.name),
        ("status", key_status(key)),
        ("created", moment_text(key.created_at)),
        ("deprecated", _moment(key.deprecated_at, suffix=True)),
        ("revoked", _moment(key.revoked_at, suffix=True)),
        ("last used", _use(key, suffix=True)),
    ]
    return _card([*_of(agent), *pairs], style)


def events_text(page: Slice[AuditEvent], *, style: Style, width: int | None) -> str:
    """One line for each event, in the order given."""
    rows = [
        (
            _moment(event.at),
            event.action or event.kind,
            event.actor or _NONE,
            ", ".join(event.fields or ()) or _NONE,
            event.key_id or _NONE,
        )
        for event in page.rows
    ]
    return _paged(_table(_EVENTS, rows, style=style, width=width), page, "event")


def registry_text(page: Slice[RegistryEntry], *, style: Style, width: int | None) -> str:
    """One line for each actor, in the order given."""
    rows = [
        (
            entry.name or _NONE,
            entry.type or _NONE,
            _moment(entry.last_activity_at),
            _count(entry.recent_count),
            entry.actor_id,
        )
        for entry in page.rows
    ]
    return _paged(_table(_ACTORS, rows, style=style, width=width), page, "actor")


def entry_text(entry: RegistryEntry, *, style: Style) -> str:
    """One actor, field by field."""
    pairs = [
        ("actor", entry.actor_id),
        ("name", entry.name or _NONE),
        ("type", entry.type or _NONE),
        ("last activity", _moment(entry.last_activity_at, suffix=True)),
        (f"last {ACTIVITY_DAYS} days", _count(entry.recent_count)),
    ]
    return _card(pairs, style)


def _agent_pairs(agent: LiveAgent) -> Pairs:
    pending: Pairs = ()
    if agent.scopes_pending is not None:
        at = _moment(agent.scopes_applies_at, "a time that is not told", suffix=True)
        pending = [("scopes then", f"{_scopes(agent.scopes_pending)} (from {at} on)")]
    return [
        ("agent", agent.name),
        ("id", agent.id),
        ("display name", agent.display_name or _NONE),
        ("type", agent.type),
        ("status", agent.status),
        ("scopes", _scopes(agent.scopes)),
        *pending,
        ("policy", _object(agent.policy)),
        ("metadata", _object(agent.own_metadata)),
        ("owner", f"{agent.mark.owner}, app {agent.mark.app}" if agent.mark else "none: unmanaged"),
        ("version", str(agent.version)),
        ("created", moment_text(agent.created_at)),
        ("last used", _moment(agent.last_used_at, "never", suffix=True)),
    ]


def _of(agent: LiveAgent) -> Pairs:
    return [("agent", agent.name), ("id", agent.id)]


def _minted_pairs(minted: MintedKey, delivered_to: HandedOver | None) -> Pairs:
    where = [("delivered to", f"{delivered_to.sink} ({delivered_to.place})")] if delivered_to else []
    return [("key", minted.key_id), ("prefix", minted.key_prefix), *where]


def _table(
    header: Sequence[str], rows: Sequence[Sequence[str]], *, style: Style, width: int | None
) -> list[str]:
    """The lines of a table. On a narrow terminal what is for reading gives way to what is for copying."""
    elastic = [at for at, name in enumerate(header) if name in {"DISPLAY NAME", "PROVIDERS", "CHANGED"}]
    cells = [list(header), *([for_terminal(concealed(cell)) for cell in row] for row in rows)]
    first, *others = align(cells, width=width, elastic=elastic)
    if "STATUS" in header:
        at = header.index("STATUS")
        for row in others:
            row[at] = _paint(row[at].rstrip(), style)(row[at])
    return [style.bold(join(first)), *map(join, others)]


def _paged(
    lines: list[str], page: Slice[LiveAgent] | Slice[AuditEvent] | Slice[RegistryEntry], what: str
) -> str:
    count = len(page.rows)
    if not count:
        return f"No {what}s." if not page.offset else f"No {what}s from {page.offset} on."
    of = f" of {page.total}" if page.total is not None else ""
    more = f"; more with --offset {page.offset + count}" if page.has_more else ""
    return "\n".join([*lines, "", f"{count}{of} {what}{'' if (page.total or count) == 1 else 's'}{more}"])


def _card(pairs: Pairs, style: Style) -> str:
    widest = max(len(name) for name, _ in pairs)
    return "\n".join(
        f"{style.dim(pad(name, widest))}  {for_terminal(concealed(value), limit=MESSAGE_LIMIT)}"
        for name, value in pairs
    )


def _paint(status: str, style: Style) -> Callable[[str], str]:
    return {"active": style.green, "revoked": style.red}.get(status, style.yellow)


def _scopes(scopes: Scopes) -> str:
    groups = (f"{provider}: {', '.join(names)}" for provider, names in scopes.by_provider)
    return "; ".join(groups) or "none: may do nothing"


def _object(value: JsonObject) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(", ", ": ")) if value else _NONE


def _moment(moment: datetime | None, otherwise: str = _NONE, *, suffix: bool = False) -> str:
    if moment is None:
        return otherwise
    return moment_text(moment) if suffix else moment_text(moment).removesuffix(" UTC")


def _use(key: AgentKey, *, suffix: bool = False) -> str:
    return _moment(key.last_used_at, "never" if key.tells_use else _NONE, suffix=suffix)


def _count(count: int | None) -> str:
    return _NONE if count is None else str(count)


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
