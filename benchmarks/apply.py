"""A first apply, which creates agents and delivers their keys: against the official client, and a floor."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.fleet import write_fleet
from benchmarks.measuring import TOOL, Usage, measure, python, sandbox
from benchmarks.rows import Row, at_most, seconds

_AGENTS = 1_000
_PARALLELISM = 32
_RUNS = 3


def first_apply() -> Iterator[Row]:
    """1,000 agents whose keys go to files; the client only creates them and drops the keys."""
    title = f"first apply, {_AGENTS:,} agents with keys to files"
    client = _once(_client)
    rounds = [(_once(_ours), _once(_floor)) for _ in range(_RUNS)]
    ours, floor = (min(usages, key=lambda usage: usage.seconds) for usages in zip(*rounds, strict=True))
    faster = client.seconds / ours.seconds
    yield Row(
        title,
        seconds(ours.seconds),
        f"alter-sdk in a loop, keys dropped: {seconds(client.seconds)}",
        f"{faster:.1f}× faster",
        "≥ 8× faster",
        faster >= 8,
    )
    yield at_most(1.4, title, ours=ours.seconds, theirs=floor.seconds, compared_with="floor")


def _once(command_in: Callable[[Path], Sequence[str]]) -> Usage:
    """One run against an Alter in which nothing is yet."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        with sandbox(folder / "sandbox.sqlite3") as environment:
            return measure(command_in(folder), environment)


def _ours(folder: Path) -> Sequence[str]:
    config = write_fleet(folder, _AGENTS, delivers=True)
    return [TOOL, "apply", "--yes", "--quiet", "-c", str(config), "--parallelism", str(_PARALLELISM)]


def _floor(folder: Path) -> Sequence[str]:
    return python("benchmarks.apply_floor", str(_AGENTS), str(_PARALLELISM), folder / "secrets")


def _client(_: Path) -> Sequence[str]:
    return python("benchmarks.sdk_loop", str(_AGENTS))
