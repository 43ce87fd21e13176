"""Decides how many requests may be under way at once: no clock, no threads, only how long answers took.

More are tried as long as answers come about as quickly as they did at best; fewer when a route takes much
longer, because then requests queue somewhere; half when the server refuses. The formula is that of gradient
limiters: what the server takes, plus the square root of it to find out whether it would take more.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from statistics import fmean

# Where it begins; slow answers alone never take it lower, or a slow server would be slower still.
FEW = 4
# By how much a route may be slower than at its best before that counts as a queue.
_TOLERANCE = 1.5
# The weight of one answer in a route's latency, and how much slower than that it may count: one hiccup is
# no trend.
_WEIGHT = 0.1
_OUTLIER = 3.0
# So many answers say how long a route takes.
_ENOUGH = 5
# After a 429 what was too much is tried again slowly: one more after so many answers.
_ANSWERS_FOR_ONE_MORE = 300


def next_limit(limit: float, *, gradient: float, ceiling: float) -> float:
    """The limit after a round of answers. ``gradient``: 1 is no queue, 0.5 that half of them queue."""
    lowest = min(limit, FEW)
    return min(max(limit * gradient + math.sqrt(limit), lowest), ceiling)


@dataclass(slots=True)
class Latency:
    """How long one route takes lately, and at its best, in seconds."""

    recent: float
    best: float = math.inf
    answers: int = 0

    def take_in(self, seconds: float) -> float:
        """Adds an answer; how quick the route is now, as a share of its best: 1 for as quick as that."""
        self.answers += 1
        if self.answers <= _ENOUGH:  # their plain mean
            self.recent += (seconds - self.recent) / self.answers
            return 1.0
        self.recent += _WEIGHT * (min(seconds, _OUTLIER * self.recent) - self.recent)
        self.best = min(self.best, self.recent)
        return min(1.0, _TOLERANCE * self.best / self.recent) if self.recent > 0 else 1.0


@dataclass(slots=True)
class Concurrency:
    """The limit of one conversation. Routes are apart: a long list is not a slow server."""

    ceiling: float
    _allowed: float = field(init=False)
    _limit: float = field(init=False)
    _latencies: dict[str, Latency] = field(default_factory=dict, init=False)
    _round: list[float] = field(default_factory=list, init=False)
    _peak: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self._allowed = self.ceiling
        self._limit = min(FEW, self.ceiling)

    @property
    def limit(self) -> int:
        """How many may be under way now, one at least."""
        return int(self._limit)

    def answered(self, route: str, seconds: float, *, in_flight: int) -> None:
        """Takes in a success. ``in_flight`` counts this request, too."""
        latency = self._latencies.setdefault(route, Latency(seconds))
        self._round.append(latency.take_in(seconds))
        self._peak = max(self._peak, in_flight)
        self._allowed = min(self.ceiling, self._allowed + 1 / _ANSWERS_FOR_ONE_MORE)
        if len(self._round) < self.limit:
            return
        gradient, was_used = fmean(self._round), self._peak >= self.limit
        self._round.clear()
        self._peak = 0
        # Where fewer are asked for than may be, quick answers say nothing about more.
        if was_used or gradient < 1:
            self._limit = next_limit(self._limit, gradient=gradient, ceiling=self._allowed)

    def refused(self) -> None:
        """A 429: half, and only slowly more, as the limit of a server that announces none is met again."""
        self._allowed = max(1.0, self._limit / 2)
        self._limit = self._allowed

    def lost(self) -> None:
        """No answer, or a 503: half, until answers come again."""
        self._limit = max(1.0, self._limit / 2)
