"""What holds for every sink, whatever it writes to."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from reconciler.errors import SinkError
from reconciler.model.agent import AgentName
from reconciler.model.key import KeyId
from reconciler.model.secret import Secret
from reconciler.ports import SinkReading
from tests.unit.sinks.cases import CASES, Case
from tests.unit.sinks.samples import AGENT, FIRST_KEY, SECOND_KEY, delivery, second_delivery, told


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Case]:
    root = tmp_path / "root"
    root.mkdir()
    with CASES[request.param](root) as opened:
        yield opened


def check_held(case: Case, key: str, key_id: str, *, agent: str = AGENT) -> None:
    """A consumer finds this key, and the sink says so as far as it can read."""
    reading = case.sink.read_back(AgentName(agent))
    assert case.held(agent) == key
    if not case.is_readable:
        assert reading is None
        return
    known_id = KeyId(key_id) if case.tells_key_ids else None
    assert reading == SinkReading(key_id=known_id, fingerprint=Secret(key).fingerprint())
    assert reading is not None
    assert reading.plaintext in (None, Secret(key))


def check_first_is_held(case: Case) -> None:
    check_held(case, FIRST_KEY, "key-1")


def check_second_is_held(case: Case) -> None:
    check_held(case, SECOND_KEY, "key-2")


def test_nothing_is_held_before_the_first_delivery(case: Case) -> None:
    assert case.sink.read_back(AGENT) is None
    assert case.held(AGENT) is None


def test_what_was_delivered_is_read_back(case: Case) -> None:
    case.sink.deliver(delivery())
    assert case.sink.is_readable is case.is_readable
    check_first_is_held(case)


def test_the_name_is_that_of_the_configuration_and_the_place_is_for_people(case: Case) -> None:
    assert case.sink.name == "local"
    assert case.place_shows in case.sink.place(AGENT)
    case.sink.deliver(delivery())
    assert FIRST_KEY not in case.sink.place(AGENT) + repr(case.sink)


def test_a_repeated_delivery_changes_nothing(case: Case) -> None:
    case.sink.deliver(delivery())
    before = case.state()
    case.sink.deliver(delivery())
    if case.is_readable:  # who cannot read what is there has to write it again
        assert case.state() == before
    check_first_is_held(case)


def test_a_second_key_replaces_the_first(case: Case) -> None:
    case.sink.deliver(delivery())
    before = case.state()
    case.sink.deliver(second_delivery())
    assert case.state() != before
    check_second_is_held(case)


def test_the_previous_key_comes_back_where_versions_are_kept_as_often_as_it_is_asked_for(case: Case) -> None:
    case.sink.deliver(delivery())
    case.sink.deliver(second_delivery())
    for _ in range(2):
        assert case.sink.restore_previous(AGENT) is case.keeps_versions
        if case.keeps_versions:
            check_first_is_held(case)
        else:
            check_second_is_held(case)


def test_after_a_restoration_the_newer_key_can_be_delivered_again(case: Case) -> None:
    case.sink.deliver(delivery())
    case.sink.deliver(second_delivery())
    case.sink.restore_previous(AGENT)
    case.sink.deliver(second_delivery())
    check_second_is_held(case)
    case.sink.forget_previous(AGENT)
    check_second_is_held(case)
    assert case.places_with(FIRST_KEY) == set()


def test_a_forgotten_key_is_nowhere_and_does_not_come_back(case: Case) -> None:
    case.sink.deliver(delivery())
    case.sink.deliver(second_delivery())
    for _ in range(2):
        case.sink.forget_previous(AGENT)
        assert case.sink.restore_previous(AGENT) is False
    check_second_is_held(case)
    assert case.places_with(FIRST_KEY) == set()


def test_with_nothing_delivered_there_is_nothing_to_restore_or_forget(case: Case) -> None:
    before = case.state()
    case.sink.forget_previous(AGENT)
    assert case.sink.restore_previous(AGENT) is False
    assert case.state() == before


def test_a_probe_passes_before_and_after_a_delivery_and_leaves_no_trace(case: Case) -> None:
    empty = case.state()
    case.sink.probe(AGENT, owner="payments", app="payments-prod")
    assert case.state() == empty
    case.sink.deliver(delivery())
    before = case.state()
    assert before != empty
    case.sink.probe(AGENT, owner="payments", app="payments-prod")
    assert case.state() == before


def test_without_its_store_a_delivery_fails_with_a_hint(case: Case) -> None:
    case.break_store()
    with pytest.raises(SinkError) as caught:
        case.sink.deliver(delivery())
    assert caught.value.hint
    assert FIRST_KEY not in told(caught.value)


@pytest.mark.parametrize("whose", [{"owner": "fraud"}, {"app": "payments-test"}])
def test_the_place_of_another_configuration_is_refused(case: Case, whose: dict[str, str]) -> None:
    if case.refusal is None:
        pytest.skip("this store does not tell whose place it is")
    case.sink.deliver(delivery())
    before = case.state()
    with pytest.raises(SinkError, match=case.refusal) as caught:
        case.sink.deliver(delivery(SECOND_KEY, key_id="key-2", **whose))
    assert SECOND_KEY not in told(caught.value)
    assert case.state() == before
    check_first_is_held(case)
    if case.probe_sees_owner:
        asked = {"owner": "payments", "app": "payments-prod", **whose}
        with pytest.raises(SinkError, match="two configurations write one place"):
            case.sink.probe(AGENT, **asked)


def test_the_key_is_in_its_place_and_nowhere_else(case: Case, capfd: pytest.CaptureFixture[str]) -> None:
    case.sink.deliver(delivery())
    assert case.places_with(FIRST_KEY) == case.holders(AGENT)
    assert case.places_with(FIRST_KEY.removeprefix("alter_ak_")) == case.holders(AGENT)
    captured = capfd.readouterr()
    assert FIRST_KEY not in captured.out + captured.err
    assert all(FIRST_KEY not in value for value in os.environ.values())


@pytest.mark.parametrize("odd", ["two words", "line\n", "tab\t", "ключ", "x" * 5000, "\ud800"])
def test_what_cannot_be_a_key_is_not_delivered(case: Case, odd: str) -> None:
    before = case.state()
    with pytest.raises(SinkError, match="not one word of printable ASCII") as caught:
        case.sink.deliver(delivery(odd))
    assert odd not in told(caught.value)
    assert case.state() == before
    assert case.held(AGENT) is None


@pytest.mark.parametrize("name", ["../etc", "a/b", "..", "", "a\0b", "a\nb"])
def test_a_name_that_leads_elsewhere_is_refused(case: Case, name: str) -> None:
    before = case.state()
    with pytest.raises(SinkError, match="cannot be part of a path"):
        case.sink.deliver(delivery(agent=name))
    assert case.state() == before


def test_eight_threads_deliver_at_once_each_to_its_own_agent(case: Case) -> None:
    keys = {f"agent-{number:02}": f"{FIRST_KEY}{number:02}" for number in range(16)}
    with ThreadPoolExecutor(8) as pool:
        jobs = [
            pool.submit(case.sink.deliver, delivery(key, agent=name, key_id=name))
            for name, key in keys.items()
        ]
        for job in jobs:
            job.result()
    for name, key in keys.items():
        check_held(case, key, name, agent=name)
        assert case.places_with(key) == case.holders(name)
