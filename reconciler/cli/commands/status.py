"""``alter-sync status``: the agents of the configuration, their keys, and where those are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.cli import options as opt
from reconciler.cli.boundary import guarded
from reconciler.cli.console import Console, OutputFormat
from reconciler.cli.selection import check_targets
from reconciler.cli.source import Source
from reconciler.cli.wiring import Session, open_session
from reconciler.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reconciler.model.agent import AgentName, LiveAgent
    from reconciler.model.key import AgentKey
    from reconciler.reports.view import StatusRow

EPILOG = """\b
Examples:
  alter-sync status                          declared and owned agents with their keys
  alter-sync status --target nightly-sync    one of them
  alter-sync status --output jsonl           one line for each agent
"""


def status(
    *,
    config: opt.Config = opt.DEFAULT_CONFIG,
    target: opt.Target = [],
    output: opt.Output = OutputFormat.TABLE,
    fields: opt.Fields = "",
    sandbox: opt.Sandbox = None,
    api_key_file: opt.ApiKeyFile = None,
    no_color: opt.NoColor = False,
    quiet: opt.Quiet = False,
    verbose: opt.Verbose = 0,
) -> ExitCode:
    """Show agents and keys: what is live, what is declared, which key was delivered where.

    Reads only. Lists the agents that are declared or carry this configuration's mark.
    """
    console = opt.make_console(output=output, fields=fields, no_color=no_color, quiet=quiet, verbose=verbose)

    def action() -> ExitCode:
        with open_session(console, Source(config, sandbox, api_key_file)) as session:
            rows = _rows(session, target)
        _show(console, rows)
        return ExitCode.OK

    return guarded(console, action)


def _rows(session: Session, targets: Sequence[str]) -> list[StatusRow]:
    from reconciler.alter.snapshot import read_keys
    from reconciler.planning.ownership import our_mark
    from reconciler.planning.planner import matches

    live = {agent.name: agent for agent in session.api.list_agents()}
    check_targets(targets, {*session.desired.agents, *live})
    concerned = sorted(
        name
        for name in {*session.desired.agents, *live}
        if (name in session.desired.agents or our_mark(session.desired, live[name]))
        and (not targets or matches(name, targets))
    )
    ids = [live[name].id for name in concerned if name in live]
    keys = read_keys(session.api, ids, parallelism=session.parallelism)
    return [
        _live_row(session, live[name], tuple(keys[live[name].id]))
        if name in live
        else _missing_row(session, name)
        for name in concerned
    ]


def _live_row(session: Session, live: LiveAgent, keys: tuple[AgentKey, ...]) -> StatusRow:
    from reconciler.planning.ownership import our_mark
    from reconciler.reports.view import StatusRow

    mark = live.mark
    return StatusRow(
        name=live.name,
        declared=live.name in session.desired.agents,
        owned=our_mark(session.desired, live) is not None,
        type=live.type,
        status=live.status,
        version=live.version,
        scopes=len(live.target_scopes),
        pending_until=live.scopes_applies_at if live.scopes_pending is not None else None,
        keys=keys,
        delivered=mark.delivered if mark else None,
        last_used_at=live.last_used_at,
        owner=mark.owner if mark else "",
        note=_note(live, keys),
    )


def _missing_row(session: Session, name: AgentName) -> StatusRow:
    from reconciler.reports.view import StatusRow

    agent = session.desired.agents[name]
    return StatusRow(
        name=name,
        declared=True,
        owned=False,
        type=agent.type or "agent",
        status="not live",
        version=0,
        scopes=len(agent.scopes),
        note="declared, not live: apply creates it",
    )


def _note(live: LiveAgent, keys: Sequence[AgentKey]) -> str:
    """Explains every live key that is not the delivered one."""
    mark = live.mark
    if mark is None:
        return "not owned by any configuration"
    if mark.claim is not None:
        return f"run {mark.claim.run or '(given back)'} has not finished with its keys"
    delivered = mark.delivered.key_id if mark.delivered else None
    others = [key for key in keys if key.is_live and key.key_id != delivered]
    if not others:
        return ""
    named = ", ".join(f"{key.key_prefix}…" for key in others)
    if delivered is None:
        return f"not delivered by alter-sync: {named}"
    return f"live besides the delivered key: {named}"


def _show(console: Console, rows: Sequence[StatusRow]) -> None:
    if console.is_table:
        from reconciler.reports.terminal import status_text

        console.text(status_text(rows, style=console.style(), width=console.width()))
    else:
        from reconciler.reports.json_document import status_document

        console.document(status_document(rows))
