"""Keeps requests inside the rate limit that the server announces, by slowing down before it is used up.

Source of the headers: 2-alter-api and ``_parse_rate_limit_headers`` of ``alter-sdk`` 0.29.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime

from reconciler.ports import Clock

MAX_PAUSE_SECONDS = 60.0
# Below this share of the limit the rest is spread over the time that is left.
_SCARCE_SHARE = 0.2
_MAX_EPOCH_SECONDS = 253_402_300_799
_DIGITS = re.compile(r"[0-9]+")
_ITEM_NAME = re.compile(r'"[A-Za-z0-9_.:-]{1,64}"')
_PARAMETER = re.compile(r"([a-z][a-z0-9_.*-]*)=([0-9]+)")


@dataclass(frozen=True, slots=True)
class Allowance:
    """What one answer says about the budget. ``reset_at`` is unix seconds on the clock it was read with."""

    limit: int
    remaining: int
    reset_at: float


class RateBudget:
    """Shared by all threads: ``reserve`` before each request, ``settle`` after each, whatever came of it."""

    def __init__(self, clock: Clock, *, on_pause: Callable[[float], None] = lambda _seconds: None) -> None:
        self._clock = clock
        self._on_pause = on_pause
        self._lock = threading.Lock()
        self._known: Allowance | None = None
        self._in_flight = 0
        self._next_slot = 0.0
        self._held_until = 0.0

    def reserve(self) -> float:
        """Waits until a request may go out, a minute at most; the seconds waited."""
        with self._lock:
            now = self._clock.now().timestamp()
            pause = min(max(0.0, self._slot(now) - now), MAX_PAUSE_SECONDS)
            self._in_flight += 1
        if pause:
            self._on_pause(pause)
            self._clock.sleep(pause)
        return pause

    def settle(self, headers: Mapping[str, str] | None) -> None:
        """Takes in an answer's headers, names in lower case; ``None`` when there was no answer."""
        with self._lock:
            now = self._clock.now()
            self._in_flight -= 1
            told = read_allowance(headers, now=now) if headers else None
            if told is not None:
                self._learn(told, now.timestamp())

    def hold(self, seconds: float) -> None:
        """Lets nobody go ahead for that long: what the answer to one request asked for holds for all."""
        with self._lock:
            self._held_until = max(self._held_until, self._clock.now().timestamp() + seconds)

    def _learn(self, told: Allowance, now: float) -> None:
        if told.reset_at <= now:
            return
        # Requests under way may or may not be counted in it already; assume that they are not.
        left, reset_at = told.remaining - self._in_flight, told.reset_at
        known = self._known
        if known is None or known.reset_at <= now or reset_at > known.reset_at + 1:
            self._next_slot = 0.0
        else:
            # Answers overtake each other inside a window; the smallest number is the latest. The end of the
            # window stays where it was first seen, or a sliding window would never look like a new one.
            left = min(left, known.remaining)
            reset_at = known.reset_at if reset_at > known.reset_at - 1 else reset_at
        self._known = Allowance(told.limit, left, reset_at)

    def _slot(self, now: float) -> float:
        """The moment for one more request, taken out of the budget."""
        earliest = max(now, self._held_until)
        known = self._known
        if known is None or known.reset_at <= now:
            return earliest
        left = known.remaining
        self._known = Allowance(known.limit, left - 1, known.reset_at)
        if left <= 0:
            return max(earliest, known.reset_at)
        if left > known.limit * _SCARCE_SHARE:
            return earliest
        slot = max(earliest, self._next_slot)
        self._next_slot = slot + max(0.0, known.reset_at - slot) / left
        return slot


def read_allowance(headers: Mapping[str, str], *, now: datetime) -> Allowance | None:
    """The budget in an answer's headers (names in lower case); ``None``, which is *unknown*, without one."""
    limit = _number(headers.get("x-ratelimit-limit"))
    remaining = _number(headers.get("x-ratelimit-remaining"))
    reset = _number(headers.get("x-ratelimit-reset"))
    if limit is None or remaining is None or reset is None or reset > _MAX_EPOCH_SECONDS:
        return _standard_allowance(headers, now=now)
    # The reset is on the server's clock. With its date at hand the two clocks need not agree.
    return Allowance(limit, remaining, reset + _server_lag_seconds(headers.get("date", ""), now))


def _standard_allowance(headers: Mapping[str, str], *, now: datetime) -> Allowance | None:
    policies = dict(_items(headers.get("ratelimit-policy", "")))
    for name, service in _items(headers.get("ratelimit", "")):
        limit = _number(policies.get(name, {}).get("q"))
        remaining, seconds = _number(service.get("r")), _number(service.get("t"))
        if limit is not None and remaining is not None and seconds is not None:
            return Allowance(limit, remaining, now.timestamp() + seconds)
    return None


def _items(header: str) -> Iterator[tuple[str, dict[str, str]]]:
    """The items of a structured field such as ``"minute";r=50;t=30``, those that can be read."""
    for candidate in header.split(","):
        name, *parameters = (part.strip() for part in candidate.split(";"))
        matches = [_PARAMETER.fullmatch(parameter) for parameter in parameters]
        if _ITEM_NAME.fullmatch(name) and all(matches):
            yield name, {match[1]: match[2] for match in matches if match}


def _number(text: str | None) -> int | None:
    stripped = (text or "").strip()
    significant = stripped.lstrip("0") or "0"
    if not _DIGITS.fullmatch(stripped) or len(significant) > len(str(_MAX_EPOCH_SECONDS)):
        return None
    return int(significant)


def _server_lag_seconds(date_header: str, now: datetime) -> float:
    """How far the server's clock is behind ours; nothing when it does not say."""
    try:
        theirs = parsedate_to_datetime(date_header)
    except (ValueError, LookupError, TypeError, OverflowError):
        return 0.0
    return (now - theirs).total_seconds() if theirs.tzinfo else 0.0
