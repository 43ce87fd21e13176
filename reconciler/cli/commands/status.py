"""``alter-sync status``: the agents of the configuration, their keys, and where those are."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from reconciler.cli import options as opt
from reconciler.cli.apps import open_apps
from reconciler.cli.call import Call, with_call
from reconciler.cli.console import Console
from reconciler.cli.observing import Wanted, observing
from reconciler.cli.reporting import reporting
from reconciler.cli.selection import check_targets, parse_shard
from reconciler.cli.wiring import Session
from reconciler.errors import ExitCode
from reconciler.model.shard import EVERYTHING, Shard

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reconciler.cli.app_run import AppRun
    from reconciler.model.agent import AgentName, LiveAgent
    from reconciler.planning.facts import Facts
    from reconciler.planning.rotation import Rotation
    from reconciler.reports.view import StatusRow

EPILOG = """\b
Examples:
  alter-sync status                          declared and owned agents with their keys
  alter-sync status --target nightly-sync    one of them
  alter-sync status --output jsonl           one line for each agent
"""


@with_call
def status(
    call: Call,
    *,
    target: opt.Target = [],
    shard: opt.Shard = "",
    metrics: opt.Metrics = None,
) -> ExitCode:
    """Show agents and keys: what is live and declared, how far each rotation is, and why each key lives.

    Reads only. Lists the agents that are declared or carry this configuration's mark. Keys of agents whose
    stage is not steady have a line of their own; with --target or -v all live keys have.
    """
    console, part = call.console, parse_shard(shard, os.environ)

    def show_app(run: AppRun) -> ExitCode:
        rows = status_rows(run.connect(), target, shard=part)
        run.watch.rows = rows
        show_rows(run.console, rows, with_keys=bool(target) or console.is_verbose)
        return ExitCode.OK

    with (
        reporting((), command="status") as reporter,
        observing(console, "status", Wanted.of(metrics=metrics), reporter=reporter) as watch,
        open_apps(call, reporter, watch) as apps,
    ):
        apps.each(show_app, "reading")
        return apps.finish()


def status_rows(
    session: Session, targets: Sequence[str], *, what: str = "--target", shard: Shard = EVERYTHING
) -> list[StatusRow]:
    """The declared and owned agents among the targets, each with all its keys."""
    from reconciler.alter.snapshot import read_keys
    from reconciler.cli.run_identity import dead_runs
    from reconciler.planning.expiry import as_of
    from reconciler.planning.facts import Facts
    from reconciler.planning.ownership import our_mark
    from reconciler.planning.selecting import matches

    agents = session.api.list_agents()
    live = {agent.name: agent for agent in agents}
    check_targets(targets, {*session.desired.agents, *live}, what=what, unknown=session.unknown)
    concerned = sorted(
        name
        for name in {*session.desired.agents, *live}
        if shard.holds(name)
        and (name in session.desired.agents or our_mark(session.desired, live[name]))
        and (not targets or matches(name, targets))
    )
    ids = [live[name].id for name in concerned if name in live]
    keys = read_keys(session.api, ids, parallelism=session.parallelism)
    now = session.clock.now()
    facts = Facts(as_of(session.desired, now), live, now, keys=keys, dead_runs=dead_runs(agents))
    return [
        _live_row(facts, live[name]) if name in live else _missing_row(session, name) for name in concerned
    ]


def _live_row(facts: Facts, live: LiveAgent) -> StatusRow:
    from reconciler.planning.key_facts import due_date
    from reconciler.planning.ownership import our_mark
    from reconciler.planning.rotation import rotation_of
    from reconciler.reports.view import StatusRow

    mark, known = live.mark, facts.key_facts(live.name)
    rotation = rotation_of(known) if known else None
    return StatusRow(
        name=live.name,
        declared=live.name in facts.desired.agents,
        owned=our_mark(facts.desired, live) is not None,
        type=live.type,
        status=live.status,
        version=live.version,
        scopes=len(live.target_scopes),
        pending_until=live.scopes_applies_at if live.scopes_pending is not None else None,
        keys=tuple(facts.keys[live.id]),
        delivered=mark.delivered if mark else None,
        last_used_at=live.last_used_at,
        owner=mark.owner if mark else "",
        note=_asleep(facts, live, rotation) if rotation else _note(live),
        rotation=rotation,
        due_at=due_date(known) if known else None,
        read_at=facts.now,
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


def _asleep(facts: Facts, live: LiveAgent, rotation: Rotation) -> str:
    """Says of an agent that is not in order that apply will not look, because its mark says that it is."""
    from reconciler.planning.key_facts import may_need_work

    if rotation.stage in {"steady", "undelivered"} or live.mark is None:
        return ""
    if may_need_work(facts.desired.agents[live.name], live.mark, facts.now):
        return ""
    return f"apply looks at these keys when asked: rotate {live.name}"


def _note(live: LiveAgent) -> str:
    """Why nothing is done about an agent's keys."""
    if live.mark is None:
        return "not owned by any configuration"
    return "its keys are left alone"


def show_rows(console: Console, rows: Sequence[StatusRow], *, with_keys: bool) -> None:
    """Writes the rows; in a table ``with_keys`` adds a line for each live key of every agent."""
    if console.is_table:
        from reconciler.reports.terminal import status_text

        console.text(status_text(rows, style=console.style(), width=console.width(), with_keys=with_keys))
    else:
        from reconciler.reports.json_document import status_document

        console.document(status_document(rows))
