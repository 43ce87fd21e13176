"""An apply against a rate limit: how long it takes, against the time that the limit forces.

``python -m benchmarks.rate_limit`` takes about ten minutes: windows of a minute are waited for.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.fleet import write_fleet
from benchmarks.measuring import TOOL
from benchmarks.rows import Row, seconds
from reconciler.sandbox import SandboxServer, SandboxSettings

AGENTS = 400
LIMIT = 600
WINDOW_SECONDS = 60
MOST_RATIO, MOST_REFUSED = 1.15, 2


@dataclass(frozen=True, slots=True)
class Start:
    """When a run begins: so many seconds into a window. ``announced``: whether the server tells its limit.

    ``rotates``: the agents are there, and every key is replaced; otherwise agents and first keys are made.
    """

    name: str
    into_window: float
    latency_seconds: float = 0.0
    announced: bool = True
    rotates: bool = False


STARTS = (
    Start("first keys, from the start of a window", 0.5),
    Start("first keys, from the middle", 30),
    Start("first keys, from the middle, answers take 100 ms", 30, latency_seconds=0.1),
    Start("every key replaced, from the middle", 30, rotates=True),
    Start(
        "every key replaced, from the middle, only 429s tell of the limit", 30, announced=False, rotates=True
    ),
)


@dataclass(frozen=True, slots=True)
class Run:
    """What the server saw of one run. ``carried_out`` are the requests that it did not refuse."""

    start: Start
    carried_out: int
    refused: int
    began_at: float
    seconds: float

    @property
    def forced_seconds(self) -> float:
        """From the beginning until the window comes in which the last request can be carried out at all."""
        after_first = self.carried_out - LIMIT
        if after_first <= 0:
            return 0.0
        to_next = WINDOW_SECONDS - self.began_at % WINDOW_SECONDS
        return to_next + WINDOW_SECONDS * (ceil(after_first / LIMIT) - 1)


def applies(starts: tuple[Start, ...] = STARTS) -> Iterator[Run]:
    """Each in a sandbox of its own, whose limit is not used yet."""
    for start in starts:
        with TemporaryDirectory() as name:
            folder = Path(name)
            config = write_fleet(folder, AGENTS, delivers=True)
            if start.rotates:
                with _sandbox(folder) as environment:
                    _run(["apply"], config, environment)
            limited = {"rate_limit_per_minute": LIMIT, "announces_rate_limit": start.announced}
            with _sandbox(folder, latency_seconds=start.latency_seconds, **limited) as environment:
                yield _measured(start, config, environment)


def _measured(start: Start, config: Path, environment: Mapping[str, str]) -> Run:
    time.sleep((start.into_window - time.time()) % WINDOW_SECONDS)
    names = [f"agent-{number:06d}" for number in range(AGENTS)]
    began_at = time.time()
    # So many keys at once are an exception, also for the guard.
    _run(["rotate", *names, "--allow", "rotation-pace"] if start.rotates else ["apply"], config, environment)
    took = time.time() - began_at
    with urllib.request.urlopen(f"{environment['ALTER_BASE_URL']}/_sandbox/requests") as answer:
        requests: list[dict[str, Any]] = json.load(answer)["items"]
    refused = sum(request["status"] == 429 for request in requests)
    return Run(start, len(requests) - refused, refused, began_at, took)


def _run(command: Sequence[str], config: Path, environment: Mapping[str, str]) -> None:
    words = [TOOL, *command, "--yes", "-q", "-c", str(config)]
    subprocess.run(words, env=environment, check=True, stdout=subprocess.DEVNULL)


@contextmanager
def _sandbox(folder: Path, **settings: Any) -> Iterator[Mapping[str, str]]:
    """A sandbox in a process of its own; the environment that points at it."""
    database = str(folder / "sandbox.sqlite3")
    serve = [sys.executable, "-m", "benchmarks.rate_limit", database, json.dumps(settings)]
    with subprocess.Popen(serve, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        address, key = process.stdout.readline().split()
        try:
            yield os.environ | {"ALTER_BASE_URL": address, "ALTER_API_KEY": key}
        finally:
            process.terminate()


def _serve(database: Path, settings: str) -> None:
    server = SandboxServer(database, settings=SandboxSettings(**json.loads(settings)))

    def tell() -> None:
        print(server.base_url, server.app_key(), flush=True)

    server.run_forever(on_listening=tell)


def rate_limit() -> Iterator[Row]:
    """A row for each run: 1.15 times what the limit forces at most, and two refusals if it is announced."""
    for run in applies():
        ratio = run.seconds / run.forced_seconds
        yield Row(
            benchmark=f"{AGENTS} agents, {LIMIT} requests a minute, {run.start.name}",
            ours=f"{seconds(run.seconds)}, {run.carried_out:,} requests, {run.refused} refused",
            compared_with=f"forced by the limit: {seconds(run.forced_seconds)}",
            ratio=f"{ratio:.3f}×",
            target=f"≤ {MOST_RATIO}×" + (f", ≤ {MOST_REFUSED} refused" if run.start.announced else ""),
            holds=ratio <= MOST_RATIO and (run.refused <= MOST_REFUSED or not run.start.announced),
        )


def main() -> None:
    """Prints the rows as they come."""
    for row in rate_limit():
        print(row.as_markdown(), flush=True)


if __name__ == "__main__":
    if len(sys.argv) == 3:
        _serve(Path(sys.argv[1]), sys.argv[2])
    else:
        main()
