"""What it takes to begin at all: the help, and what Tab waits for, against an empty Python program."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

from benchmarks.measuring import TOOL, best_in_turn
from benchmarks.rows import Row, at_most, seconds

# None of these has anything to do with showing a help text.
_HEAVY = frozenset({"httpx", "jsonschema", "deepdiff", "rich", "yaml"})
_HELP = [TOOL, "--help"]
_COMPLETION = [TOOL, "__complete", "bash", "alter-sync pl"]


def start_up() -> Iterator[Row]:
    """The help, the completion of a command, and what they import."""
    empty = [sys.executable, "-c", "pass"]
    help_text, completion, nothing = best_in_turn(_HELP, _COMPLETION, empty, runs=15)
    compared_with = "`python -c pass`"
    yield at_most(
        5,
        "`alter-sync --help`",
        ours=help_text.seconds,
        theirs=nothing.seconds,
        compared_with=compared_with,
    )
    yield Row(
        "completion of a command",
        seconds(completion.seconds),
        f"{compared_with}: {seconds(nothing.seconds)}",
        f"{completion.seconds / nothing.seconds:.2f}×",
    )
    loaded = _HEAVY & (_imported(_HELP) | _imported(_COMPLETION))
    what = ", ".join(sorted(loaded)) or "none"
    allowed = f"none of {', '.join(sorted(_HEAVY))}"
    yield Row("imports of the help and of completion", what, target=allowed, holds=not loaded)


def _imported(command: list[str]) -> frozenset[str]:
    """The top-level packages that a run imports, by Python's own account."""
    environment = os.environ | {"PYTHONPROFILEIMPORTTIME": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    names = (line.rpartition("|")[2].strip() for line in done.stderr.splitlines())
    return frozenset(name.partition(".")[0] for name in names)
