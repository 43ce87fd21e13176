"""``make mutants``: changes the decisions about keys one by one, and reports what no test notices.

A change that makes no difference is explained below, by the line that it makes: nothing else may survive.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

# The changed line, and why no test can tell it from the original.
_UNREACHABLE = "without a delivered key the agent is due, and urgently: this is never reached"
_FALSE = "None is as false as False"
EXPLAINED = {
    "if delivered is None and recorded is None:": _UNREACHABLE,
    "raise AssertionError(None)": _UNREACHABLE,
    'raise AssertionError("XXwithout a delivered key nothing is retiredXX")': _UNREACHABLE,
    'raise AssertionError("WITHOUT A DELIVERED KEY NOTHING IS RETIRED")': _UNREACHABLE,
    'return Due(f"key {delivered.key_id} {age} (max_age)", is_urgent=None)': _FALSE,
    'if _counts(facts, "max-scope-removals", op) and _pairs(op, gained=None)': _FALSE,
}

_PROGRAM = str(Path(sys.executable).with_name("mutmut"))
_SURVIVOR = re.compile(r"^\s*(\S+__mutmut_\d+): (survived|no tests|timeout|suspicious)$", re.MULTILINE)


def survivors() -> Iterator[tuple[str, str]]:
    """Names of the changes that survived, with their diffs."""
    results = subprocess.run([_PROGRAM, "results"], capture_output=True, text=True, check=True).stdout
    for name, _ in _SURVIVOR.findall(results):
        shown = subprocess.run([_PROGRAM, "show", name], capture_output=True, text=True, check=True)
        yield name, shown.stdout


def changed_line(diff: str) -> str:
    """The line that a change puts in place of another."""
    lines = [line[1:].strip() for line in diff.splitlines() if re.match(r"\+(?!\+\+)", line)]
    return " ".join(lines)


def main() -> int:
    """Runs all changes; the exit code is 1 when one survives without an explanation."""
    subprocess.run([_PROGRAM, "run", "--max-children", "2"], check=True)
    found = list(survivors())
    unexplained = [(name, diff) for name, diff in found if changed_line(diff) not in EXPLAINED]
    for name, diff in unexplained:
        print(f"{name} survives:\n{diff}")
    print(f"{len(found)} changes survive, {len(found) - len(unexplained)} of them explained")
    return 1 if unexplained else 0


if __name__ == "__main__":
    sys.exit(main())
