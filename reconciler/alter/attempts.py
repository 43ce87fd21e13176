"""Remembers, for each thread, which attempt of a request comes next, and why there is another one."""

from __future__ import annotations

import threading

from reconciler.alter.retry import ApiEvent


class Attempts(threading.local):
    """One action at a time in each thread."""

    _coming: ApiEvent | None = None

    def note(self, event: ApiEvent) -> None:
        """The request that failed is repeated next, unless something else has to be asked first."""
        self._coming = event

    def begin(self, route: str) -> tuple[int, str]:
        """The number of the attempt that begins, from 1, and the code of what made the one before fail."""
        coming = self._coming
        if coming is None or coming.route != route:
            return 1, ""
        self._coming = None
        return coming.attempt + 1, coming.reason

    def forget(self) -> None:
        """The action is over."""
        self._coming = None
