"""What holds for every sink, whatever it writes to."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from reconciler.errors import SinkError
from reconciler.model.agent import AgentName
from reconciler.model.secret import Secret
from reconciler.ports import SecretSink, SinkReading
from reconciler.sinks.registry import open_sink
from tests.unit.sinks.samples import AGENT, FIRST_KEY, SECOND_KEY, delivery, reference, second_delivery, told

STORE = Path(__file__).with_name("store_program.py")
FIRST = Secret(FIRST_KEY).fingerprint()
SECOND = Secret(SECOND_KEY).fingerprint()


@dataclass(frozen=True)
class Case:
    """A sink that keeps keys under ``root``; ``holders`` says which files may hold the key of an agent."""

    sink: SecretSink
    root: Path
    holders: Callable[[str], set[str]]
    tells_key_ids: bool = True
    keeps_versions: bool = True
    probe_sees_owner: bool = True
    refusal: str = "two configurations write one place"

    def reading(self, key_id: str, fingerprint: str) -> SinkReading:
        return SinkReading(key_id=key_id if self.tells_key_ids else None, fingerprint=fingerprint)  # type: ignore[arg-type]

    def files_with(self, text: str) -> set[str]:
        found = (path for path in self.root.parent.rglob("*") if path.is_file())
        return {path.name for path in found if text in path.read_text()}


def file_case(root: Path, format_name: str) -> Case:
    sink = open_sink(reference("file", path=str(root / "keys" / "{agent}.key"), format=format_name))
    return Case(sink, root, lambda agent: {f"{agent}.key"})


def command_case(root: Path) -> Case:
    argv = [sys.executable, "-I", "-S", str(STORE), str(root / "keys")]
    sink = open_sink(reference("command", write=argv, read=argv, timeout="20s"))
    return Case(
        sink,
        root,
        lambda agent: {f"{agent}.json"},
        tells_key_ids=False,
        keeps_versions=False,
        probe_sees_owner=False,
        refusal="ended with exit code 8$",
    )


@pytest.fixture(params=["raw", "dotenv", "json", "command"])
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Case:
    root = tmp_path / "root"
    root.mkdir()
    return command_case(root) if request.param == "command" else file_case(root, request.param)


def test_nothing_is_held_before_the_first_delivery(case: Case) -> None:
    assert case.sink.read_back(AGENT) is None


def test_what_was_delivered_is_read_back(case: Case) -> None:
    case.sink.deliver(delivery())
    assert case.sink.is_readable
    assert case.sink.read_back(AGENT) == case.reading("key-1", FIRST)


def test_the_name_is_that_of_the_configuration_and_the_place_is_for_people(case: Case) -> None:
    assert case.sink.name == "local"
    assert str(case.root / "keys") in case.sink.place(AGENT)


def test_a_repeated_delivery_changes_nothing(case: Case) -> None:
    case.sink.deliver(delivery())
    before = {path: path.stat().st_mtime_ns for path in case.root.rglob("*") if case.keeps_versions}
    content = {path: path.read_text() for path in case.root.rglob("*.key")}
    case.sink.deliver(delivery())
    assert {path: path.stat().st_mtime_ns for path in case.root.rglob("*") if case.keeps_versions} == before
    assert {path: path.read_text() for path in case.root.rglob("*.key")} == content
    assert case.sink.read_back(AGENT) == case.reading("key-1", FIRST)


def test_a_second_key_replaces_the_first(case: Case) -> None:
    case.sink.deliver(delivery())
    case.sink.deliver(second_delivery())
    assert case.sink.read_back(AGENT) == case.reading("key-2", SECOND)


def test_the_previous_key_comes_back_where_versions_are_kept_as_often_as_it_is_asked_for(case: Case) -> None:
    case.sink.deliver(delivery())
    case.sink.deliver(second_delivery())
    for _ in range(2):
        assert case.sink.restore_previous(AGENT) is case.keeps_versions
        expected = case.reading("key-1", FIRST) if case.keeps_versions else case.reading("key-2", SECOND)
        assert case.sink.read_back(AGENT) == expected


def test_a_forgotten_key_is_nowhere_and_does_not_come_back(case: Case) -> None:
    case.sink.deliver(delivery())
    case.sink.deliver(second_delivery())
    for _ in range(2):
        case.sink.forget_previous(AGENT)
        assert case.sink.restore_previous(AGENT) is False
    assert case.sink.read_back(AGENT) == case.reading("key-2", SECOND)
    assert case.files_with(FIRST_KEY) == set()


def test_with_nothing_delivered_there_is_nothing_to_restore_or_forget(case: Case) -> None:
    case.sink.forget_previous(AGENT)
    assert case.sink.restore_previous(AGENT) is False


def test_a_probe_passes_before_and_after_a_delivery_and_leaves_no_trace(case: Case) -> None:
    case.sink.probe(AGENT, owner="payments", app="payments-prod")
    assert list(case.root.rglob("*")) == []
    case.sink.deliver(delivery())
    before = {path: path.stat().st_mtime_ns for path in case.root.rglob("*") if path.is_file()}
    case.sink.probe(AGENT, owner="payments", app="payments-prod")
    assert {path: path.stat().st_mtime_ns for path in case.root.rglob("*") if path.is_file()} == before


def test_without_its_store_a_delivery_fails_with_a_hint(case: Case) -> None:
    shutil.rmtree(case.root)
    case.root.write_text("a file where a folder is needed")
    with pytest.raises(SinkError) as caught:
        case.sink.deliver(delivery())
    assert caught.value.hint
    assert FIRST_KEY not in told(caught.value)


@pytest.mark.parametrize("whose", [{"owner": "fraud"}, {"app": "payments-test"}])
def test_the_place_of_another_configuration_is_refused(case: Case, whose: dict[str, str]) -> None:
    case.sink.deliver(delivery())
    with pytest.raises(SinkError, match=case.refusal) as caught:
        case.sink.deliver(delivery(SECOND_KEY, key_id="key-2", **whose))
    assert SECOND_KEY not in told(caught.value)
    assert case.sink.read_back(AGENT) == case.reading("key-1", FIRST)
    if case.probe_sees_owner:
        asked = {"owner": "payments", "app": "payments-prod", **whose}
        with pytest.raises(SinkError, match="two configurations write one place"):
            case.sink.probe(AGENT, **asked)


def test_the_key_is_in_its_place_and_nowhere_else(case: Case, capfd: pytest.CaptureFixture[str]) -> None:
    case.sink.deliver(delivery())
    assert case.files_with(FIRST_KEY) == case.holders(AGENT)
    assert case.files_with(FIRST_KEY.removeprefix("alter_ak_")) == case.holders(AGENT)
    captured = capfd.readouterr()
    assert FIRST_KEY not in captured.out + captured.err
    assert all(FIRST_KEY not in value for value in os.environ.values())


@pytest.mark.parametrize("odd", ["two words", "line\n", "tab\t", "ключ", "x" * 5000, "\ud800"])
def test_what_cannot_be_a_key_is_not_delivered(case: Case, odd: str) -> None:
    with pytest.raises(SinkError, match="not one word of printable ASCII") as caught:
        case.sink.deliver(delivery(odd))
    assert odd not in told(caught.value)
    assert list(case.root.iterdir()) == []


@pytest.mark.parametrize("name", ["../etc", "a/b", "..", "", "a\0b", "a\nb"])
def test_a_name_that_leads_elsewhere_is_refused(case: Case, name: str) -> None:
    with pytest.raises(SinkError, match="cannot be part of a path"):
        case.sink.deliver(delivery(agent=name))


def test_eight_threads_deliver_at_once_each_to_its_own_agent(case: Case) -> None:
    names = [f"agent-{number}" for number in range(16)]
    with ThreadPoolExecutor(8) as pool:
        jobs = [
            pool.submit(case.sink.deliver, delivery(f"{FIRST_KEY}{name}", agent=name, key_id=name))
            for name in names
        ]
        for job in jobs:
            job.result()
    for name in names:
        expected = Secret(f"{FIRST_KEY}{name}").fingerprint()
        assert case.sink.read_back(AgentName(name)) == case.reading(name, expected)
        assert case.files_with(f'{FIRST_KEY}{name}"') | case.files_with(
            f"{FIRST_KEY}{name}\n"
        ) <= case.holders(name)
