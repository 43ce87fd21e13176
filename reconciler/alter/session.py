"""One conversation with the server: requests paced, counted and repeated, refusals raised as errors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from reconciler import errors
from reconciler.alter.answers import Answer, read_json, request_id
from reconciler.alter.attempts import Attempts
from reconciler.alter.limiter import Limiter
from reconciler.alter.refusals import refusal
from reconciler.alter.retry import ApiEvent, Exchange, Retrier, RetryPolicy
from reconciler.alter.routes import route_of, template_of
from reconciler.alter.stats import ApiStats, Tally
from reconciler.alter.transport import Transport
from reconciler.alter.wire import Credential, encode
from reconciler.model.values import Json, JsonObject
from reconciler.ports import Clock

T = TypeVar("T")

# A key that others use, too, makes many pauses of a few milliseconds, which nobody wants to read about.
_SHOWN_PAUSE_SECONDS = 1.0


class Session:
    """Shared by all threads. ``exchange`` is one attempt; ``repeat`` runs attempts until one succeeds."""

    def __init__(
        self,
        *,
        transport: Transport,
        credential: Credential,
        clock: Clock,
        policy: RetryPolicy,
        parallelism: int,
        on_event: Callable[[ApiEvent], None] | None,
        is_stopping: Callable[[], bool] = lambda: False,
        on_exchange: Callable[[Exchange], None] | None = None,
    ) -> None:
        self._on_exchange = on_exchange
        self._transport = transport
        self._credential = credential
        self._clock = clock
        self._listener = on_event
        self._tally = Tally(clock)
        self._attempts = Attempts()
        self._retrier = Retrier(clock=clock, policy=policy, on_event=self._tell, is_stopping=is_stopping)
        self._limiter = Limiter(clock, ceiling=parallelism, on_pause=self._tell_pause)

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
        try:
            return read_json(answer, route=route_of(method, path))
        except errors.BadAnswer as exc:
            if method == "GET":
                raise
            # It was carried out, or something in between says so: an answer lost on its way.
            raise errors.Unreachable(exc.message, status=exc.status, code=exc.code, hint=exc.hint) from exc

    def repeat(self, action: Callable[[], T], *, route: str) -> T:
        """The result of the action, tried again as long as its failures may pass."""
        try:
            return self._retrier.run(action, route=route)
        finally:
            self._attempts.forget()

    def stats(self) -> ApiStats:
        """What the conversation cost so far."""
        return self._tally.stats()

    def close(self) -> None:
        """Closes the connections."""
        self._transport.close()

    def _send(
        self, method: str, path: str, *, body: bytes | None, headers: Mapping[str, str] | None
    ) -> Answer:
        """A success. A refusal is raised when the limiter knows of it, so that nobody else runs into it."""
        number = self._limiter.admit()
        self._tally.begin()
        attempt, reason = self._attempts.begin(route_of(method, path))
        started = self._clock.now()
        answer: Answer | None = None
        failure: errors.ApiError | None = None
        try:
            answer = self._transport.send(method, path, body=body, headers=headers)
            if not answer.is_success:
                raise self._refusal(answer, route_of(method, path))
        except errors.ApiError as exc:
            failure = exc
            raise
        finally:
            route = f"{method} {template_of(path)}"
            seconds = (self._clock.now() - started).total_seconds()
            asked = failure.retry_after_seconds if isinstance(failure, errors.RateLimited) else None
            self._tally.end()
            self._limiter.settle(number, route=route, seconds=seconds, answer=answer, asked_seconds=asked)
            if self._on_exchange is not None:
                exchange = Exchange(
                    route=route,
                    status=answer.status if answer else 0,
                    error=failure.code if failure else "",
                    started_at=started.timestamp(),
                    seconds=seconds,
                    attempt=attempt,
                    reason=reason,
                    request_id=request_id(answer, conceal=self._credential.conceal) if answer else "",
                )
                self._on_exchange(exchange)
        return answer

    def _refusal(self, answer: Answer, route: str) -> errors.ApiError:
        return refusal(answer, route=route, now=self._clock.now(), conceal=self._credential.conceal)

    def _tell(self, event: ApiEvent) -> None:
        self._tally.retry()
        self._attempts.note(event)
        self._tally.wait(event.wait_seconds)
        if self._listener is not None:
            self._listener(event)

    def _tell_pause(self, seconds: float) -> None:
        # Many threads wait for the same moment: it is told once.
        longer = self._tally.wait(seconds)
        if self._listener is not None and longer >= _SHOWN_PAUSE_SECONDS:
            self._listener(ApiEvent("pause", "", 0, seconds, "rate_limit"))
