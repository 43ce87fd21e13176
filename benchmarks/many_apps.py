"""A fleet of many apps on the embedded Alter, shared out over several processes, until nothing is left to do.

``python -m benchmarks.many_apps [--apps 200] [--agents 500] [--processes 4] [--by app|agent]``
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.measuring import TOOL
from benchmarks.rows import machine

_REQUESTS = re.compile(r"^\S+: (\d+) requests", re.MULTILINE)
# The embedded Alter has one core: more requests at once only wait for each other there.
_CALM = ("--parallelism", "4")
_TO_MIB = 2**20 if sys.platform == "darwin" else 2**10


@dataclass(frozen=True, slots=True)
class Part:
    """What one process took, and how it ended."""

    exit_code: int
    requests: int
    peak_mib: float
    last_line: str


@dataclass(frozen=True, slots=True)
class Phase:
    """What a command took over the whole fleet."""

    name: str
    seconds: float
    parts: Sequence[Part]

    @property
    def requests(self) -> int:
        return sum(part.requests for part in self.parts)

    def __str__(self) -> str:
        peak = max(part.peak_mib for part in self.parts)
        rate = self.requests / self.seconds
        ends = "; ".join(sorted({part.last_line for part in self.parts}))
        cells = (f"{self.seconds:.1f} s", f"{self.requests:,}", f"{rate:.0f}/s", f"{peak:.0f} MiB", ends)
        return f"| {self.name} | {' | '.join(cells)} |"


def write_apps(folder: Path, *, apps: int, agents: int, owner: str = "bench") -> Path:
    """A file for each app. Keys are discarded: what is measured is the work with the API."""
    config = folder / "apps"
    config.mkdir(parents=True)
    for app in range(apps):
        with (config / f"{_name(app)}.yaml").open("w") as file:
            file.write(
                f"version: 1\nowner: {owner}/{_name(app)}\n"
                f"app: {{name: {_name(app)}, api_key_env: {_variable(_name(app))}}}\n"
                "defaults: {deliver_to: [], type: service}\nagents:\n"
            )
            file.writelines(
                f"  agent-{agent:04}: {{scopes: {{google: [gmail.readonly], slack: ['chat:write']}}}}\n"
                for agent in range(agents)
            )
    return config


def _name(number: int) -> str:
    return f"app-{number:03}"


def _variable(app: str) -> str:
    return f"{app.upper().replace('-', '_')}_KEY"


@contextmanager
def serving(folder: Path, apps: Sequence[str]) -> Iterator[Mapping[str, str]]:
    """The embedded Alter in a process of its own; gives its address and the key of each app as variables."""
    command = [sys.executable, "-m", "benchmarks.many_apps", "serve", str(folder / "alter.sqlite3"), *apps]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield os.environ | json.loads(process.stdout.readline())
        finally:
            process.terminate()


def serve(database: Path, apps: Sequence[str]) -> None:
    """Prints the environment in one line, and serves until it is told to stop."""
    from reconciler.sandbox import SandboxServer
    from reconciler.sandbox.catalog import APP_PERMISSIONS

    server = SandboxServer(database)
    with server.store.transaction():
        keys = {_variable(app): server.create_app_key(APP_PERMISSIONS, app=app) for app in apps}

    def tell() -> None:
        print(json.dumps({"ALTER_BASE_URL": server.base_url, **keys}), flush=True)

    server.run_forever(on_listening=tell)


def shares(config: Path, *, processes: int, by: str) -> list[list[str]]:
    """The options of each process: apps of its own, or a part of the agents of all of them."""
    if by == "agent":
        return [["-c", str(config), f"--shard={index + 1}/{processes}"] for index in range(processes)]
    command = [TOOL, "matrix", "-c", str(config), f"--max-jobs={processes}", "--output=json", "--quiet"]
    jobs = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)["include"]
    return [[word for path in job["config"].splitlines() for word in ("-c", path)] for job in jobs]


def run_all(
    name: str, options: Sequence[Sequence[str]], environment: Mapping[str, str], folder: Path, *words: str
) -> Phase:
    """One process for each share, at the same time."""

    def run(number: int) -> Part:
        out, told = folder / f"{number}.out", folder / f"{number}.err"
        with out.open("w") as stdout, told.open("w") as stderr:
            process = subprocess.Popen(
                [TOOL, *words, "--verbose", *options[number]],
                env=dict(environment),
                stdout=stdout,
                stderr=stderr,
            )
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        requests = sum(map(int, _REQUESTS.findall(told.read_text())))
        last = out.read_text().splitlines()[-1:] or [told.read_text()[-200:]]
        return Part(process.returncode, requests, usage.ru_maxrss / _TO_MIB, last[0])

    began = time.perf_counter()
    with ThreadPoolExecutor(len(options)) as pool:
        parts = list(pool.map(run, range(len(options))))
    return Phase(name, time.perf_counter() - began, parts)


def converge(folder: Path, *, apps: int, agents: int, processes: int, by: str = "app") -> list[Phase]:
    """Applies the whole fleet, and plans it: there is nothing left to do, or the exit codes say so."""
    config = write_apps(folder, apps=apps, agents=agents)
    with serving(folder, [_name(app) for app in range(apps)]) as environment:
        options = shares(config, processes=processes, by=by)
        applied = run_all("first apply", options, environment, folder, "apply", "--yes", *_CALM)
        planned = run_all("plan, no change", options, environment, folder, "plan", "--detailed-exitcode")
        whole = run_all(
            "plan, no change, one process",
            [["-c", str(config)]],
            environment,
            folder,
            "plan",
            "--detailed-exitcode",
        )
        return [applied, planned, whole]


def main(arguments: Sequence[str]) -> None:
    """Runs it and prints a table."""
    if arguments[:1] == ["serve"]:
        serve(Path(arguments[1]), arguments[2:])
        return
    parser = argparse.ArgumentParser(prog="python -m benchmarks.many_apps")
    parser.add_argument("--apps", type=int, default=200)
    parser.add_argument("--agents", type=int, default=500)
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--by", choices=["app", "agent"], default="app")
    asked = parser.parse_args(arguments)
    with TemporaryDirectory() as folder:
        phases = converge(
            Path(folder), apps=asked.apps, agents=asked.agents, processes=asked.processes, by=asked.by
        )
        size = (Path(folder) / "alter.sqlite3").stat().st_size / 2**20
    total = asked.apps * asked.agents
    print(
        f"{asked.apps} apps × {asked.agents} agents = {total:,}, {asked.processes} processes, by {asked.by}\n"
    )
    print("| command | time | requests | rate | peak of a process | ends |\n|---|---|---|---|---|---|")
    print(*phases, sep="\n")
    print(f"\nThe sandbox's database is {size:.0f} MiB. Measured on {machine()}.")
    sys.exit(max(part.exit_code for phase in phases for part in phase.parts))


if __name__ == "__main__":
    main(sys.argv[1:])
