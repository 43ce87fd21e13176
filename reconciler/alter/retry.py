"""Repeats what may be repeated: with jittered growing pauses, the server's own wait, and a limit on time.

*What* may be repeated is the caller's to say, by the kind of request; this module says *when*.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeVar

from reconciler import errors
from reconciler.alter.refusals import Unavailable
from reconciler.ports import Clock

if TYPE_CHECKING:
    import stamina

T = TypeVar("T")

_MAY_PASS = (errors.RateLimited, errors.ServerFault, errors.Unreachable)


@dataclass(frozen=True, slots=True)
class ApiEvent:
    """Something worth showing while it happens: a coming retry, or a pause to stay inside the rate limit.

    Raised in whatever thread made the request. ``attempt`` is the one that failed, from 1; 0 for a pause.
    """

    kind: Literal["retry", "pause"]
    route: str
    attempt: int
    wait_seconds: float
    reason: str


@dataclass(frozen=True, slots=True)
class Exchange:
    """One attempt that is over, told in the thread that made it. ``route`` names no agent and no key.

    ``status`` is the HTTP status, 0 where there was none; ``error`` the code of the failure, if it was one.
    ``attempt`` counts from 1, ``reason`` is the code of what made the one before fail. ``request_id`` is what
    the server calls the request.
    """

    route: str
    status: int
    error: str
    started_at: float
    seconds: float
    attempt: int = 1
    reason: str = ""
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """``budget_seconds`` runs from the first failure: no new attempt begins after it.

    A rate limit is no failure of the server and is waited for longer: two windows of a minute, usually.
    """

    budget_seconds: float = 60.0
    rate_limit_factor: float = 2.2
    attempts: int = 8
    first_wait_seconds: float = 0.25
    longest_wait_seconds: float = 10.0
    # A host that cannot be reached at all is a wrong address more often than a short outage.
    connection_attempts: int = 4


class Retrier:
    """Runs actions until they succeed or must not be repeated. Shared by all threads."""

    def __init__(
        self,
        *,
        clock: Clock,
        policy: RetryPolicy,
        on_event: Callable[[ApiEvent], None],
        is_stopping: Callable[[], bool] = lambda: False,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._clock = clock
        self._policy = policy
        self._on_event = on_event
        self._is_stopping = is_stopping
        self._jitter = jitter

    def run(self, action: Callable[[], T], *, route: str) -> T:
        """The result of ``action``, which is called once or more; its last error when nothing helps.

        Once ``is_stopping`` says so, no failure is waited for and no attempt repeated.
        """
        try:
            return action()
        except _MAY_PASS as error:
            return self._again(action, error, route=route)

    def _again(self, action: Callable[[], T], first: errors.ApiError, *, route: str) -> T:
        """Goes on after the first attempt; nearly all need no more, and that is all that they cost."""
        import stamina
        from stamina.instrumentation import set_on_retry_hooks

        # The default hook logs, and a log without a handler ends on stderr. Retries are told by events.
        set_on_retry_hooks([])
        run = _Run(
            clock=self._clock,
            policy=self._policy,
            on_event=self._on_event,
            is_stopping=self._is_stopping,
            jitter=self._jitter,
            route=route,
        )
        schedule = stamina.retry_context(
            on=run.decide,
            attempts=self._policy.attempts,
            timeout=None,
            wait_initial=self._policy.first_wait_seconds,
            wait_max=self._policy.longest_wait_seconds,
            wait_jitter=0,
        )
        pending: errors.ApiError | None = first
        for attempt in schedule:
            run.attempt = attempt
            with attempt:
                if pending is None:
                    return action()
                error, pending = pending, None
                raise error
        raise AssertionError("stamina ends with a result or an error")


@dataclass(slots=True)
class _Run:
    """The decisions of one run. stamina keeps the count and the growing wait; we wait, on our own clock."""

    clock: Clock
    policy: RetryPolicy
    on_event: Callable[[ApiEvent], None]
    is_stopping: Callable[[], bool]
    jitter: Callable[[], float]
    route: str
    attempt: stamina.Attempt = field(init=False)
    failed_at: float | None = None

    def decide(self, error: Exception) -> bool | float:
        """``False`` ends the run with this error. The wait is over when it returns, hence the 0.0."""
        if not isinstance(error, _MAY_PASS):
            return False
        # A process that was told to stop has to end soon; the next run finds out what happened.
        if self.is_stopping():
            return False
        now = self.clock.now().timestamp()
        if self.failed_at is None:
            self.failed_at = now
        budget = self.policy.budget_seconds
        if isinstance(error, errors.RateLimited):
            budget *= self.policy.rate_limit_factor
        # Between half of the scheduled wait and all of it, on top of what the server asks for: threads that
        # failed together must not come back together.
        wait = self.attempt.next_wait * (0.5 + self.jitter() / 2) + _asked_seconds(error)
        never_sent = isinstance(error, errors.Unreachable) and not error.sent
        attempts = self.policy.connection_attempts if never_sent else self.policy.attempts
        if self.attempt.num >= attempts or now + wait > self.failed_at + budget:
            return False
        self.on_event(ApiEvent("retry", self.route, self.attempt.num, wait, error.code))
        self.clock.sleep(wait)
        return False if self.is_stopping() else 0.0


def _asked_seconds(error: errors.ApiError) -> float:
    if isinstance(error, errors.RateLimited | Unavailable):
        return error.retry_after_seconds or 0.0
    return 0.0
