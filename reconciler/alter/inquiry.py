"""Asks a server about our key: whether it is accepted, what it may do, how much is left of the rate limit.

Everything is a GET, so nothing can change, whatever the key may do.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from statistics import median
from types import TracebackType
from typing import Self
from urllib.parse import urlencode

from reconciler import errors
from reconciler.alter import snapshot, wire
from reconciler.alter.answers import Answer, parse_json, read_json
from reconciler.alter.budget import Allowance, read_allowance
from reconciler.alter.connection import ANSWER_SECONDS, seconds_ahead
from reconciler.alter.refusals import refusal, unwrapped
from reconciler.alter.retry import Retrier, RetryPolicy
from reconciler.alter.transport import Transport
from reconciler.model.agent import LiveAgent
from reconciler.model.secret import Secret
from reconciler.ports import Clock

_AGENTS = "/sdk/agents"
_CATALOGUE = "/sdk/oauth/provider-catalog"
_NEEDS_NOTHING = "/sdk/scopes"
# Somebody waits for the diagnosis: one hiccup is forgiven, no more.
_POLICY = RetryPolicy(budget_seconds=3, attempts=2, connection_attempts=2)


@dataclass(frozen=True, slots=True)
class Greeting:
    """What a few equal requests tell. ``failure`` is the refusal of the last one."""

    median_seconds: float
    seconds_ahead: float | None
    allowance: Allowance | None
    failure: errors.ApiError | None


class Inquiry:
    """Questions to one server, one after the other. Close it at the end."""

    def __init__(self, *, base_url: str, api_key: Secret, owner: str, clock: Clock) -> None:
        self._credential = wire.Credential(api_key)
        self._clock = clock
        self._retrier = Retrier(clock=clock, policy=_POLICY, on_event=lambda _event: None)
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
            None if answer.is_success else self._refusal(answer, _NEEDS_NOTHING),
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
        answer = self._get(_CATALOGUE)
        if not answer.is_success:
            raise self._refusal(answer, _CATALOGUE)

    def holds(self, permission: str) -> bool | None:
        """Whether the key has a permission of agents; ``None`` when the answer does not tell.

        A key may narrow one request to some of its permissions (alter-sdk 0.29, ``with_constraints``). So we
        ask for what needs another permission and narrow that to this one: the server refuses either way, and
        says what the key could have used, or that it has no such permission.
        """
        answer = self._get(_CATALOGUE, constraints=permission)
        if answer.is_success:
            return None
        error = self._refusal(answer, _CATALOGUE)
        if error.code == "constraint_not_narrowing":
            return False
        if isinstance(error, errors.InsufficientScope) and _tells_granted(answer):
            return permission in error.granted
        if isinstance(error, errors.RateLimited | errors.ServerFault):
            raise error
        return None

    def _timed(self) -> tuple[Answer, float]:
        started = time.perf_counter()
        return self._get(_NEEDS_NOTHING), time.perf_counter() - started

    def _get(self, path: str, *, constraints: str = "") -> Answer:
        route = path.partition("?")[0]

        def attempt() -> Answer:
            answer = self._transport.send("GET", path, constraints=constraints)
            if answer.status >= 500:
                raise self._refusal(answer, route)
            return answer

        return self._retrier.run(attempt, route=f"GET {route}")

    def _refusal(self, answer: Answer, route: str) -> errors.ApiError:
        return refusal(answer, route=f"GET {route}", now=self._clock.now(), conceal=self._credential.conceal)


def _tells_granted(answer: Answer) -> bool:
    """Whether the refusal lists what was granted: an empty list is an answer, none is not."""
    try:
        return isinstance(unwrapped(parse_json(answer.body)).get("granted"), list)
    except ValueError:
        return False
