"""The request budget of each key: a fixed window, of one minute unless a test wants less, on real time."""

import time
from collections.abc import Callable

from reconciler.sandbox.answers import Refusal

MINUTE_SECONDS = 60


class RateLimiter:
    """`used` is the window and the count of each key, for who has to keep them."""

    def __init__(
        self,
        per_minute: int | None,
        *,
        window_seconds: int = MINUTE_SECONDS,
        is_announced: bool = True,
        wall_clock: Callable[[], float] = time.time,
        used: dict[str, tuple[int, int]] | None = None,
    ) -> None:
        self.per_minute = per_minute
        self._window_seconds = window_seconds
        self._is_announced = is_announced
        self._wall_clock = wall_clock
        self._used = {} if used is None else used

    def admit(self, key_id: str) -> dict[str, str]:
        """Counts one request and returns the budget headers. Raises Refusal 429 when none is left."""
        if self.per_minute is None:
            return {}
        now = self._wall_clock()
        window = int(now // self._window_seconds)
        seen_window, used = self._used.get(key_id, (window, 0))
        used = used + 1 if seen_window == window else 1
        self._used[key_id] = (window, used)
        reset = (window + 1) * self._window_seconds
        headers = {
            "X-RateLimit-Limit": str(self.per_minute),
            "X-RateLimit-Remaining": str(max(0, self.per_minute - used)),
            "X-RateLimit-Reset": str(reset),
        }
        if not self._is_announced:
            headers = {}
        if used > self.per_minute:
            raise self._exceeded(headers, retry_after=max(1, reset - int(now)))
        return headers

    def forget(self) -> None:
        self._used.clear()

    def _exceeded(self, headers: dict[str, str], *, retry_after: int) -> Refusal:
        return Refusal(
            429,
            "rate_limit_exceeded",
            message="Too many requests with this key.",
            hint=f"Wait {retry_after} s.",
            extra={
                "scope": "key",
                "limit": self.per_minute,
                "window_seconds": self._window_seconds,
                "retry_after": retry_after,
            },
            headers={**headers, "Retry-After": str(retry_after)},
            enveloped=True,
        )
