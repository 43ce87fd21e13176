"""The paper that Markdown reports are written on: how much room there is, and the shapes that fit on it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

from reconciler.reports.escaping import COMMAND_LIMIT, for_markdown_cell, for_markdown_code, for_terminal

_UNLIMITED = 10**9
# Names with these in them could be mistaken for a list of names.
_OF_LISTS = frozenset("{},")
# What a name is made of: words, and numbers and separators between them.
_PARTS = re.compile(r"(\d{1,18}|[-_./])")
_MOST_PARTS = 24


class Rung(IntEnum):
    """How much is written. Each rung says less than the one before; what may not be missing stays on all."""

    FULL = 0
    LINES = 1  # one line for each agent
    COUNTS = 2  # counts instead of lines
    NAMES = 3  # what may not be missing as names, grouped by what it is
    FOLDED = 4  # names that have most of their parts in common as one
    BARE = 5  # not grouped any more
    CUT = 6  # as many names as there is room for


@dataclass(slots=True)
class Paper:
    """One try: its rung, and how many names may still be written on it."""

    rung: Rung
    names_left: int = _UNLIMITED

    def names(self, names: Iterable[str]) -> str:
        """Names in one piece of code, and how many there was no room for."""
        wanted = list(dict.fromkeys(map(for_terminal, names)))
        shown = wanted[: self.names_left]
        self.names_left -= len(shown)
        folded = fold_names(shown) if self.rung >= Rung.FOLDED else shown
        left_out = len(wanted) - len(shown)
        parts = [for_markdown_code(", ".join(folded), limit=COMMAND_LIMIT)] if shown else []
        return " ".join([*parts, *([f"**and {left_out} more, not shown**"] if left_out else [])])

    def few(self, limits: Sequence[int]) -> int:
        """How many items of a list are written: one number for each rung, 0 for what has none."""
        return limits[self.rung] if self.rung < len(limits) else 0


def on_paper(write: Callable[[Paper], str], *, room: int, measure: Callable[[str], int]) -> str:
    """The most that there is room for. Below the last rung names are left out, and counted."""
    text = ""
    for rung in Rung:
        text = write(Paper(rung))
        if measure(text) <= room:
            return text
    fits, too_many = 0, len(text)  # there are never more names than characters
    while too_many - fits > 1:
        middle = (fits + too_many) // 2
        if measure(write(Paper(Rung.CUT, middle))) <= room:
            fits = middle
        else:
            too_many = middle
    return write(Paper(Rung.CUT, fits))


def fold_names(names: Sequence[str]) -> list[str]:
    """Names that differ in one part only as one, as a shell writes it: ``tenant-{acme,globex}-reader``.

    Numbers in a row are a range: ``tenant-{001..250}``. Which part is tried for all names at once.
    """
    parts = [[name] if _OF_LISTS & set(name) else _PARTS.split(name) for name in names]
    most = max(map(len, parts), default=0)
    ways = [_folded_at(at, parts) for at in range(min(most, _MOST_PARTS))]
    return min(ways, key=lambda way: sum(map(len, way)) + 2 * len(way), default=[])


def _folded_at(at: int, parts: Sequence[Sequence[str]]) -> list[str]:
    groups: dict[tuple[str, str], list[str]] = {}
    for name in parts:
        around = ("".join(name[:at]), "".join(name[at + 1 :]))
        groups.setdefault(around, []).append(name[at] if at < len(name) else "")
    return [
        name
        for (before, after), found in groups.items()
        for name in (
            [f"{before}{{{','.join(_ranges(found))}}}{after}"]
            if len(found) > 1 and (before or after)
            else [f"{before}{one}{after}" for one in found]
        )
    ]


def _ranges(found: Sequence[str]) -> list[str]:
    """Numbers of one width that follow each other, as ``first..last``; everything else as it is."""
    runs: list[list[str]] = []
    for text in sorted(found):
        last = runs[-1][-1] if runs else ""
        if text.isdecimal() and text.isascii() and len(text) == len(last) and _is_next(last, text):
            runs[-1].append(text)
        else:
            runs.append([text])
    return [part for run in runs for part in ([f"{run[0]}..{run[-1]}"] if len(run) > 2 else run)]


def _is_next(last: str, text: str) -> bool:
    return last.isdecimal() and last.isascii() and int(text) == int(last) + 1


def section(title: str, lines: Sequence[str]) -> str:
    """A bold line with a list below it; nothing without lines."""
    return "\n".join([f"**{title}**", "", *(f"- {line}" for line in lines)]) if lines else ""


def first(lines: Sequence[str], limit: int) -> list[str]:
    """The first lines, and how many more there are; nothing at all with a limit of 0."""
    if not limit:
        return []
    left_out = len(lines) - limit
    return [*lines[:limit], f"… and {left_out} more"] if left_out > 0 else list(lines)


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; ``rows`` are Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(map(for_markdown_cell, line))} |" for line in lines)


def fold(summary: str, body: str) -> str:
    """What shows when somebody clicks on ``summary``, which is HTML; nothing without a body."""
    return f"<details><summary>{summary}</summary>\n\n{body}\n\n</details>" if body else ""


def grouped(pairs: Iterable[tuple[str, str]]) -> Mapping[str, list[str]]:
    """Names by what they have in common, in the order of first sight: ``(what, name)``."""
    found: dict[str, list[str]] = {}
    for what, name in pairs:
        found.setdefault(what, []).append(name)
    return found


def counted(count: int, what: str) -> str:
    """``1 error``, ``2 errors``."""
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
