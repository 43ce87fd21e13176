"""Asks a server about our key: whether it is accepted, what it may do, how much is left of the rate limit.

Everything is a GET, so nothing can change, whatever the key may do.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from types import TracebackType
from typing import Self
from urllib.parse import urlencode

from reconciler import errors
from reconciler.alter import snapshot, wire
from reconciler.alter.answers import Answer, read_json
from reconciler.alter.budget import Allowance, read_allowance
from reconciler.alter.connection import ANSWER_SECONDS, seconds_ahead
from reconciler.alter.refusals import refusal
from reconciler.alter.retry import Retrier, RetryPolicy
from reconciler.alter.transport import Transport
from reconciler.model.agent import LiveAgent
from reconciler.model.secret import Secret
from reconciler.ports import Clock

_AGENTS = "/sdk/agents"
_CATALOGUE = "/sdk/oauth/provider-catalog"
_NEEDS_NOTHING = "/sdk/scopes"
_TOO_MANY = 429
_NOT_ALTER = (
    "check the base URL, and what stands between here and Alter: a proxy, the login page of a network"
)
# Somebody waits for the diagnosis: one hiccup is forgiven, or some seconds of a rate limit, no more.
_POLICY = RetryPolicy(budget_seconds=3, attempts=2, connection_attempts=2)


@dataclass(frozen=True, slots=True)
class Greeting:
    """What a few equal requests tell. ``failure`` is of the last one: a refusal, or no answer of Alter's."""

    median_seconds: float
    seconds_ahead: float | None
    allowance: Allowance | None
    failure: errors.ApiError | None


class Inquiry:
    """Questions to one server, one after the other. Close it at the end."""

    def __init__(self, *, base_url: str, api_key: Secret, owner: str, clock: Clock) -> None:
        self._credential = wire.Credential(api_key)
        self._clock = clock
        # A rate limit that was waited for in vain is not waited for with every further question.
        self._is_limited = False
        self._retrier = Retrier(
            clock=clock, policy=_POLICY, on_event=lambda _event: None, is_stopping=lambda: self._is_limited
        )
        self._transport = Transport(
            base_url=base_url,
            credential=self._credential,
            owner=owner,
            clock=clock,
            read_seconds=ANSWER_SECONDS,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._transport.close()

    def greet(self, times: int = 3) -> Greeting:
        """Asks what every valid key may ask. Raises ``errors.Unreachable`` when there is no answer at all."""
        answer, taken = self._timed()
        seconds = [taken]
        while answer.is_success and len(seconds) < times:
            answer, taken = self._timed()
            seconds.append(taken)
        now = self._clock.now()
        return Greeting(
            median(seconds),
            seconds_ahead(answer.headers.get("date", ""), now),
            read_allowance(answer.headers, now=now),
            self._failure(answer, _NEEDS_NOTHING, wire.read_key_permissions),
        )

    def agents(self) -> tuple[LiveAgent, ...]:
        """All non-revoked agents. Needs ``agents:read``."""

        def fetch_page(offset: int) -> wire.Page:
            path = f"{_AGENTS}?{urlencode({'limit': snapshot.PAGE_SIZE, 'offset': offset})}"
            answer = self._get(path)
            if not answer.is_success:
                raise self._refusal(answer, _AGENTS)
            return wire.read_page(read_json(answer, route=f"GET {_AGENTS}"), route=f"GET {_AGENTS}")

        return snapshot.read_agents(fetch_page)

    def check_catalogue(self) -> None:
        """Reads the catalogue of providers, or raises. Needs ``providers:read``."""
        failure = self._failure(self._get(_CATALOGUE), _CATALOGUE, wire.read_provider_scopes)
        if failure is not None:
            raise failure

    def holds(self, permission: str) -> bool | None:
        """Whether the key has a permission of agents; ``None`` when the answer does not tell.

        A key may narrow one request to some of its permissions (alter-sdk 0.29, ``with_constraints``). So we
        ask for what needs another permission and narrow that to this one: the server refuses either way, and
        says what the key could have used, or that it has no such permission. What is merely not listed is
        unknown: not every server lists all.
        """
        answer = self._get(_CATALOGUE, constraints=permission)
        if answer.is_success:
            return None
        error = self._refusal(answer, _CATALOGUE)
        if isinstance(error, errors.InsufficientScope) and permission in error.granted:
            return True
        if error.code == "constraint_not_narrowing":
            return False
        if isinstance(error, errors.RateLimited | errors.ServerFault):
            raise error
        return None

    def _timed(self) -> tuple[Answer, float]:
        started = time.perf_counter()
        return self._get(_NEEDS_NOTHING), time.perf_counter() - started

    def _get(self, path: str, *, constraints: str = "") -> Answer:
        route = path.partition("?")[0]
        answers: list[Answer] = []

        def attempt() -> Answer:
            answer = self._transport.send("GET", path, constraints=constraints)
            answers.append(answer)
            if answer.status == _TOO_MANY or answer.status >= 500:
                raise self._refusal(answer, route)
            return answer

        try:
            return self._retrier.run(attempt, route=f"GET {route}")
        except errors.RateLimited:
            self._is_limited = True
            return answers[-1]  # its headers tell how much is left, and until when

    def _failure(self, answer: Answer, route: str, parse: Callable[..., object]) -> errors.ApiError | None:
        """Why an answer proves nothing: it is a refusal, or not what Alter says there."""
        if not answer.is_success:
            return self._refusal(answer, route)
        try:
            parse(read_json(answer, route=f"GET {route}"), route=f"GET {route}")
        except errors.BadAnswer as error:
            error.hint = _NOT_ALTER
            return error
        return None

    def _refusal(self, answer: Answer, route: str) -> errors.ApiError:
        return refusal(answer, route=f"GET {route}", now=self._clock.now(), conceal=self._credential.conceal)
