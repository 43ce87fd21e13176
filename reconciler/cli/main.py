"""The entry point: arguments in, exit code out."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from io import TextIOWrapper
from itertools import pairwise

from reconciler.cli.app import build_app
from reconciler.cli.boundary import guarded
from reconciler.cli.console import Console, OutputFormat
from reconciler.cli.options import DEFAULT_SANDBOX
from reconciler.errors import ExitCode, UsageError


def main() -> None:
    """What the ``alter-sync`` script calls."""
    _fill_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # A terminal that knows no "→" gets a question mark, and not a failure after the work is done.
            stream.reconfigure(errors="replace")
    sys.exit(run(sys.argv[1:]))


def _fill_closed_streams() -> None:
    # A cron job may start us without some. Filled first, no file that is opened later takes their number.
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            # By descriptor: it stays open until the process ends.
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode))


def run(arguments: Sequence[str]) -> int:
    """Runs one command line and returns its exit code. Never raises, never exits the process."""
    arguments = _with_sandbox_default(arguments)

    def action() -> ExitCode:
        if "" in arguments:
            # `-c "$UNSET"` would otherwise mean the working directory, with every YAML in it.
            raise UsageError("an argument is empty", hint="is a variable of the shell not set?")
        return ExitCode(_invoke(arguments))

    return guarded(_console_of(arguments), action)


def _invoke(arguments: Sequence[str]) -> int:
    """Calls typer. Its own complaints become ``UsageError``, so that they look like every other failure."""
    from typer._click.exceptions import UsageError as ClickUsageError

    try:
        return build_app()(args=list(arguments), prog_name="alter-sync", standalone_mode=False) or 0
    except ClickUsageError as error:
        command = error.ctx.command_path if error.ctx else "alter-sync"
        raise UsageError(error.format_message(), hint=f"see: {command} --help") from error


def _with_sandbox_default(arguments: Sequence[str]) -> list[str]:
    # The parser knows no options with an optional value: a bare `--sandbox` gets its default here.
    return [f"--sandbox={DEFAULT_SANDBOX}" if word == "--sandbox" else word for word in arguments]


def _console_of(arguments: Sequence[str]) -> Console:
    """The console for failures that come before a command has read its own options."""
    words = list(arguments)
    asked = {word.removeprefix("--output=") for word in words if word.startswith("--output=")}
    asked |= {after for word, after in pairwise(words) if word in {"--output", "-o"}}
    known = [output for output in OutputFormat if output.value in asked]
    return Console(output=known[0] if known else OutputFormat.TABLE, color="--no-color" not in words)
