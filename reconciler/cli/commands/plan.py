"""``alter-sync plan``: what apply would do, and why."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from reconciler.cli import options as opt
from reconciler.cli.access import tell_access
from reconciler.cli.apps import open_apps
from reconciler.cli.call import Call, with_call
from reconciler.cli.console import Console
from reconciler.cli.live_plan import plan_repair, plan_session
from reconciler.cli.observing import Wanted, observing
from reconciler.cli.policies import load_policies, policy_words
from reconciler.cli.reporting import reporting
from reconciler.cli.saved_plan import run_check
from reconciler.cli.selection import parse_allowances, parse_shard
from reconciler.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reconciler.cli.app_run import AppRun
    from reconciler.model.plan import Plan

EPILOG = """\b
Examples:
  alter-sync plan                            agents.yaml against the live app
  alter-sync plan --save plan.json           keep the plan for `alter-sync apply plan.json`
  alter-sync plan --check plan.json          would apply still carry it out? 0, 13 stale, 12 refused
  alter-sync plan --detailed-exitcode        10 when there are changes, for CI
  alter-sync plan --report json=plan-report.json   a report beside what is shown, also on failure
  alter-sync plan --policy policies          ask the rules in this folder, too: alter-sync schema policy
  alter-sync plan --target 'tenant-*'        only these agents
  alter-sync plan --sandbox                  against the embedded Alter, without credentials
"""

Save = Annotated[
    Path | None, typer.Option("--save", help="Write the plan document to this file.", metavar="PLAN.JSON")
]
Check = Annotated[
    Path | None,
    typer.Option(
        "--check",
        help="Make no plan: say whether this saved one would still be applied.",
        metavar="PLAN.JSON",
    ),
]
DetailedExitCode = Annotated[
    bool, typer.Option("--detailed-exitcode", help="Exit with 10 when there are changes.")
]


@with_call
def plan(
    call: Call,
    *,
    target: opt.Target = [],
    shard: opt.Shard = "",
    allow: opt.Allow = [],
    only_drift: opt.OnlyDrift = False,
    save: Save = None,
    check: Check = None,
    policy: opt.Policy = [],
    detailed_exitcode: DetailedExitCode = False,
    report: opt.Report = [],
    max_chars: opt.MaxChars = None,
    metrics: opt.Metrics = None,
    notify: opt.Notify = [],
    notify_state: opt.NotifyState = None,
) -> ExitCode:
    """Show what apply would do: desired against live, with reasons, risks and what guards refuse.

    Reads only; a key with read permission is enough. Exits with 0 (also with changes, unless
    --detailed-exitcode asks for 10), or with 12 when a guard refuses something. With --check: 0 when the
    saved plan still fits, 13 when it is stale, 12 when a guard refuses part of it.
    """
    console, source = call.console, call.source
    asked: dict[str, Any] = {"targets": target, "allow": parse_allowances(allow)}
    asked["shard"] = parse_shard(shard, os.environ)
    if check is not None:
        if save or target or shard or allow or only_drift or detailed_exitcode or metrics or notify:
            raise UsageError(
                "--check looks at a saved plan as it is", hint="leave the other flags of plan out"
            )
        return run_check(call, check, policies=policy, reports=report, max_chars=max_chars)
    if save is not None and str(save) in {request.partition("=")[2] for request in report}:
        raise UsageError(f"--save and --report both go to {save}", hint="give each a file of its own")
    if save is not None and only_drift:
        raise UsageError("--only-drift has no saved plan", hint="run `alter-sync apply --only-drift`")
    words = (["--only-drift"] if only_drift else []) + policy_words(policy)
    wanted = Wanted.of(metrics=metrics, notify=notify, state=notify_state)
    with (
        reporting(
            report, command="plan", max_chars=max_chars, targets=target, shard=asked["shard"]
        ) as reporter,
        observing(console, "plan", wanted, reporter=reporter) as watch,
    ):
        reporter.tell(apply_command=source.command("apply", *words))
        asked["policies"] = load_policies(policy)

        def plan_app(run: AppRun) -> ExitCode:
            made = _make(run, only_drift=only_drift, **asked)
            return _conclude(run, made, words=words, save=save, is_detailed=detailed_exitcode)

        only_one_for = "plan --save" if save else ""
        keeps = bool(report or metrics or notify)
        with open_apps(call, reporter, watch, only_one_for=only_one_for, keeps=keeps) as apps:
            apps.each(plan_app, "planning")
            apps.check_plans()
            return apps.finish()


def _make(run: AppRun, *, only_drift: bool, **asked: Any) -> Plan:
    session = run.connect()
    if only_drift:
        _, made = plan_repair(run.console, session, **asked)
    else:
        made = plan_session(run.console, session, **asked)
    run.note_plan(made)
    tell_access(run.reporter, run.console, session, asked["targets"], shard=asked["shard"])
    return made


def _conclude(
    run: AppRun, made: Plan, *, words: Sequence[str], save: Path | None, is_detailed: bool
) -> ExitCode:
    """Saves, reports and shows the plan of one app."""
    command = run.source.command("apply", *words)
    # First, so that data on stdout is never followed by a failure.
    if save is not None:
        save_plan(save, made)
    exit_code = _exit_code(made, is_detailed=is_detailed)
    run.reporter.tell(apply_command=command)
    run.reporter.tell_plan(made, saved_to=save)
    run.reporter.write(exit_code)
    show_plan(run.console, made, command=command)
    if save is not None:
        run.console.say(f"plan saved to {save}; carry it out with: {command} {shlex.quote(str(save))}")
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
