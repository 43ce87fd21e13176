"""One conversation with the server: requests paced, counted and repeated, refusals raised as errors."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

from reconciler import errors
from reconciler.alter.answers import Answer, read_json
from reconciler.alter.budget import RateBudget
from reconciler.alter.refusals import refusal
from reconciler.alter.retry import ApiEvent, Exchange, Retrier, RetryPolicy
from reconciler.alter.transport import Transport
from reconciler.alter.wire import Credential, encode
from reconciler.model.values import Json, JsonObject
from reconciler.ports import Clock

T = TypeVar("T")

_SHOWN_PAUSE_SECONDS = 1.0
# What stands behind one of these is an id.
_ID = re.compile(r"/(agents|keys)/[^/]+")


@dataclass(frozen=True, slots=True)
class ApiStats:
    """What the conversation cost so far. ``waited_seconds``: before retries and for the rate limit."""

    requests: int = 0
    retries: int = 0
    waited_seconds: float = 0.0


class Session:
    """Shared by all threads. ``exchange`` is one attempt; ``repeat`` runs attempts until one succeeds."""

    def __init__(
        self,
        *,
        transport: Transport,
        credential: Credential,
        clock: Clock,
        policy: RetryPolicy,
        on_event: Callable[[ApiEvent], None] | None,
        is_stopping: Callable[[], bool] = lambda: False,
        on_exchange: Callable[[Exchange], None] | None = None,
    ) -> None:
        self._on_exchange = on_exchange
        self._transport = transport
        self._credential = credential
        self._clock = clock
        self._listener = on_event
        self._lock = threading.Lock()
        self._stats = ApiStats()
        self._retrier = Retrier(clock=clock, policy=policy, on_event=self._tell, is_stopping=is_stopping)
        self._budget = RateBudget(clock, on_pause=self._tell_pause)

    def exchange(
        self,
        method: str,
        path: str,
        *,
        document: JsonObject | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Json:
        """The JSON of one answer, from one attempt; an ``errors.ApiError`` for everything else."""
        answer = self._send(
            method, path, body=None if document is None else encode(document), headers=headers
        )
        route = route_of(method, path)
        if not answer.is_success:
            raise self._refusal(answer, route)
        try:
            return read_json(answer, route=route)
        except errors.BadAnswer as exc:
            if method == "GET":
                raise
            # It was carried out, or something in between says so: an answer lost on its way.
            raise errors.Unreachable(exc.message, status=exc.status, code=exc.code, hint=exc.hint) from exc

    def repeat(self, action: Callable[[], T], *, route: str) -> T:
        """The result of the action, tried again as long as its failures may pass."""
        return self._retrier.run(action, route=route)

    def stats(self) -> ApiStats:
        """What the conversation cost so far."""
        return self._stats

    def close(self) -> None:
        """Closes the connections."""
        self._transport.close()

    def _send(
        self, method: str, path: str, *, body: bytes | None, headers: Mapping[str, str] | None
    ) -> Answer:
        self._budget.reserve()
        self._count(requests=1)
        answer: Answer | None = None
        started, failure = self._clock.now(), ""
        try:
            answer = self._transport.send(method, path, body=body, headers=headers)
        except errors.ApiError as exc:
            failure = exc.code
            raise
        finally:
            self._budget.settle(None if answer is None else answer.headers)
            if self._on_exchange is not None:
                seconds = (self._clock.now() - started).total_seconds()
                status = answer.status if answer else 0
                route = f"{method} {template_of(path)}"
                self._on_exchange(Exchange(route, status, failure, started.timestamp(), seconds))
        return answer

    def _refusal(self, answer: Answer, route: str) -> errors.ApiError:
        error = refusal(answer, route=route, now=self._clock.now(), conceal=self._credential.conceal)
        if isinstance(error, errors.RateLimited) and error.retry_after_seconds:
            self._budget.hold(error.retry_after_seconds)
        return error

    def _tell(self, event: ApiEvent) -> None:
        self._count(retries=1, waited_seconds=event.wait_seconds)
        if self._listener is not None:
            self._listener(event)

    def _tell_pause(self, seconds: float) -> None:
        self._count(waited_seconds=seconds)
        # Spreading makes many pauses of a few milliseconds, which nobody wants to read about.
        if self._listener is not None and seconds >= _SHOWN_PAUSE_SECONDS:
            self._listener(ApiEvent("pause", "", 0, seconds, "rate_limit"))

    def _count(self, *, requests: int = 0, retries: int = 0, waited_seconds: float = 0.0) -> None:
        with self._lock:
            now = self._stats
            self._stats = replace(
                now,
                requests=now.requests + requests,
                retries=now.retries + retries,
                waited_seconds=now.waited_seconds + waited_seconds,
            )


def template_of(path: str) -> str:
    """A path without the ids in it, so that all agents share one name."""
    return _ID.sub(r"/\1/{id}", path.partition("?")[0])


def route_of(method: str, path: str) -> str:
    """What messages call a request: without its query."""
    return f"{method} {path.partition('?')[0]}"
