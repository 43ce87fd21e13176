"""When requests may go out, played through on a clock of its own against servers of every kind."""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol

import pytest

from reconciler.alter.answers import Answer
from reconciler.alter.gate import Gate

LIMIT, WINDOW = 600, 60
START = datetime(2026, 11, 24, 12, tzinfo=UTC).timestamp()


class Server(Protocol):
    """Answers a request that arrives at a time."""

    def __call__(self, now: float) -> Answer: ...


def told(status: int, remaining: int, reset_at: float, **headers: str) -> Answer:
    numbers = {"limit": LIMIT, "remaining": remaining, "reset": math.ceil(reset_at)}
    return Answer(status, {f"x-ratelimit-{name}": str(n) for name, n in numbers.items()} | headers, b"")


@dataclass
class FixedWindow:
    """Counts anew every minute. ``ahead``: by how much its clock is before ours; it sends no date."""

    ahead: float = 0.0
    used: dict[int, int] = field(default_factory=dict)

    def __call__(self, now: float) -> Answer:
        window = int((now + self.ahead) // WINDOW)
        self.used[window] = self.used.get(window, 0) + 1
        left = LIMIT - self.used[window]
        reset_at = (window + 1) * WINDOW
        wait = str(max(1, math.ceil(reset_at - now - self.ahead)))
        return told(200 if left >= 0 else 429, max(0, left), reset_at, **{"retry-after": wait})


@dataclass
class Silent(FixedWindow):
    """The same, and nothing but a 429 tells of it."""

    def __call__(self, now: float) -> Answer:
        answer = super().__call__(now)
        return Answer(answer.status, {"retry-after": answer.headers["retry-after"]}, b"")


@dataclass
class SlidingWindow:
    """So many in any minute. ``tells_oldest``: the reset is when the oldest request leaves the window."""

    tells_oldest: bool = False
    seen: deque[float] = field(default_factory=deque)

    def __call__(self, now: float) -> Answer:
        while self.seen and self.seen[0] <= now - WINDOW:
            self.seen.popleft()
        is_admitted = len(self.seen) < LIMIT
        if is_admitted:
            self.seen.append(now)
        reset_at = (self.seen[0] if self.tells_oldest else now) + WINDOW
        wait = str(max(1, math.ceil(self.seen[0] + WINDOW - now)))
        return told(200 if is_admitted else 429, LIMIT - len(self.seen), reset_at, **{"retry-after": wait})


@dataclass(frozen=True)
class Result:
    refused: int
    seconds: float


def play(
    server: Server,
    *,
    requests: int = 1300,
    workers: int = 32,
    latency: float = 0.02,
    at_once: float = math.inf,
    begin: float = 0.0,
) -> Result:
    """Workers that send requests until all are carried out. ``at_once``: how many the server works on."""
    gate, now, refused, done = Gate(workers), START + begin, 0, 0
    left, in_flight = requests, 0
    # What happens when: a worker that wakes, or an answer that comes.
    ticks = iter(range(10**9))
    events: list[tuple[float, int, Callable[[], None]]] = []
    waiting: deque[Callable[[], None]] = deque()

    def at(moment: float, action: Callable[[], None]) -> None:
        heapq.heappush(events, (moment, next(ticks), action))

    def go() -> None:
        nonlocal left, in_flight
        wait = gate.wait_seconds(now)
        if math.isinf(wait):
            waiting.append(go)
        elif wait:
            at(now + wait, go)
            while waiting:
                at(now, waiting.popleft())
        elif left:
            left -= 1
            number, in_flight = gate.admit(now), in_flight + 1
            seconds = latency * max(1.0, in_flight / at_once)
            sent_at = now
            at(now + seconds / 2, lambda: arrive(number, sent_at, seconds))

    def arrive(number: int, sent_at: float, seconds: float) -> None:
        answer = server(now)
        at(sent_at + seconds, lambda: come_back(number, seconds, answer))

    def come_back(number: int, seconds: float, answer: Answer) -> None:
        nonlocal left, in_flight, refused, done
        in_flight -= 1
        asked = float(answer.headers["retry-after"]) if answer.status == 429 else None
        time = datetime.fromtimestamp(now, UTC)
        gate.settle(number, now=time, route="GET /x", seconds=seconds, answer=answer, asked_seconds=asked)
        if answer.status == 429:
            refused, left = refused + 1, left + 1
        else:
            done += 1
        at(now, go)
        while waiting:
            at(now, waiting.popleft())

    for _ in range(workers):
        at(now, go)
    while events and done < requests:
        now, _, action = heapq.heappop(events)
        action()
    assert done == requests
    return Result(refused, now - START - begin)


def servers() -> Iterator[tuple[str, Callable[[], Server]]]:
    yield "fixed window", FixedWindow
    yield "fixed window, its clock behind", lambda: FixedWindow(ahead=-0.4)
    yield "fixed window, its clock ahead", lambda: FixedWindow(ahead=0.4)
    yield "sliding window", SlidingWindow
    yield "sliding window that tells of its oldest", lambda: SlidingWindow(tells_oldest=True)


@pytest.mark.parametrize("begin", [0.0, 45.0])
@pytest.mark.parametrize(("latency", "at_once"), [(0.005, 1), (0.02, 8), (0.1, math.inf), (0.5, math.inf)])
@pytest.mark.parametrize("make_server", [make for _, make in servers()], ids=[name for name, _ in servers()])
def test_under_600_a_minute_it_meets_two_refusals_at_most_and_takes_hardly_longer_than_it_must(
    make_server: Callable[[], Server], latency: float, at_once: float, begin: float
) -> None:
    result = play(make_server(), latency=latency, at_once=at_once, begin=begin)
    is_sliding = isinstance(make_server(), SlidingWindow)
    # Two full windows are needed before the last hundred may go.
    forced = 2 * WINDOW - (0 if is_sliding else begin)
    without_a_limit = play(lambda _now: Answer(200, {}, b""), latency=latency, at_once=at_once).seconds
    assert result.refused <= 2
    assert result.seconds <= 1.15 * forced + without_a_limit


def test_a_server_that_tells_its_limit_by_refusals_alone_refuses_what_is_under_way_and_less_each_time() -> (
    None
):
    first = play(Silent(), requests=700)
    assert first.refused <= 32
    third = play(Silent(), requests=1900)
    assert third.refused <= 32 + 16 + 8 + 6
    assert third.seconds <= 1.15 * 3 * WINDOW


@pytest.mark.parametrize("latency", [0.02, 0.5])
def test_without_a_limit_a_slow_server_gets_all_that_may_be_under_way(latency: float) -> None:
    result = play(lambda _now: Answer(200, {}, b""), latency=latency)
    assert result.seconds <= 1.25 * 1300 * latency / 32


def test_a_server_that_works_on_one_at_a_time_is_kept_busy() -> None:
    result = play(lambda _now: Answer(200, {}, b""), latency=0.01, at_once=1)
    assert result.seconds <= 1.1 * 1300 * 0.01


class Threads:
    """A gate at a moment, and requests that went through it."""

    def __init__(self, ceiling: int = 32) -> None:
        self.gate = Gate(ceiling)
        self.now = START

    def fill(self) -> list[int]:
        """As many as may go now."""
        numbers: list[int] = []
        while self.gate.wait_seconds(self.now) == 0:
            numbers.append(self.gate.admit(self.now))
        return numbers

    def settle(self, *numbers: int, answer: Answer | None, asked: float = 0) -> None:
        time = datetime.fromtimestamp(self.now, UTC)
        for number in numbers:
            self.gate.settle(
                number, now=time, route="GET /x", seconds=0.02, answer=answer, asked_seconds=asked
            )

    def room(self) -> int:
        """How many may go now. They do, and succeed."""
        numbers = self.fill()
        self.settle(*numbers, answer=FINE)
        return len(numbers)


FINE, REFUSED = Answer(200, {}, b""), Answer(429, {}, b"")


def test_it_begins_with_a_few_and_grows_as_long_as_answers_are_quick() -> None:
    threads = Threads()
    rooms = [threads.room() for _ in range(12)]
    assert rooms == sorted(rooms)
    assert (rooms[0], rooms[-1]) == (4, 32)
    assert Threads(ceiling=3).room() == 3


def test_after_a_refusal_one_finds_out_before_others_follow() -> None:
    threads = Threads()
    first, *others = threads.fill()
    threads.settle(first, answer=REFUSED, asked=5)
    threads.settle(*others, answer=FINE)  # they were on their way before, so they say nothing
    assert threads.gate.wait_seconds(threads.now) == 5
    threads.now += 5
    assert threads.room() == 1
    assert threads.room() == 2


def test_after_the_end_of_a_window_one_finds_out_before_others_follow() -> None:
    threads = Threads()
    threads.settle(threads.gate.admit(START), answer=told(200, 500, START + 10))
    threads.now += 10
    assert threads.room() == 1
    assert threads.room() == 4


def test_no_more_go_than_the_server_has_left_and_the_rest_waits_for_the_renewal() -> None:
    threads = Threads()
    threads.settle(threads.gate.admit(START), answer=told(200, 3, START + 10))
    numbers = threads.fill()
    assert len(numbers) == 3
    assert math.isinf(threads.gate.wait_seconds(START))
    threads.settle(*numbers, answer=told(200, 0, START + 10))
    assert threads.gate.wait_seconds(START) == 10


def test_what_was_under_way_together_and_lost_counts_once() -> None:
    for answer in (None, Answer(503, {}, b"")):
        threads = Threads()
        while threads.room() < 32:
            pass
        threads.settle(*threads.fill(), answer=answer)
        assert threads.room() == 16
