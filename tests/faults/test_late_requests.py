"""A request that the client has given up arrives after all: when the run is over, or behind its own retry."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.roads import SlowRoad
from tests.faults.scenarios import SCENARIOS
from tests.faults.scripts import SERVERS, sample
from tests.support.fleet import Fleet, running_fleet

_MUTATIONS = [
    (scenario.name, nth)
    for scenario in SCENARIOS.values()
    for nth in range(1, scenario.calls - scenario.reads + 1)
]


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("for_good", [False, True], ids=["behind-its-retry", "after-a-failed-run"])
def test_a_request_that_arrives_when_the_run_is_over_is_dealt_with_by_the_next_two(
    for_good: bool, server: str, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    problems, late = {}, sample(_MUTATIONS, one_in=5)
    with running_fleet(tmp_path, **SERVERS[server]) as fleet:
        for name, nth in late:
            fleet.start_over()
            if found := _broken_by_late(fleet, name, nth, for_good=for_good):
                problems[f"{name}@{nth}"] = found
    assert not problems
    record_property("fault_plans", len(late))


def _broken_by_late(fleet: Fleet, name: str, nth: int, *, for_good: bool) -> list[str]:
    scenario = SCENARIOS[name]
    scenario.begin(fleet)
    with fleet.connect(SlowRoad) as road:
        road.nth, road.for_good = nth, for_good
        fleet.apply_once(allow=scenario.allow, api=road)
        road.arrive()
        fleet.keys_may_come_late = True
    return fleet.made_good(allow=scenario.allow)
