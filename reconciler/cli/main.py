"""The entry point: arguments in, exit code out."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Sequence
from io import TextIOWrapper
from itertools import pairwise

from reconciler.cli.boundary import guarded
from reconciler.cli.console import Console, OutputFormat
from reconciler.cli.overview import COMPLETE, page_of
from reconciler.errors import ExitCode, UsageError


def main() -> None:
    """What the ``alter-sync`` script calls."""
    # A run keeps what it reads: to look for garbage in that again and again would take as long as a plan.
    gc.set_threshold(300_000)
    _fill_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # A terminal that knows no "→" gets a question mark, and not a failure after the work is done.
            stream.reconfigure(errors="replace")
    exit_code = run(sys.argv[1:])
    gc.freeze()  # Python looks for garbage once more when it ends, when nobody needs the room
    sys.exit(exit_code)


def _fill_closed_streams() -> None:
    # A cron job may start us without some. Filled first, no file that is opened later takes their number.
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            # By descriptor: it stays open until the process ends.
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode))


def run(arguments: Sequence[str]) -> int:
    """Runs one command line and returns its exit code. Never raises, never exits the process."""
    console = _console_of(arguments)

    def action() -> ExitCode:
        # typer alone takes longer than Python itself, and these need nothing of it.
        page = page_of(arguments)
        if page is not None:
            console.text(page)
            return ExitCode.OK
        if arguments[0] == COMPLETE:
            from reconciler.cli.completion import complete

            return complete(console, arguments[1:])
        if "" in arguments:
            # `-c "$UNSET"` would otherwise mean the working directory, with every YAML in it.
            raise UsageError("an argument is empty", hint="is a variable of the shell not set?")
        return ExitCode(_invoke(_with_sandbox_default(arguments)))

    return guarded(console, action)


def _invoke(arguments: Sequence[str]) -> int:
    """Calls typer. Its own complaints become ``UsageError``, so that they look like every other failure."""
    from typer._click.exceptions import UsageError as ClickUsageError

    from reconciler.cli.app import build_app

    try:
        return build_app()(args=list(arguments), prog_name="alter-sync", standalone_mode=False) or 0
    except ClickUsageError as error:
        from reconciler.cli.typing_errors import typing_error

        raise typing_error(error, arguments) from error


def _with_sandbox_default(arguments: Sequence[str]) -> list[str]:
    # The parser knows no options with an optional value: a bare `--sandbox` gets its default here.
    from reconciler.cli.options import DEFAULT_SANDBOX

    return [f"--sandbox={DEFAULT_SANDBOX}" if word == "--sandbox" else word for word in arguments]


def _console_of(arguments: Sequence[str]) -> Console:
    """The console for failures that come before a command has read its own options."""
    words = list(arguments)
    asked = {word.removeprefix("--output=") for word in words if word.startswith("--output=")}
    asked |= {after for word, after in pairwise(words) if word in {"--output", "-o"}}
    known = [output for output in OutputFormat if output.value in asked]
    return Console(output=known[0] if known else OutputFormat.TABLE, color="--no-color" not in words)
