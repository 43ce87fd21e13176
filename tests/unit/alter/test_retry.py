from __future__ import annotations

import logging

import pytest

from reconciler import errors
from reconciler.alter.refusals import Unavailable
from reconciler.alter.retry import ApiEvent, Retrier, RetryPolicy
from tests.unit.alter.fakes import FakeClock


class Flaky:
    """Fails with each of the errors in turn, then succeeds."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.calls = 0

    def __call__(self) -> str:
        self.calls += 1
        if self.failures:
            raise self.failures.pop(0)
        return "done"


def fault(retry_after: int | None = None) -> Unavailable:
    return Unavailable("down", status=503, hint="", code="", retry_after=retry_after)


def limited(retry_after: float | None = None) -> errors.RateLimited:
    return errors.RateLimited("slow down", retry_after_seconds=retry_after)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def events() -> list[ApiEvent]:
    return []


@pytest.fixture
def retrier(clock: FakeClock, events: list[ApiEvent]) -> Retrier:
    return Retrier(clock=clock, policy=RetryPolicy(), on_event=events.append, jitter=lambda: 1.0)


def test_a_success_is_not_repeated(retrier: Retrier, clock: FakeClock) -> None:
    action = Flaky()
    assert retrier.run(action, route="GET /x") == "done"
    assert (action.calls, clock.slept) == (1, [])


@pytest.mark.parametrize("failure", [fault(), limited(), errors.Unreachable("gone"), errors.ServerFault("x")])
def test_what_may_pass_is_repeated_and_told(
    retrier: Retrier, events: list[ApiEvent], failure: errors.ApiError
) -> None:
    action = Flaky(failure)
    assert retrier.run(action, route="GET /x") == "done"
    assert action.calls == 2
    assert events == [ApiEvent("retry", "GET /x", 1, 0.25, failure.code)]


@pytest.mark.parametrize(
    "failure",
    [
        errors.ConcurrentUpdate("stale"),
        errors.AuthError("no"),
        errors.BadAnswer("odd"),
        errors.ApiError("other"),
        KeyError("bug"),
    ],
)
def test_what_cannot_pass_by_itself_is_raised_at_once(retrier: Retrier, failure: Exception) -> None:
    action = Flaky(failure)
    with pytest.raises(type(failure)):
        retrier.run(action, route="GET /x")
    assert action.calls == 1


def test_the_waits_grow_and_stay_below_the_longest(retrier: Retrier, clock: FakeClock) -> None:
    action = Flaky(*[fault() for _ in range(7)])
    assert retrier.run(action, route="GET /x") == "done"
    assert clock.slept == [0.25, 0.5, 1, 2, 4, 8, 10]


def test_jitter_takes_off_half_a_wait_at_most(clock: FakeClock, events: list[ApiEvent]) -> None:
    retrier = Retrier(clock=clock, policy=RetryPolicy(), on_event=events.append, jitter=lambda: 0.0)
    retrier.run(Flaky(fault(), fault()), route="GET /x")
    assert clock.slept == [0.125, 0.25]


def test_the_last_error_is_raised_when_the_attempts_are_used_up(retrier: Retrier, clock: FakeClock) -> None:
    action = Flaky(*[fault() for _ in range(20)])
    with pytest.raises(errors.ServerFault):
        retrier.run(action, route="GET /x")
    assert (action.calls, len(clock.slept)) == (8, 7)


def test_no_attempt_begins_after_the_time_budget(clock: FakeClock, events: list[ApiEvent]) -> None:
    policy = RetryPolicy(budget_seconds=3, attempts=100)
    retrier = Retrier(clock=clock, policy=policy, on_event=events.append, jitter=lambda: 1.0)
    with pytest.raises(errors.ServerFault):
        retrier.run(Flaky(*[fault() for _ in range(100)]), route="GET /x")
    assert sum(clock.slept) <= 3


def test_the_servers_wait_is_kept(retrier: Retrier, clock: FakeClock) -> None:
    assert retrier.run(Flaky(limited(30), fault(5)), route="GET /x") == "done"
    assert clock.slept == [30.25, 5.5]


@pytest.mark.parametrize("failure", [limited(133), fault(61)])
def test_a_wait_beyond_the_budget_ends_at_once(
    retrier: Retrier, clock: FakeClock, failure: errors.ApiError
) -> None:
    action = Flaky(failure)
    with pytest.raises(type(failure)):
        retrier.run(action, route="GET /x")
    assert (action.calls, clock.slept) == (1, [])


def test_a_rate_limit_is_waited_for_over_two_windows(retrier: Retrier, clock: FakeClock) -> None:
    assert retrier.run(Flaky(limited(60), limited(60)), route="GET /x") == "done"
    assert clock.slept == [60.25, 60.5]


def test_nothing_is_logged_about_retries(retrier: Retrier, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        retrier.run(Flaky(fault()), route="GET /x")
    assert caplog.records == []


def test_after_a_stop_nothing_is_repeated(clock: FakeClock, events: list[ApiEvent]) -> None:
    retrier = Retrier(clock=clock, policy=RetryPolicy(), on_event=events.append, is_stopping=lambda: True)
    action = Flaky(fault(), fault())
    with pytest.raises(errors.ServerFault):
        retrier.run(action, route="GET /x")
    assert (action.calls, clock.slept, events) == (1, [], [])


def test_a_host_that_cannot_be_reached_is_given_up_sooner_than_one_that_fails(retrier: Retrier) -> None:
    action = Flaky(*[errors.Unreachable("no connection", sent=False) for _ in range(8)])
    with pytest.raises(errors.Unreachable):
        retrier.run(action, route="GET /x")
    assert action.calls == RetryPolicy().connection_attempts
