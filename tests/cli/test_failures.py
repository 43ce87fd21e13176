"""What goes wrong outside ends with its own exit code, one message and, for a program, one document."""

import io
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest

from reconciler.cli.boundary import guarded
from reconciler.cli.console import Console, OutputFormat
from reconciler.cli.main import main
from reconciler.errors import ExitCode
from reconciler.sandbox import SandboxServer
from reconciler.sandbox.keys import mint_plaintext
from tests.support.commands import SCRIPT, declare, environment, process, readers, run

# Longer than any patience, so that the one answer is final.
LATER = {"Retry-After": "3600"}

FAULTS: dict[tuple[str, ExitCode], dict[str, Any]] = {
    ("key_expired", ExitCode.AUTH): {"status": 401, "body": {"error": "key_expired"}},
    ("agent_not_found", ExitCode.NOT_FOUND): {"status": 404, "body": {"error": "agent_not_found"}},
    ("agent_name_exists", ExitCode.CONFLICT): {"status": 409, "body": {"error": "agent_name_exists"}},
    ("rate_limit_exceeded", ExitCode.RATE_LIMIT): {"status": 429, "headers": LATER},
    ("scripted_fault", ExitCode.ERROR): {"status": 503, "headers": LATER},
    ("invalid_request", ExitCode.ERROR): {"status": 400, "body": {"error": "invalid_request"}},
    ("api_error", ExitCode.ERROR): {"status": 404, "body": "<html>"},
    ("not_json", ExitCode.ERROR): {"status": 200, "body": "not json"},
}
RETRYABLE = {"rate_limit_exceeded", "scripted_fault"}


@pytest.mark.parametrize(("code", "exit_code"), FAULTS, ids=str)
@pytest.mark.parametrize("words", [["plan"], ["apply", "--yes"], ["status"]], ids=" ".join)
def test_a_refusal_by_the_server_has_its_exit_code_on_both_streams(
    alter: SandboxServer, words: list[str], code: str, exit_code: ExitCode
) -> None:
    declare(readers("alpha"))
    fault = FAULTS[code, exit_code]
    alter.faults.add("status", method="GET", path="/sdk/agents", times=None, **fault)
    result = run(*words, "--output", "json")
    assert result.code == exit_code
    assert (result.document["exit"], result.document["code"]) == (exit_code, code)
    assert result.document["retryable"] is (code in RETRYABLE)
    assert result.document["message"].split(":")[0] in result.stderr
    assert result.stderr.startswith("error: ")
    assert f"[{code}]" in result.stderr
    assert run(*words).stdout == ""


def test_the_lines_of_jsonl_hold_a_failure_as_well(workplace: Path) -> None:
    (document,) = run("plan", "--output", "jsonl").rows
    assert (document["exit"], document["code"]) == (ExitCode.NOT_FOUND, "file_not_found")


