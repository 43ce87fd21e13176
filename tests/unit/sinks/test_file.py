"""The file sink on a real disk: links, modes, crashes and other people's files."""

from __future__ import annotations

import fcntl
import json
import os
import resource
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from reconciler.errors import SinkError
from reconciler.model.agent import AgentName
from reconciler.model.secret import Secret
from reconciler.ports import SecretSink, SinkReading
from reconciler.sinks.registry import open_sink
from tests.unit.sinks.samples import (
    AGENT,
    FIRST_KEY,
    SECOND_KEY,
    delivery,
    each,
    reference,
    second_delivery,
    told,
)

FORMATS = ["raw", "dotenv", "json"]
FIRST = Secret(FIRST_KEY).fingerprint()
SECOND = Secret(SECOND_KEY).fingerprint()


def file_sink(path: Path, format_name: str = "raw", **settings: Any) -> SecretSink:
    return open_sink(reference("file", path=str(path), format=format_name, **settings))


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def probe(sink: SecretSink) -> None:
    sink.probe(AGENT, owner="payments", app="payments-prod")


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


@contextmanager
def files_limited_to(size_bytes: int) -> Iterator[None]:
    """A full disk that also binds root: no file may grow beyond the limit."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("format_name", FORMATS)
@pytest.mark.parametrize("mask", [0, 0o777])
def test_only_the_user_can_read_what_is_written_whatever_the_umask(
    tmp_path: Path, format_name: str, mask: int
) -> None:
    sink = file_sink(tmp_path / "a" / "b" / "key", format_name)
    with umask(mask):
        (tmp_path / "a" / "b").mkdir(parents=True) if mask else None
        sink.deliver(delivery())
        sink.deliver(second_delivery())
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {mode(path) for path in written} == {0o600}
    assert len(written) == (3 if format_name == "raw" else 2)
    if not mask:
        assert mode(tmp_path / "a") == mode(tmp_path / "a" / "b") == 0o700


def test_a_raw_file_is_the_key_to_the_byte(tmp_path: Path) -> None:
    file_sink(tmp_path / "key").deliver(delivery())
    assert (tmp_path / "key").read_bytes() == FIRST_KEY.encode()
    assert json.loads((tmp_path / ".key.alter-sync.json").read_text()) == {
        "owner": "payments",
        "app": "payments-prod",
        "agent": "nightly-sync",
        "key_id": "key-1",
        "fingerprint": FIRST,
    }


def test_a_users_file_loses_its_wide_mode_with_the_first_key(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text("A=1\n")
    path.chmod(0o644)
    file_sink(path, "dotenv").deliver(delivery())
    assert mode(path) == 0o600


@pytest.mark.parametrize("format_name", FORMATS)
@pytest.mark.parametrize("target", ["elsewhere", "missing"])
def test_a_link_in_place_of_the_file_is_refused(tmp_path: Path, format_name: str, target: str) -> None:
    (tmp_path / "elsewhere").write_text("")
    (tmp_path / "key").symlink_to(tmp_path / target)
    sink = file_sink(tmp_path / "key", format_name)
    for act in each(lambda: sink.deliver(delivery()), lambda: probe(sink), lambda: sink.read_back(AGENT)):
        with pytest.raises(SinkError, match="symbolic link"):
            act()
    assert (tmp_path / "elsewhere").read_text() == ""
    assert not (tmp_path / "missing").exists()


@pytest.mark.parametrize("hidden", [".key.alter-sync.json", ".key.previous"])
def test_a_link_in_place_of_a_hidden_file_is_refused(tmp_path: Path, hidden: str) -> None:
    (tmp_path / hidden).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SinkError, match="symbolic link"):
        file_sink(tmp_path / "key").deliver(delivery())


def test_a_link_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "keys").symlink_to(tmp_path / "elsewhere")
    sink = file_sink(tmp_path / "keys" / "key")
    for act in each(lambda: sink.deliver(delivery()), lambda: probe(sink), lambda: sink.read_back(AGENT)):
        with pytest.raises(SinkError, match="symbolic link"):
            act()
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_links_further_up_are_followed(tmp_path: Path) -> None:
    (tmp_path / "release-2").mkdir()
    (tmp_path / "current").symlink_to(tmp_path / "release-2")
    sink = file_sink(tmp_path / "current" / "keys" / "key")
    probe(sink)
    sink.deliver(delivery())
    assert (tmp_path / "release-2" / "keys" / "key").read_text() == FIRST_KEY


def test_a_dangling_link_further_up_fails_in_the_probe_already(tmp_path: Path) -> None:
    (tmp_path / "current").symlink_to(tmp_path / "gone")
    with pytest.raises(SinkError, match=r"cannot open the folder"):
        probe(file_sink(tmp_path / "current" / "keys" / "key"))


@pytest.mark.parametrize("below", ["key", "keys/key"])
def test_a_folder_that_anybody_may_write_to_is_refused_unless_it_is_sticky(
    tmp_path: Path, below: str
) -> None:
    public = tmp_path / "public"
    public.mkdir()
    public.chmod(0o777)
    sink = file_sink(public / below)
    for act in each(lambda: sink.deliver(delivery()), lambda: probe(sink)):
        with pytest.raises(SinkError, match="every user may replace files"):
            act()
    assert list(public.iterdir()) == []
    public.chmod(0o1777)
    sink.deliver(delivery())
    assert (public / below).read_text() == FIRST_KEY


def make_folder(path: Path) -> None:
    path.mkdir()


def make_fifo(path: Path) -> None:
    os.mkfifo(path)


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))


@pytest.mark.parametrize("make", [make_folder, make_fifo, make_socket])
def test_what_is_not_a_regular_file_is_refused(tmp_path: Path, make: Any) -> None:
    make(tmp_path / "key")
    sink = file_sink(tmp_path / "key")
    with pytest.raises(SinkError, match=r"not a regular file|cannot read"):
        probe(sink)
    with pytest.raises(SinkError):
        sink.deliver(delivery())


def test_a_huge_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("x" * 1_048_577)
    with pytest.raises(SinkError, match="larger than 1,048,576 bytes"):
        probe(file_sink(tmp_path / "key", "dotenv"))


@pytest.mark.parametrize("format_name", FORMATS)
def test_bytes_that_are_no_text_are_refused_without_being_shown(tmp_path: Path, format_name: str) -> None:
    (tmp_path / "key").write_bytes(b"A=" + FIRST_KEY.encode() + b"\xff\n")
    with pytest.raises(SinkError, match="not UTF-8 text") as caught:
        file_sink(tmp_path / "key", format_name).deliver(delivery())
    assert FIRST_KEY not in told(caught.value)


def test_a_raw_file_of_unknown_origin_is_kept(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("a key of somebody")
    sink = file_sink(tmp_path / "key")
    for act in each(lambda: sink.deliver(delivery()), lambda: probe(sink)):
        with pytest.raises(SinkError, match="was not written by alter-sync") as caught:
            act()
        assert "somebody" not in told(caught.value)
    assert (tmp_path / "key").read_text() == "a key of somebody"


def test_an_empty_file_is_a_free_place(tmp_path: Path) -> None:
    (tmp_path / "key").touch()
    sink = file_sink(tmp_path / "key")
    assert sink.read_back(AGENT) is None
    sink.deliver(delivery())
    assert sink.read_back(AGENT) == SinkReading(delivery().key_id, FIRST)


@pytest.mark.parametrize("format_name", FORMATS)
def test_the_place_of_another_agent_is_refused_and_its_name_told(tmp_path: Path, format_name: str) -> None:
    sink = file_sink(tmp_path / "key", format_name)
    sink.deliver(delivery(agent="other"))
    for act in each(
        lambda: sink.deliver(delivery()),
        lambda: probe(sink),
        lambda: sink.deliver(delivery(owner="fraud\x1b", agent="other")),
    ):
        with pytest.raises(SinkError, match=r"agent 'other' of app 'payments-prod', owner 'payments'"):
            act()
    sink.deliver(delivery(SECOND_KEY, key_id="key-2", agent="other"))
    with pytest.raises(SinkError, match="two configurations"):
        sink.forget_previous(AGENT)
    with pytest.raises(SinkError, match="two configurations"):
        sink.restore_previous(AGENT)
    assert sink.read_back(AGENT) == SinkReading(None, SECOND)


def test_an_agent_without_a_key_has_nothing_to_forget_beside_one_that_has(tmp_path: Path) -> None:
    sink = file_sink(tmp_path / "{agent}")
    sink.deliver(delivery(agent="other"))
    before = {path.name for path in tmp_path.iterdir()}
    sink.forget_previous(AGENT)
    assert {path.name for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("format_name", FORMATS)
def test_a_former_owners_place_is_taken_over_and_stays_so_after_a_rollback(
    tmp_path: Path, format_name: str
) -> None:
    file_sink(tmp_path / "key", format_name).deliver(delivery(owner="former"))
    ref = reference("file", path=str(tmp_path / "key"), format=format_name)
    heir = open_sink(ref, former_owners=("former",))
    probe(heir)
    heir.deliver(second_delivery())
    assert heir.restore_previous(AGENT) is True
    assert heir.read_back(AGENT) == SinkReading(delivery().key_id, FIRST)
    with pytest.raises(SinkError, match="owner 'payments'"):
        file_sink(tmp_path / "key", format_name).probe(AGENT, owner="former", app="payments-prod")


@pytest.mark.parametrize("format_name", FORMATS)
def test_a_kept_key_returns_after_its_file_was_deleted(tmp_path: Path, format_name: str) -> None:
    sink = file_sink(tmp_path / "key", format_name)
    sink.deliver(delivery())
    sink.deliver(second_delivery())
    (tmp_path / "key").unlink()
    assert sink.read_back(AGENT) is None
    assert sink.restore_previous(AGENT) is True
    assert sink.read_back(AGENT) == SinkReading(delivery().key_id, FIRST)


def test_a_raw_file_that_lost_its_facts_is_not_overwritten_by_a_rollback(tmp_path: Path) -> None:
    sink = file_sink(tmp_path / "key")
    sink.deliver(delivery())
    sink.deliver(second_delivery())
    (tmp_path / ".key.alter-sync.json").unlink()
    with pytest.raises(SinkError, match="was not written by alter-sync"):
        sink.restore_previous(AGENT)
    assert sink.read_back(AGENT) == SinkReading(None, SECOND)


@pytest.mark.parametrize("format_name", ["dotenv", "json"])
def test_a_key_put_by_hand_in_place_of_ours_is_kept_without_a_key_id(
    tmp_path: Path, format_name: str
) -> None:
    path = tmp_path / "key"
    sink = file_sink(path, format_name)
    sink.deliver(delivery())
    path.write_text(path.read_text().replace(FIRST_KEY, "by-hand.1"))
    by_hand = SinkReading(None, Secret("by-hand.1").fingerprint())
    assert sink.read_back(AGENT) == by_hand
    sink.deliver(second_delivery())
    assert sink.restore_previous(AGENT) is True
    assert sink.read_back(AGENT) == by_hand


@pytest.mark.parametrize("format_name", ["dotenv", "json"])
def test_a_key_changed_by_hand_is_reported_without_a_key_id(tmp_path: Path, format_name: str) -> None:
    path = tmp_path / "key"
    sink = file_sink(path, format_name)
    sink.deliver(delivery())
    path.write_text(path.read_text().replace(FIRST_KEY, SECOND_KEY))
    assert sink.read_back(AGENT) == SinkReading(None, SECOND)
    sink.deliver(second_delivery())
    assert sink.read_back(AGENT) == SinkReading(second_delivery().key_id, SECOND)


def crash_between_the_renames(folder: Path) -> SecretSink:
    """The state after the kept key and the new facts were written, and before the new key was."""
    sink = file_sink(folder / "key")
    sink.deliver(delivery())
    other = file_sink(folder / "other")
    other.deliver(delivery())
    other.deliver(second_delivery())
    for hidden in (".{}.previous", ".{}.alter-sync.json"):
        (folder / hidden.format("other")).rename(folder / hidden.format("key"))
    (folder / "other").unlink()
    return sink


def test_after_a_crash_between_the_renames_the_old_key_is_found_under_no_id(tmp_path: Path) -> None:
    sink = crash_between_the_renames(tmp_path)
    assert (tmp_path / "key").read_text() == FIRST_KEY
    assert sink.read_back(AGENT) == SinkReading(None, FIRST)
    probe(sink)


def test_after_a_crash_between_the_renames_a_rollback_heals(tmp_path: Path) -> None:
    sink = crash_between_the_renames(tmp_path)
    assert sink.restore_previous(AGENT) is True
    assert sink.read_back(AGENT) == SinkReading(delivery().key_id, FIRST)


def test_after_a_crash_between_the_renames_the_next_delivery_keeps_what_was_known(tmp_path: Path) -> None:
    sink = crash_between_the_renames(tmp_path)
    third = delivery("alter_ak_third", key_id="key-3")
    sink.deliver(third)
    assert sink.read_back(AGENT) == SinkReading(third.key_id, third.plaintext.fingerprint())
    assert sink.restore_previous(AGENT) is True
    assert sink.read_back(AGENT) == SinkReading(delivery().key_id, FIRST)


def test_a_crash_before_the_first_key_leaves_a_place_that_is_still_ours(tmp_path: Path) -> None:
    sink = file_sink(tmp_path / "key")
    sink.deliver(delivery())
    (tmp_path / "key").unlink()
    assert sink.read_back(AGENT) is None
    probe(sink)
    sink.deliver(second_delivery())
    assert sink.read_back(AGENT) == SinkReading(second_delivery().key_id, SECOND)
    with pytest.raises(SinkError, match="two configurations"):
        sink.probe(AGENT, owner="fraud", app="payments-prod")


@pytest.mark.parametrize("act", ["deliver", "forget"])
def test_a_temporary_file_of_a_killed_process_goes_and_that_of_a_living_one_stays(
    tmp_path: Path, act: str
) -> None:
    sink = file_sink(tmp_path / "key")
    sink.deliver(delivery())
    left = [tmp_path / f".{name}.0123456789abcdef.tmp" for name in ("key", ".key.previous")]
    for path in left:
        path.write_text(SECOND_KEY)
    in_use, unrelated = tmp_path / ".key.fedcba9876543210.tmp", tmp_path / ".keys.0123456789abcdef.tmp"
    unrelated.touch()
    link = tmp_path / ".key.aaaaaaaaaaaaaaaa.tmp"
    link.symlink_to(unrelated)
    sink = file_sink(tmp_path / "key")  # of the next run: a run looks once
    with in_use.open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        sink.deliver(delivery()) if act == "deliver" else sink.forget_previous(AGENT)
    assert not any(path.exists() for path in left)
    assert in_use.exists()
    assert unrelated.exists()
    assert link.is_symlink()


def test_killed_at_any_moment_a_delivery_leaves_one_whole_key(tmp_path: Path) -> None:
    keys = {FIRST_KEY, SECOND_KEY}
    program = (
        "from tests.unit.sinks.samples import *\nfrom reconciler.sinks.registry import open_sink\n"
        f"sink = open_sink(reference('file', path={str(tmp_path / 'key')!r}))\n"
        "sink.deliver(delivery())\nprint('started', flush=True)\n"
        "while True:\n    sink.deliver(second_delivery()); sink.deliver(delivery())\n"
    )
    for milliseconds in range(0, 24, 3):
        sink = file_sink(tmp_path / "key")
        with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as child:
            assert child.stdout is not None
            child.stdout.readline()
            with pytest.raises(subprocess.TimeoutExpired):
                child.wait(milliseconds / 1000)
            child.send_signal(signal.SIGKILL)
        assert (tmp_path / "key").read_text() in keys
        reading = sink.read_back(AGENT)
        assert reading is not None
        assert reading.key_id in {None, "key-1" if reading.fingerprint == FIRST else "key-2"}
        sink.deliver(delivery())
        assert sink.read_back(AGENT) == SinkReading(delivery().key_id, FIRST)
        assert list(tmp_path.glob("*.tmp")) == []


@pytest.mark.parametrize("format_name", FORMATS)
def test_on_a_full_disk_the_probe_fails_and_a_delivery_leaves_all_as_it_was(
    tmp_path: Path, format_name: str
) -> None:
    sink = file_sink(tmp_path / "key", format_name)
    sink.deliver(delivery())
    before = {path.name: path.read_text() for path in tmp_path.iterdir()}
    with files_limited_to(16):
        with pytest.raises(SinkError, match=r"cannot write into the folder .*: File too large"):
            probe(sink)
        with pytest.raises(SinkError, match=r"cannot write .*: File too large") as caught:
            sink.deliver(second_delivery())
    assert caught.value.hint
    assert not [key for key in (FIRST_KEY, SECOND_KEY) if key in told(caught.value)]
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("path", ["file/key", "file/below/key", "/proc/key", "/proc/below/key"])
def test_a_place_where_no_file_can_be_made_fails_in_the_probe_already(tmp_path: Path, path: str) -> None:
    (tmp_path / "file").write_text("not a folder")
    sink = file_sink(tmp_path / path)
    with pytest.raises(SinkError, match=r"cannot (open|write)") as caught:
        probe(sink)
    assert caught.value.hint
    assert isinstance(caught.value.__cause__, OSError)
    with pytest.raises(SinkError, match=r"cannot (open|create|write)"):
        sink.deliver(delivery())


def test_a_name_that_is_too_long_is_an_error_of_the_sink(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match="File name too long") as caught:
        file_sink(tmp_path / "{agent}").deliver(delivery(agent="x" * 300))
    assert caught.value.hint == "choose a shorter path"


@pytest.mark.parametrize("act", ["probe", "read_back", "forget_previous"])
def test_a_folder_that_cannot_be_read_by_another_user_is_an_error_of_the_sink(
    tmp_path: Path, act: str
) -> None:
    program = (
        "import os\nfrom tests.unit.sinks.test_file import *\n"
        f"sink = file_sink(Path({str(tmp_path / 'keys' / 'key')!r}))\n"
        "if os.geteuid() == 0:\n    os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        f"try:\n    probe(sink) if {act!r} == 'probe' else sink.{act}(AGENT)\n"
        "except SinkError as error:\n    print(error.message, '|', error.hint)\n"
    )
    (tmp_path / "keys").mkdir(mode=0o700)
    (tmp_path / "keys").chmod(0)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "Permission denied" in done.stdout
    assert "give the user that runs this command access" in done.stdout


@pytest.mark.parametrize("hidden", [".key.previous", ".key.alter-sync.json"])
@pytest.mark.parametrize(
    "text", ["no JSON", '{"key": "x"}', "[]", "[" * 100_000, '{"owner": "a", "app": "b"}']
)
def test_a_hidden_file_that_we_did_not_write_is_neither_used_nor_replaced(
    tmp_path: Path, hidden: str, text: str
) -> None:
    sink = file_sink(tmp_path / "key")
    (tmp_path / hidden).write_text(text)
    for act in each(lambda: sink.deliver(delivery()), lambda: sink.forget_previous(AGENT)):
        with pytest.raises(SinkError, match=r"cannot read .*/\.key\.") as caught:
            act()
        assert hidden in caught.value.message
    assert (tmp_path / hidden).read_text() == text


def test_a_kept_file_that_lost_its_key_restores_nothing(tmp_path: Path) -> None:
    sink = file_sink(tmp_path / "key")
    sink.deliver(delivery())
    sink.deliver(second_delivery())
    kept = tmp_path / ".key.previous"
    kept.write_text(json.dumps({**json.loads(kept.read_text()), "key": None}))
    assert sink.restore_previous(AGENT) is False


def test_relative_paths_start_where_the_command_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    sink = file_sink(Path("keys/{agent}/key"))
    probe(sink)
    sink.deliver(delivery())
    assert (tmp_path / "keys" / AGENT / "key").read_text() == FIRST_KEY
    assert sink.place(AgentName("x")) == "keys/x/key"
