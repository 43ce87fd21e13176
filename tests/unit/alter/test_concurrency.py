"""How many requests are under way at once: played through with servers of known behaviour."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from reconciler.alter.concurrency import FEW, Concurrency, next_limit

CEILING = 32


def play(seconds_at: Callable[[int], float], *, answers: int = 2000, ceiling: int = CEILING) -> Concurrency:
    """A server whose latency depends on how many requests are under way: always as many as may be."""
    concurrency = Concurrency(ceiling)
    for _ in range(answers):
        in_flight = concurrency.limit
        concurrency.answered("GET /x", seconds_at(in_flight), in_flight=in_flight)
    return concurrency


@pytest.mark.parametrize("seconds", [0.001, 0.02, 0.5, 10.0])
def test_a_steady_server_gets_all_that_may_be_however_slow_it_is(seconds: float) -> None:
    assert play(lambda _: seconds, answers=150).limit == CEILING


def test_a_server_with_latencies_all_over_the_place_is_no_server_that_queues() -> None:
    dice = random.Random(7)
    assert play(lambda _: dice.lognormvariate(-3, 0.6)).limit == CEILING


@pytest.mark.parametrize("workers", [1, 2, 4, 8])
def test_a_server_that_queues_gets_little_more_than_it_works_on(workers: int) -> None:
    concurrency = play(lambda in_flight: 0.01 * max(1.0, in_flight / workers))
    assert FEW <= concurrency.limit <= max(10, 3 * workers)
    assert concurrency.limit >= workers


def test_a_hiccup_is_no_trend() -> None:
    concurrency = play(lambda _: 0.02)
    concurrency.answered("GET /x", 30, in_flight=CEILING)
    for _ in range(CEILING):
        concurrency.answered("GET /x", 0.02, in_flight=CEILING)
    assert concurrency.limit == CEILING


def test_a_server_that_becomes_slow_gets_less_but_never_less_than_a_few() -> None:
    concurrency = play(lambda _: 0.02)
    for _ in range(2000):
        concurrency.answered("GET /x", 2, in_flight=concurrency.limit)
    assert concurrency.limit == FEW
    for _ in range(500):
        concurrency.answered("GET /x", 0.02, in_flight=concurrency.limit)
    assert concurrency.limit == CEILING


def test_a_route_that_takes_long_is_no_slow_server() -> None:
    concurrency = Concurrency(CEILING)
    for number in range(1000):
        route, seconds = ("GET /list", 0.9) if number % 7 == 0 else ("GET /x", 0.01)
        concurrency.answered(route, seconds, in_flight=concurrency.limit)
    assert concurrency.limit == CEILING


def test_what_is_not_used_does_not_grow() -> None:
    concurrency = Concurrency(CEILING)
    for _ in range(500):
        concurrency.answered("GET /x", 0.01, in_flight=1)
    assert concurrency.limit == FEW


def test_a_refusal_halves_it_and_it_comes_back_slowly() -> None:
    concurrency = play(lambda _: 0.02)
    concurrency.refused()
    assert concurrency.limit == CEILING // 2
    for _ in range(600):
        concurrency.answered("GET /x", 0.02, in_flight=concurrency.limit)
    assert CEILING // 2 < concurrency.limit <= CEILING // 2 + 3


def test_a_lost_answer_halves_it_and_it_comes_back_at_once() -> None:
    concurrency = play(lambda _: 0.02)
    for _ in range(3):
        concurrency.lost()
    assert concurrency.limit == CEILING // 8
    for _ in range(150):
        concurrency.answered("GET /x", 0.02, in_flight=concurrency.limit)
    assert concurrency.limit == CEILING


def test_there_is_always_one() -> None:
    concurrency = Concurrency(2)
    for _ in range(10):
        concurrency.refused()
        concurrency.lost()
    assert concurrency.limit == 1
    assert Concurrency(1).limit == 1


def test_no_time_at_all_is_no_queue() -> None:
    assert play(lambda _: 0.0).limit == CEILING


def test_the_limit_after_a_round_is_what_does_not_queue_and_some_more() -> None:
    assert next_limit(16, gradient=1, ceiling=32) == 20
    assert next_limit(16, gradient=0.5, ceiling=32) == 12
    assert next_limit(31, gradient=1, ceiling=32) == 32
    assert next_limit(4, gradient=0.1, ceiling=32) == 4
    assert next_limit(1, gradient=0.1, ceiling=32) == pytest.approx(1.1)
