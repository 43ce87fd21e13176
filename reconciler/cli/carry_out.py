"""Carries a plan out from the command line: asks, applies, shows what became of it, and how to go on."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from reconciler.cli.commands.plan import plan_as_text
from reconciler.cli.console import Console, OutputFailed
from reconciler.cli.interrupts import StopRequest, stop_on_signals
from reconciler.cli.wiring import Session, open_sinks
from reconciler.errors import AlterSyncError, ExitCode, UsageError

if TYPE_CHECKING:
    from reconciler.model.outcome import OperationOutcome, Outcome
    from reconciler.model.plan import Plan
    from reconciler.planning.facts import Allowances

# How many apps a question names.
_NAMED = 10


def check_fields(console: Console) -> None:
    """Refuses a field that no outcome has while nothing is done yet, not when only printing is left."""
    if console.fields:
        from reconciler.model.agent import AgentName
        from reconciler.model.outcome import OperationOutcome, Outcome
        from reconciler.reports.json_document import outcome_document, select_fields

        row = OperationOutcome("", "create_agent", AgentName(""), "done")
        select_fields(outcome_document(Outcome("", "", (row,))), console.fields)


def ask(console: Console, plans: Sequence[tuple[Session, Plan]], *, command: str) -> None:
    """Comes back after a yes, and after nothing else. ``plans`` are those with changes, one for each app."""
    if not console.can_ask():
        verb = command.split()[1]
        reviewed = ", or apply a reviewed plan: alter-sync apply plan.json --yes" if verb == "apply" else ""
        raise UsageError(
            f"{verb} asks before it changes anything, and there is nobody to answer",
            hint=f"pass --yes{reviewed}",
        )
    count = sum(len(plan.operations) for _, plan in plans)
    names = [session.desired.app.name for session, _ in plans]
    named = ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
    places = sorted({session.base_url for session, _ in plans})
    where = f"{named if len(names) == 1 else f'{len(names)} apps ({named})'} at {', '.join(places[:_NAMED])}"
    if not console.is_table:  # stdout is for a program, but whoever is asked has to see what about
        for _, plan in plans:
            console.alarm(plan_as_text(console, plan, command=command, advise=False, stream=sys.stderr))
    if not console.confirms(f"Carry out {count} operation{'s' if count != 1 else ''} on {where}?"):
        raise AlterSyncError("nothing was changed: the answer was no", code="declined")


def carry_out(
    console: Console,
    session: Session,
    plan: Plan,
    *,
    allow: Allowances,
    stop: StopRequest,
    resume: Callable[[Outcome], str],
) -> Outcome:
    """Carries the plan out in a run of its own. ``resume`` names the command that goes on after a failure."""
    from reconciler.applying.context import RunContext
    from reconciler.applying.executor import execute
    from reconciler.cli.run_identity import begin_run, end_run
    from reconciler.cli.traced_sinks import traced_sinks
    from reconciler.planning.expiry import as_of

    agents = {operation.agent for operation in plan.operations}
    run = begin_run()
    context = RunContext(
        run=run,
        desired=as_of(session.desired, session.clock.now()),
        api=session.api,
        sinks=traced_sinks(open_sinks(session.desired, agents), console.trace),
        clock=session.clock,
        allow=allow,
    )

    def on_agent(outcomes: Sequence[OperationOutcome]) -> None:
        console.trace.end_agent(outcomes)
        progress.advance()

    try:
        with stop_on_signals(stop, console.alarm), console.progress(len(agents), "applying") as progress:
            outcome = execute(
                context,
                plan,
                parallelism=session.parallelism,
                should_stop=stop.verdict,
                on_begin=console.trace.begin_agent,
                on_agent=on_agent,
            )
    finally:
        end_run(run)
    unfinished = any(operation.status != "done" for operation in outcome.operations)
    return replace(outcome, resume=resume(outcome) if unfinished else "")


def finish(console: Console, outcome: Outcome, *, command: str) -> ExitCode:
    """Shows the outcome; whatever becomes of that, the exit code says how the run went."""
    try:
        _show(console, outcome, command=command)
    except OutputFailed as error:
        counts = ", ".join(f"{count} {status}" for status, count in outcome.counts().items())
        console.alarm(f"{error.message}; the outcome was: {counts}")
    return outcome.exit_code()


def _show(console: Console, outcome: Outcome, *, command: str) -> None:
    if console.is_table:
        from reconciler.reports.terminal import outcome_text

        if outcome.operations:
            text = outcome_text(outcome, style=console.style(), verbose=console.is_verbose, command=command)
            console.text(f"\n{text}")
    else:
        from reconciler.reports.json_document import outcome_document

        console.document(outcome_document(outcome))
