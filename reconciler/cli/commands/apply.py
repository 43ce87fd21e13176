"""``alter-sync apply``: carries out a plan, a saved one or one made now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reconciler.cli import options as opt
from reconciler.cli.call import Call, with_call
from reconciler.cli.carry_out import ask, carry_out, check_fields, finish, say_cost
from reconciler.cli.commands.plan import show_plan
from reconciler.cli.console import Console
from reconciler.cli.interrupts import StopRequest
from reconciler.cli.live_plan import plan_repair, plan_session
from reconciler.cli.reporting import Reporter, reporting
from reconciler.cli.selection import parse_allowances
from reconciler.cli.source import Source
from reconciler.cli.wiring import Session, open_session
from reconciler.errors import ExitCode, UsageError
from reconciler.reports import advice

if TYPE_CHECKING:
    from reconciler.model.plan import Plan
    from reconciler.planning.facts import Allowances

EPILOG = """\b
Examples:
  alter-sync apply                           plan, show, ask, apply
  alter-sync apply --yes                     without asking, for CI
  alter-sync apply plan.json                 exactly the saved plan, or nothing (exit 13)
  alter-sync apply --allow revoke-in-use=old-bot   let one agent pass one guard
  alter-sync apply --only-drift              put back what was changed outside, and nothing else
  alter-sync apply --sandbox --yes           on the embedded Alter
"""

PlanFile = Annotated[
    Path | None, typer.Argument(help="A plan written by `alter-sync plan --save`.", metavar="[PLAN.JSON]")
]


@dataclass(frozen=True, slots=True)
class Request:
    """What the command line asks of apply."""

    source: Source
    plan_file: Path | None
    targets: Sequence[str]
    allow: Allowances
    only_drift: bool
    yes: bool
    parallelism: int

    def command(self) -> str:
        """The same command again."""
        return self.source.command("apply", *(["--only-drift"] if self.only_drift else []))


@with_call
def apply(
    call: Call,
    *,
    plan_file: PlanFile = None,
    target: opt.Target = [],
    allow: opt.Allow = [],
    only_drift: opt.OnlyDrift = False,
    yes: opt.Yes = False,
    parallelism: opt.Parallelism = opt.DEFAULT_PARALLELISM,
    report: opt.Report = [],
) -> ExitCode:
    """Carry out a plan: create, change and revoke agents, deliver and rotate their keys.

    Without a file the plan is made now, shown, and asked about. With one, exactly that plan is carried out,
    and nothing at all if a live agent it touches, the configuration or the app has changed (13). A failed
    agent does not stop the others (11); running it again goes on where it stopped.
    """
    console, source = call.console, call.source
    if plan_file and (target or allow or only_drift):
        raise UsageError(
            "a saved plan is carried out as it is",
            hint="--target and --allow belong to `plan --save`, and --only-drift has no saved plan",
        )
    request = Request(source, plan_file, target, parse_allowances(allow), only_drift, yes, parallelism)
    with reporting(report, command="apply") as reporter:
        return _apply(console, request, reporter)


def _apply(console: Console, request: Request, reporter: Reporter) -> ExitCode:
    check_fields(console)
    stop = StopRequest()
    command = request.command()
    with open_session(
        console, request.source, parallelism=request.parallelism, is_stopping=stop.is_asked
    ) as connected:
        reporter.tell_session(connected)
        session, plan, allow = _plan_to_apply(console, connected, request)
        if console.is_table:
            show_plan(console, plan, command=command, advise=False)
        if plan.has_changes and not request.yes:
            ask(console, session, plan, command=command)
        reporter.tell_plan(plan, saved_to=request.plan_file)
        # A saved plan is stale once part of it is done, so the command that goes on plans anew.
        resume = advice.apply_command(command, targets=plan.targets, allowed=plan.allowed)
        outcome = carry_out(console, session, plan, allow=allow, stop=stop, resume=lambda _outcome: resume)
        say_cost(console, session)
    reporter.tell(outcome=outcome, apply_command=command)
    reporter.write(outcome.exit_code())
    return finish(console, outcome, command=command)


def _plan_to_apply(console: Console, session: Session, request: Request) -> tuple[Session, Plan, Allowances]:
    """The plan, with what it is for and what was let through: made now, or the saved one if it still fits."""
    targets, allow = request.targets, request.allow
    if request.only_drift:
        return (*plan_repair(console, session, targets=targets, allow=allow), allow)
    if request.plan_file is None:
        return session, plan_session(console, session, targets=targets, allow=allow), allow
    from reconciler.cli.files import read_plan_file
    from reconciler.planning.freshness import allowances_of, check_inputs, refreshed
    from reconciler.planning.plan_document import read_plan

    saved = read_plan(read_plan_file(request.plan_file))
    check_inputs(
        saved, session.desired, base_url=session.base_url, plane=session.plane, now=session.clock.now()
    )
    allow = allowances_of(saved)
    current = plan_session(console, session, targets=saved.targets, allow=allow)
    return session, refreshed(saved, current), allow
