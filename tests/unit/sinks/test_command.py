"""The command sink with real programs: what they get, and what happens when they misbehave."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from reconciler.errors import SinkError
from reconciler.model.key import KeyId
from reconciler.model.secret import Secret
from reconciler.ports import SecretSink, SinkReading
from reconciler.sinks.registry import open_sink
from tests.unit.sinks.cases import STORE
from tests.unit.sinks.samples import AGENT, FIRST_KEY, delivery, reference, told

FIRST = Secret(FIRST_KEY).fingerprint()
UNSHOWN = "what it printed is not shown, for it could hold the key; let the program log on its own"


def shell_sink(write: str = "cat", read: str = "", **settings: Any) -> SecretSink:
    shell = ["/bin/sh", "-c"]
    reading = {"read": [*shell, read]} if read else {}
    return open_sink(reference("command", write=[*shell, write], **reading, **settings))


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def failure(sink: SecretSink, plaintext: str = FIRST_KEY) -> SinkError:
    with pytest.raises(SinkError) as caught:
        sink.deliver(delivery(plaintext))
    assert plaintext not in told(caught.value)
    assert caught.value.hint
    return caught.value


def test_the_program_gets_the_key_on_stdin_to_the_byte(tmp_path: Path) -> None:
    shell_sink(f"cat > {tmp_path}/got").deliver(delivery())
    assert (tmp_path / "got").read_bytes() == FIRST_KEY.encode()


def test_the_program_gets_the_facts_and_our_environment_without_our_credentials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALTER_API_KEY", "an app key")
    monkeypatch.setenv("ALTER_PAT", "a token")
    monkeypatch.setenv("PAYMENTS_KEY", "alter_rk_abcdefghijklmnop")
    monkeypatch.setenv("ALTER_SYNC_KEY_ID", "of another run")
    monkeypatch.setenv("VAULT_ADDR", "https://vault")
    sink = shell_sink(f"cat >/dev/null; env > {tmp_path}/deliver", f"env > {tmp_path}/read")
    sink.deliver(delivery())
    assert sink.read_back(AGENT) is None
    given = {name: (tmp_path / name).read_text().splitlines() for name in ("deliver", "read")}
    assert sorted(line for line in given["deliver"] if line.startswith("ALTER")) == [
        "ALTER_SYNC_ACTION=deliver",
        "ALTER_SYNC_AGENT=nightly-sync",
        "ALTER_SYNC_APP=payments-prod",
        "ALTER_SYNC_KEY_ID=key-1",
        "ALTER_SYNC_KEY_PREFIX=alter_ak_prefix",
        "ALTER_SYNC_OWNER=payments",
    ]
    assert sorted(line for line in given["read"] if line.startswith("ALTER")) == [
        "ALTER_SYNC_ACTION=read",
        "ALTER_SYNC_AGENT=nightly-sync",
    ]
    for lines in given.values():
        assert "VAULT_ADDR=https://vault" in lines
        assert not any(line.startswith("PAYMENTS_KEY=") for line in lines)


def test_the_key_is_in_no_argument_and_no_variable_of_the_running_program(tmp_path: Path) -> None:
    open_sink(
        reference("command", write=[sys.executable, "-I", "-S", str(STORE), str(tmp_path / "keys")])
    ).deliver(delivery())
    arguments, environment = json.loads((tmp_path / f"seen-{AGENT}.json").read_text())
    assert str(STORE) in arguments
    assert "ALTER_SYNC_KEY_ID=key-1" in environment
    assert FIRST_KEY not in arguments + environment


def test_without_a_read_command_the_sink_is_write_only() -> None:
    sink = shell_sink("cat")
    assert not sink.is_readable
    assert sink.read_back(AGENT) is None


def test_what_the_program_prints_is_shown_nowhere(capfd: pytest.CaptureFixture[str]) -> None:
    shell_sink("tee /dev/stderr").deliver(delivery())
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    "program",
    [
        "cat >&2; exit 7",
        "tee /dev/stderr; exit 7",
        "cat | fold -w 20 >&2; exit 7",
        "cat | base64 >&2; exit 7",
        "cat | od -An -tx1 >&2; exit 7",
        "cat | rev >&2; exit 7",
        "cat; yes x | head -c 300000 >&2; exit 7",
    ],
)
def test_a_failure_tells_the_exit_code_and_nothing_that_was_printed(
    program: str, capfd: pytest.CaptureFixture[str]
) -> None:
    error = failure(shell_sink(program))
    assert error.message == "sink 'local': `/bin/sh` ended with exit code 7"
    assert error.hint == UNSHOWN
    assert capfd.readouterr() == ("", "")


def test_a_program_that_a_signal_ended_has_failed() -> None:
    assert failure(shell_sink("kill -9 $$")).message.endswith("was killed by signal 9")


@pytest.mark.parametrize("program", ["true", "exec <&-; sleep 0.05", "head -c 5"])
def test_success_without_having_read_the_whole_key_is_a_failure(program: str) -> None:
    assert "did not read the key to its end" in failure(shell_sink(program)).message


def test_a_failure_without_having_read_the_key_tells_its_exit_code() -> None:
    assert failure(shell_sink("exit 3")).message.endswith("ended with exit code 3")


@pytest.mark.parametrize("ignore", ["", "trap '' TERM INT HUP; "])
def test_a_time_limit_ends_the_program_and_its_children(tmp_path: Path, ignore: str) -> None:
    sink = shell_sink(
        f"{ignore}cat >/dev/null; (sleep 60; true) & echo $! > {tmp_path}/pid; echo waiting >&2; wait",
        timeout="1s",
    )
    started = time.monotonic()
    error = failure(sink)
    assert time.monotonic() - started < 5
    assert error.message.endswith("took longer than 1 s and was stopped, with all that it had started")
    assert error.hint.endswith(UNSHOWN)
    pid = int((tmp_path / "pid").read_text())
    deadline = time.monotonic() + 5
    while is_alive(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not is_alive(pid)


def test_what_a_program_leaves_in_the_background_is_not_waited_for(tmp_path: Path) -> None:
    started = time.monotonic()
    shell_sink(f"cat >/dev/null; sleep 30 & echo $! > {tmp_path}/pid").deliver(delivery())
    assert time.monotonic() - started < 5
    os.kill(int((tmp_path / "pid").read_text()), 9)


def test_a_background_child_that_never_stops_printing_is_not_waited_for_beyond_the_limit(
    tmp_path: Path,
) -> None:
    sink = shell_sink("cat", f"yes & echo $! > {tmp_path}/pid; sleep 0.3", timeout_seconds=1)
    with pytest.raises(SinkError, match="too long for a key"):
        sink.read_back(AGENT)
    os.kill(int((tmp_path / "pid").read_text()), 9)


@pytest.mark.parametrize(
    "settings", [{"timeout": 1}, {"timeout_seconds": 1}, {"timeout": "1s"}, {"timeout": "1"}]
)
def test_a_time_limit_is_a_number_of_seconds_or_a_duration(settings: dict[str, Any]) -> None:
    assert "longer than 1 s" in failure(shell_sink("cat; sleep 20", **settings)).message


@pytest.mark.parametrize("limit", ["soon", "0s", 0, -1, True, "1w"])
def test_a_time_limit_that_is_no_time_is_refused(limit: object) -> None:
    with pytest.raises(SinkError, match="is not a time"):
        shell_sink(timeout=limit)


@pytest.mark.parametrize(
    ("printed", "reading"),
    [
        (f"printf %s {FIRST_KEY}", SinkReading(None, FIRST)),
        (f"echo {FIRST_KEY}", SinkReading(None, FIRST)),
        (f'echo \'{{"key_id": "k", "fingerprint": "{FIRST}"}}\'', SinkReading(KeyId("k"), FIRST)),
        ('echo \'{"key_id": "k"}\'', SinkReading(KeyId("k"), None)),
        ("echo '{}'", None),
        ("true", None),
        ("echo", None),
        ("echo not found >&2; exit 4", None),
    ],
)
def test_a_read_command_prints_the_key_or_what_is_known_of_it(
    printed: str, reading: SinkReading | None
) -> None:
    assert shell_sink("cat", printed).read_back(AGENT) == reading


@pytest.mark.parametrize(
    ("printed", "why"),
    [
        ('echo "{\\"x\\": \\"$key\\""', "is not JSON"),
        ('echo "{\\"key_id\\": 1, \\"x\\": \\"$key\\"}"', "not text"),
        ('echo "{\\"fingerprint\\": \\"$key\\"}"', "64 hex digits"),
        ("yes $key | head -c 70000", "too long for a key"),
        ("echo $key; echo locked $key >&2; exit 2", r"exit code 2$"),
        ("exit 2", r"exit code 2$"),
    ],
)
def test_an_answer_that_cannot_be_understood_is_an_error_that_does_not_show_it(
    tmp_path: Path, printed: str, why: str
) -> None:
    (tmp_path / "key").write_text(FIRST_KEY)
    with pytest.raises(SinkError, match=why) as caught:
        shell_sink("cat", f"key=`cat {tmp_path}/key`; {printed}").read_back(AGENT)
    assert FIRST_KEY not in told(caught.value)


def test_a_program_that_is_missing_fails_in_the_probe_with_the_nearest_name(tmp_path: Path) -> None:
    (tmp_path / "store-key").write_text("#!/bin/sh\n")
    (tmp_path / "store-key").chmod(0o700)
    sink = open_sink(reference("command", write=[str(tmp_path / "stor-key")]))
    with pytest.raises(SinkError, match="there is no program") as caught:
        sink.probe(AGENT, owner="payments", app="payments-prod")
    assert caught.value.hint == "did you mean 'store-key'?"
    assert "there is no program" in failure(sink).message


def test_a_program_is_looked_for_where_a_shell_would(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}:{tmp_path}/missing")
    (tmp_path / "readkey").write_text("#!/bin/sh\n")
    sink = open_sink(reference("command", write=["/bin/sh"], read=["readkey"]))
    with pytest.raises(SinkError, match="there is no program `readkey`") as caught:
        sink.probe(AGENT, owner="payments", app="payments-prod")
    (tmp_path / "readkey").chmod(0o700)
    sink.probe(AGENT, owner="payments", app="payments-prod")
    assert caught.value.hint == "did you mean 'readkey'?"
    with pytest.raises(SinkError) as caught:
        open_sink(reference("command", write=["qqq"])).probe(AGENT, owner="payments", app="payments-prod")
    assert caught.value.hint == "install it, or give its full path"


def test_a_file_that_is_not_executable_is_told_from_a_missing_one(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("#!/bin/sh\n")
    sink = open_sink(reference("command", write=[str(tmp_path / "store")]))
    with pytest.raises(SinkError, match="is not executable") as caught:
        sink.probe(AGENT, owner="payments", app="payments-prod")
    assert caught.value.hint.startswith("run `chmod +x")


def test_a_program_that_this_machine_cannot_run_is_an_error_of_the_sink(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("no first line")
    (tmp_path / "store").chmod(0o700)
    error = failure(open_sink(reference("command", write=[str(tmp_path / "store")])))
    assert "cannot start" in error.message
    assert "Exec format error" in error.message
    nul = failure(open_sink(reference("command", write=["/bin/cat", "a\0b"])))
    assert "contains a NUL" in nul.message


def test_with_no_file_left_to_open_the_failure_is_one_of_the_sink() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    sink = shell_sink()
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, before[1]))
    try:
        with pytest.raises(SinkError, match="cannot run /bin/sh: Too many open files") as caught:
            sink.deliver(delivery())
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert FIRST_KEY not in told(caught.value)


def test_when_the_user_stops_us_nothing_is_left_running(tmp_path: Path) -> None:
    program = (
        "from tests.unit.sinks.test_command import *\n"
        "script = 'cat; sleep 60 & echo $! > {0}.new; mv {0}.new {0}; wait'\n"
        f"shell_sink(script.format({str(tmp_path / 'pid')!r}))"
        ".deliver(delivery())\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE) as process:
        deadline = time.monotonic() + 10
        while not (tmp_path / "pid").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(2)
        _, errors = process.communicate(timeout=10)
    assert b"KeyboardInterrupt" in errors
    assert FIRST_KEY.encode() not in errors
    time.sleep(0.05)
    assert not is_alive(int((tmp_path / "pid").read_text()))
