"""The machine's own clock, as the port ``Clock`` wants it."""

from __future__ import annotations

import time
from datetime import UTC, datetime


class SystemClock:
    """Wall time, because signatures carry it; a step of the clock is the server's to judge."""

    def now(self) -> datetime:
        """The time, aware and in UTC."""
        return datetime.now(UTC)

    def sleep(self, seconds: float) -> None:
        """Waits; nothing at all for zero or less."""
        if seconds > 0:
            time.sleep(seconds)
