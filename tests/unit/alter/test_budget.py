from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from alter_sdk.client import _parse_rate_limit_headers
from hypothesis import given
from hypothesis import strategies as st

from reconciler.alter.budget import MAX_PAUSE_SECONDS, RateBudget, read_allowance
from tests.unit.alter.fakes import FakeClock, FastClock

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


def headers(limit: int, remaining: int, reset_in: float, *, now: datetime = NOON) -> dict[str, str]:
    return {
        "x-ratelimit-limit": str(limit),
        "x-ratelimit-remaining": str(remaining),
        "x-ratelimit-reset": str(round(now.timestamp() + reset_in)),
        "date": format_datetime(now, usegmt=True),
    }


def budget_after(clock: FakeClock, limit: int, remaining: int, reset_in: float) -> RateBudget:
    budget = RateBudget(clock)
    budget.reserve()
    budget.settle(headers(limit, remaining, reset_in, now=clock.now()))
    return budget


def test_without_a_word_from_the_server_nothing_waits() -> None:
    clock = FakeClock(NOON)
    budget = RateBudget(clock)
    assert [budget.reserve() for _ in range(50)] == [0.0] * 50
    budget.settle(None)
    budget.settle({})
    assert clock.slept == []


def test_a_plentiful_budget_does_not_slow_anything() -> None:
    budget = budget_after(FakeClock(NOON), 600, 400, 50)
    assert sum(budget.reserve() for _ in range(200)) == 0


def test_a_scarce_budget_is_spread_over_the_time_that_is_left() -> None:
    clock = FakeClock(NOON)
    budget = budget_after(clock, 600, 100, 50)
    for _ in range(100):
        budget.reserve()
    assert 49 <= sum(clock.slept) <= 50
    assert max(clock.slept) < 1


def test_a_scarce_budget_that_is_renewed_at_once_costs_nothing() -> None:
    budget = budget_after(FakeClock(NOON), 600, 100, 1)
    assert sum(budget.reserve() for _ in range(50)) <= 1


def test_a_spent_budget_waits_for_its_renewal_and_then_goes_on() -> None:
    clock = FakeClock(NOON)
    told: list[float] = []
    budget = RateBudget(clock, on_pause=told.append)
    budget.reserve()
    budget.settle(headers(600, 0, 40))
    assert budget.reserve() == 40
    assert told == [40]
    assert budget.reserve() == 0


def test_no_pause_is_longer_than_a_minute() -> None:
    budget = budget_after(FakeClock(NOON), 600, 0, 3000)
    assert budget.reserve() == MAX_PAUSE_SECONDS
    budget.hold(5000)
    assert budget.reserve() == MAX_PAUSE_SECONDS


def test_a_wait_that_one_request_was_told_holds_for_all() -> None:
    clock = FakeClock(NOON)
    budget = RateBudget(clock)
    budget.hold(7)
    assert budget.reserve() == 7
    assert budget.reserve() == 0


def test_requests_under_way_are_counted_as_not_yet_seen_by_the_server() -> None:
    clock = FakeClock(NOON)
    budget = RateBudget(clock)
    for _ in range(4):
        budget.reserve()
    budget.settle(headers(10, 3, 30))
    assert budget.reserve() == 30


def test_a_late_answer_does_not_give_budget_back() -> None:
    clock = FakeClock(NOON)
    budget = budget_after(clock, 600, 0, 30)
    budget.reserve()
    clock.advance(-30)
    budget.settle(headers(600, 500, 30))
    assert budget.reserve() == 30


def test_an_answer_about_a_window_that_is_over_says_nothing() -> None:
    clock = FakeClock(NOON)
    budget = budget_after(clock, 600, 0, -5)
    assert budget.reserve() == 0


def test_a_stricter_limit_with_an_earlier_end_takes_over() -> None:
    budget = budget_after(FakeClock(NOON), 600, 500, 50)
    budget.reserve()
    budget.settle(headers(60, 0, 20))
    assert budget.reserve() == 20


def test_a_window_that_slides_is_recognised_as_new() -> None:
    clock = FakeClock(NOON)
    budget = budget_after(clock, 600, 0, 60)
    for _ in range(4):
        clock.advance(0.6)
        budget.settle(headers(600, 300, 60, now=clock.now()))
    assert budget.reserve() == 0


