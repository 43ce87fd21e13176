"""Two runs at once on one configuration: none creates twice, none loses a key, both end with a clear code."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler.errors import AlterSyncError, ExitCode
from tests.faults.processes import apply, finish, start_apply
from tests.faults.roads import SharedRoad, Turns
from tests.faults.scenarios import SCENARIOS, Scenario, agents
from tests.faults.scripts import PLAY_ALL, SEED, SERVERS
from tests.support.fleet import HEAD, Fleet, running_fleet

_FLEET = HEAD + "agents:\n" + "".join(f"  agent-{n:02}: {{scopes: {{}}}}\n" for n in range(20))
# Done; or somebody else was faster with a change, with a revocation, or here and there.
_SANE = {ExitCode.OK, ExitCode.CONFLICT, ExitCode.NOT_FOUND, ExitCode.PARTIAL}
_SEEDS = 40 if PLAY_ALL else 2
_THREE = agents(a="{scopes: {}}", b="{scopes: {}, status: inactive}", c="{scopes: {}}")
_STORIES = (*SCENARIOS.values(), Scenario("create-three", _THREE, calls=8, reads=1))


def test_two_processes_on_a_fresh_fleet_create_every_agent_once(tmp_path: Path) -> None:
    with running_fleet(tmp_path, latency_seconds=0.005) as fleet:
        fleet.configure(_FLEET)
        processes = [start_apply(fleet), start_apply(fleet)]
        ended = [finish(fleet, process) for process in processes]
        assert {one.code for one in ended} <= _SANE, ended
        created = [row for row in fleet.server.store.audit_log() if row["action"] == "agent.create"]
        assert len(created) == 20
        assert fleet.violations() == []
        assert apply(fleet).code == 0
        assert fleet.violations() + fleet.unusable() == []
        before = len(fleet.mutations())
        assert apply(fleet).code == 0
        assert fleet.mutations()[before:] == []


@pytest.mark.parametrize("server", ["plain", "merging"])
@pytest.mark.parametrize("story", _STORIES, ids=lambda story: story.name)
def test_two_appliers_in_any_order_lose_nothing(
    story: Scenario, server: str, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    problems = {}
    with running_fleet(tmp_path, **SERVERS[server]) as fleet:
        for seed in range(SEED, SEED + _SEEDS):
            fleet.start_over()
            if found := _broken_by_two(fleet, story, seed):
                problems[seed] = found
    assert not problems
    record_property("fault_plans", _SEEDS)


def _broken_by_two(fleet: Fleet, story: Scenario, seed: int) -> list[str]:
    story.begin(fleet)
    turns = Turns(seed, appliers=2)
    codes: list[ExitCode] = []

    def work(applier: int) -> None:
        with fleet.connect(SharedRoad) as road:
            road.turns, road.applier = turns, applier
            try:
                _, outcome = fleet.apply_once(allow=story.allow, api=road)
                codes.append(outcome.exit_code())
            except AlterSyncError as error:
                codes.append(error.exit_code)
            finally:
                turns.leave()

    threads = [threading.Thread(target=work, args=(applier,)) for applier in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    insane = [f"exit code {code}" for code in codes if code not in _SANE]
    return insane + fleet.broken_promises() + fleet.made_good(allow=story.allow)
