"""``alter-sync doctor``: whether everything is there that the other commands need, and what to do if not."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer

from reconciler.cli.call import Call, with_call
from reconciler.cli.checks.setup import Purpose
from reconciler.errors import ExitCode

EPILOG = """\b
Examples:
  alter-sync doctor                          everything that the configuration needs, and how to mend it
  alter-sync doctor --for plan               only what a plan needs, for a job with a key that reads
  alter-sync doctor --for revoke             fail also when the key may not write and revoke
  alter-sync doctor --output json            for programs: alter-sync schema doctor
"""

For = Annotated[
    Purpose | None,
    typer.Option(
        "--for",
        help="What it has to be good for: plan (sinks are left out), apply (needs agents:write) or revoke "
        "(agents:admin, too). Without it, what the key lacks for changes is a warning.",
        show_default=False,
    ),
]


@with_call
def doctor(call: Call, *, purpose: For = None) -> ExitCode:
    """Check the setup: configuration, credentials, permissions, network, clock, sinks; with the fix for each.

    Reads only: permissions are found out without a change, and sinks are probed without a key. No credential
    is shown. Exits with 0 when there are only warnings; else with what the command that needs it would end
    with: 2 configuration, 3 credential or permission, 4 not there, 6 rate limit, 12 wrong app, 14 sink.
    """
    from reconciler.cli.checks.dashboard import check_dashboard
    from reconciler.cli.checks.server import check_server
    from reconciler.cli.checks.setup import describe_tool, open_setup
    from reconciler.cli.checks.side_by_side import Job, run_side_by_side
    from reconciler.cli.checks.sinks import sink_jobs
    from reconciler.reports.doctor_report import Diagnosis, doctor_document, doctor_text

    console = call.console
    with open_setup(console, call.source) as (setup, offline):
        jobs: list[Job] = []
        if setup is not None:
            jobs = [
                Job("server", partial(check_server, setup, purpose)),
                Job("dashboard", partial(check_dashboard, setup)),
                *sink_jobs(setup, purpose),
            ]
        diagnosis = Diagnosis(describe_tool(), (*offline, *run_side_by_side(jobs)))
    if console.is_table:
        console.text(doctor_text(diagnosis, style=console.style()))
    else:
        console.document(doctor_document(diagnosis))
    return diagnosis.exit_code()
