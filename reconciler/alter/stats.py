"""Counts what a conversation costs: requests, how many at once, retries, and time spent waiting."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace

from reconciler.ports import Clock


@dataclass(frozen=True, slots=True)
class ApiStats:
    """What the conversation cost so far.

    ``waited_seconds`` is the time in which anything waited, before a retry or for the rate limit: what many
    threads wait at the same time counts once. ``peak`` is how many requests were under way at once.
    """

    requests: int = 0
    retries: int = 0
    waited_seconds: float = 0.0
    peak: int = 0


class Tally:
    """The counts of one conversation, shared by all threads."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._stats = ApiStats()
        self._in_flight = 0
        self._waited_until = 0.0

    def stats(self) -> ApiStats:
        """The counts as they are now."""
        return self._stats

    def begin(self) -> None:
        """A request goes out."""
        with self._lock:
            self._in_flight += 1
            now = self._stats
            self._stats = replace(now, requests=now.requests + 1, peak=max(now.peak, self._in_flight))

    def end(self) -> None:
        """It is over, whatever came of it."""
        with self._lock:
            self._in_flight -= 1

    def retry(self) -> None:
        """A request will be repeated."""
        with self._lock:
            self._stats = replace(self._stats, retries=self._stats.retries + 1)

    def wait(self, seconds: float) -> float:
        """Somebody waits from now on; by how much that makes the whole wait longer."""
        with self._lock:
            now = self._clock.now().timestamp()
            longer = max(0.0, now + seconds - max(now, self._waited_until))
            self._waited_until = max(self._waited_until, now + seconds)
            self._stats = replace(self._stats, waited_seconds=self._stats.waited_seconds + longer)
            return longer
