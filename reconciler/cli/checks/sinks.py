"""Checks every sink that agents deliver to, by its own probe: one agent for each, and no value is written."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

from reconciler.cli.checks.setup import Purpose, Setup
from reconciler.cli.checks.side_by_side import Job
from reconciler.errors import ExitCode, SinkError
from reconciler.reports.doctor_report import Check, failed, ok, skipped

if TYPE_CHECKING:
    from reconciler.model.agent import AgentName
    from reconciler.model.desired import Desired, SinkRef

# What a probe cannot find out, by the type of the sink; of every other one a write would work now.
_SHOWN = {
    "command": "its program is there; it is not run without a key",
    "aws_secrets_manager": "can be read; AWS does not tell whether it may be written",
    "github_actions": "takes the token; GitHub tells at the write whether it may",
}
_WRITABLE = "can be written"


def sink_jobs(setup: Setup, purpose: Purpose | None) -> list[Job]:
    """A job for each sink that is used, or one that says why there is none."""
    desired = setup.desired
    if desired is None:
        return [_nothing("there is no valid configuration")]
    if purpose is Purpose.PLAN:
        return [_nothing("a plan writes to none")]
    users: dict[str, list[AgentName]] = defaultdict(list)
    for agent in desired.agents.values():
        for name in agent.deliver_to:
            users[name].append(agent.name)
    if not users:
        return [_nothing("no agent delivers its key anywhere")]
    return [
        Job(
            f"sink {name}",
            partial(_checks, desired, desired.sinks[name], sorted(agents)),
            exit_code=ExitCode.SINK,
        )
        for name, agents in sorted(users.items())
    ]


def check_sink(desired: Desired, ref: SinkRef, agents: Sequence[AgentName]) -> Check:
    """Whether a key of the first of these agents could be delivered now."""
    from reconciler.sinks.registry import open_sink

    name, agent = f"sink {ref.name}", agents[0]
    of = f"probed for {agent}" + (f", one of {len(agents)} agents" if len(agents) > 1 else "")
    try:
        sink = open_sink(ref, former_owners=desired.former_owners)
        sink.probe(agent, owner=desired.owner, app=desired.app.name)
        return ok(name, f"{sink.place(agent)}: {_SHOWN.get(ref.type, _WRITABLE)} ({of})")
    except SinkError as error:
        fix = error.hint or f"mend the sink at {ref.position}, of type {ref.type}"
        return failed(name, f"{error.message} ({of})", fix=fix, exit_code=error.exit_code)


def _checks(desired: Desired, ref: SinkRef, agents: Sequence[AgentName]) -> Iterator[Check]:
    yield check_sink(desired, ref, agents)


def _nothing(why: str) -> Job:
    return Job("sinks", lambda: (skipped("sinks", why),))
