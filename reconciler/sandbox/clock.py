"""The sandbox's own time: real time plus an offset that is kept in the database."""

import time
from datetime import UTC, datetime


class Clock:
    """Only stamps and due dates follow this clock. Signatures and rate limits follow real time."""

    def __init__(self, offset_seconds: float) -> None:
        self.offset_seconds = offset_seconds

    def now(self) -> float:
        """Unix seconds, cut to microseconds so that a stamp survives the way through text."""
        return round(time.time() + self.offset_seconds, 6)


def to_text(moment: float | None) -> str | None:
    """RFC 3339 with microseconds in UTC, the form the wire uses."""
    if moment is None:
        return None
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="microseconds")