def test_an_api_that_cannot_be_reached_is_said_to_be_so_while_it_is_tried(
    workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{unused.getsockname()[1]}"
    waits: list[float] = []
    monkeypatch.setattr("time.sleep", waits.append)  # 20 s otherwise, which nobody has here
    monkeypatch.setenv("ALTER_BASE_URL", address)
    monkeypatch.setenv("ALTER_API_KEY", mint_plaintext("rk"))
    declare(readers("alpha"))
    result = run("plan", "--output", "json")
    assert result.code == ExitCode.ERROR
    assert (result.document["code"], result.document["retryable"]) == ("unreachable", True)
    assert result.document["hint"] == "check the network and the base URL"
    waits = [seconds for seconds in waits if seconds > 0]
    assert len(waits) > 2
    told = [line for line in result.stderr.splitlines() if "trying again in" in line]
    assert len(told) == len(waits) - 2  # the first two hiccups are nobody's business
    assert run("plan", "-v").stderr.count("trying again in") == len(waits)
    assert "trying again" not in run("plan", "-q").stderr


def test_waiting_for_the_rate_limit_is_said_on_request(alter: SandboxServer) -> None:
    declare(readers("alpha"))
    budget = {
        "X-RateLimit-Limit": "60",
        "X-RateLimit-Remaining": "0",
        "X-RateLimit-Reset": "1",
        "Retry-After": "1",
    }
    alter.faults.add("status", method="GET", status=429, headers=budget)
    result = run("plan", "-v")
    assert result.code == ExitCode.OK
    assert "rate_limit_exceeded, trying again in" in result.stderr


def test_a_reader_that_goes_away_gets_one_line_and_no_traceback(alter: SandboxServer) -> None:
    # Far more than a pipe holds.
    declare(readers(*(f"agent-{number:04}" for number in range(800))))
    with subprocess.Popen(
        [SCRIPT, "plan"], env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        child.stdout.read(10)
        child.stdout.close()
        stderr = child.stderr.read()
        assert child.wait(15) == ExitCode.ERROR
    assert stderr == b"error: stdout cannot be written: Broken pipe [output_failed]\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize("words", [["plan"], ["plan", "-o", "json"], ["validate"], ["schema"]])
def test_a_full_disk_is_told_and_changes_no_exit_code(alter: SandboxServer, words: list[str]) -> None:
    declare(readers("alpha"))
    with open("/dev/full", "wb") as full:
        ended = subprocess.run(
            [SCRIPT, *words], env=environment(), stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert ended.returncode == ExitCode.ERROR
    assert ended.stderr == b"error: stdout cannot be written: No space left on device [output_failed]\n"


def test_closed_streams_stop_no_apply(alter: SandboxServer) -> None:
    declare(readers("alpha"))
    command = f"{SCRIPT} apply --yes <&- >&- 2>&-"
    assert subprocess.run(["sh", "-c", command], env=environment(), check=False).returncode == ExitCode.OK
    assert run("plan", "--detailed-exitcode").code == ExitCode.OK


def test_what_was_done_is_told_by_the_exit_code_when_the_outcome_cannot_be_written(
    alter: SandboxServer,
) -> None:
    declare(readers("alpha"))
    command = f"{SCRIPT} apply --yes -o json > /dev/full"
    ended = subprocess.run(["sh", "-c", command], env=environment(), capture_output=True, check=False)
    assert ended.returncode == ExitCode.OK
    assert b"the outcome was: " in ended.stderr
    assert b"0 failed" in ended.stderr


def test_an_empty_argument_is_refused_before_it_means_the_working_directory(workplace: Path) -> None:
    result = run("validate", "-c", "")
    assert result.code == ExitCode.USAGE
    assert "is a variable of the shell not set?" in result.stderr


def test_a_working_directory_that_is_gone_is_said(workplace: Path) -> None:
    command = f"mkdir gone && cd gone && rmdir ../gone && {SCRIPT} validate -c {workplace}/agents.yaml"
    ended = subprocess.run(["sh", "-c", command], env=environment(), capture_output=True, check=False)
    assert ended.returncode == ExitCode.USAGE
    assert b"the working directory is gone" in ended.stderr


def test_a_terminal_of_another_century_gets_question_marks(alter: SandboxServer) -> None:
    declare({"alpha": {"scopes": {}, "display_name": "Ä → B"}})
    result = process("plan", PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert (result.code, result.stderr) == (ExitCode.OK, "")
    assert result.stdout.isascii()


def test_the_entry_point_ends_the_process_with_the_exit_code(
    alter: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(readers("alpha"), app={"name": "payments → prod"})
    written = io.BytesIO()
    monkeypatch.setattr("sys.argv", ["alter-sync", "apply"])
    monkeypatch.setattr("sys.stdin", io.StringIO())
    monkeypatch.setattr("sys.stdout", io.StringIO())
    monkeypatch.setattr("sys.stderr", io.TextIOWrapper(written, encoding="ascii"))
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == ExitCode.USAGE
    assert b"there is nobody to answer" in written.getvalue()


@pytest.mark.parametrize("verbosity", [0, 1, 2])
def test_a_defect_is_reported_by_its_type_and_never_by_its_text(
    capsys: pytest.CaptureFixture[str], verbosity: int
) -> None:
    plaintext = mint_plaintext("ak")

    def defective() -> ExitCode:
        raise KeyError(plaintext)

    console = Console(output=OutputFormat.JSON, verbosity=verbosity)
    assert guarded(console, defective) == ExitCode.ERROR
    stdout, stderr = capsys.readouterr()
    assert "internal error (KeyError)" in stdout
    assert '"code": "internal"' in stdout
    assert plaintext not in stdout + stderr
    assert ("in defective" in stderr) is (verbosity == 2)


def test_a_warning_of_a_command_without_a_console_is_one_message() -> None:
    result = run("schema", "--nope")
    assert result.code == ExitCode.USAGE
    assert result.stderr.count("error: ") == 1
