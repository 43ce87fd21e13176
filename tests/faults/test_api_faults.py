"""Every request of every story fails in every way, alone and in pairs; afterwards two runs make it good."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from reconciler.errors import AlterSyncError, ExitCode
from tests.faults.scenarios import SCENARIOS, Scenario
from tests.faults.scripts import (
    CHOICE,
    PLAY_ALL,
    SERVERS,
    Script,
    pair_of_faults,
    pairs_of_faults,
    sample,
    single_faults,
)
from tests.support.fleet import Fleet, running_fleet

_BATCH = 15
_PAIRS = 2000 if PLAY_ALL else 48

Batch = list[Script]


def _batches(scripts: Iterable[Script]) -> list[Batch]:
    """Scripts for one server each, few enough for the time limit of a test."""
    by_server: dict[str, Batch] = {server: [] for server in SERVERS}
    for script in scripts:
        by_server[script.server].append(script)
    return [group[at : at + _BATCH] for group in by_server.values() for at in range(0, len(group), _BATCH)]


_SINGLES = [
    script
    for server in SERVERS
    for scenario in SCENARIOS.values()
    for script in single_faults(scenario, server)
]


@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=SCENARIOS)
def test_an_undisturbed_run_makes_as_few_requests_as_it_should(scenario: Scenario, tmp_path: Path) -> None:
    with running_fleet(tmp_path) as fleet:
        scenario.begin(fleet)
        _, outcome = fleet.apply_once(allow=scenario.allow)
        requests = fleet.server.store.request_log()
        assert outcome.exit_code() == 0
        assert (len(requests), sum(not one.mutating for one in requests)) == (scenario.calls, scenario.reads)
        assert fleet.violations() == []


@pytest.mark.parametrize("batch", _batches(sample(_SINGLES, one_in=64)), ids=lambda batch: str(batch[0]))
def test_after_any_single_fault_two_runs_reach_the_goal(
    batch: Batch, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    _play(batch, tmp_path)
    record_property("fault_plans", len(batch))


@pytest.mark.parametrize("batch", _batches(pairs_of_faults(_PAIRS)), ids=lambda batch: str(batch[0]))
def test_after_any_two_faults_two_runs_reach_the_goal(
    batch: Batch, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    _play(batch, tmp_path)
    record_property("fault_plans", len(batch))


@pytest.mark.parametrize("name", ["rotate-into-a-new-sink/merging/stale@6+401@7"])
def test_what_once_broke_a_promise_stays_mended(name: str, tmp_path: Path) -> None:
    _play([Script.parse(name)], tmp_path)


@pytest.mark.skipif("/" not in CHOICE, reason="plays the one script that ALTER_SYNC_FAULTS names")
def test_the_named_script_is_played(tmp_path: Path) -> None:
    _play([Script.parse(CHOICE)], tmp_path)


@pytest.mark.parametrize("seed", range(20))
def test_a_script_is_drawn_from_its_seed_and_read_back_from_its_name(seed: int) -> None:
    script = pair_of_faults(seed)
    assert script == pair_of_faults(seed) == Script.parse(str(script))


def _play(batch: Batch, folder: Path) -> None:
    """Plays scripts for one server; the names of those that broke something are in the message."""
    with running_fleet(folder, **SERVERS[batch[0].server]) as fleet:
        problems = {}
        for script in batch:
            fleet.start_over()
            if found := _broken_by(script, fleet):
                problems[str(script)] = found
    assert not problems, "to see one of them alone, set ALTER_SYNC_FAULTS to its name"


def _broken_by(script: Script, fleet: Fleet) -> list[str]:
    """What is wrong at once after a run with the faults of the script, and after undisturbed ones."""
    scenario = SCENARIOS[script.scenario]
    scenario.begin(fleet)
    fleet.keys_may_come_late = script.is_late
    for hit in script.hits:
        fleet.server.faults.arm(hit.fault())
    exit_code = _disturbed_run(fleet, scenario, hasty=script.is_late)
    if script.is_late:
        fleet.settle()
    fleet.server.faults.clear()
    problems = [f"at once: {found}" for found in fleet.broken_promises()]
    if exit_code is ExitCode.OK and not script.misleads and not _work_is_given_back(fleet):
        problems += [f"success was reported: {found}" for found in fleet.violations()]
    return problems + fleet.made_good(allow=scenario.allow)


def _disturbed_run(fleet: Fleet, scenario: Scenario, *, hasty: bool) -> ExitCode:
    """The run may fail, but only with an error that users can be shown."""
    try:
        _, outcome = fleet.apply_once(allow=scenario.allow, api=fleet.hasty_api if hasty else None)
    except AlterSyncError as error:
        return error.exit_code
    return outcome.exit_code()


def _work_is_given_back(fleet: Fleet) -> bool:
    """Whether the run said in a mark that the next one has to look again."""
    marks = (agent.mark for agent in fleet.api.list_agents())
    return any(mark and mark.claim and not mark.claim.run for mark in marks)
