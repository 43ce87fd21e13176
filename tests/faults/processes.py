"""Real processes of `alter-sync apply`, as a CI job would start them."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import reconciler
from tests.support.fleet import Fleet

_PROGRAM = (sys.executable, "-c", "from reconciler.cli.main import main; main()")
_LONGEST_SECONDS = 25


@dataclass(frozen=True, slots=True)
class Ended:
    """How a process ended; negative codes are signals."""

    code: int
    out: str
    err: str


def start_apply(fleet: Fleet, *options: str) -> subprocess.Popen[str]:
    """Starts `alter-sync apply --yes` for a fleet."""
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(Path(reconciler.__file__).parents[1]),
        "ALTER_BASE_URL": fleet.server.base_url,
        "ALTER_API_KEY": fleet.server.app_key(),
    }
    return subprocess.Popen(
        [*_PROGRAM, "apply", "--yes", "-c", str(fleet.config), *options],
        cwd=fleet.folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(fleet: Fleet, process: subprocess.Popen[str]) -> Ended:
    """Waits for its end, and gives what it printed to the fleet to be searched for keys."""
    out, err = process.communicate(timeout=_LONGEST_SECONDS)
    fleet.documents += [out, err]
    return Ended(process.returncode, out, err)


def apply(fleet: Fleet, *options: str) -> Ended:
    """Runs it to its end."""
    return finish(fleet, start_apply(fleet, *options))


def make_good(fleet: Fleet, *options: str) -> list[str]:
    """What is wrong after two more real runs, and one that must find nothing to do."""
    for _ in range(2):
        apply(fleet, *options)
    problems = fleet.violations() + fleet.unusable()
    before = len(fleet.mutations())
    last = apply(fleet, *options)
    problems += [f"still at it: {one.method} {one.path}" for one in fleet.mutations()[before:]]
    return problems + ([] if last.code == 0 else [f"exit code {last.code}: {last.err}"])