def test_a_server_with_another_clock_is_understood_by_its_date() -> None:
    theirs = datetime(2026, 11, 24, 9, tzinfo=UTC)
    allowance = read_allowance(headers(600, 1, 30, now=theirs), now=NOON)
    assert allowance is not None
    assert allowance.reset_at == NOON.timestamp() + 30


@pytest.mark.parametrize("date", ["", "nonsense", "Tue, 24 Nov 2026 12:00:00 -0000"])
def test_without_a_usable_date_both_clocks_count_as_the_same(date: str) -> None:
    allowance = read_allowance(headers(600, 1, 30) | {"date": date}, now=NOON)
    assert allowance is not None
    assert allowance.reset_at == NOON.timestamp() + 30


def test_the_standard_headers_are_read_too() -> None:
    standard = {"ratelimit-policy": '"minute";q=600;w=60', "ratelimit": '"other";r=1;t=2, "minute";r=5;t=30'}
    allowance = read_allowance(standard, now=NOON)
    assert allowance is not None
    assert (allowance.limit, allowance.remaining) == (600, 5)
    assert allowance.reset_at == NOON.timestamp() + 30


numbers = st.one_of(
    st.integers(0, 2_000_000_000).map(str),
    st.sampled_from(["", " 7 ", "007", "-1", "1.5", "9" * 13, "٣", "253402300799", "253402300800"]),
)
items = st.sampled_from(
    [
        '"a";q=5;w=60',
        '"a";r=3;t=9',
        '"b";q=7',
        '"b";r=1;t=2',
        '"b";r=x;t=2',
        "a;r=3;t=9",
        '"";r=1',
        '"a"',
        "",
        ";",
    ]
)


@given(
    triple=st.tuples(numbers, numbers, numbers),
    policy=st.lists(items, max_size=3).map(", ".join),
    service=st.lists(items, max_size=3).map(",".join),
)
def test_the_headers_are_read_as_by_the_official_client(
    triple: tuple[str, str, str], policy: str, service: str
) -> None:
    names = ("x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset")
    sent = dict(zip(names, triple, strict=True)) | {"ratelimit-policy": policy, "ratelimit": service}
    canonical = {"X-RateLimit-" + name[12:].title(): text for name, text in sent.items() if name in names}
    theirs = _parse_rate_limit_headers(canonical | {"RateLimit-Policy": policy, "RateLimit": service})
    ours = read_allowance(sent, now=datetime.now(UTC))
    if theirs is None or ours is None:
        assert theirs is ours is None
    else:
        assert (ours.limit, ours.remaining) == (theirs.limit, theirs.remaining)
        assert abs(ours.reset_at - theirs.reset_at.timestamp()) < 2


def fixed_window(limit: int, clock: FastClock) -> Callable[[], tuple[bool, dict[str, str]]]:
    used: dict[int, int] = {}
    lock = threading.Lock()

    def admit() -> tuple[bool, dict[str, str]]:
        with lock:
            now = clock.now()
            window = int(now.timestamp() // 60)
            used[window] = used.get(window, 0) + 1
            left = limit - used[window]
            return left >= 0, headers(limit, max(0, left), (window + 1) * 60 - now.timestamp(), now=now)

    return admit


def sliding_window(limit: int, clock: FastClock) -> Callable[[], tuple[bool, dict[str, str]]]:
    seen: deque[float] = deque()
    lock = threading.Lock()

    def admit() -> tuple[bool, dict[str, str]]:
        with lock:
            now = clock.now()
            while seen and seen[0] <= now.timestamp() - 60:
                seen.popleft()
            is_admitted = len(seen) < limit
            if is_admitted:
                seen.append(now.timestamp())
            return is_admitted, headers(limit, limit - len(seen), 60, now=now)

    return admit


@pytest.mark.parametrize("make_limiter", [fixed_window, sliding_window])
def test_eight_threads_under_600_a_minute_see_at_most_two_refusals(
    make_limiter: Callable[[int, FastClock], Callable[[], tuple[bool, dict[str, str]]]],
) -> None:
    clock = FastClock(factor=60)
    budget, admit = RateBudget(clock), make_limiter(600, clock)
    refused = []

    def request(_number: int) -> None:
        budget.reserve()
        is_admitted, told = admit()
        budget.settle(told)
        if not is_admitted:
            refused.append(told)

    started = clock.now()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(request, range(1300)))
    minutes = (clock.now() - started).total_seconds() / 60
    assert len(refused) <= 2
    # Slow machines make these minutes longer; the upper limit only catches a client that stands still.
    assert 1 <= minutes <= 15
