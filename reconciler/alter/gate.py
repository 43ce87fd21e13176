"""Decides when a request may go out: as many at once as the server takes well, none that it would refuse.

No clock and no threads: what time it is comes with every question. The limiter asks for all threads.
"""

from __future__ import annotations

import math
from datetime import datetime

from reconciler.alter.answers import Answer
from reconciler.alter.budget import Budget
from reconciler.alter.concurrency import Concurrency

# Sleeping may end a rounding error early.
_NOTHING_SECONDS = 0.0005


class Gate:
    """Requests under way, the announced budget, and refusals.

    After a refusal, and when a window is over, one request finds out how things are before others follow: so
    the end of a window, of which two clocks may think differently, costs one refusal and not a dozen.
    """

    def __init__(self, ceiling: int) -> None:
        self._budget = Budget()
        self._concurrency = Concurrency(ceiling)
        self._in_flight = 0
        self._admitted = 0
        self._held_until = 0.0
        self._is_probing = False
        # What was sent before the last refusal says nothing about the time after it.
        self._last_old_number = 0

    @property
    def room(self) -> int:
        """How many more may be under way, whatever the budget says."""
        return (1 if self._is_probing else self._concurrency.limit) - self._in_flight

    def wait_seconds(self, now: float) -> float:
        """How long nobody may go: 0 for not at all, infinity for until an answer has come."""
        if self._budget.expire(now):
            self._begin_probing()
        if self.room <= 0 or self._budget.is_under_way(self._in_flight):
            return math.inf
        wait = max(self._held_until, self._budget.next_at(in_flight=self._in_flight)) - now
        return wait if wait > _NOTHING_SECONDS else 0.0

    def admit(self, now: float) -> int:
        """One goes; its number. Nothing is asked here: whoever waited long enough goes all the same."""
        self._budget.take(now, in_flight=self._in_flight)
        self._in_flight += 1
        self._admitted += 1
        return self._admitted

    def settle(
        self,
        number: int,
        *,
        now: datetime,
        route: str,
        seconds: float,
        answer: Answer | None,
        asked_seconds: float | None = None,
    ) -> None:
        """Takes in what came of a request after so many ``seconds``.

        ``answer``: ``None`` when there was none. ``asked_seconds``: how long a 429 asks everybody to wait.
        """
        self._in_flight -= 1
        is_new = number > self._last_old_number
        if answer is None:
            self._budget.lose()
            self._lost(is_new=is_new)
            return
        is_told = self._budget.learn(answer.headers, now=now, in_flight=self._in_flight)
        if answer.status == 429:
            self._held_until = max(self._held_until, now.timestamp() + (asked_seconds or 0.0))
            if is_new:
                self._concurrency.refused()
                self._begin_probing()
        elif answer.status == 503:
            self._lost(is_new=is_new)
        else:
            self._is_probing = self._is_probing and not (is_new or is_told)
            if answer.is_success:
                self._concurrency.answered(route, max(0.0, seconds), in_flight=self._in_flight + 1)

    def _lost(self, *, is_new: bool) -> None:
        # Those that were under way together count as one.
        if is_new:
            self._concurrency.lost()
            self._last_old_number = self._admitted

    def _begin_probing(self) -> None:
        self._is_probing = True
        self._last_old_number = self._admitted
