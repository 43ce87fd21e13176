"""``alter-sync agents``: the seven commands that only read."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, TypeVar, get_args

import typer

from reconciler.cli.commands.agents.call import Agent, Call, with_call
from reconciler.cli.commands.agents.lookup import find_agent, is_id
from reconciler.errors import ExitCode, UsageError
from reconciler.model.agent import AgentId, AgentStatus
from reconciler.model.nearest import did_you_mean

if TYPE_CHECKING:
    from reconciler.model.agent import LiveAgent
    from reconciler.reports.agents_documents import Slice

T = TypeVar("T")

LIST_EPILOG = """\b
Examples:
  alter-sync agents list                                 all agents, revoked ones too
  alter-sync agents list --status active --type service
  alter-sync agents list --provider google --search sync --output jsonl
"""
SHOW_EPILOG = """\b
Examples:
  alter-sync agents show --agent nightly-sync
  alter-sync agents show --agent ID --output json --fields status,scopes
"""
LIST_KEYS_EPILOG = """\b
Examples:
  alter-sync agents list-keys --agent nightly-sync       is the new key in use, and the old one not?
  alter-sync agents list-keys --agent ID --output jsonl
"""
AUDIT_EPILOG = """\b
Examples:
  alter-sync agents audit --agent nightly-sync           what was done to it, newest first
  alter-sync agents audit --agent ID --limit 500 --output jsonl
"""
REGISTRY_LIST_EPILOG = """\b
Examples:
  alter-sync agents registry-list                        who was seen at work
  alter-sync agents registry-list --limit 100 --offset 100
"""
REGISTRY_SHOW_EPILOG = """\b
Example:
  alter-sync agents registry-show --agent ACTOR-ID       an id of registry-list
