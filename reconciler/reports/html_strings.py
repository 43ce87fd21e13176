"""The texts of the HTML report's data: each made visible, cut to its length, and kept once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from reconciler.reports.escaping import COMMAND_LIMIT, for_html


@dataclass(frozen=True, slots=True)
class Lengths:
    """How much of what comes from outside is shown: characters of a text, and items of a list."""

    name: int = 200
    value: int = 300
    message: int = 800
    items: int = 40


# A page that became too large is written again with these.
TIGHT = Lengths(name=100, value=60, message=160, items=6)


@dataclass(slots=True)
class Strings:
    """A table of texts; data refers to them by number, because most of them come back thousands of times."""

    lengths: Lengths = Lengths()
    texts: list[str] = field(default_factory=list)
    _known: dict[str, int] = field(default_factory=dict)
    _shown: dict[tuple[str, int], int] = field(default_factory=dict)

    def name(self, text: str) -> int:
        """A name, a path, a word."""
        return self._number(text, self.lengths.name)

    def value(self, text: str | None) -> int | None:
        """A value of the configuration or of an agent; ``None`` is no value."""
        return None if text is None else self._number(text, self.lengths.value)

    def message(self, text: str) -> int:
        """A sentence."""
        return self._number(text, self.lengths.message)

    def command(self, text: str) -> int:
        """A command, whole: one that is cut is a different one."""
        return self._number(text, COMMAND_LIMIT)

    def names(self, texts: Sequence[str]) -> list[int]:
        """As many of them as a list shows. How many there are is told apart: see ``left_out``."""
        return [self.name(text) for text in texts[: self.lengths.items]]

    def left_out(self, *lists: Sequence[str]) -> list[int]:
        """How many of each list are not shown; empty when all are."""
        counts = [max(len(one) - self.lengths.items, 0) for one in lists]
        return counts if any(counts) else []

    def _number(self, text: str, limit: int) -> int:
        if (number := self._shown.get((text, limit))) is None:
            shown = for_html(text, limit=limit)
            number = self._known.setdefault(shown, len(self.texts))
            if number == len(self.texts):
                self.texts.append(shown)
            self._shown[text, limit] = number
        return number


def seconds(moment: datetime | None) -> int | None:
    """A time for the page's script: seconds since 1970."""
    return None if moment is None else int(moment.timestamp())


def compact(**parts: object) -> dict[str, object]:
    """An object without its empty parts."""
    return {name: part for name, part in parts.items() if not _is_empty(part)}


def unique(texts: Iterable[str]) -> tuple[str, ...]:
    """Each once, in the order of their first appearance."""
    return tuple(dict.fromkeys(texts))


def _is_empty(part: object) -> bool:
    return part is None or part is False or part == "" or (isinstance(part, list | dict) and not part)
