"""The gate's decisions as threads and the clock meet them."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from reconciler.alter.answers import Answer
from reconciler.alter.limiter import MAX_PAUSE_SECONDS, Limiter
from tests.unit.alter.fakes import FakeClock, FastClock

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
FINE = Answer(200, {}, b"")


class Line:
    """A limiter, one thread, and a clock that is told."""

    def __init__(self) -> None:
        self.clock = FakeClock(NOON)
        self.paused: list[float] = []
        self.limiter = Limiter(self.clock, ceiling=32, on_pause=self.paused.append)

    def request(self, answer: Answer = FINE, *, asked: float | None = None) -> None:
        number = self.limiter.admit()
        self.limiter.settle(number, route="GET /x", seconds=0.02, answer=answer, asked_seconds=asked)

    def request_told_to_wait(self, seconds: float) -> None:
        reset_at = self.clock.now().timestamp() + seconds
        numbers = {"limit": 600, "remaining": 0, "reset": round(reset_at)}
        self.request(Answer(200, {f"x-ratelimit-{name}": str(n) for name, n in numbers.items()}, b""))


@pytest.fixture
def line() -> Line:
    return Line()


def test_without_a_word_from_the_server_nobody_waits_for_time(line: Line) -> None:
    for _ in range(50):
        line.request()
    assert line.paused == []


def test_a_spent_budget_waits_for_its_renewal_and_then_goes_on(line: Line) -> None:
    line.request_told_to_wait(40)
    line.request()
    line.request()
    assert line.paused == line.clock.slept == [40]


def test_a_window_that_takes_too_long_is_not_waited_for(line: Line) -> None:
    line.request_told_to_wait(3000)
    line.request()
    assert line.paused == [MAX_PAUSE_SECONDS]


def test_a_wait_that_one_request_was_told_holds_for_all(line: Line) -> None:
    line.request(Answer(429, {}, b""), asked=7)
    line.request()
    line.request()
    assert line.paused == [7]


def test_many_threads_share_it_and_none_is_left_waiting() -> None:
    clock = FastClock(factor=60)
    paused: list[float] = []
    limiter = Limiter(clock, ceiling=6, on_pause=paused.append)
    lock = threading.Lock()
    under_way = most = 0

    def request(number: int) -> None:
        nonlocal under_way, most
        ticket = limiter.admit()
        with lock:
            under_way += 1
            most = max(most, under_way)
        clock.sleep(0.05)
        with lock:
            under_way -= 1
        # Now and then it is refused, and now and then its answer is lost.
        answer = None if number % 50 == 7 else Answer(429 if number % 97 == 5 else 200, {}, b"")
        limiter.settle(ticket, route="GET /x", seconds=0.05, answer=answer, asked_seconds=3)

    with ThreadPoolExecutor(20) as pool:
        list(pool.map(request, range(1000)))
    assert 4 <= most <= 6
    assert under_way == 0
    assert paused
