"""A real process dies of SIGKILL at every request and at every call of a sink; the next two make it good."""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faults.ambush import Ambush, KillSwitch
from tests.faults.processes import apply, finish, make_good, start_apply
from tests.faults.scenarios import OBEDIENT_STORE, SCENARIOS
from tests.faults.scripts import sample
from tests.support.fleet import Fleet, running_fleet

_LIST_AND_CATALOGUE = 1  # The command line also reads the catalogue of scopes.


@dataclass(frozen=True, slots=True)
class Kill:
    """At which request of which story; before it is carried out, or after."""

    scenario: str
    nth: int
    after_commit: bool

    def __str__(self) -> str:
        return f"{self.scenario}/{'after' if self.after_commit else 'before'}@{self.nth}"


_KILLS = [
    Kill(scenario.name, nth, after_commit)
    for scenario in SCENARIOS.values()
    for nth in range(1, scenario.calls + 2)
    for after_commit in (False, True)
]


@pytest.mark.parametrize("kill", sample(_KILLS, one_in=20), ids=str)
def test_a_process_killed_at_any_request_leaves_nothing_that_two_runs_do_not_mend(
    kill: Kill, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    scenario, ambush = SCENARIOS[kill.scenario], Ambush()
    options = [word for guard in scenario.allow for word in ("--allow", guard)]
    with running_fleet(tmp_path, faults=ambush) as fleet:
        scenario.begin(fleet)
        ambush.on_request = switch = KillSwitch(kill.nth, after_commit=kill.after_commit)
        process = start_apply(fleet, *options)
        switch.aim(process.pid)
        assert finish(fleet, process).code == -signal.SIGKILL
        ambush.on_request = None
        assert fleet.broken_promises() == []
        assert make_good(fleet, *options) == []
    record_property("fault_plans", 1)


_ORDERS = ["kill", "then-kill", "ok kill", "ok then-kill"]


@pytest.mark.parametrize("orders", _ORDERS)
def test_a_process_killed_at_any_call_of_a_sink_leaves_nothing_that_two_runs_do_not_mend(
    orders: str, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    with running_fleet(tmp_path) as fleet:
        fleet.configure(OBEDIENT_STORE)
        fleet.order(*orders.split())
        assert apply(fleet).code == -signal.SIGKILL
        assert fleet.broken_promises() == []
        assert make_good(fleet) == []
    record_property("fault_plans", 1)


def test_what_a_dead_process_claimed_is_taken_over_at_once(tmp_path: Path) -> None:
    with running_fleet(tmp_path) as fleet:
        fleet.configure(OBEDIENT_STORE)
        fleet.order("then-kill")
        apply(fleet)
        [dead] = _claims(fleet)
        assert apply(fleet).code == 0
        assert dead
        assert fleet.violations() == []


def _claims(fleet: Fleet) -> list[str]:
    marks = [agent.mark for agent in fleet.api.list_agents()]
    return [mark.claim.run for mark in marks if mark and mark.claim]
