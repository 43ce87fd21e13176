"""One conversation with the ``alter`` executable: commands run, counted, and repeated where that is safe."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from reconciler.alter.program import DashboardAccess, Program
from reconciler.alter.retry import ApiEvent, Retrier, RetryPolicy
from reconciler.alter.session import ApiStats
from reconciler.alter.wire import Parser
from reconciler.model.values import Json
from reconciler.ports import Clock

T = TypeVar("T")

# A process for each attempt: fewer of them than of requests.
_POLICY = RetryPolicy(attempts=4, connection_attempts=1)


class Commands:
    """Shared by all threads. ``run`` is one attempt; ``repeat`` and ``persist`` go on until one succeeds."""

    def __init__(
        self,
        access: DashboardAccess,
        *,
        clock: Clock,
        on_event: Callable[[ApiEvent], None] = lambda _event: None,
        is_stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        self._program = Program(access)
        self._listener = on_event
        self._lock = threading.Lock()
        self._stats = ApiStats()
        self._retrier = Retrier(clock=clock, policy=_POLICY, on_event=self._tell, is_stopping=is_stopping)

    def check(self) -> None:
        """Raises ``errors.FileMissing`` when the executable is not there. Nothing is run."""
        self._program.find()

    def run(self, command: str, *words: str, body: bytes | None = None) -> Json:
        """What ``alter agents COMMAND`` prints, from one attempt."""
        with self._lock:
            self._stats = replace(self._stats, requests=self._stats.requests + 1)
        return self._program.run(command, *words, body=body)

    def repeat(self, command: str, *words: str, parse: Parser[T]) -> T:
        """What a command's answer means. For reads, and for changes that are idempotent."""
        route = f"alter agents {command}"
        return self.persist(lambda: parse(self.run(command, *words), route=route), route=route)

    def persist(self, action: Callable[[], T], *, route: str) -> T:
        """The result of the action, tried again as long as its failures may pass."""
        return self._retrier.run(action, route=route)

    def stats(self) -> ApiStats:
        """What the conversation cost so far; a request is a process."""
        return self._stats

    def _tell(self, event: ApiEvent) -> None:
        with self._lock:
            now = self._stats
            waited = now.waited_seconds + event.wait_seconds
            self._stats = replace(now, retries=now.retries + 1, waited_seconds=waited)
        self._listener(event)
