"""``alter-sync sandbox``: a process of its own that any client can talk to."""

import os
import re
import shlex
import signal
import socket
import stat
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from reconciler.errors import ExitCode
from reconciler.sandbox.keys import mint_plaintext
from tests.support.commands import (
    SCRIPT,
    advance,
    declare,
    declare_rotating,
    environment,
    held_key,
    readers,
    run,
    use,
)

pytestmark = pytest.mark.usefixtures("workplace")


@contextmanager
def serving(*flags: str, end: signal.Signals = signal.SIGINT) -> Iterator[list[str]]:
    """The lines that it printed for a shell; afterwards it has to end well."""
    with subprocess.Popen(
        [SCRIPT, "sandbox", "serve", *flags],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdout is not None
        try:
            yield [child.stdout.readline().rstrip("\n"), child.stdout.readline().rstrip("\n")]
        finally:
            child.send_signal(end)
            rest, stderr = child.communicate(timeout=15)
        assert (child.returncode, rest) == (ExitCode.OK, "")
        assert re.fullmatch(r"serving \S+; Ctrl-C ends it\n", stderr)


def export(monkeypatch: pytest.MonkeyPatch, lines: list[str]) -> dict[str, str]:
    """Does what a shell does with the lines."""
    words = [word for line in lines for word in shlex.split(line, comments=True) if "=" in word]
    variables = dict(word.split("=", 1) for word in words)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return variables


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_what_it_prints_points_a_client_at_it_until_it_is_stopped(
    monkeypatch: pytest.MonkeyPatch, end: signal.Signals
) -> None:
    declare(readers("alpha"))
    with serving(end=end) as lines:
        assert list(export(monkeypatch, lines)) == ["ALTER_BASE_URL", "ALTER_API_KEY"]
        assert run("apply", "--yes").code == ExitCode.OK
        assert run("plan", "--detailed-exitcode").code == ExitCode.OK
    assert run("plan", "--sandbox", "--detailed-exitcode").code == ExitCode.OK


def test_it_serves_in_the_foreground(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]

    def interrupt_when_it_answers() -> None:
        while True:
            with suppress(OSError):
                urllib.request.urlopen(f"http://127.0.0.1:{port}/_sandbox/clock", timeout=5).close()
                break
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    with ThreadPoolExecutor() as pool:
        done = pool.submit(interrupt_when_it_answers)
        result = run("sandbox", "serve", "--port", str(port), "--key-file", "key")
        done.result()
    assert result.code == ExitCode.OK
    assert result.stdout.splitlines()[0] == f"export ALTER_BASE_URL=http://127.0.0.1:{port}"
    assert Path("key").read_text().strip() not in result.stdout + result.stderr


def test_the_key_can_go_to_a_file_that_only_its_owner_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("old.key").write_text("a key that everybody reads")
    for name in ("new.key", "old.key"):
        with serving("--key-file", name) as lines:
            assert lines[1] == f"# the key is in {name}: use --api-key-file"
            assert list(export(monkeypatch, lines)) == ["ALTER_BASE_URL"]
            declare(readers("alpha"))
            assert run("plan", "--api-key-file", name).code == ExitCode.OK
        assert stat.S_IMODE(os.stat(name).st_mode) == 0o600


def test_a_key_can_have_few_permissions(monkeypatch: pytest.MonkeyPatch) -> None:
    declare(readers("alpha"))
    with serving("--permissions", "agents:read", "--permissions", "providers:read") as lines:
        export(monkeypatch, lines)
        assert run("plan").code == ExitCode.OK
        assert run("apply", "--yes").code == ExitCode.AUTH


def test_it_can_be_slow_and_strict(monkeypatch: pytest.MonkeyPatch) -> None:
    declare(readers("alpha"))
    with serving("--latency", "0.2", "--rate-limit", "300", "--database", "my.db") as lines:
        export(monkeypatch, lines)
        begun = time.monotonic()
        assert run("plan").code == ExitCode.OK
        assert time.monotonic() - begun > 0.2
    assert Path("my.db").exists()


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--permissions", "agents:reed"], "did you mean 'agents:read'?"),
        (["--permissions", "xyz"], "permissions are: agents:read,"),
        (["--key-file", "nowhere/key"], "nowhere/key cannot be written: No such file or directory"),
        (["--database", "agents.yaml"], "agents.yaml is not a sandbox"),
        (["--database", "agents.yaml/x.db"], "cannot be kept in agents.yaml/x.db"),
    ],
    ids=["typo", "unknown", "key file", "file", "folder"],
)
def test_what_cannot_be_served_is_refused_at_once(flags: list[str], said: str) -> None:
    declare({})
    result = run("sandbox", "serve", *flags)
    assert (result.code, result.stdout) == (ExitCode.USAGE, "")
    assert said in result.stderr


def test_a_port_that_is_taken_is_refused_with_a_way_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        result = run("sandbox", "serve", "--port", port)
    assert (result.code, result.stdout) == (ExitCode.USAGE, "")
    assert f"port {port} cannot be used: Address already in use" in result.stderr
    assert "hint: use --port 0" in result.stderr


def test_it_can_be_emptied() -> None:
    declare(readers("alpha"))
    run("apply", "--sandbox", "--yes")
    result = run("sandbox", "reset")
    assert (result.code, result.stdout) == (ExitCode.OK, "")
    assert result.stderr == ".alter-sync/sandbox.sqlite3 is empty\n"
    assert run("plan", "--sandbox", "--detailed-exitcode").code == ExitCode.CHANGES


