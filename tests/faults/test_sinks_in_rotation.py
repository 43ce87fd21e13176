"""Sinks fail, and processes die in them, while a key is rotated: workloads always find a key that works."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler.errors import ExitCode
from tests.faults.processes import apply, make_good
from tests.faults.scenarios import make_due, with_store
from tests.faults.scripts import PLAY_ALL
from tests.support.fleet import Fleet, running_fleet

_ORDERS = ("fail", "then-fail", "swap", "tell")
_PLACES = (("store",), ("file", "store"), ("store", "file"))
_CALLS = range(1, 8 if PLAY_ALL else 4)


def _rotating(*deliver_to: str, read: str = "keys") -> str:
    return with_store(*deliver_to, read=read, rotation="{max_age: 30d}")


def _unusable(fleet: Fleet) -> list[str]:
    """What a workload that reads its key anew would meet; it needs one sink that works."""
    return [] if fleet.held("a") else ["nothing is held"]


@pytest.mark.parametrize("deliver_to", _PLACES, ids="-".join)
@pytest.mark.parametrize("call", _CALLS)
@pytest.mark.parametrize("order", _ORDERS)
def test_a_sink_that_fails_once_costs_a_rotation_nothing(
    order: str,
    call: int,
    deliver_to: tuple[str, ...],
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    with running_fleet(tmp_path) as fleet:
        make_due(fleet, _rotating(*deliver_to))
        fleet.order(*["ok"] * (call - 1), order)
        _, outcome = fleet.apply_once()
        assert outcome.exit_code() is ExitCode.OK
        fleet.order()
        assert fleet.violations() == []
        assert fleet.made_good(runs=1) == []
    record_property("fault_plans", 1)


@pytest.mark.parametrize("deliver_to", _PLACES, ids="-".join)
@pytest.mark.parametrize("call", _CALLS)
@pytest.mark.parametrize("order", _ORDERS)
def test_when_a_sink_goes_on_failing_the_old_key_is_untouched_and_the_next_run_rotates(
    order: str,
    call: int,
    deliver_to: tuple[str, ...],
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    with running_fleet(tmp_path) as fleet:
        make_due(fleet, _rotating(*deliver_to))
        [old] = fleet.older["a"]
        fleet.order(*["ok"] * (call - 1), f"{order}..")
        _, outcome = fleet.apply_once()
        if outcome.exit_code() is not ExitCode.OK:
            assert outcome.exit_code() is ExitCode.SINK
            live = {key.key_id: key for key in fleet.live_keys(fleet.agent("a").id)}
            assert live[old].deprecated_at is None
            assert len(live) <= 2
        if order not in {"swap", "then-fail"}:
            assert fleet.broken_promises() + _unusable(fleet) == []
        fleet.order()
        assert fleet.made_good(runs=2) == []
    record_property("fault_plans", 1)


def test_a_sink_that_took_the_key_gets_the_one_before_back_when_another_fails(tmp_path: Path) -> None:
    with running_fleet(tmp_path) as fleet:
        make_due(fleet, _rotating("file", "store"))
        before = (fleet.keys / "a.env").read_text()
        fleet.order("fail..")
        _, outcome = fleet.apply_once()
        assert outcome.exit_code() is ExitCode.SINK
        assert (fleet.keys / "a.env").read_text() == before
        assert len(fleet.live_keys(fleet.agent("a").id)) == 1, "the new one is revoked again"
        fleet.order()
        assert fleet.made_good(runs=1) == []


def test_with_a_store_that_cannot_be_read_a_failed_delivery_is_taken_back_and_no_old_key_is_lost(
    tmp_path: Path,
) -> None:
    with running_fleet(tmp_path) as fleet:
        make_due(fleet, _rotating("store", read="nothing"))
        fleet.order("fail..")
        _, outcome = fleet.apply_once()
        assert outcome.exit_code() is ExitCode.SINK
        assert fleet.broken_promises() == []
        assert len(fleet.live_keys(fleet.agent("a").id)) == 1
        fleet.order()
        assert fleet.made_good(runs=1) == []


_KILLS = ["kill", "then-kill", "ok kill", "ok then-kill", "ok ok kill", "ok ok then-kill"]


@pytest.mark.parametrize("deliver_to", _PLACES if PLAY_ALL else _PLACES[1:2], ids="-".join)
@pytest.mark.parametrize("orders", _KILLS if PLAY_ALL else _KILLS[:3])
def test_a_process_killed_at_any_call_of_a_sink_leaves_nothing_that_two_runs_do_not_mend(
    orders: str,
    deliver_to: tuple[str, ...],
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    with running_fleet(tmp_path) as fleet:
        make_due(fleet, _rotating(*deliver_to))
        fleet.order(*orders.split())
        code = apply(fleet).code
        assert code in {-signal.SIGKILL, 0}, "0: there were fewer calls than that"
        assert fleet.broken_promises() + _unusable(fleet) == []
        fleet.order()
        assert make_good(fleet) == []
    record_property("fault_plans", 1)
