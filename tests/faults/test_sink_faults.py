"""Sinks fail at every call and in every way: no key is lost or left over, the next run makes it good."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler.errors import ExitCode
from reconciler.model.outcome import Outcome
from reconciler.sandbox.faults import Fault
from tests.faults.ambush import Ambush
from tests.faults.scenarios import OBEDIENT_STORE, PLAIN, SCENARIOS, with_store
from tests.faults.scripts import PLAY_ALL
from tests.support.fleet import Fleet, running_fleet

_ORDERS = ("fail", "then-fail", "swap")
_PLACES = (("store",), ("file", "store"), ("store", "file"))


def _mended_by_next_run(fleet: Fleet) -> list[str]:
    fleet.order()
    return fleet.made_good(runs=1)


def _live_keys(fleet: Fleet) -> list[bool]:
    """Of each live key of the agent whether it is deprecated."""
    return [key.deprecated_at is not None for key in fleet.live_keys(fleet.agent("a").id)]


@pytest.mark.parametrize("deliver_to", _PLACES, ids="-".join)
@pytest.mark.parametrize("call", range(1, 6 if PLAY_ALL else 4))
@pytest.mark.parametrize("order", _ORDERS)
def test_a_sink_that_fails_once_is_tried_again(
    order: str,
    call: int,
    deliver_to: tuple[str, ...],
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    with running_fleet(tmp_path) as fleet:
        fleet.configure(with_store(*deliver_to))
        fleet.order(*["ok"] * (call - 1), order)
        _, outcome = fleet.apply_once()
        assert outcome.exit_code() is ExitCode.OK
        assert fleet.violations() == []
        assert _mended_by_next_run(fleet) == []
    record_property("fault_plans", 1)


@pytest.mark.parametrize("deliver_to", _PLACES, ids="-".join)
@pytest.mark.parametrize("call", range(1, 6 if PLAY_ALL else 3))
@pytest.mark.parametrize("order", _ORDERS)
def test_when_a_sink_goes_on_failing_the_key_is_retired_and_the_next_run_delivers_another(
    order: str,
    call: int,
    deliver_to: tuple[str, ...],
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    with running_fleet(tmp_path) as fleet:
        fleet.configure(with_store(*deliver_to))
        fleet.order(*["ok"] * (call - 1), f"{order}..")
        _, outcome = fleet.apply_once()
        if call <= 2:
            assert outcome.exit_code() is ExitCode.SINK
            # The only key may not be revoked. It is deprecated, unless a sink said that it has it.
            taken = (fleet.keys / "a.env").exists() or (call == 2 and order != "swap")
            assert _live_keys(fleet) == [not taken]
        assert fleet.broken_promises() == []
        assert _mended_by_next_run(fleet) == []
    record_property("fault_plans", 1)


@pytest.mark.parametrize("order", ["hang", "then-hang"])
def test_a_sink_that_hangs_is_stopped_and_tried_again(order: str, tmp_path: Path) -> None:
    with running_fleet(tmp_path) as fleet:
        fleet.configure(OBEDIENT_STORE)
        fleet.order(order)
        _, outcome = fleet.apply_once()
        assert outcome.exit_code() is ExitCode.OK
        assert fleet.violations() == []


def test_a_sink_that_hangs_for_ever_costs_its_time_limit_and_exit_code_14(tmp_path: Path) -> None:
    with running_fleet(tmp_path) as fleet:
        fleet.configure(OBEDIENT_STORE)
        fleet.order("hang..")
        _, outcome = fleet.apply_once()
        assert outcome.exit_code() is ExitCode.SINK
        assert "took longer than 1 s" in _message(outcome)
        assert _mended_by_next_run(fleet) == []


def test_a_second_key_that_cannot_be_delivered_is_revoked_at_once(tmp_path: Path) -> None:
    with running_fleet(tmp_path) as fleet:
        fleet.configure(OBEDIENT_STORE)
        fleet.order("fail..")
        fleet.apply_once()
        fleet.order("ok", "fail..")
        _, outcome = fleet.apply_once()
        assert outcome.exit_code() is ExitCode.SINK
        assert "was revoked again" in _message(outcome)
        assert _live_keys(fleet) == [True]
        assert _mended_by_next_run(fleet) == []


def test_a_key_that_can_be_neither_delivered_nor_retired_is_left_to_the_next_run(tmp_path: Path) -> None:
    with running_fleet(tmp_path) as fleet:
        fleet.configure(OBEDIENT_STORE)
        fleet.order("fail..")
        fleet.server.faults.add("drop_before", method="DELETE", times=None)
        _, outcome = fleet.apply_once()
        assert outcome.exit_code() is ExitCode.SINK
        assert "could not be retired either" in _message(outcome)
        fleet.server.faults.clear()
        assert _mended_by_next_run(fleet) == []


def test_the_message_of_a_sink_that_tells_the_key_does_not_repeat_it(tmp_path: Path) -> None:
    with running_fleet(tmp_path) as fleet:
        fleet.configure(OBEDIENT_STORE)
        fleet.order("tell..")
        _, outcome = fleet.apply_once()
        assert "ended with exit code" in _message(outcome)
        assert "cannot store" not in _message(outcome)
        assert fleet.broken_promises() == []


def test_a_key_that_every_sink_holds_after_all_is_kept(tmp_path: Path) -> None:
    """The sink stored it and reported failure: workloads may be using the key, so it is not replaced."""
    with running_fleet(tmp_path) as fleet:
        fleet.configure(with_store("store", read="ids"))
        fleet.order("then-fail..")
        _, outcome = fleet.apply_once()
        assert outcome.exit_code() is ExitCode.SINK
        stored = fleet.held("a")
        assert _mended_by_next_run(fleet) == []
        assert fleet.held("a") == stored


@pytest.mark.parametrize("order", ["fail", "then-fail"])
def test_a_store_that_cannot_be_read_counts_on_its_acknowledgement(order: str, tmp_path: Path) -> None:
    with running_fleet(tmp_path) as fleet:
        fleet.configure(with_store("store", "file", read="nothing"))
        fleet.order(f"{order}..")
        _, outcome = fleet.apply_once()
        assert outcome.exit_code() is ExitCode.SINK
        fleet.order()
        _, outcome = fleet.apply_once()
        assert outcome.exit_code() is ExitCode.OK
        assert fleet.unusable() == []
        # Nobody can tell whether the store has the first one, so it goes like any older key: later.
        assert _live_keys(fleet) == [True, False]
        before = len(fleet.mutations())
        fleet.apply_once()
        assert len(fleet.mutations()) == before


def test_a_folder_that_cannot_be_written_is_found_before_anything_is_created(tmp_path: Path) -> None:
    with running_fleet(tmp_path) as fleet:
        fleet.configure(PLAIN)
        fleet.keys.write_text("a file where the folder should be")
        _, outcome = fleet.apply_once()
        assert outcome.exit_code() is ExitCode.SINK
        assert [one.status for one in outcome.operations] == ["not_tried", "failed"]
        assert fleet.mutations() == []
        fleet.keys.unlink()
        assert _mended_by_next_run(fleet) == []


@pytest.mark.parametrize("scenario", ["create", "create-inactive", "mint-again", "mint-after-give-back"])
def test_a_folder_that_is_lost_after_it_was_probed_leaves_no_key_that_nobody_holds(
    scenario: str, tmp_path: Path
) -> None:
    ambush = Ambush()
    with running_fleet(tmp_path, faults=ambush) as fleet:
        SCENARIOS[scenario].begin(fleet)

        def spoil(_nth: int, method: str, _path: str) -> Fault | None:
            if method == "POST" and not fleet.keys.exists():
                fleet.keys.write_text("a file where the folder should be")
            return None

        ambush.on_request = spoil
        _, outcome = fleet.apply_once()
        ambush.on_request = None
        assert outcome.exit_code() is ExitCode.SINK
        assert _live_keys(fleet) in ([True], [False])
        assert fleet.broken_promises() == []
        fleet.keys.unlink()
        assert _mended_by_next_run(fleet) == []


def test_a_folder_that_disappears_is_made_again(tmp_path: Path) -> None:
    with running_fleet(tmp_path, faults=(ambush := Ambush())) as fleet:
        fleet.configure(PLAIN)
        fleet.keys.mkdir()

        def remove(_nth: int, method: str, _path: str) -> Fault | None:
            if method == "POST":
                fleet.keys.rmdir()
            return None

        ambush.on_request = remove
        _, outcome = fleet.apply_once()
        assert outcome.exit_code() is ExitCode.OK
        assert fleet.violations() == []


def _message(outcome: Outcome) -> str:
    return " ".join(one.failure.message for one in outcome.operations if one.failure)
