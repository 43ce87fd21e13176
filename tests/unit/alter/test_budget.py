from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from alter_sdk.client import _parse_rate_limit_headers
from hypothesis import given
from hypothesis import strategies as st

from reconciler.alter.budget import Budget, read_allowance

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
START = NOON.timestamp()


def headers(limit: int, remaining: int, reset_in: float, *, now: datetime = NOON) -> dict[str, str]:
    return {
        "x-ratelimit-limit": str(limit),
        "x-ratelimit-remaining": str(remaining),
        "x-ratelimit-reset": str(round(now.timestamp() + reset_in)),
        "date": format_datetime(now, usegmt=True),
    }


def learn(budget: Budget, told: dict[str, str], *, now: datetime = NOON, in_flight: int = 0) -> bool:
    return budget.learn(told, now=now, in_flight=in_flight)


def budget_after(limit: int, remaining: int, reset_in: float) -> Budget:
    budget = Budget()
    learn(budget, headers(limit, remaining, reset_in))
    return budget


def waits(budget: Budget, *, in_flight: int = 0, now: datetime = NOON) -> float:
    return max(0.0, budget.next_at(in_flight=in_flight) - now.timestamp())


def test_without_a_word_from_the_server_nothing_waits() -> None:
    budget = Budget()
    assert waits(budget, in_flight=50) == 0
    assert not learn(budget, {})
    budget.lose()
    assert waits(budget) == 0


def test_what_is_left_is_used_without_a_wait_and_no_more() -> None:
    budget = budget_after(600, 30, 50)
    assert [waits(budget, in_flight=count) for count in (0, 29, 30)] == [0, 0, 50]


def test_all_that_is_left_may_be_under_way() -> None:
    budget = budget_after(10, 3, 30)
    assert [budget.is_under_way(count) for count in (2, 3, 4)] == [False, True, True]
    learn(budget, headers(10, 0, 30))
    assert not budget.is_under_way(3)  # there is nothing to wait for but the renewal


def test_what_was_held_back_for_requests_under_way_comes_free_when_they_are_answered() -> None:
    budget = Budget()
    learn(budget, headers(100, 10, 30), in_flight=9)
    assert waits(budget, in_flight=10) == 30
    learn(budget, headers(100, 9, 30))
    assert waits(budget, in_flight=8) == 0


def test_a_request_without_an_answer_may_have_been_counted() -> None:
    budget = budget_after(600, 1, 30)
    budget.lose()
    assert waits(budget) == 30


def test_a_late_answer_does_not_give_budget_back() -> None:
    budget = budget_after(600, 0, 30)
    learn(budget, headers(600, 500, 30))
    assert waits(budget) == 30


def test_an_answer_about_a_window_that_is_over_says_nothing() -> None:
    assert waits(budget_after(600, 0, -5)) == 0


def test_a_window_is_forgotten_when_it_is_over() -> None:
    budget = budget_after(600, 0, 30)
    assert not budget.expire(START + 29)
    assert budget.expire(START + 30)
    assert not budget.expire(START + 30)
    assert waits(budget) == 0


def test_a_stricter_limit_with_an_earlier_end_takes_over() -> None:
    budget = budget_after(600, 500, 50)
    learn(budget, headers(60, 0, 20))
    assert waits(budget) == 20


def test_a_window_that_slides_is_recognised_as_new() -> None:
    budget = budget_after(600, 0, 60)
    for step in range(1, 5):
        now = NOON + timedelta(seconds=0.6 * step)
        learn(budget, headers(600, 300, 60, now=now), now=now)
    assert waits(budget) == 0


def shared_budget(limit: int, remaining: int, reset_in: float) -> Budget:
    budget = budget_after(limit, remaining + 5, reset_in)
    budget.take(START, in_flight=0)
    learn(budget, headers(limit, remaining, reset_in))  # five requests are gone, one of them ours
    return budget


def pass_of(budget: Budget, requests: int) -> float:
    """The seconds until so many went out, each when the budget says."""
    now = START
    for number in range(requests):
        now = max(now, budget.next_at(in_flight=number))
        budget.take(now, in_flight=number)
    return now - START


def test_the_last_fifth_of_a_key_that_others_use_too_is_spread_over_the_time_that_is_left() -> None:
    assert pass_of(shared_budget(600, 600, 50), 480) == 0
    assert 48 <= pass_of(shared_budget(600, 100, 50), 100) <= 50
    assert pass_of(shared_budget(600, 100, 1), 50) <= 1


def test_a_key_that_nobody_else_uses_is_used_up_at_once() -> None:
    budget = Budget()
    learn(budget, headers(600, 100, 50), in_flight=3)
    budget.take(START, in_flight=3)
    learn(budget, headers(600, 96, 50))  # those under way and the new one, nobody else's
    assert pass_of(budget, 96) == 0


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
