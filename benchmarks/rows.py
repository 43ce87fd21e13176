"""One measurement as a row of the table, and the table in docs/performance.md."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

PAGE = Path(__file__).parent.parent / "docs" / "performance.md"
_BEGIN, _END = "<!-- benchmarks: begin -->", "<!-- benchmarks: end -->"
_HEAD = "| benchmark | alter-sync | compared with | ratio | target | |\n|---|---|---|---|---|---|"


@dataclass(frozen=True, slots=True)
class Row:
    """One comparison. ``holds`` is ``None`` where nothing was promised or nothing could be measured."""

    benchmark: str
    ours: str
    compared_with: str = ""
    ratio: str = ""
    target: str = ""
    holds: bool | None = None

    def as_markdown(self) -> str:
        """The row of the table."""
        verdict = {True: "holds", False: "does not hold", None: ""}[self.holds]
        cells = (self.benchmark, self.ours, self.compared_with, self.ratio, self.target, verdict)
        return f"| {' | '.join(cells)} |"


def at_most(limit: float, benchmark: str, *, ours: float, theirs: float, compared_with: str) -> Row:
    """A row whose target is a ratio of seconds that may not be exceeded."""
    ratio = ours / theirs
    return Row(
        benchmark,
        seconds(ours),
        f"{compared_with}: {seconds(theirs)}",
        f"{ratio:.2f}×",
        f"≤ {limit:g}×",
        ratio <= limit,
    )


def seconds(value: float) -> str:
    """A time as people read it."""
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.2f} s"


def table(rows: Iterable[Row]) -> str:
    """The table, and the machine that it is true for."""
    lines = "\n".join(row.as_markdown() for row in rows)
    return f"{_HEAD}\n{lines}\n\nMeasured on {machine()}.\n"


def machine() -> str:
    """What the numbers depend on."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    interpreter = f"{platform.python_implementation()} {platform.python_version()}"
    return f"{cores} cores, {platform.system()} {platform.machine()}, {interpreter}"


def write_into_page(text: str) -> None:
    """Puts the table between the markers of the page."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(_BEGIN)
    _, _, after = rest.partition(_END)
    PAGE.write_text(f"{before}{_BEGIN}\n{text}{_END}{after}", encoding="utf-8")
