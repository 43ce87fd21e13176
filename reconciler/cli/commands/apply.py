"""``alter-sync apply``: carries out a plan, a saved one or one made now."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reconciler.cli import options as opt
from reconciler.cli.boundary import guarded
from reconciler.cli.commands.plan import plan_as_text, show_plan
from reconciler.cli.console import Console, OutputFailed, OutputFormat
from reconciler.cli.interrupts import StopRequest, stop_on_signals
from reconciler.cli.selection import parse_allowances
from reconciler.cli.source import Source
from reconciler.cli.wiring import Session, open_session, open_sinks, plan_session
from reconciler.errors import AlterSyncError, ExitCode, UsageError

if TYPE_CHECKING:
    from reconciler.model.outcome import Outcome
    from reconciler.model.plan import Plan
    from reconciler.planning.facts import Allowances

EPILOG = """\b
Examples:
  alter-sync apply                           plan, show, ask, apply
  alter-sync apply --yes                     without asking, for CI
  alter-sync apply plan.json                 exactly the saved plan, or nothing (exit 13)
  alter-sync apply --allow revoke-in-use=old-bot   let one agent pass one guard
  alter-sync apply --sandbox --yes           on the embedded Alter
"""

PlanFile = Annotated[
    Path | None, typer.Argument(help="A plan written by `alter-sync plan --save`.", metavar="[PLAN.JSON]")
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Parallelism = Annotated[
    int, typer.Option("--parallelism", help="How many agents are worked on at once.", min=1, max=64)
]


@dataclass(frozen=True, slots=True)
class Request:
    """What the command line asks of apply."""

    source: Source
    plan_file: Path | None
    targets: Sequence[str]
    allow: Allowances
    yes: bool
    parallelism: int


def apply(
    *,
    plan_file: PlanFile = None,
    config: opt.Config = opt.DEFAULT_CONFIG,
    target: opt.Target = [],
    allow: opt.Allow = [],
    yes: Yes = False,
    parallelism: Parallelism = opt.DEFAULT_PARALLELISM,
    output: opt.Output = OutputFormat.TABLE,
    fields: opt.Fields = "",
    sandbox: opt.Sandbox = None,
    api_key_file: opt.ApiKeyFile = None,
    no_color: opt.NoColor = False,
    no_input: opt.NoInput = False,
    quiet: opt.Quiet = False,
    verbose: opt.Verbose = 0,
) -> ExitCode:
    """Carry out a plan: create, change and revoke agents, and deliver the keys of new ones.

    Without a file the plan is made now, shown, and asked about. With one, exactly that plan is carried out,
    and nothing at all if a live agent it touches, the configuration or the app has changed (13). A failed
    agent does not stop the others (11); running it again goes on where it stopped.
    """
    console = opt.make_console(
        output=output, fields=fields, no_color=no_color, no_input=no_input, quiet=quiet, verbose=verbose
    )

    def action() -> ExitCode:
        if plan_file and (target or allow):
            raise UsageError(
                "a saved plan is carried out as it is",
                hint="--target and --allow belong to `alter-sync plan --save`",
            )
        source = Source(config, sandbox, api_key_file)
        request = Request(source, plan_file, target, parse_allowances(allow), yes, parallelism)
        return _apply(console, request)

    return guarded(console, action)


def _apply(console: Console, request: Request) -> ExitCode:
    _check_fields(console)
    stop = StopRequest()
    with open_session(
        console, request.source, parallelism=request.parallelism, is_stopping=stop.is_asked
    ) as session:
        plan, allow = _plan_to_apply(console, session, request)
        if console.is_table:
            show_plan(console, plan, command=request.source.apply_command(), advise=False)
        if plan.has_changes and not request.yes:
            _ask(console, session, plan, command=request.source.apply_command())
        outcome = _carry_out(console, session, plan, allow=allow, request=request, stop=stop)
        if console.is_verbose:
            cost = session.api.stats()
            console.say(
                f"{cost.requests} requests, {cost.retries} retries, {cost.waited_seconds:.1f} s waited"
            )
    try:
        _show_outcome(console, outcome, command=request.source.apply_command())
    except OutputFailed as error:
        # What was done is done: the exit code still has to say how it went.
        counts = ", ".join(f"{count} {status}" for status, count in outcome.counts().items())
        console.alarm(f"{error.message}; the outcome was: {counts}")
    return outcome.exit_code()


def _check_fields(console: Console) -> None:
    """Refuses a field that no outcome has while nothing is done yet, not when only printing is left."""
    if console.fields:
        from reconciler.model.agent import AgentName
        from reconciler.model.outcome import OperationOutcome, Outcome
        from reconciler.reports.json_document import outcome_document, select_fields

        row = OperationOutcome("", "create_agent", AgentName(""), "done")
        select_fields(outcome_document(Outcome("", "", (row,))), console.fields)


def _plan_to_apply(console: Console, session: Session, request: Request) -> tuple[Plan, Allowances]:
    """The plan and what was let through: made now, or the saved one if it still fits."""
    if request.plan_file is None:
        return plan_session(console, session, targets=request.targets, allow=request.allow), request.allow
    from reconciler.cli.files import read_plan_file
    from reconciler.planning.freshness import allowances_of, check_inputs, refreshed
    from reconciler.planning.plan_document import read_plan

    saved = read_plan(read_plan_file(request.plan_file))
    check_inputs(saved, session.desired, base_url=session.base_url, now=session.clock.now())
    allow = allowances_of(saved)
    current = plan_session(console, session, targets=saved.targets, allow=allow)
    return refreshed(saved, current), allow


def _ask(console: Console, session: Session, plan: Plan, *, command: str) -> None:
    """Comes back after a yes, and after nothing else."""
    if not console.can_ask():
        raise UsageError(
            "apply asks before it changes anything, and there is nobody to answer",
            hint="pass --yes, or apply a reviewed plan: alter-sync apply plan.json --yes",
        )
    count = len(plan.operations)
    where = f"{session.desired.app.name} at {session.base_url}"
    if not console.is_table:  # stdout is for a program, but whoever is asked has to see what about
        console.alarm(plan_as_text(console, plan, command=command, advise=False, stream=sys.stderr))
    if not console.confirms(f"Carry out {count} operation{'s' if count != 1 else ''} on {where}?"):
        raise AlterSyncError("nothing was changed: the answer was no", code="declined")


def _carry_out(
    console: Console,
    session: Session,
    plan: Plan,
    *,
    allow: Allowances,
    request: Request,
    stop: StopRequest,
) -> Outcome:
    from reconciler.applying.context import RunContext
    from reconciler.applying.executor import execute
    from reconciler.cli.run_identity import begin_run, end_run
    from reconciler.planning.expiry import as_of

    agents = {operation.agent for operation in plan.operations}
    run = begin_run()
    context = RunContext(
        run=run,
        desired=as_of(session.desired, session.clock.now()),
        api=session.api,
        sinks=open_sinks(session.desired, agents),
        clock=session.clock,
        allow=allow,
    )
    try:
        with stop_on_signals(stop, console.alarm), console.progress(len(agents), "applying") as progress:
            outcome = execute(
                context,
                plan,
                parallelism=request.parallelism,
                should_stop=stop.verdict,
                on_agent=lambda _outcomes: progress.advance(),
            )
    finally:
        end_run(run)
    unfinished = any(operation.status != "done" for operation in outcome.operations)
    return replace(outcome, resume=_resume_command(request, plan) if unfinished else "")


def _show_outcome(console: Console, outcome: Outcome, *, command: str) -> None:
    if console.is_table:
        from reconciler.reports.terminal import outcome_text

        if outcome.operations:
            text = outcome_text(outcome, style=console.style(), verbose=console.is_verbose, command=command)
            console.text(f"\n{text}")
    else:
        from reconciler.reports.json_document import outcome_document

        console.document(outcome_document(outcome))


def _resume_command(request: Request, plan: Plan) -> str:
    """The command that goes on. A saved plan is stale once part of it is done, so it plans anew."""
    from reconciler.reports.advice import apply_command

    return apply_command(request.source.apply_command(), targets=plan.targets, allowed=plan.allowed)
