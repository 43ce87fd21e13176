"""Runs whole commands and says what they took, against an embedded Alter in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

TOOL = str(Path(sys.executable).with_name("alter-sync"))
# Of every answer: a server that is not on the same machine is this far away, on a good day.
LATENCY_SECONDS = 0.02
_TO_MIB = 2**20 if sys.platform == "darwin" else 2**10

Environment = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Usage:
    """What one command took. ``seconds`` by the clock on the wall, memory at its peak."""

    seconds: float
    cpu_seconds: float
    peak_mib: float


def measure(command: Sequence[str], environment: Environment = os.environ) -> Usage:
    """Runs a command, which has to succeed, and measures this one process."""
    began = time.perf_counter()
    # ``subprocess`` would wait itself, and not say what the process took.
    with subprocess.Popen(command, env=dict(environment), stdout=subprocess.DEVNULL) as process:
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise subprocess.CalledProcessError(process.returncode, command)
    return Usage(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / _TO_MIB)


def best_in_turn(
    *commands: Sequence[str], environment: Environment = os.environ, runs: int = 5
) -> tuple[Usage, ...]:
    """The fastest run of each command. They take turns, and what else the machine does only slows them."""
    rounds = [[measure(command, environment) for command in commands] for _ in range(runs)]
    return tuple(min(usages, key=lambda usage: usage.seconds) for usages in zip(*rounds, strict=True))


def python(module: str, *arguments: str | Path) -> list[str]:
    """The command that runs a module with this interpreter."""
    return [sys.executable, "-m", module, *map(str, arguments)]


@contextmanager
def sandbox(database: Path, *, latency_seconds: float = LATENCY_SECONDS) -> Iterator[Environment]:
    """The embedded Alter; gives the environment that points at it."""
    command = [TOOL, "sandbox", "serve", "--database", str(database), "--latency", str(latency_seconds)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        try:
            exports = [process.stdout.readline().strip().removeprefix("export ") for _ in range(2)]
            yield os.environ | dict(line.split("=", 1) for line in exports)
        finally:
            process.terminate()


@contextmanager
def sandbox_with(config: Path, folder: Path) -> Iterator[Environment]:
    """The embedded Alter in which the agents of a configuration are live already."""
    database = folder / "sandbox.sqlite3"
    subprocess.run(python("benchmarks.fleet", config, database), check=True)
    with sandbox(database) as environment:
        yield environment
