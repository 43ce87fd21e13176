"""Reads, for the reports that show it, what every agent may do and the keys that it has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from reconciler.cli.console import Console
from reconciler.cli.reporting import Reporter
from reconciler.cli.wiring import Session
from reconciler.errors import ApiError
from reconciler.model.shard import EVERYTHING, Shard

if TYPE_CHECKING:
    from reconciler.model.access import Access
    from reconciler.planning.planner import LiveState


def tell_access(
    reporter: Reporter,
    console: Console,
    session: Session,
    targets: Sequence[str],
    *,
    shard: Shard = EVERYTHING,
    live: LiveState | None = None,
) -> None:
    """Adds it to the subject when a report shows it; one request for each agent, unless ``live`` is at hand.

    It is apart from what the plan is made of: a plan must not depend on what reports are asked for. And it
    is only for looking at, so a server that refuses it does not change how the run ends.
    """
    if not reporter.shows_access:
        return
    from reconciler.model.access import Access

    try:
        access = read_access(session, targets, shard=shard, live=live)
    except ApiError as error:
        access = Access(session.clock.now(), unread=error.message)
    if access.unread:
        console.say(f"not in the report: keys: {access.unread}")
    reporter.tell(access=access)


def read_access(
    session: Session, targets: Sequence[str], *, shard: Shard, live: LiveState | None = None
) -> Access:
    """The declared and owned agents of a part and among the targets, with all keys of the owned ones."""
    from reconciler.alter.snapshot import read_keys
    from reconciler.cli.run_identity import dead_runs
    from reconciler.model.access import Access
    from reconciler.planning.access import access_of, concerned
    from reconciler.planning.expiry import as_of
    from reconciler.planning.facts import Facts
    from reconciler.planning.selecting import matches

    agents = session.api.list_agents() if live is None else live.agents
    now = session.clock.now()
    facts = Facts(
        as_of(session.desired, now),
        {agent.name: agent for agent in agents},
        now,
        dead_runs=dead_runs(agents),
        plane=session.plane,
    )
    names = [
        name for name in concerned(facts) if shard.holds(name) and (not targets or matches(name, targets))
    ]
    unread = ""
    if live is None:
        owned = facts.owned()
        ours = [owned[name].id for name in names if name in owned]
        try:
            facts = replace(facts, keys=read_keys(session.api, ours, parallelism=session.parallelism))
        except ApiError as error:
            unread = error.message
    else:
        facts = replace(facts, keys=live.keys)
    return Access(now, access_of(facts, names), unread)
