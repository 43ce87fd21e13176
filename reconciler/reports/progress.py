"""How far long work has come: a bar on a TTY, one line per 10 % elsewhere."""

from __future__ import annotations

from contextlib import suppress
from threading import Lock
from types import TracebackType
from typing import TYPE_CHECKING, Self, TextIO

if TYPE_CHECKING:
    from rich.progress import Progress as Bar
    from rich.progress import TaskID

# Shorter work is over before anybody reads how far it is.
_FEWEST_ITEMS = 10


class Progress:
    """A context manager around work of ``total`` items; any thread may call ``advance``.

    ``stream`` is stderr: what is written is for people and never part of the data. A stream that is gone
    does not stop the work.
    """

    def __init__(self, stream: TextIO, total: int, label: str, *, is_tty: bool, quiet: bool) -> None:
        self._stream = stream
        self._total = total
        self._label = label
        self._has_bar = is_tty and not quiet and total > 0
        self._has_lines = not is_tty and not quiet and total >= _FEWEST_ITEMS
        self._done = 0
        self._tenths = -1
        self._lock = Lock()
        self._bar: Bar | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        if self._has_bar:
            self._start_bar()
        self.advance(0)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            with suppress(OSError, ValueError):
                self._bar.stop()

    def advance(self, items: int = 1) -> None:
        """Notes that so many more items are finished. More than ``total`` count as ``total``."""
        with self._lock:
            self._done = min(self._done + items, self._total)
            if self._bar is not None and self._task is not None:
                self._bar.update(self._task, completed=self._done)
            elif self._has_lines:
                self._write_line()

    def _write_line(self) -> None:
        percent = self._done * 100 // self._total
        if percent // 10 == self._tenths:
            return
        self._tenths = percent // 10
        # The work behind this may be half an apply: a closed pipe must not cut it off.
        with suppress(OSError, ValueError):
            self._stream.write(f"{self._label}: {percent} % ({self._done} of {self._total})\n")
            self._stream.flush()

    def _start_bar(self) -> None:
        # 100 ms to import, and most runs have no TTY.
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        self._bar = Bar(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=Console(file=self._stream, force_terminal=True),
            transient=True,
        )
        self._task = self._bar.add_task(self._label, total=self._total)
        with suppress(OSError, ValueError):
            self._bar.start()
