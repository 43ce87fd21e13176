"""Collects what is wrong with a configuration: each thing once, with its place and the nearest match."""

from __future__ import annotations

import re
from collections.abc import Iterable

from reconciler.model.diagnostic import Diagnostic, Position, Severity
from reconciler.model.nearest import MOST_CANDIDATES, nearest
from reconciler.model.secret import KEY_SHAPE

MAX_REPORTED = 200
# More than are reported, because stages find in different orders and the first by position are shown.
MAX_KEPT = 2_000
MAX_EXCERPT = 160
MAX_SHOWN = 60
MAX_PATH = 400
MAX_COMPARISONS = 8_000

# What changes how text looks without being seen: C0 and C1 controls, line separators, bidirectional ones.
HIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ufeff\ufffe\uffff]")
_LINE_BREAK = re.compile("\r\n|\r|\n")


def shown(value: object, *, limit: int = MAX_SHOWN) -> str:
    """A value of the user's as it may stand in a message: one line, short, without control characters."""
    match value:
        case None:
            return "nothing (null)"
        case bool():
            return "true" if value else "false"
        case str():
            return f'"{_visible(value, limit)}"'
        case dict():
            return "a mapping"
        case list():
            return "a list"
        case _:
            return _visible(str(value), limit)


def listed(names: Iterable[str]) -> str:
    """Names in one order, shortened when there are many."""
    ordered = sorted(names)
    text = ", ".join(_visible(name, MAX_SHOWN) for name in ordered[:12])
    return f"{text} and {len(ordered) - 12} more" if len(ordered) > 12 else text


class Findings:
    """What was found so far. ``has_errors`` stays right however many findings were dropped."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str, Position | None], Diagnostic] = {}
        self._texts: dict[str, str] = {}
        self._dropped = 0
        self._comparisons = 0
        self.has_errors = False

    def add_text(self, file: str, text: str) -> None:
        """Keeps a file's text for the excerpts."""
        self._texts[file] = text

    def line(self, file: str, number: int) -> str:
        """A line of a kept text, counted from 1; empty when there is none."""
        lines = _LINE_BREAK.split(self._texts.get(file, ""))
        return lines[number - 1] if 0 < number <= len(lines) else ""

    def error(self, rule: str, message: str, position: Position | None, *, hint: str = "") -> None:
        """Adds an error."""
        self.has_errors = True
        self._add("error", rule, message, position, hint=hint)

    def warning(self, rule: str, message: str, position: Position | None, *, hint: str = "") -> None:
        """Adds a warning."""
        self._add("warning", rule, message, position, hint=hint)

    @property
    def is_full(self) -> bool:
        """Whether more findings are only counted, so that ``count_errors`` says enough."""
        return len(self._found) >= MAX_KEPT

    def count_errors(self, count: int) -> None:
        """Counts errors that nobody will see."""
        self.has_errors = True
        self._dropped += count

    def suggest(self, word: str, candidates: Iterable[str], *, listing: str = "", otherwise: str = "") -> str:
        """A hint: the nearest match, or with ``listing`` in front all there are, or what to do otherwise.

        Costs nothing once nobody would see it, and is bounded in all.
        """
        if len(self._found) >= MAX_REPORTED:
            return otherwise
        names, match = tuple(candidates), ""
        if self._comparisons < MAX_COMPARISONS:
            self._comparisons += min(len(names), MOST_CANDIDATES)
            match = nearest(word, names)
        if match:
            return f'Did you mean "{_visible(match, MAX_SHOWN)}"?'
        return f"{listing}: {listed(names)}." if listing and names else otherwise

    def sorted(self) -> tuple[Diagnostic, ...]:
        """All findings in order of position. Of too many, the first errors and a count."""
        found = sorted(self._found.values(), key=_order)
        dropped = self._dropped
        if len(found) + dropped > MAX_REPORTED:
            kept = sorted(found, key=lambda one: one.severity != "error")[:MAX_REPORTED]
            dropped += len(found) - len(kept)
            found = sorted(kept, key=_order)
        lines = {file: _LINE_BREAK.split(self._texts[file]) for file in self._files(found)}
        complete = [_with_excerpt(one, lines) for one in found]
        if dropped:
            severity: Severity = "error" if self.has_errors else "warning"
            complete.append(Diagnostic(severity, "too-many-findings", f"… and {dropped:,} more findings"))
        return tuple(complete)

    def _add(
        self, severity: Severity, rule: str, message: str, position: Position | None, *, hint: str
    ) -> None:
        key = (rule, message, position)
        if key in self._found:
            return
        # Warnings leave room for the errors that may follow: without those nobody knows what to change.
        if len(self._found) < (MAX_KEPT if severity == "error" else MAX_KEPT // 2):
            self._found[key] = Diagnostic(severity, rule, message, position, hint)
        else:
            self._dropped += 1

    def _files(self, found: Iterable[Diagnostic]) -> set[str]:
        return {one.position.file for one in found if one.position and one.position.file in self._texts}


def _order(one: Diagnostic) -> tuple[bool, str, int, int, str, str]:
    where = one.position or Position("", 0, 0)
    return (one.position is None, where.file, where.line, where.column, one.rule, one.message)


def _with_excerpt(one: Diagnostic, lines: dict[str, list[str]]) -> Diagnostic:
    where = one.position
    if where is None or not 0 < where.line <= len(lines.get(where.file, ())):
        return one
    excerpt = _visible(lines[where.file][where.line - 1].rstrip(), MAX_EXCERPT)
    return Diagnostic(one.severity, one.rule, one.message, where, one.hint, excerpt)


def _visible(text: str, limit: int) -> str:
    # Masked first: a key cut in half would no longer look like one.
    text = KEY_SHAPE.sub("alter_…", text[:20_000].replace("\t", " "))
    text = text if len(text) <= limit else text[: limit - 1] + "…"
    return text if text.isprintable() else "".join(one if one.isprintable() else "�" for one in text)
