"""``alter-sync plan``: what apply would do, and why."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

from reconciler.cli import options as opt
from reconciler.cli.call import Call, with_call
from reconciler.cli.console import Console
from reconciler.cli.live_plan import plan_repair, plan_session
from reconciler.cli.reporting import reporting
from reconciler.cli.selection import parse_allowances
from reconciler.cli.wiring import open_session
from reconciler.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from reconciler.model.plan import Plan

EPILOG = """\b
Examples:
  alter-sync plan                            agents.yaml against the live app
  alter-sync plan --save plan.json           keep the plan for `alter-sync apply plan.json`
  alter-sync plan --detailed-exitcode        10 when there are changes, for CI
  alter-sync plan --report json=plan-report.json   a report beside what is shown, also on failure
  alter-sync plan --target 'tenant-*'        only these agents
  alter-sync plan --sandbox                  against the embedded Alter, without credentials
"""

Save = Annotated[
    Path | None, typer.Option("--save", help="Write the plan document to this file.", metavar="PLAN.JSON")
]
DetailedExitCode = Annotated[
    bool, typer.Option("--detailed-exitcode", help="Exit with 10 when there are changes.")
]


@with_call
def plan(
    call: Call,
    *,
    target: opt.Target = [],
    allow: opt.Allow = [],
    only_drift: opt.OnlyDrift = False,
    save: Save = None,
    detailed_exitcode: DetailedExitCode = False,
    report: opt.Report = [],
) -> ExitCode:
    """Show what apply would do: desired against live, with reasons, risks and what guards refuse.

    Reads only; a key with read permission is enough. Exits with 0 (also with changes, unless
    --detailed-exitcode asks for 10), or with 12 when a guard refuses something.
    """
    console, source = call.console, call.source
    allowances = parse_allowances(allow)
    if save is not None and only_drift:
        raise UsageError("--only-drift has no saved plan", hint="run `alter-sync apply --only-drift`")
    command = source.command("apply", *(["--only-drift"] if only_drift else []))
    with reporting(report, command="plan") as reporter:
        reporter.tell(apply_command=command)
        with open_session(console, source) as session:
            reporter.tell_session(session)
            if only_drift:
                _, made = plan_repair(console, session, targets=target, allow=allowances)
            else:
                made = plan_session(console, session, targets=target, allow=allowances)
        # First, so that data on stdout is never followed by a failure.
        if save is not None:
            save_plan(save, made)
        exit_code = _exit_code(made, is_detailed=detailed_exitcode)
        reporter.tell_plan(made, saved_to=save)
        reporter.write(exit_code)
        show_plan(console, made, command=command)
    if save is not None:
        console.say(f"plan saved to {save}; carry it out with: {command} {shlex.quote(str(save))}")
    return exit_code


def _exit_code(plan: Plan, *, is_detailed: bool) -> ExitCode:
    if plan.blocked:
        return ExitCode.REFUSED
    return ExitCode.CHANGES if is_detailed and plan.has_changes else ExitCode.OK


def show_plan(console: Console, plan: Plan, *, command: str, advise: bool = True) -> None:
    """Writes a plan to stdout in the chosen format. ``command`` is how to call apply on it."""
    if console.is_table:
        console.text(plan_as_text(console, plan, command=command, advise=advise))
    else:
        from reconciler.planning.plan_document import plan_document

        console.document(plan_document(plan))


def plan_as_text(
    console: Console, plan: Plan, *, command: str, advise: bool = True, stream: TextIO | None = None
) -> str:
    """A plan for people, coloured as fits the stream that it is for; without one, stdout."""
    from reconciler.reports.terminal import plan_text

    return plan_text(
        plan,
        style=console.style(stream),
        width=console.width(),
        verbose=console.is_verbose,
        command=command,
        advise=advise,
    )


def save_plan(path: Path, plan: Plan) -> None:
    """Writes the plan document; a file is either whole or not there."""
    from reconciler.cli.files import write_whole
    from reconciler.planning.plan_document import plan_document
    from reconciler.reports.json_document import dump

    write_whole(path, dump(plan_document(plan), "json"))
