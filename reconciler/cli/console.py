"""Where output goes: data to stdout, everything else to stderr, colours only where they are wanted."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from shutil import get_terminal_size
from typing import TYPE_CHECKING, Any, TextIO

from reconciler.cli.trace import NO_TRACE, Trace
from reconciler.errors import AlterSyncError

if TYPE_CHECKING:
    from reconciler.reports.progress import Progress
    from reconciler.reports.styles import Style


class OutputFailed(AlterSyncError):
    """Whoever should have read stdout is gone, or there is no room for it."""

    code = "output_failed"


class OutputFormat(StrEnum):
    """How data is written."""

    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"


@dataclass(frozen=True, slots=True)
class Console:
    """One command's output. ``fields`` selects what ``json`` and ``jsonl`` show; empty means all.

    ``trace`` is where spans of the run go.
    """

    output: OutputFormat = OutputFormat.TABLE
    fields: tuple[str, ...] = ()
    color: bool = True
    interactive: bool = True
    verbosity: int = 0
    trace: Trace = NO_TRACE

    @property
    def is_table(self) -> bool:
        """Whether the data is for people."""
        return self.output is OutputFormat.TABLE

    @property
    def is_quiet(self) -> bool:
        """Whether only data and errors are wanted."""
        return self.verbosity < 0

    @property
    def is_verbose(self) -> bool:
        """Whether more than usual is wanted."""
        return self.verbosity > 0

    def text(self, text: str) -> None:
        """Data for people, on stdout."""
        _write_data(text)

    def document(self, document: Mapping[str, Any]) -> None:
        """Data for programs, on stdout, in the chosen format."""
        from reconciler.reports.json_document import dump, select_fields

        chosen = select_fields(document, self.fields) if self.fields else document
        text = dump(chosen, "jsonl" if self.output is OutputFormat.JSONL else "json")
        if text:  # no rows are no lines, not an empty one
            _write_data(text)

    def say(self, text: str) -> None:
        """A message on stderr, unless the user wants quiet."""
        if not self.is_quiet:
            self.alarm(text)

    def alarm(self, text: str) -> None:
        """A message on stderr that quiet does not hide. A closed stderr stops no work that is under way."""
        with suppress(OSError, ValueError):
            _write(sys.stderr, text)

    def style(self, stream: TextIO | None = None) -> Style:
        """Colours for a stream; ``NO_COLOR`` wins over ``FORCE_COLOR``, and that over the stream."""
        from reconciler.reports.styles import Style

        return Style.ansi() if self._has_color(stream or sys.stdout) else Style.plain()

    def width(self) -> int | None:
        """The columns of the terminal; ``None`` when stdout is none."""
        return get_terminal_size().columns if sys.stdout.isatty() else None

    def progress(self, total: int, label: str) -> Progress:
        """How far long work is, on stderr."""
        from reconciler.reports.progress import Progress

        is_tty = sys.stderr.isatty() and self._has_color(sys.stderr)
        return Progress(sys.stderr, total, label, is_tty=is_tty, quiet=self.is_quiet)

    def confirms(self, question: str) -> bool:
        """Asks on the terminal; anything but a clear yes is a no."""
        _write(sys.stderr, question, end=" [y/N] ")
        return sys.stdin.readline().strip().lower() in {"y", "yes"}

    def answer(self, question: str, *, default: str) -> str:
        """Asks for a text. The default is for an empty answer, and for nobody who could give one."""
        if not self.can_ask():
            return default
        _write(sys.stderr, question, end=f" [{default}] " if default else " ")
        return sys.stdin.readline().strip() or default

    def can_ask(self) -> bool:
        """Whether somebody is there to answer."""
        return self.interactive and sys.stdin.isatty()

    def _has_color(self, stream: TextIO) -> bool:
        if not self.color or os.environ.get("NO_COLOR"):
            return False
        if os.environ.get("FORCE_COLOR"):
            return True
        return stream.isatty() and os.environ.get("TERM") != "dumb"


def _write_data(text: str) -> None:
    try:
        _write(sys.stdout, text)
    except (OSError, ValueError) as error:
        # What is still in the buffer would fail once more when Python ends, with an exit code of its own.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        why = error.strerror if isinstance(error, OSError) else "it is closed"
        raise OutputFailed(f"stdout cannot be written: {why}") from error


def _write(stream: TextIO, text: str, end: str = "\n") -> None:
    stream.write(text if text.endswith(end) else text + end)
    stream.flush()
