"""Turns Ctrl-C and SIGTERM into a polite question that the executor asks between agents."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from reconciler.errors import ExitCode

_CODES = {signal.SIGINT: ExitCode.INTERRUPTED, signal.SIGTERM: ExitCode.TERMINATED}


class StopRequest:
    """Whether somebody asked the process to stop."""

    def __init__(self) -> None:
        self._code: ExitCode | None = None

    def verdict(self) -> ExitCode | None:
        """The exit code to end with, or ``None`` to go on."""
        return self._code

    def is_asked(self) -> bool:
        """Whether to stop at all."""
        return self._code is not None

    def ask(self, code: ExitCode) -> None:
        """Asks to stop; the first one to ask decides the code."""
        self._code = self._code or code


@contextmanager
def stop_on_signals(request: StopRequest, announce: Callable[[str], None]) -> Iterator[None]:
    """While this is open, a signal asks to stop instead of ending the process in the middle of a delivery.

    Signals come to the main thread. Elsewhere this does nothing: whoever runs several apps listens for all.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handle(number: int, _frame: FrameType | None) -> None:
        is_first = request.verdict() is None
        request.ask(_CODES[signal.Signals(number)])
        if is_first:
            announce("stopping: what is begun will be finished, nothing new is started")

    previous = {number: signal.signal(number, handle) for number in _CODES}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
