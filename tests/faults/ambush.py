"""Lets a test act at the very moment when a request arrives, before anything is done about it."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable

from reconciler.sandbox.faults import Fault, FaultPlan


class Ambush(FaultPlan):
    """Calls `on_request(nth, method, path)` for each request once it is set; it may answer with a fault."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0
        self.on_request: Callable[[int, str, str], Fault | None] | None = None

    def claim(self, method: str, path: str) -> Fault | None:
        if self.on_request is None:
            return super().claim(method, path)
        self.count += 1
        return self.on_request(self.count, method, path) or super().claim(method, path)


class KillSwitch:
    """Kills a process at its nth request: before it is carried out, or after, with the answer lost."""

    def __init__(self, nth: int, *, after_commit: bool) -> None:
        self._nth = nth
        self._fault = Fault("drop_after" if after_commit else "drop_before")
        self._known = threading.Event()
        self._pid = 0

    def aim(self, pid: int) -> None:
        """Says whom to kill. The first request waits for it."""
        self._pid = pid
        self._known.set()

    def __call__(self, nth: int, _method: str, _path: str) -> Fault | None:
        if nth != self._nth:
            return None
        assert self._known.wait(timeout=10)
        os.kill(self._pid, signal.SIGKILL)
        return self._fault