"""

_AUDIT = "dashboard_audit:read"
_READ = "dashboard_agents:read"


class AgentKind(StrEnum):
    """What an agent is, as far as Alter cares."""

    AGENT = "agent"
    SERVICE = "service"


Status = Annotated[
    str,
    typer.Option("--status", help="Only these: active, inactive, revoked; default all.", metavar="LIST"),
]
Kind = Annotated[AgentKind | None, typer.Option("--type", help="Only agents of this type.")]
Provider = Annotated[
    str | None, typer.Option("--provider", help="Only agents with scopes of this provider.", metavar="NAME")
]
Search = Annotated[
    str | None, typer.Option("--search", help="Only where name or display name contain this.", metavar="TEXT")
]
Limit = Annotated[int, typer.Option("--limit", help="How many at most.", min=1, max=1000, metavar="N")]
AuditLimit = Annotated[int, typer.Option("--limit", help="How many at most.", min=1, max=500, metavar="N")]
Offset = Annotated[int, typer.Option("--offset", help="How many to pass over.", min=0, metavar="N")]
Actor = Annotated[
    str, typer.Option("--agent", help="The actor, by the id in the registry.", metavar="ACTOR-ID")
]


@with_call
def list_agents(
    call: Call,
    *,
    status: Status = "",
    kind: Kind = None,
    provider: Provider = None,
    search: Search = None,
    limit: Limit = 50,
    offset: Offset = 0,
) -> ExitCode:
    """List the managed agents of the app.

    In the order of their names, revoked ones too. Needs agents:read, or dashboard_agents:read with a
    personal access token.
    """
    from reconciler.reports.agents_documents import agents_document
    from reconciler.reports.agents_table import agents_text

    wanted = _statuses(status)
    with call.session(call.configuration()) as session:
        agents = session.api.list_agents(with_revoked="revoked" in wanted)
    found = [
        agent
        for agent in agents
        if agent.status in wanted
        and kind in {None, agent.type}
        and (provider is None or provider in agent.scopes.providers())
        and (search is None or _shows(agent, search))
    ]
    page = _cut(sorted(found, key=lambda agent: (agent.name, agent.created_at)), limit=limit, offset=offset)
    if call.console.is_table:
        call.console.text(agents_text(page, style=call.console.style(), width=call.console.width()))
    else:
        call.console.document(agents_document(page))
    return ExitCode.OK


@with_call
def show(call: Call, *, agent: Agent) -> ExitCode:
    """Show one agent, and who owns it.

    Needs agents:read, or dashboard_agents:read with a personal access token.
    """
    from reconciler.reports.agents_documents import agent_document
    from reconciler.reports.agents_table import agent_text

    with call.session(call.configuration()) as session:
        live = find_agent(session, agent)
    if call.console.is_table:
        call.console.text(agent_text(live, style=call.console.style()))
    else:
        call.console.document(agent_document(live))
    return ExitCode.OK


@with_call
def list_keys(call: Call, *, agent: Agent) -> ExitCode:
    """List every key of an agent.

    Oldest first, revoked ones too, with when each was last used. Needs agents:read, or
    dashboard_agents:read with a personal access token.
    """
    from reconciler.reports.agents_documents import keys_document
    from reconciler.reports.agents_table import keys_text

    with call.session(call.configuration()) as session:
        live = find_agent(session, agent)
        keys = session.api.list_keys(live.id)
    if call.console.is_table:
        call.console.text(keys_text(live, keys, style=call.console.style(), width=call.console.width()))
    else:
        call.console.document(keys_document(live, keys))
    return ExitCode.OK


@with_call
def audit(call: Call, *, agent: Agent, limit: AuditLimit = 50, offset: Offset = 0) -> ExitCode:
    """Show what was done to one agent.

    And to its keys, newest first, and by whom. On the dashboard plane alone: needs a personal access
    token with dashboard_audit:read.
    """
    from reconciler.reports.agents_documents import Slice, events_document
    from reconciler.reports.agents_table import events_text

    with call.feed(_AUDIT) as (session, feed):
        # An id is not looked up: this permission is enough for it.
        agent_id = AgentId(agent) if is_id(agent) else find_agent(session, agent).id
        events = feed.audit_events(agent_id, limit=limit, offset=offset)
        more = len(events) == limit and feed.audit_events(agent_id, limit=1, offset=offset + limit)
    page = Slice(events, limit, offset, bool(more))
    if call.console.is_table:
        call.console.text(events_text(page, style=call.console.style(), width=call.console.width()))
    else:
        call.console.document(events_document(agent_id, page))
    return ExitCode.OK


@with_call
def registry_list(call: Call, *, limit: Limit = 50, offset: Offset = 0) -> ExitCode:
    """List who was seen at work.

    Agents and callers with their last activity. What is configured is another matter: see list. On the
    dashboard plane alone: needs a personal access
    token with dashboard_agents:read.
    """
    from reconciler.reports.agents_documents import Slice, registry_document
    from reconciler.reports.agents_table import registry_text

    with call.feed(_READ) as (_, feed):
        entries = feed.registry(limit=limit, offset=offset)
        more = len(entries) == limit and feed.registry(limit=1, offset=offset + limit)
    page = Slice(entries, limit, offset, bool(more))
    if call.console.is_table:
        call.console.text(registry_text(page, style=call.console.style(), width=call.console.width()))
    else:
        call.console.document(registry_document(page))
    return ExitCode.OK


@with_call
def registry_show(call: Call, *, agent: Actor) -> ExitCode:
    """Show one that was seen at work.

    On the dashboard plane alone: needs a personal access token with dashboard_agents:read.
    """
    from reconciler.reports.agents_documents import entry_document
    from reconciler.reports.agents_table import entry_text

    with call.feed(_READ) as (_, feed):
        entry = feed.registry_entry(agent)
    if call.console.is_table:
        call.console.text(entry_text(entry, style=call.console.style()))
    else:
        call.console.document(entry_document(entry))
    return ExitCode.OK


def _statuses(text: str) -> frozenset[str]:
    known = get_args(AgentStatus)
    words = [word.strip() for word in text.split(",")] if text else list(known)
    for word in words:
        if word not in known:
            near = did_you_mean(word, known)
            raise UsageError(f"--status: there is no {word!r}", hint=near or f"allowed: {', '.join(known)}")
    return frozenset(words)


def _shows(agent: LiveAgent, text: str) -> bool:
    return any(text.casefold() in shown.casefold() for shown in (agent.name, agent.display_name or ""))


def _cut(rows: Sequence[T], *, limit: int, offset: int) -> Slice[T]:
    from reconciler.reports.agents_documents import Slice

    end = offset + limit
    return Slice(rows[offset:end], limit, offset, end < len(rows), len(rows))
