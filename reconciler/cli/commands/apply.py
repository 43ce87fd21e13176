"""``alter-sync apply``: carries out a plan, a saved one or one made now."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from reconciler.cli import options as opt
from reconciler.cli.access import tell_access
from reconciler.cli.apps import open_apps
from reconciler.cli.call import Call, with_call
from reconciler.cli.carry_out import ask, carry_out, check_fields, finish
from reconciler.cli.commands.plan import show_plan
from reconciler.cli.console import Console
from reconciler.cli.live_plan import plan_repair, plan_session
from reconciler.cli.observing import Wanted, observing
from reconciler.cli.policies import load_policies, policy_words
from reconciler.cli.reporting import reporting
from reconciler.cli.saved_plan import plan_to_apply
from reconciler.cli.selection import parse_allowances, parse_shard
from reconciler.cli.source import Source
from reconciler.errors import ExitCode, UsageError
from reconciler.reports import advice

if TYPE_CHECKING:
    from reconciler.cli.app_run import AppRun
    from reconciler.cli.apps import Apps
    from reconciler.cli.wiring import Session
    from reconciler.model.plan import Plan
    from reconciler.model.policy import Policies
    from reconciler.model.shard import Shard
    from reconciler.planning.facts import Allowances

EPILOG = """\b
Examples:
  alter-sync apply                           plan, show, ask, apply
  alter-sync apply --yes                     without asking, for CI
  alter-sync apply plan.json                 exactly the saved plan, or nothing (exit 13)
  alter-sync apply --allow revoke-in-use=old-bot   let one agent pass one guard
  alter-sync apply --policy policies         with the rules in this folder; also for a saved plan
  alter-sync apply --shard 2/5 --yes         one of five jobs that share the agents
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
    policies: Sequence[Path]
    shard: Shard

    def command(self, source: Source) -> str:
        """The same command again, for this configuration."""
        words = (["--only-drift"] if self.only_drift else []) + policy_words(self.policies)
        return source.command("apply", *words)


@dataclass(frozen=True, slots=True)
class Planned:
    """What is to be done for one app, the session with the configuration for it, and what is let through."""

    session: Session
    plan: Plan
    allow: Allowances


@with_call
def apply(
    call: Call,
    *,
    plan_file: PlanFile = None,
    target: opt.Target = [],
    shard: opt.Shard = "",
    allow: opt.Allow = [],
    only_drift: opt.OnlyDrift = False,
    policy: opt.Policy = [],
    yes: opt.Yes = False,
    parallelism: opt.Parallelism = opt.DEFAULT_PARALLELISM,
    report: opt.Report = [],
    max_chars: opt.MaxChars = None,
    metrics: opt.Metrics = None,
    notify: opt.Notify = [],
    notify_state: opt.NotifyState = None,
) -> ExitCode:
    """Carry out a plan: create, change and revoke agents, deliver and rotate their keys.

    Without a file the plan is made now, shown, and asked about. With one, exactly that plan is carried out,
    and nothing at all if a live agent it touches, the configuration or the app has changed (13). A failed
    agent does not stop the others (11); running it again goes on where it stopped.
    """
    console, source = call.console, call.source
    if plan_file and (target or shard or allow or only_drift):
        raise UsageError(
            "a saved plan is carried out as it is",
            hint="--target, --shard and --allow belong to `plan --save`, and --only-drift has no saved plan",
        )
    allowances = parse_allowances(allow)
    part = parse_shard(shard, os.environ)
    request = Request(source, plan_file, target, allowances, only_drift, yes, policy, part)
    wanted = Wanted.of(metrics=metrics, notify=notify, state=notify_state)
    with (
        reporting(report, command="apply", max_chars=max_chars, targets=target, shard=part) as reporter,
        observing(console, "apply", wanted, reporter=reporter) as watch,
    ):
        check_fields(console)
        reporter.tell(apply_command=request.command(source))
        policies = load_policies(policy)
        with open_apps(
            call,
            reporter,
            watch,
            parallelism=parallelism,
            only_one_for="apply PLAN.JSON" if plan_file else "",
            keeps=bool(report or metrics or notify),
        ) as apps:
            return _apply(apps, request, policies)


def _apply(apps: Apps, request: Request, policies: Policies | None) -> ExitCode:
    """Plans every app, asks once for all, and carries the plans out."""
    planned: dict[str, Planned] = {}

    def plan_app(run: AppRun) -> ExitCode | None:
        made = _planned(run, request, policies)
        if not made.plan.has_changes:  # over: of many apps that wait for each other this one keeps nothing
            return _carried_out(run, request, made)
        planned[run.app] = made
        return None

    def apply_app(run: AppRun) -> ExitCode:
        return _carried_out(run, request, planned.pop(run.app))

    # Whether two apps are one is known when all are planned: nothing may be done for any before.
    apps.each(plan_app, "planning")
    apps.check_plans()
    changes = [(one.session, one.plan) for _, one in sorted(planned.items())]
    if changes and not request.yes:
        apps.show()
        ask(apps.console, changes, command=request.command(request.source))
    apps.each(apply_app, "applying", finishes_what_is_begun=True)
    return apps.finish()


def _planned(run: AppRun, request: Request, policies: Policies | None) -> Planned:
    """The plan of one app, shown."""
    session, plan, allow = _plan_to_apply(run.console, run.connect(), request, policies)
    run.note_plan(plan)
    if run.console.is_table:
        show_plan(run.console, plan, command=request.command(run.source), advise=False)
    return Planned(session, plan, allow)


def _carried_out(run: AppRun, request: Request, planned: Planned) -> ExitCode:
    console, session, plan = run.console, planned.session, planned.plan
    command = request.command(run.source)
    run.reporter.tell_plan(plan, saved_to=request.plan_file)
    # A saved plan is stale once part of it is done, so the command that goes on plans anew.
    resume = advice.apply_command(command, targets=plan.targets, allowed=plan.allowed, shard=plan.shard)
    outcome = carry_out(
        console, session, plan, allow=planned.allow, stop=run.stop, resume=lambda _outcome: resume
    )
    # Whoever wants to stop does not wait for a picture, and still learns what was done.
    if outcome.interrupted is None:
        with suppress(KeyboardInterrupt):
            tell_access(run.reporter, console, session, plan.targets, shard=plan.shard)
    run.reporter.tell(outcome=outcome, apply_command=command)
    run.reporter.write(outcome.exit_code())
    return finish(console, outcome, command=command)


def _plan_to_apply(
    console: Console, session: Session, request: Request, policies: Policies | None
) -> tuple[Session, Plan, Allowances]:
    """The plan, with what it is for and what was let through: made now, or the saved one if it still fits."""
    if request.plan_file is not None:
        return (session, *plan_to_apply(console, session, request.plan_file, policies=policies))
    allow = request.allow
    asked: dict[str, Any] = {"targets": request.targets, "allow": allow, "policies": policies}
    asked["shard"] = request.shard
    if request.only_drift:
        return (*plan_repair(console, session, **asked), allow)
    return session, plan_session(console, session, **asked), allow