def test_its_clock_can_be_moved_and_stays_so() -> None:
    declare({"alpha": {"scopes": {}, "expires_at": "2090-01-01"}})
    run("apply", "--sandbox", "--yes")
    first = run("sandbox", "advance", "1h")
    assert re.fullmatch(r"the sandbox's time is now \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC\n", first.stdout)
    assert first.stderr == ""
    second = run("sandbox", "advance", "365d")
    assert second.stdout > first.stdout


@pytest.mark.parametrize(
    ("duration", "said"), [("soon", "'soon' is no duration"), ("11000d", "too far"), ("-5d", "-5")]
)
def test_its_clock_moves_by_a_duration_and_only_ahead(duration: str, said: str) -> None:
    run("plan", "--sandbox", "-c", str(declare({})))
    result = run("sandbox", "advance", duration)
    assert (result.code, result.stdout) == (ExitCode.USAGE, "")
    assert said in result.stderr


@pytest.mark.parametrize("words", [["reset"], ["advance", "1h"], ["use", "key"]], ids=" ".join)
def test_a_sandbox_that_is_not_there_is_not_found_and_not_made(words: list[str]) -> None:
    result = run("sandbox", *words, "--database", "nowhere.db")
    assert result.code == ExitCode.NOT_FOUND
    assert "there is no sandbox nowhere.db" in result.stderr
    assert not Path("nowhere.db").exists()


def test_an_address_of_the_machine_does_not_matter_to_the_embedded_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    declare({})
    monkeypatch.setenv("ALTER_BASE_URL", "https://alter.example")
    monkeypatch.setenv("ALTER_API_KEY", mint_plaintext("rk"))
    assert run("plan", "--sandbox").code == ExitCode.OK


def test_without_the_extra_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "reconciler.sandbox", None)
    declare({})
    result = run("plan", "--sandbox")
    assert result.code == ExitCode.USAGE
    assert "pip install 'alter-sync[sandbox]'" in result.stderr


# Being a workload.


@pytest.fixture
def delivered(workplace: Path) -> None:
    """Two agents whose keys are in files."""
    declare_rotating("alpha", "beta")
    assert run("apply", "--sandbox", "--yes").code == ExitCode.OK


def key_id_of(agent: str) -> str:
    rows = run("status", "--sandbox", "-o", "jsonl", "--target", agent).rows
    return str(rows[0]["delivered"]["key_id"])


@pytest.mark.usefixtures("delivered")
def test_a_workload_can_be_played_with_the_keys_in_files() -> None:
    result = run("sandbox", "use", "secrets/alpha.env", "secrets/beta.env")
    assert (result.code, result.stderr) == (ExitCode.OK, "")
    assert result.stdout == (
        f"secrets/alpha.env: key {key_id_of('alpha')} works\n"
        f"secrets/beta.env: key {key_id_of('beta')} works\n"
    )
    (row,) = run("status", "--sandbox", "-o", "jsonl", "--target", "alpha").rows
    assert row["keys"][0]["last_used_at"] is not None


@pytest.mark.usefixtures("delivered")
@pytest.mark.parametrize("text", ["{}", "KEY='{}' # old", '{{"api_key": "{}"}}', "\ufeff{}\r\n", "\n\n{}\n"])
def test_the_key_is_found_in_a_file_of_any_kind_and_not_shown(text: str) -> None:
    key = held_key("alpha")
    Path("file").write_text(text.format(key))
    result = run("sandbox", "use", "file")
    assert (result.code, result.stdout) == (ExitCode.OK, f"file: key {key_id_of('alpha')} works\n")
    assert key not in result.stdout + result.stderr


@pytest.mark.usefixtures("delivered")
def test_a_deprecated_key_works_and_is_said_to_be_so() -> None:
    Path("old").write_text(held_key("alpha"))
    old = key_id_of("alpha")
    run("rotate", "alpha", "--sandbox", "--yes")
    result = run("sandbox", "use", "old")
    assert (result.code, result.stdout) == (ExitCode.OK, f"old: key {old} works, and is deprecated\n")


@pytest.mark.usefixtures("delivered")
def test_a_revoked_key_is_refused_and_the_others_are_used_nevertheless() -> None:
    Path("old").write_text(held_key("alpha"))
    Path("strange").write_text(mint_plaintext("ak"))
    run("rotate", "alpha", "--sandbox", "--yes")
    use("alpha")
    advance("2d")
    run("apply", "--sandbox", "--yes")
    result = run("sandbox", "use", "old", "strange", "secrets/alpha.env")
    assert result.code == ExitCode.AUTH
    assert result.stdout == (
        "old: its key is refused\nstrange: its key is refused\n"
        f"secrets/alpha.env: key {key_id_of('alpha')} works\n"
    )


@pytest.mark.usefixtures("delivered")
@pytest.mark.parametrize(
    ("name", "code", "said"),
    [
        ("agents.yaml", ExitCode.USAGE, "there is no key in agents.yaml"),
        ("secrets", ExitCode.USAGE, "secrets cannot be read: Is a directory"),
        ("secrets/gamma.env", ExitCode.NOT_FOUND, "there is no file secrets/gamma.env"),
    ],
    ids=["no key", "folder", "nothing"],
)
def test_what_holds_no_key_cannot_be_used(name: str, code: ExitCode, said: str) -> None:
    result = run("sandbox", "use", name)
    assert (result.code, result.stdout) == (code, "")
    assert said in result.stderr
