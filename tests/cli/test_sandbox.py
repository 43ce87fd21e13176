"""``alter-sync sandbox``: a process of its own that any client can talk to."""

import os
import re
import shlex
import signal
import socket
import stat
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from reconciler.cli.embedded import running_sandbox, write_alter
from reconciler.errors import ExitCode, UsageError
from reconciler.sandbox.keys import mint_plaintext
from tests.support.commands import (
    DATABASE,
    SCRIPT,
    Result,
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


def test_a_saved_plan_is_for_the_sandbox_and_not_for_the_port_of_one_run() -> None:
    declare(readers("alpha"))
    assert run("plan", "--sandbox", "--save", "plan.json").code == ExitCode.OK
    assert run("apply", "plan.json", "--sandbox", "--yes").code == ExitCode.OK
    assert run("plan", "--sandbox", "--save", "plan.json").code == ExitCode.OK
    assert run("apply", "plan.json", "--sandbox=other.db", "--yes").code == ExitCode.STALE


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


# The dashboard plane.


def run_program(executable: str | Path, *words: str, **variables: str) -> Result:
    """`alter agents …` as a process of its own."""
    done = subprocess.run(
        [executable, "agents", *words],
        env=environment(**variables),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    return Result(done.returncode, done.stdout, done.stderr)


def test_a_shell_is_given_an_executable_a_token_and_the_app(
    monkeypatch: pytest.MonkeyPatch, workplace: Path
) -> None:
    result = run("sandbox", "dashboard")
    assert (result.code, result.stderr) == (ExitCode.OK, "")
    lines = result.stdout.splitlines()
    variables = export(monkeypatch, lines)
    assert list(variables) == ["ALTER_CLI", "ALTER_PAT", "ALTER_APP_ID"]
    assert variables["ALTER_CLI"] == str(workplace / ".alter-sync/bin/alter")
    assert stat.S_IMODE(os.stat(variables["ALTER_CLI"]).st_mode) == 0o755
    assert run("sandbox", "dashboard").stdout.splitlines() == lines
    monkeypatch.chdir("/")
    alter = variables["ALTER_CLI"]
    name = "a $HOME 'b' \"c\" \\ *"
    made = run_program(alter, "create", "--name", "a", "--display-name", name, "--output", "json")
    assert (made.code, made.document["display_name"]) == (ExitCode.OK, name)
    assert run_program(alter, "show", "--agent", "nobody").code == ExitCode.NOT_FOUND
    assert run_program(alter, "list", ALTER_PAT="alter_pk_wrong").code == ExitCode.AUTH


def test_it_works_on_the_sandbox_that_is_being_served(monkeypatch: pytest.MonkeyPatch) -> None:
    declare(readers("alpha"))
    with serving() as lines:
        variables = export(monkeypatch, [*lines, *run("sandbox", "dashboard").stdout.splitlines()])
        assert run("apply", "--yes").code == ExitCode.OK
        (agent,) = run_program(variables["ALTER_CLI"], "list", "--output", "jsonl").rows
        assert agent["name"] == "alpha"
        changed = run_program(variables["ALTER_CLI"], "update", "--agent", agent["id"], "--display-name", "A")
        assert changed.code == ExitCode.OK
        page = run_program(
            variables["ALTER_CLI"], "audit", "--agent", agent["id"], "--output", "json"
        ).document
        assert page["items"][0]["actor"] == "owner@sandbox.example"
        assert {row["actor"] for row in page["items"][1:]} == {"alter-sync/payments/agents"}


def test_a_token_can_have_few_permissions_a_user_and_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    flags = ["--permissions", "dashboard_agents:write", "--permissions", "dashboard_audit:read"]
    result = run("sandbox", "dashboard", *flags, "--user", "ana@example.com", "--token-file", "token")
    variables = export(monkeypatch, result.stdout.splitlines())
    assert list(variables) == ["ALTER_CLI", "ALTER_APP_ID"]
    assert "# the token is in token: set ALTER_PAT to it" in result.stdout
    assert stat.S_IMODE(os.stat("token").st_mode) == 0o600
    monkeypatch.setenv("ALTER_PAT", Path("token").read_text().strip())
    alter = variables["ALTER_CLI"]
    agent = run_program(alter, "create", "--name", "a", "--output", "json").document["id"]
    assert run_program(alter, "list").code == ExitCode.AUTH
    events = run_program(alter, "audit", "--agent", agent, "--output", "jsonl").rows
    assert {event["actor"] for event in events} == {"ana@example.com"}
    by_user = export(monkeypatch, run("sandbox", "dashboard", "--user", "bo@example.com").stdout.splitlines())
    assert run_program(alter, "list", ALTER_PAT=by_user["ALTER_PAT"]).code == ExitCode.OK


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--permissions", "dashboard_agents:reed"], "did you mean 'dashboard_agents:read'?"),
        (["--permissions", "agents:delete"], "permissions are: dashboard_agents:read,"),
        (["--user", "ana"], "--user ana: this is no e-mail address"),
        (["--token-file", "nowhere/token"], "the token file nowhere/token cannot be written"),
        (["--database", "agents.yaml"], "agents.yaml is not a sandbox"),
        (["--folder", "taken"], "taken/alter is there already, and alter-sync did not write it"),
        (["--folder", "linked"], "linked/alter is there already"),
        (["--folder", "agents.yaml"], "agents.yaml/alter cannot be written: File exists"),
    ],
    ids=["typo", "unknown", "user", "token file", "database", "file", "link", "folder"],
)
def test_a_dashboard_that_cannot_be_given_is_refused(flags: list[str], said: str) -> None:
    declare({})
    Path("taken").mkdir()
    Path("taken/alter").write_text("#!/bin/sh\necho the real one\n")
    Path("linked").mkdir()
    Path("linked/alter").symlink_to(write_alter(DATABASE))
    result = run("sandbox", "dashboard", *flags)
    assert (result.code, result.stdout) == (ExitCode.USAGE, "")
    assert said in result.stderr
    assert Path("taken/alter").read_text() == "#!/bin/sh\necho the real one\n"


