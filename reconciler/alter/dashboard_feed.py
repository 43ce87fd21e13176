"""The dashboard plane's memory: the ``alter`` executable behind the port ``AuditFeed``."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TypeVar

from reconciler.alter import dashboard_wire as read
from reconciler.alter.commands import Commands
from reconciler.errors import BadAnswer
from reconciler.model.activity import AuditEvent, RegistryEntry
from reconciler.model.agent import AgentId
from reconciler.model.values import Json

T = TypeVar("T")


class DashboardFeed:
    """``AuditFeed`` over processes. Safe to use from many threads."""

    def __init__(self, commands: Commands) -> None:
        self._commands = commands

    def audit_events(self, agent_id: AgentId, *, limit: int = 500, offset: int = 0) -> tuple[AuditEvent, ...]:
        """What was done to one agent, newest first."""
        page = ("--limit", str(limit), "--offset", str(offset))
        parse = partial(_rows, what="event", parse_row=read.read_event)
        events = self._commands.repeat("audit", "--agent", agent_id, *page, parse=parse)
        return tuple(sorted(events, key=lambda event: event.at, reverse=True))

    def registry(self, *, limit: int = 1000, offset: int = 0) -> tuple[RegistryEntry, ...]:
        """One page of the actors seen in audit data."""
        page = ("--limit", str(limit), "--offset", str(offset))
        parse = partial(_rows, what="entry", parse_row=read.read_entry)
        return tuple(self._commands.repeat("registry-list", *page, parse=parse))

    def registry_entry(self, actor_id: str) -> RegistryEntry:
        """One of them."""
        return self._commands.repeat("registry-show", "--agent", actor_id, parse=_entry)


def _entry(document: Json, *, route: str) -> RegistryEntry:
    return read.read_entry(read.object_of(document, what="entry", route=route), route=route)


def _rows(document: Json, *, what: str, parse_row: Callable[..., T], route: str) -> list[T]:
    """Every row that can be read: one that cannot must not hide the others, for this is a help."""
    found = []
    for row in read.rows_of(document, what=what, route=route):
        with suppress(BadAnswer):
            found.append(parse_row(row, route=route))
    return found
