"""Columns of text that line up on a terminal, also with characters that are two cells wide or none."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

_NARROWEST = 9
_GAP = "  "


def display_width(text: str) -> int:
    """How many cells a terminal uses for ``text``, which holds no control characters."""
    if text.isascii():
        return len(text)
    return sum(map(_cells, text))


def pad(text: str, width: int) -> str:
    """``text`` with blanks behind it, ``width`` cells wide; never shortened."""
    return text + " " * (width - display_width(text))


def fit(text: str, width: int) -> str:
    """``text`` in at most ``width`` cells, cut with ``…`` where it is longer."""
    if display_width(text) <= width:
        return text
    room = width - 1
    kept = []
    for character in text:
        room -= _cells(character)
        if room < 0:
            break
        kept.append(character)
    return "".join(kept) + "…"


def align(
    rows: Sequence[Sequence[str]], *, width: int | None = None, elastic: Sequence[int] = ()
) -> list[list[str]]:
    """The cells of ``rows``, each padded to its column; the last cell of a row keeps no trailing blanks.

    When the rows are wider than ``width``, the ``elastic`` columns shrink, in the order given. The others
    never do: a name that is cut is a wrong name.
    """
    widths = [max(map(display_width, column), default=0) for column in zip(*rows, strict=True)]
    if width is not None:
        excess = sum(widths) + len(_GAP) * (len(widths) - 1) - width
        for column in elastic:
            give = min(max(excess, 0), max(widths[column] - _NARROWEST, 0))
            widths[column] -= give
            excess -= give
    padded = [[pad(fit(cell, size), size) for cell, size in zip(row, widths, strict=True)] for row in rows]
    return [[*row[:-1], row[-1].rstrip()] for row in padded]


def join(cells: Sequence[str]) -> str:
    """One line of aligned cells."""
    return _GAP.join(cells).rstrip()


def wrap(items: Sequence[str], *, indent: int, width: int | None) -> list[list[str]]:
    """``items`` in lines, broken between items only; ``indent`` is what already stands before each line."""
    lines: list[list[str]] = []
    used = 0
    for item in items:
        size = len(_GAP) + display_width(item)
        if lines and (width is None or indent + used + size <= width):
            lines[-1].append(item)
            used += size
        else:
            lines.append([item])
            used = size - len(_GAP)
    return lines


def _cells(character: str) -> int:
    if unicodedata.category(character) in {"Mn", "Me"}:
        return 0
    return 2 if unicodedata.east_asian_width(character) in {"W", "F"} else 1
