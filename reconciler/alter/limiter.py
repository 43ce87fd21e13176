"""Lets the requests of all threads out as the gate says, and has them wait meanwhile."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable

from reconciler.alter.answers import Answer
from reconciler.alter.gate import Gate
from reconciler.ports import Clock

# The usual window of a minute, and clocks that do not agree. Who waited that long goes and is refused, if so.
MAX_PAUSE_SECONDS = 65.0


class Limiter:
    """Shared by all threads: ``admit`` before each request, ``settle`` after each, whatever came of it."""

    def __init__(
        self, clock: Clock, *, ceiling: int, on_pause: Callable[[float], None] = lambda _seconds: None
    ) -> None:
        self._clock = clock
        self._on_pause = on_pause
        self._gate = Gate(ceiling)
        self._room = threading.Condition()

    def admit(self) -> int:
        """Waits until a request may go out; its number."""
        has_patience = True
        while True:
            with self._room:
                while math.isinf(wait := self._gate.wait_seconds(self._now())):
                    self._room.wait()
                if not wait or not has_patience:
                    return self._gate.admit(self._now())
                # Whoever waits for an answer waits for the time as well, or nobody would wake them.
                self._room.notify_all()
            pause = min(wait, MAX_PAUSE_SECONDS)
            has_patience = pause < MAX_PAUSE_SECONDS
            self._on_pause(pause)
            self._clock.sleep(pause)

    def settle(
        self,
        number: int,
        *,
        route: str,
        seconds: float,
        answer: Answer | None,
        asked_seconds: float | None = None,
    ) -> None:
        """Takes in what came of a request, as the gate wants it."""
        with self._room:
            self._gate.settle(
                number,
                now=self._clock.now(),
                route=route,
                seconds=seconds,
                answer=answer,
                asked_seconds=asked_seconds,
            )
            self._room.notify(max(1, self._gate.room))

    def _now(self) -> float:
        return self._clock.now().timestamp()
