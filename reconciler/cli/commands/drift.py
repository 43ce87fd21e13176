"""``alter-sync drift``: what somebody changed outside, who did it and when."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from reconciler.cli import options as opt
from reconciler.cli.access import tell_access
from reconciler.cli.apps import open_apps
from reconciler.cli.call import Call, with_call
from reconciler.cli.console import Console
from reconciler.cli.live_plan import read_everything
from reconciler.cli.observing import Wanted, observing
from reconciler.cli.reporting import reporting
from reconciler.cli.selection import parse_shard
from reconciler.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from reconciler.cli.app_run import AppRun
    from reconciler.model.diagnostic import Diagnostic
    from reconciler.model.drift import Drift

EPILOG = """\b
Examples:
  alter-sync drift                           what differs from what was applied last
  alter-sync drift --exit-code               10 when somebody changed something outside, for a cron job
  alter-sync drift --baseline known.json     accept today's drift, report only what is new from now on
  alter-sync drift --output json             for programs: alter-sync schema drift
  alter-sync apply --only-drift              put back what was changed outside, and nothing else
"""

WithExitCode = Annotated[bool, typer.Option("--exit-code", help="Exit with 10 when there is drift.")]
Baseline = Annotated[
    Path | None,
    typer.Option(
        "--baseline",
        help="Do not count the drift in this file. If it is not there, today's drift is written to it.",
        metavar="FILE",
    ),
]


@with_call
def drift(
    call: Call,
    *,
    target: opt.Target = [],
    shard: opt.Shard = "",
    exit_code: WithExitCode = False,
    baseline: Baseline = None,
    report: opt.Report = [],
    max_chars: opt.MaxChars = None,
    metrics: opt.Metrics = None,
    notify: opt.Notify = [],
    notify_state: opt.NotifyState = None,
) -> ExitCode:
    """Show what somebody changed outside: fields, scopes, keys, agents; and who did it, and when.

    Compares what is live with what was applied last, and tells that apart from what the configuration is
    ahead of. Reads only. With ALTER_PAT the audit feed names who did it, and the registry shows agents that
    nobody declared. Exits with 0, or with 10 when --exit-code is given and there is drift: what is not
    applied yet and agents that nobody uses are listed, but are no drift.
    """
    from reconciler.cli.drifting import find_drift
    from reconciler.planning.drift import without_ignored

    part = parse_shard(shard, os.environ)
    wanted = Wanted.of(metrics=metrics, notify=notify, state=notify_state)
    with (
        reporting(report, command="drift", max_chars=max_chars, targets=target, shard=part) as reporter,
        observing(call.console, "drift", wanted, reporter=reporter) as watch,
    ):
        reporter.tell(apply_command=call.source.apply_command())

        def check_app(run: AppRun) -> ExitCode:
            console, session, command = run.console, run.connect(), run.source.apply_command()
            live = read_everything(session, shard=part)
            found = find_drift(console, session, live, target, shard=part)
            tell_access(run.reporter, console, session, target, shard=part, live=live)
            if session.findings:
                _warn(console, session.findings)
            kept, ignored = without_ignored(session.desired, found.findings, now=found.seen_at)
            shown = replace(found, findings=kept, ignored=ignored)
            if baseline is not None:
                shown = _with_baseline(console, shown, baseline)
            code = ExitCode.CHANGES if exit_code and shown.has_drift else ExitCode.OK
            run.reporter.tell(drift=shown, apply_command=command)
            run.reporter.write(code)
            _show(console, shown, command=command)
            return code

        only_one_for = "drift --baseline" if baseline else ""
        keeps = bool(report or metrics or notify)
        with open_apps(call, reporter, watch, only_one_for=only_one_for, keeps=keeps) as apps:
            apps.each(check_app, "checking")
            return apps.finish()


def _warn(console: Console, findings: Sequence[Diagnostic]) -> None:
    """Says what is odd about the configuration: above all a rule that has ended and ignores nothing now."""
    from reconciler.reports.messages import diagnostics_text

    console.say(diagnostics_text(findings, style=console.style(sys.stderr)))


def _with_baseline(console: Console, drift: Drift, path: Path) -> Drift:
    """Without what the baseline accepts; a baseline that is not there yet is written, and accepts nothing.

    So a typing error in its name never makes a check end well.
    """
    from reconciler.planning.baseline import accepted_by, baseline_document, without_accepted

    if not path.exists():
        from reconciler.cli.new_files import write_new_file
        from reconciler.reports.json_document import dump

        write_new_file(path, dump(baseline_document(drift), "json") + "\n")
        console.say(f"today's drift is written to {path}; the next run with --baseline {path} accepts it")
        return drift
    accepted = accepted_by(_read(path), owner=drift.owner, app=drift.app, where=str(path))
    kept, ignored = without_accepted(drift.findings, accepted)
    return replace(drift, findings=kept, ignored=(*drift.ignored, *ignored))


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"the baseline {path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(
            f"the baseline {path} is not JSON", hint="name another file, or remove it"
        ) from error


def _show(console: Console, drift: Drift, *, command: str) -> None:
    if console.is_table:
        from reconciler.reports.drift_text import drift_text

        style, width = console.style(), console.width()
        console.text(drift_text(drift, style=style, width=width, verbose=console.is_verbose, command=command))
    else:
        from reconciler.reports.drift_document import drift_document

        console.document(drift_document(drift))
