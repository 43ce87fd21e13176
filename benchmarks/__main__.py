"""Runs the benchmarks and prints a table: ``python -m benchmarks [agents]``."""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.floor import write_fleet

_RUNS = 5


def main(arguments: Sequence[str]) -> None:
    """A plan without changes over a large fleet, against the floor in ``floor.py``."""
    agents = int(arguments[0]) if arguments else 10_000
    with TemporaryDirectory() as folder, _Sandbox(Path(folder)) as environment:
        config = write_fleet(Path(folder), agents)
        tool = [str(Path(sys.executable).with_name("alter-sync"))]
        flags = ["--yes", "--quiet", "-c", str(config), "--parallelism", "16"]
        subprocess.run([*tool, "apply", *flags], env=environment, check=True, stdout=subprocess.DEVNULL)
        plan = [*tool, "plan", "--detailed-exitcode", "--quiet", "-c", str(config)]
        floor = [sys.executable, "-m", "benchmarks.floor", str(config)]
        times = [(_seconds(plan, environment), _seconds(floor, environment)) for _ in range(_RUNS)]
    ratio = statistics.median(ours / theirs for ours, theirs in times)
    memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print("| benchmark | alter-sync | floor | ratio | peak memory of a child |")
    print("|---|---|---|---|---|")
    ours, theirs = (statistics.median(column) for column in zip(*times, strict=True))
    cells = (f"plan, {agents:,} agents, no change", f"{ours:.2f} s", f"{theirs:.2f} s", f"{ratio:.2f}")
    print(f"| {' | '.join(cells)} | {memory:.0f} MiB |")


class _Sandbox:
    """The embedded Alter in a process of its own; gives the environment that points at it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __enter__(self) -> Mapping[str, str]:
        tool = str(Path(sys.executable).with_name("alter-sync"))
        command = [tool, "sandbox", "serve", "--database", str(self._folder / "sandbox.sqlite3")]
        self._process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert self._process.stdout is not None
        exports = [self._process.stdout.readline().strip().removeprefix("export ") for _ in range(2)]
        return os.environ | dict(line.split("=", 1) for line in exports)

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()


def _seconds(command: Sequence[str], environment: Mapping[str, str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


if __name__ == "__main__":
    main(sys.argv[1:])
