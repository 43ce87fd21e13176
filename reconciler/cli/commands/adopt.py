"""``alter-sync adopt``: puts live agents under this configuration's owner and changes nothing else."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from reconciler.cli import options as opt
from reconciler.cli.call import Call, with_call
from reconciler.cli.carry_out import ask, carry_out, check_fields, finish
from reconciler.cli.commands.plan import show_plan
from reconciler.cli.completion import agent_names
from reconciler.cli.console import Console
from reconciler.cli.interrupts import StopRequest
from reconciler.cli.live_plan import plan_session
from reconciler.cli.selection import declared_names, parse_allowances
from reconciler.cli.source import Source
from reconciler.cli.wiring import open_session
from reconciler.errors import ExitCode
from reconciler.reports import advice

if TYPE_CHECKING:
    from reconciler.model.outcome import Outcome
    from reconciler.model.plan import Plan
    from reconciler.planning.facts import Allowances

EPILOG = """\b
Examples:
  alter-sync adopt                           every declared agent that is live without this owner's mark
  alter-sync adopt nightly-sync 'tenant-*'   only these
  alter-sync adopt --yes                     without asking
  alter-sync export --owner payments/agents --out agents.yaml   first write what is live
"""

Names = Annotated[
    list[str],
    typer.Argument(
        help="Declared agents, by name or glob; none means all.",
        metavar="[NAME]...",
        show_default=False,
        autocompletion=agent_names,
    ),
]


@dataclass(frozen=True, slots=True)
class Request:
    """What the command line asks of adopt."""

    source: Source
    names: Sequence[str]
    allow: Allowances
    yes: bool
    parallelism: int

    def command(self, names: Sequence[str]) -> str:
        """The same command again, for these agents; for none, for all."""
        return self.source.command("adopt", *names)

    def resume(self, outcome: Outcome) -> str:
        """What goes on: the same for those that are not adopted yet."""
        left = sorted({one.agent for one in outcome.operations if one.status != "done"})
        return advice.apply_command(self.command(left), allowed=self.allow.as_texts())


@with_call
def adopt(
    call: Call,
    *,
    names: Names = [],
    allow: opt.Allow = [],
    yes: opt.Yes = False,
    parallelism: opt.Parallelism = opt.DEFAULT_PARALLELISM,
) -> ExitCode:
    """Put live agents that are declared under this configuration's owner.

    Writes this owner's mark into their metadata and changes nothing else: what differs from its declaration
    stays for the next plan. From then on apply changes them, rotates their keys where a sink is declared, and
    revokes them when their block is deleted. Agents of other owners are refused. To run it twice is harmless.
    """
    console, source = call.console, call.source
    return _adopt(console, Request(source, names, parse_allowances(allow), yes, parallelism))


def _adopt(console: Console, request: Request) -> ExitCode:
    check_fields(console)
    stop = StopRequest()
    command = request.command(request.names)
    with open_session(
        console, request.source, parallelism=request.parallelism, is_stopping=stop.is_asked
    ) as session:
        declared_names(request.names, session.desired.agents)  # refuses what is not declared
        plan = plan_session(console, session, allow=request.allow, adopt=tuple(request.names))
        if console.is_table:
            _show(console, plan, command=command)
        if plan.has_changes and not request.yes:
            ask(console, [(session, plan)], command=command)
        outcome = carry_out(console, session, plan, allow=request.allow, stop=stop, resume=request.resume)
    return finish(console, outcome, command=command)


def _show(console: Console, plan: Plan, *, command: str) -> None:
    if plan.has_changes or plan.blocked:
        show_plan(console, plan, command=command, advise=False)
        return
    from reconciler.reports.messages import diagnostics_text

    if plan.findings:
        console.alarm(diagnostics_text(plan.findings, style=console.style(sys.stderr)))
    console.text(
        f"Nothing to adopt: what is asked for is not live, or carries the mark of {plan.owner} already."
    )
