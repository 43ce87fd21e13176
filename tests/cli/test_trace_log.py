"""``--trace``: what a run did, line by line in a file; and ``-v``: the same requests on stderr."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from reconciler.errors import ExitCode
from reconciler.sandbox import SandboxServer
from tests.support.commands import SCRIPT, TO_FILES, declare, environment, readers, run
from tests.support.planes import use_token

TRACE = ("--trace", "run.jsonl")


def lines(path: str = "run.jsonl") -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


def events(name: str) -> list[dict[str, Any]]:
    return [line for line in lines() if line["event"] == name]


def test_an_apply_is_told_from_its_beginning_to_its_end(alter: SandboxServer) -> None:
    declare(readers("alpha", "beta"), **TO_FILES)
    assert run("apply", "--yes", *TRACE).code == ExitCode.OK
    told = lines()
    assert (told[0]["event"], told[0]["command"]) == ("run_begin", "apply")
    assert (told[-1]["event"], told[-1]["exit_code"]) == ("run_end", 0)
    assert len({line["run"] for line in told}) == 1
    assert [line["time"] for line in told] == sorted(line["time"] for line in told)
    kinds = ["create_agent", "mint_key"]
    assert {line["agent"]: line["operations"] for line in events("agent_begin")} == {
        "alpha": kinds,
        "beta": kinds,
    }
    for line in events("agent_end"):
        assert line["operations"] == [{"kind": kind, "status": "done"} for kind in kinds]
    delivered = {(line["sink"], line["agent"]) for line in events("sink") if line["action"] == "deliver"}
    assert delivered == {("env", "alpha"), ("env", "beta")}


def test_every_request_is_told_as_the_server_knows_it(alter: SandboxServer) -> None:
    declare(readers("alpha"), **TO_FILES)
    assert run("apply", "--yes", *TRACE).code == ExitCode.OK
    told = {line["request_id"]: line for line in events("request")}
    served = {request.request_id: request for request in alter.store.request_log()}
    assert told.keys() == served.keys()
    assert all(line["status"] == served[name].status for name, line in told.items())
    assert {(line["route"], line.get("agent")) for line in told.values()} == {
        ("GET /sdk/agents", None),
        ("GET /sdk/oauth/provider-catalog", None),
        ("POST /sdk/agents", "alpha"),
        ("PATCH /sdk/agents/{id}", "alpha"),
    }


def test_requests_are_shown_on_stderr_to_who_wants_to_know(alter: SandboxServer) -> None:
    declare(readers("alpha"))
    shown = run("plan", "-v").stderr
    for request in alter.store.request_log():
        assert f"{request.method} {request.path}: 200 in " in shown
        assert f", request {request.request_id}\n" in shown
    assert "2 requests, at most 1 at once, 0 retries, 0.0 s waited\n" in shown
    assert "request" not in run("plan").stderr


def test_a_repeated_request_says_which_attempt_it_is_and_why(alter: SandboxServer) -> None:
    declare(readers("alpha"))
    alter.faults.add("status", method="GET", path="/sdk/agents", status=503)
    result = run("plan", "-v", *TRACE)
    assert result.code == ExitCode.OK
    (retry,) = events("retry")
    assert (retry["route"], retry["attempt"]) == ("GET /sdk/agents", 1)
    first, second = (line for line in events("request") if line["route"] == "GET /sdk/agents")
    assert (first["status"], first["attempt"], first["error"]) == (503, 1, retry["reason"])
    assert (second["status"], second["attempt"], second["reason"]) == (200, 2, retry["reason"])
    assert f", attempt 2 after {retry['reason']}, request " in result.stderr


def test_a_wait_for_the_rate_limit_is_told_to_everybody_when_it_is_long(alter: SandboxServer) -> None:
    declare(readers("alpha"))
    spent = {"X-RateLimit-Limit": "60", "X-RateLimit-Remaining": "0"}
    reset = {"X-RateLimit-Reset": str(int(time.time()) + 4)}
    # The answer is none, so that the same is asked once more when the server has renewed the budget.
    alter.faults.add("status", method="GET", status=503, headers=spent | reset)
    result = run("plan", *TRACE)
    assert result.code == ExitCode.OK
    (pause,) = events("pause")
    assert pause["reason"] == "rate_limit"
    assert 1 < pause["seconds"] <= 4
    assert "3 requests, at most 1 at once, 1 retry, " in result.stderr


def test_every_line_is_as_documented(alter: SandboxServer) -> None:
    declare(readers("alpha"), **TO_FILES)
    alter.faults.add("status", method="PATCH", status=503)
    alter.faults.add("status", method="GET", status=429, headers={"Retry-After": "1"})
    assert run("apply", "--yes", *TRACE).code == ExitCode.OK
    page = (Path(__file__).parents[2] / "docs" / "observability.md").read_text(encoding="utf-8")
    rows = [row.split("|") for row in page.partition("| `event` |")[2].splitlines() if row.startswith("| `")]
    named = {
        name: {*re.findall("`([a-z_]+)`", row[3])} for row in rows for name in re.findall("`(.+?)`", row[1])
    }
    told = lines()
    assert {line["event"] for line in told} == named.keys() - {"pause"}
    for line in told:
        assert line.keys() - {"time", "run", "event"} <= named[line["event"]]


def test_commands_of_the_dashboard_plane_are_told(
    alter: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(readers("alpha"))
    monkeypatch.delenv("ALTER_API_KEY")
    use_token(monkeypatch, alter)
    assert run("plan", *TRACE).code == ExitCode.OK
    told = events("request")
    assert "alter agents list" in {line["route"] for line in told}
    assert all("status" not in line for line in told)


def test_commands_by_hand_are_told_with_their_sinks(alter: SandboxServer) -> None:
    declare({}, **TO_FILES)
    assert run("agents", "create", "--name", "by-hand", "--sink", "env", *TRACE).code == ExitCode.OK
    assert lines()[0]["command"] == "agents create"
    assert ("deliver", "by-hand") in {(line["action"], line["agent"]) for line in events("sink")}


def test_a_sink_that_fails_is_told_with_its_code_alone(alter: SandboxServer) -> None:
    sinks = {"vault": {"type": "command", "write": ["sh", "-c", "echo hush >&2; exit 3"]}}
    declare({"alpha": {"scopes": {}, "deliver_to": ["vault"]}}, sinks=sinks)
    assert run("apply", "--yes", *TRACE).code == ExitCode.SINK
    assert {line.get("error") for line in events("sink") if line["action"] == "deliver"} == {"sink_failed"}
    (ended,) = events("agent_end")
    assert ended["operations"][1]["status"] == "failed"
    assert "hush" not in Path("run.jsonl").read_text()


def test_several_apps_are_told_apart(workplace: Path) -> None:
    for app in ("one", "two"):
        agents: dict[str, Any] = {f"of-{app}": {"scopes": {}, "deliver_to": []}}
        head = {
            "version": 1,
            "owner": f"team/{app}",
            "app": {"name": app, "api_key_env": f"KEY_{app.upper()}"},
        }
        Path(f"{app}.yaml").write_text(json.dumps({**head, "agents": agents}))
    words = ["-c", "one.yaml", "-c", "two.yaml", "--sandbox", *TRACE]
    assert run("apply", "--yes", *words).code == ExitCode.OK
    assert {(line["app"], line["agent"]) for line in events("agent_begin")} == {
        ("one", "of-one"),
        ("two", "of-two"),
    }
    assert {line.get("app") for line in events("request")} == {"one", "two"}


def test_what_was_typed_is_shown_only_where_it_cannot_be_a_secret(alter: SandboxServer) -> None:
    declare(readers("alpha"))
    address = "https://hooks.slack.example/T0/B0/very-secret"
    mistaken = ["--notify", f"slack={address}", "--target", "alpha", "--detailed-exitcode", "-o", "json"]
    run("plan", *mistaken, *TRACE)
    assert lines()[0]["options"] == {
        "detailed_exitcode": True,
        "notify": "given",
        "output": "json",
        "target": "given",
    }
    assert "very-secret" not in Path("run.jsonl").read_text()


def test_a_server_cannot_put_a_key_into_it(alter: SandboxServer) -> None:
    declare(readers("alpha"))
    key = alter.app_key()
    echo = {"error": key, "message": key, "hint": key}
    alter.faults.add("status", method="GET", status=503, body=echo, headers={"x-request-id": key})
    result = run("plan", "-v", "--output", "json", *TRACE)
    assert events("retry")
    assert key not in Path("run.jsonl").read_text() + result.stdout + result.stderr


def test_one_file_takes_many_runs_and_is_for_its_owner_alone(alter: SandboxServer) -> None:
    declare(readers("alpha"))
    run("plan", *TRACE)
    assert Path("run.jsonl").stat().st_mode & 0o777 == 0o600
    with Path("run.jsonl").open("a") as file:
        file.write('{"torn": ')  # as a full disk leaves it
    run("status", *TRACE)
    *before, torn, begin = Path("run.jsonl").read_text().partition('{"torn": \n')
    assert torn
    assert json.loads(begin.splitlines()[0])["command"] == "status"
    assert json.loads("".join(before).splitlines()[0])["command"] == "plan"


@pytest.mark.parametrize("place", ["nowhere/run.jsonl", ".", "link.jsonl", "/dev/full"])
def test_a_file_that_cannot_be_written_is_refused_before_anything_is_done(
    alter: SandboxServer, place: str
) -> None:
    Path("link.jsonl").symlink_to("elsewhere.jsonl")
    declare(readers("alpha"))
    result = run("apply", "--yes", "--trace", place)
    assert result.code == ExitCode.USAGE
    assert f"--trace {place}: it cannot be written" in result.stderr
    assert alter.store.request_log() == []
    assert not Path("elsewhere.jsonl").exists()


@pytest.mark.parametrize(
    "content",
    [
        '{"format": "alter-sync.plan/1"}\n',
        "{\n}\n",
        "version: 1\n",
        "\n",
        '{"time": "now", "run": "1"}\n',
        "{",
    ],
)
def test_a_file_that_holds_something_else_is_refused_and_left_as_it_is(
    alter: SandboxServer, content: str
) -> None:
    declare(readers("alpha"))
    Path("plan.json").write_text(content)
    result = run("apply", "--yes", "--trace", "plan.json")
    assert result.code == ExitCode.USAGE
    assert "--trace plan.json: there is something in it that is no trace" in result.stderr
    assert "--trace takes a file to write" in result.stderr
    assert Path("plan.json").read_text() == content
    assert alter.store.request_log() == []


def test_an_empty_file_and_a_trace_whose_first_line_is_torn_are_written_on(alter: SandboxServer) -> None:
    declare(readers("alpha"))
    Path("run.jsonl").touch()
    assert run("plan", *TRACE).code == ExitCode.OK
    torn = Path("run.jsonl").read_text()[:15]
    for ending in ("", "\n"):
        Path("run.jsonl").write_text(torn + ending)
        assert run("plan", *TRACE).code == ExitCode.OK
        first, *others = Path("run.jsonl").read_text().splitlines()
        assert first == torn
        assert [json.loads(line)["event"] for line in others][:1] == ["run_begin"]


def test_a_disk_that_is_full_stops_the_trace_and_not_the_work(alter: SandboxServer) -> None:
    declare(readers(*(f"agent-{number}" for number in range(20))))
    # No file of this process may be larger than a kibibyte or two, which is what a full disk looks like.
    command = f"ulimit -f 2; exec {SCRIPT} apply --yes -q --trace run.jsonl"
    unharmed = environment(PYTHONDONTWRITEBYTECODE="1")
    done = subprocess.run(
        ["sh", "-c", command], env=unharmed, capture_output=True, text=True, check=False, timeout=20
    )
    assert done.returncode == ExitCode.OK
    assert done.stderr.count("warning: the trace in run.jsonl ends here") == 1
    assert len(alter.store.rows("SELECT id FROM agents")) == 20
    before = Path("run.jsonl").read_text()
    whole = before.splitlines()[:-1]
    assert len([json.loads(line) for line in whole]) > 2
    # The disk has room again: what comes now is not glued to the line that it cut.
    assert run("plan", *TRACE).code == ExitCode.OK
    after = Path("run.jsonl").read_text().removeprefix(before)
    assert after.startswith('\n{"time": ')
    assert [json.loads(line) for line in after.splitlines()[1:]]


def test_a_run_that_is_killed_leaves_whole_lines(alter: SandboxServer) -> None:
    declare(readers(*(f"agent-{number:03}" for number in range(200))))
    with subprocess.Popen(
        [SCRIPT, "apply", "--yes", "-q", *TRACE], env=environment(), stdout=subprocess.DEVNULL
    ) as process:
        while process.poll() is None and len(_read().splitlines()) < 50:
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
    assert _read().endswith("\n")
    assert len(lines()) >= 50
    assert not events("run_end")


def _read() -> str:
    return Path("run.jsonl").read_text() if Path("run.jsonl").exists() else ""
