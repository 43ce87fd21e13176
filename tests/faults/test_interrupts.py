"""Ctrl-C and SIGTERM in the middle of a fleet: what is begun is finished, and the next run goes on."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from tests.faults.processes import apply, finish, start_apply
from tests.support.fleet import HEAD, Fleet, running_fleet

_AGENTS = 30
_FLEET = HEAD + "agents:\n" + "".join(f"  agent-{n:02}: {{scopes: {{}}}}\n" for n in range(_AGENTS))


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_in_the_middle_of_a_fleet_ends_it_in_order(
    number: signal.Signals, code: int, tmp_path: Path
) -> None:
    with running_fleet(tmp_path, latency_seconds=0.04) as fleet:
        fleet.configure(_FLEET)
        process = start_apply(fleet, "--parallelism", "3")
        _wait_for_creates(fleet, 5)
        process.send_signal(number)
        ended = finish(fleet, process)

        assert ended.code == code
        assert "what is begun will be finished" in ended.err
        assert f"alter-sync apply -c {fleet.config}" in ended.out
        begun = fleet.api.list_agents()
        assert 5 <= len(begun) < _AGENTS
        assert [agent.name for agent in begun if not agent.mark or not agent.mark.delivered] == []
        assert [fault for fault in fleet.violations() if not fault.endswith("live 0 times")] == []

        assert apply(fleet).code == 0
        assert fleet.violations() + fleet.unusable() == []
        before = len(fleet.mutations())
        assert apply(fleet).code == 0
        assert fleet.mutations()[before:] == []


def test_a_second_signal_does_not_cut_short_what_is_begun(tmp_path: Path) -> None:
    with running_fleet(tmp_path, latency_seconds=0.04) as fleet:
        fleet.configure(_FLEET)
        process = start_apply(fleet, "--parallelism", "3")
        _wait_for_creates(fleet, 3)
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
        assert finish(fleet, process).code == 130
        assert [fault for fault in fleet.violations() if not fault.endswith("live 0 times")] == []


def _wait_for_creates(fleet: Fleet, count: int) -> None:
    deadline = time.monotonic() + 20
    while len([one for one in fleet.mutations() if one.method == "POST"]) < count:
        assert time.monotonic() < deadline, "it never began"
        time.sleep(0.005)
