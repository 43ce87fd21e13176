"""What a conversation cost: counted for all threads together."""

from __future__ import annotations

import pytest

from reconciler.alter.stats import ApiStats, Tally
from tests.unit.alter.fakes import FakeClock


def test_requests_are_counted_and_how_many_were_under_way_at_once() -> None:
    tally = Tally(FakeClock())
    for _ in range(3):
        tally.begin()
    tally.end()
    tally.begin()
    tally.retry()
    assert tally.stats() == ApiStats(requests=4, retries=1, peak=3)


def test_time_that_many_wait_at_once_counts_once() -> None:
    clock = FakeClock()
    tally = Tally(clock)
    assert tally.wait(10) == pytest.approx(10, abs=1e-4)
    clock.advance(4)
    assert tally.wait(6) == pytest.approx(0, abs=1e-4)
    assert tally.wait(8) == pytest.approx(2, abs=1e-4)
    clock.advance(100)
    tally.wait(1)
    assert tally.stats().waited_seconds == pytest.approx(13, abs=1e-3)
