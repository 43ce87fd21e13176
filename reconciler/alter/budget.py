"""Keeps count of the rate limit that the server announces: what is left of it, and when it is renewed.

Source of the headers: 2-alter-api and ``_parse_rate_limit_headers`` of ``alter-sdk`` 0.29.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from email.utils import parsedate_to_datetime

# Below this share of the limit the rest of a key that others use, too, is spread over the time that is left.
_SCARCE_SHARE = 0.2
_GRAIN_SECONDS = 1.0
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


class Budget:
    """One window after the other, as far as answers tell of them. Used under the lock of the limiter.

    The smallest number that was told in a window is the latest, and what was counted after it is still under
    way: so what is left is exact as soon as all answers are there, and never too much before.
    """

    def __init__(self) -> None:
        self._known: Allowance | None = None
        # Of this window: what was left when we first heard of it, and our requests since then.
        self._first_remaining = 0
        self._ours = 0
        self._is_shared = False
        self._next_slot = 0.0

    def learn(self, headers: Mapping[str, str], *, now: datetime, in_flight: int) -> bool:
        """Takes in an answer's headers, names in lower case; whether they say something about now.

        ``in_flight``: the requests that have no answer yet.
        """
        told = read_allowance(headers, now=now)
        if told is None or told.reset_at <= now.timestamp() - _GRAIN_SECONDS:
            return False
        if told.reset_at <= now.timestamp():
            # Sliding windows renew something all the time, and tell of it in whole seconds.
            told = replace(told, reset_at=now.timestamp() + _GRAIN_SECONDS)
        known = self._known
        if known is None or told.reset_at > known.reset_at + 1:
            self._known, self._first_remaining, self._ours = told, told.remaining, in_flight
            self._next_slot = 0.0
            return True
        # The end of a window stays where it was seen first: a sliding one would never look like a new one,
        # and a late answer would make an old one look new. Another limit that ends earlier is a stricter one.
        is_other = told.limit != known.limit and told.reset_at < known.reset_at
        remaining = min(told.remaining, known.remaining)
        self._known = Allowance(told.limit, remaining, told.reset_at if is_other else known.reset_at)
        self._is_shared = self._is_shared or self._first_remaining - remaining > self._ours
        return True

    def lose(self) -> None:
        """A request had no answer: the server may have counted it."""
        if self._known is not None:
            self._known = replace(self._known, remaining=self._known.remaining - 1)

    def expire(self, now: float) -> bool:
        """Forgets a window that is over; whether it did just now."""
        if self._known is None or self._known.reset_at > now:
            return False
        self._known = None
        return True

    def is_under_way(self, in_flight: int) -> bool:
        """Whether all that is left may be used up by requests that have no answer yet."""
        return self._known is not None and 0 < self._known.remaining <= in_flight

    def next_at(self, *, in_flight: int) -> float:
        """When one more request may go out, in unix seconds; 0 for at once."""
        known = self._known
        if known is None:
            return 0.0
        left = known.remaining - in_flight
        if left <= 0:
            return known.reset_at
        return self._next_slot if self._is_scarce(known, left) else 0.0

    def take(self, now: float, *, in_flight: int) -> None:
        """One more request goes out. ``in_flight``: those before it."""
        self._ours += 1
        known = self._known
        if known is not None and self._is_scarce(known, known.remaining - in_flight):
            self._next_slot = now + max(0.0, known.reset_at - now) / max(1, known.remaining - in_flight)

    def _is_scarce(self, known: Allowance, left: int) -> bool:
        return self._is_shared and left <= known.limit * _SCARCE_SHARE


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
