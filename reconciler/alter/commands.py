"""One conversation with the ``alter`` executable: commands run, counted, and repeated where that is safe."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from reconciler import errors
from reconciler.alter.attempts import Attempts
from reconciler.alter.program import FEED_TIME_LIMIT_SECONDS, TIME_LIMIT_SECONDS, DashboardAccess, Program
from reconciler.alter.retry import ApiEvent, Exchange, Retrier, RetryPolicy
from reconciler.alter.stats import ApiStats, Tally
from reconciler.alter.wire import Parser
from reconciler.model.values import Json
from reconciler.ports import Clock

T = TypeVar("T")

# A process for each attempt: fewer of them than of requests.
_POLICY = RetryPolicy(attempts=4, connection_attempts=1)
_FEED_POLICY = RetryPolicy(attempts=2, connection_attempts=1)
PROCESSES_AT_ONCE = 8
# Of this machine, however many conversations there are.
_ROOM = threading.BoundedSemaphore(PROCESSES_AT_ONCE)


class Commands:
    """Shared by all threads. ``run`` is one attempt; ``repeat`` and ``persist`` go on until one succeeds."""

    def __init__(
        self,
        access: DashboardAccess,
        *,
        clock: Clock,
        on_event: Callable[[ApiEvent], None] = lambda _event: None,
        is_stopping: Callable[[], bool] = lambda: False,
        is_for_feed: bool = False,
        on_exchange: Callable[[Exchange], None] | None = None,
    ) -> None:
        self._clock, self._on_exchange = clock, on_exchange
        limit = FEED_TIME_LIMIT_SECONDS if is_for_feed else TIME_LIMIT_SECONDS
        self._program = Program(access, time_limit_seconds=limit)
        self._listener = on_event
        self._tally = Tally(clock)
        self._attempts = Attempts()
        policy = _FEED_POLICY if is_for_feed else _POLICY
        self._retrier = Retrier(clock=clock, policy=policy, on_event=self._tell, is_stopping=is_stopping)

    def check(self) -> None:
        """Raises ``errors.FileMissing`` when the executable is not there. Nothing is run."""
        self._program.find()

    def run(self, command: str, *words: str, body: bytes | None = None) -> Json:
        """What ``alter agents COMMAND`` prints, from one attempt."""
        with _ROOM:
            return self._run(command, *words, body=body)

    def repeat(self, command: str, *words: str, parse: Parser[T]) -> T:
        """What a command's answer means. For reads, and for changes that are idempotent."""
        route = f"alter agents {command}"
        return self.persist(lambda: parse(self.run(command, *words), route=route), route=route)

    def persist(self, action: Callable[[], T], *, route: str) -> T:
        """The result of the action, tried again as long as its failures may pass."""
        try:
            return self._retrier.run(action, route=route)
        finally:
            self._attempts.forget()

    def stats(self) -> ApiStats:
        """What the conversation cost so far; a request is a process."""
        return self._tally.stats()

    def _run(self, command: str, *words: str, body: bytes | None) -> Json:
        self._tally.begin()
        route = f"alter agents {command}"
        attempt, reason = self._attempts.begin(route)
        started, failure, status = self._clock.now(), "", 0
        try:
            return self._program.run(command, *words, body=body)
        except errors.ApiError as exc:
            failure, status = exc.code, exc.status
            raise
        finally:
            self._tally.end()
            if self._on_exchange is not None:
                seconds = (self._clock.now() - started).total_seconds()
                at = started.timestamp()
                self._on_exchange(Exchange(route, status, failure, at, seconds, attempt, reason))

    def _tell(self, event: ApiEvent) -> None:
        self._tally.retry()
        self._attempts.note(event)
        self._tally.wait(event.wait_seconds)
        self._listener(event)
