"""Reads durations and moments as the configuration writes them."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta

# A century: far above any use, and far below where adding it to a date overflows.
MAX_DURATION = timedelta(days=36_500)

_DURATION = re.compile(
    r"(?:([0-9]{1,5})w)?(?:([0-9]{1,5})d)?(?:([0-9]{1,5})h)?(?:([0-9]{1,6})m)?(?:([0-9]{1,8})s)?"
)
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def parse_duration(text: str) -> timedelta | None:
    """``90d``, ``1d12h``, ``0s``; ``None`` when it is no duration or longer than a century."""
    found = _DURATION.fullmatch(text)
    if not text or found is None:
        return None
    weeks, days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    duration = timedelta(weeks=weeks, days=days, hours=hours, minutes=minutes, seconds=seconds)
    return duration if duration <= MAX_DURATION else None


def parse_moment(text: str, *, ends_day: bool) -> datetime | None:
    """A day or an RFC 3339 time, in UTC; ``None`` when the calendar has no such moment.

    A day is its first midnight, or with ``ends_day`` the one that ends it.
    """
    try:
        if _DAY.fullmatch(text):
            day = date.fromisoformat(text) + timedelta(days=1 if ends_day else 0)
            return datetime.combine(day, time(), UTC)
        moment = datetime.fromisoformat(text)
        return moment.astimezone(UTC) if moment.tzinfo else None
    except (ValueError, OverflowError):
        return None


def written(duration: timedelta) -> str:
    """A duration in the notation of the configuration, ``1d12h``."""
    rest = int(duration.total_seconds())
    text = ""
    for unit, seconds in (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)):
        count, rest = divmod(rest, seconds)
        text += f"{count}{unit}" if count else ""
    return text or "0s"
