"""``alter-sync sandbox``: the embedded Alter for any client."""

from __future__ import annotations

import typer

from reconciler.cli.commands.sandbox import dashboard, serving
from reconciler.cli.help import PlainGroup
from reconciler.errors import ExitCode

EXAMPLES = """\
  alter-sync sandbox serve                point any client at it
  eval "$(alter-sync sandbox dashboard)"  an alter executable for it, with a token
  alter-sync sandbox advance 25h          move its clock
  alter-sync sandbox use secrets/a.env    be a workload: use the key in a file
  alter-sync sandbox reset                forget every agent and key"""
EPILOG = f"""\b
Examples:
{EXAMPLES}
"""


def build() -> typer.Typer:
    """The group with its commands."""
    group = PlainGroup(_sandbox, epilog=EPILOG)
    group.command("serve", epilog=serving.SERVE_EPILOG)(serving.serve)
    group.command("dashboard", epilog=dashboard.EPILOG)(dashboard.dashboard)
    group.command("reset", epilog=serving.RESET_EPILOG)(serving.reset)
    group.command("advance", epilog=serving.ADVANCE_EPILOG)(serving.advance)
    group.command("use", epilog=serving.USE_EPILOG)(serving.use)
    return group


def _sandbox(context: typer.Context) -> ExitCode:
    """The embedded Alter: real HTTP on loopback, its state in one SQLite file, a clock of its own."""
    if context.invoked_subcommand is None:
        typer.echo(f"{EXAMPLES}\n\nMore: alter-sync sandbox --help")
    return ExitCode.OK