def test_nothing_is_put_where_a_shell_would_take_it_for_the_real_one(
    monkeypatch: pytest.MonkeyPatch, workplace: Path
) -> None:
    monkeypatch.setenv("PATH", f"{os.environ['PATH']}{os.pathsep}{os.pathsep}{workplace}/tools")
    Path("tools").mkdir()
    result = run("sandbox", "dashboard", "--folder", "tools")
    assert (result.code, "is on the PATH" in result.stderr) == (ExitCode.USAGE, True)
    assert list(Path("tools").iterdir()) == []


def test_the_executable_is_written_only_when_it_differs(workplace: Path) -> None:
    alter = write_alter(DATABASE)
    before = alter.stat()
    assert write_alter(DATABASE).stat() == before
    alter.chmod(0o644)
    assert stat.S_IMODE(write_alter(DATABASE).stat().st_mode) == 0o755
    alter.write_text(alter.read_text() + "# of an older version\n")
    assert "older" not in write_alter(DATABASE).read_text()
    assert list(alter.parent.iterdir()) == [alter]


def test_sandboxes_that_share_a_folder_have_an_executable_each(workplace: Path) -> None:
    one, other = write_alter(Path("it's.db")), write_alter(Path("other.db"))
    assert (one, other) == (workplace / "it's.db.bin/alter", workplace / "other.db.bin/alter")
    with running_sandbox(Path("it's.db")) as sandbox:
        assert sandbox.alter_cli == one
        token = {"ALTER_PAT": sandbox.server.pat(), "ALTER_APP_ID": sandbox.server.app_id()}
        assert run_program(one, "create", "--name", "a", **token).code == ExitCode.OK
    assert run_program(other, "list", **token).code == ExitCode.USAGE  # there is no such sandbox yet


def test_a_run_on_the_embedded_one_can_reach_its_dashboard(workplace: Path) -> None:
    with running_sandbox(DATABASE) as sandbox:
        assert sandbox.alter_cli == workplace / ".alter-sync/bin/alter"
        access = sandbox.access("")
        assert access.app_id == sandbox.server.app_id()
        assert str(access.pat) == "(secret)"
        assert access.pat.starts_with("alter_pk_")


def test_a_folder_that_cannot_be_written_is_named(workplace: Path) -> None:
    Path("full").write_text("")
    with pytest.raises(UsageError, match="full/bin/alter cannot be written"):
        write_alter(DATABASE, Path("full/bin"))
