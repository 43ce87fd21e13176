"""The `alter` executable as a process: with a server on the same file, with others, and on its own."""

import json
import os
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from reconciler.sandbox import SandboxServer, SandboxSettings, alter_cli
from tests.support.sandbox_server import SignedClient

PROGRAM = [sys.executable, "-P", "-m", "reconciler.sandbox.alter_cli", "agents"]


def start(server: SandboxServer, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    # ASCII on every stream, so that it shows whether the program minds.
    machine = {"PATH": os.environ["PATH"], "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    return subprocess.run(
        [*PROGRAM, *words],
        env=machine | server.alter_environment(),
        input=stdin,
        capture_output=True,
        encoding="utf-8",
        timeout=20,
        check=False,
    )


def answer(server: SandboxServer, *words: str) -> Any:
    done = start(server, *words, "--output", "json")
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


def test_the_program_and_a_running_server_see_each_other_s_changes_at_once(
    server: SandboxServer, client: SignedClient
) -> None:
    agent = answer(server, "create", "--name", "a")
    target = f"/sdk/agents/{agent['id']}"
    assert client.get(target).json()["version"] == 1
    client.send("PATCH", target, document={"display_name": "A"})
    assert answer(server, "show", "--agent", agent["id"])["display_name"] == "A"
    answer(server, "update", "--agent", agent["id"], "--metadata", '{"x": 1}')
    assert client.get(target).json()["metadata"] == {"x": 1}
    with SignedClient(server, answer(server, "mint-key", "--agent", agent["id"])["api_key"]) as workload:
        assert workload.get("/sdk/agents/me").status_code == 200
        assert answer(server, "list-keys", "--agent", agent["id"])["items"][1]["last_used_at"]
        answer(server, "revoke", "--agent", agent["id"], "--yes")
        assert workload.get("/sdk/agents/me").status_code == 401


def test_the_clock_is_one_for_all(server: SandboxServer, client: SignedClient) -> None:
    agent = client.create("a", scopes={"google": ["drive"]})
    client.send("PATCH", f"/sdk/agents/{agent['id']}?expected_version=1", document={"scopes": {}})
    client.http.post("/_sandbox/clock/advance", json={"seconds": 86_000})
    later = SandboxServer(server.database)
    later.store.advance_clock(1000)
    later.stop()
    assert answer(server, "show", "--agent", agent["id"])["scopes"] == {}
    offset = client.http.post("/_sandbox/clock/advance", json={"seconds": 1}).json()["offset_seconds"]
    assert offset == 87_001
    assert answer(server, "create", "--name", "b")["created_at"] > agent["created_at"]


def test_many_programs_and_a_server_share_one_file(server: SandboxServer, client: SignedClient) -> None:
    agent = client.create("a")

    def change(number: int) -> int:
        if number % 2:
            return start(server, "update", "--agent", agent["id"], "--display-name", f"{number}").returncode
        with SignedClient(server) as one:
            target = f"/sdk/agents/{agent['id']}"
            return one.send("PATCH", target, document={"display_name": f"{number}"}).status_code

    with ThreadPoolExecutor(6) as pool:
        assert sorted(pool.map(change, range(20))) == [0] * 10 + [200] * 10
    assert client.get(f"/sdk/agents/{agent['id']}").json()["version"] == 21
    assert answer(server, "audit", "--agent", agent["id"])["total"] == 22


def test_the_program_needs_neither_the_server_s_libraries_nor_the_rest_of_the_project() -> None:
    heavy = {"starlette", "uvicorn", "asyncio", "httpx", "typer", "reconciler.cli", "reconciler.model"}
    code = f"import reconciler.sandbox.alter_cli, sys; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=20
    )
    assert done.stdout == "[]\n"


def test_text_is_utf_8_whatever_the_machine_is_set_to(server: SandboxServer) -> None:
    body = json.dumps({"name": "a", "display_name": "Ärger ✓"}, ensure_ascii=False)
    done = start(server, "create", "--input", "-", "--output", "jsonl", stdin=body)
    assert json.loads(done.stdout)["display_name"] == "Ärger ✓"
    assert "Ärger ✓" in start(server, "list").stdout


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["show", "--agent", "nobody"], 4),
        (["revoke", "--agent", "nobody"], 2),
        (["list", "--limit", "0"], 2),
        (["list", "--app", "nowhere"], 4),
        (["--help"], 0),
    ],
)
def test_a_process_ends_as_the_command_does(server: SandboxServer, words: list[str], code: int) -> None:
    done = start(server, *words)
    assert done.returncode == code
    assert "Traceback" not in done.stderr
    assert bool(done.stdout) == (code == 0)


def test_the_process_takes_words_streams_and_environment_from_the_system(
    server: SandboxServer, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for name, value in server.alter_environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "argv", ["alter", "agents", "create", "--name", "a", "--output", "jsonl"])
    assert alter_cli.run() == 0
    assert json.loads(capfd.readouterr().out)["name"] == "a"


def test_a_reader_that_has_enough_is_no_failure_worth_a_traceback(server: SandboxServer) -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    with os.fdopen(write_end, "w") as nobody:
        done = subprocess.run(
            [*PROGRAM, "list"],
            env={"PATH": os.environ["PATH"], **server.alter_environment()},
            stdin=subprocess.DEVNULL,
            stdout=nobody,
            stderr=subprocess.PIPE,
            check=False,
            timeout=20,
        )
    assert (done.returncode, done.stderr) == (1, b"")


def test_the_server_is_loaded_only_by_who_asks_for_it() -> None:
    code = (
        "import sys, reconciler.sandbox as s; s.SandboxSettings; print('uvicorn' in sys.modules);"
        " s.SandboxServer; print('uvicorn' in sys.modules); print(hasattr(s, 'Nothing'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=20
    )
    assert done.stdout.split() == ["False", "True", "False"]


def test_a_sandbox_from_before_the_dashboard_keeps_its_state(tmp_path: Path) -> None:
    server = SandboxServer(tmp_path / "sandbox.db")
    key = server.app_key()
    server.stop()
    old = sqlite3.connect(tmp_path / "sandbox.db")
    for statement in (
        "ALTER TABLE audit DROP COLUMN user",
        "ALTER TABLE audit DROP COLUMN caller_type",
        "DROP TABLE pats",
        "DROP TABLE actors",
        "DROP TABLE activity",
        "INSERT INTO audit (at, app_id, action) VALUES (1, 'x', 'agent.create')",
    ):
        old.execute(statement)
    old.commit()
    old.close()

    def open_it(_: int) -> str:
        again = SandboxServer(tmp_path / "sandbox.db")
        try:
            return again.app_key()
        finally:
            again.stop()

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(open_it, range(4))) == {key}
    with SandboxServer(tmp_path / "sandbox.db") as server:
        agent = answer(server, "create", "--name", "a")
        assert answer(server, "audit", "--agent", agent["id"])["items"][0]["actor"] == "owner@sandbox.example"
        assert server.store.audit_log()[0]["user"] is None


def test_the_server_s_settings_reach_the_program(tmp_path: Path) -> None:
    settings = SandboxSettings(key_cap=1, latency_seconds=0.01, last_used_lag_seconds=600)
    with SandboxServer(tmp_path / "sandbox.db", settings=settings) as server:
        agent = answer(server, "create", "--name", "a")
        assert start(server, "mint-key", "--agent", agent["id"]).returncode == 5
        server.use_key(agent["api_key"])
        assert answer(server, "list-keys", "--agent", agent["id"])["items"][0]["last_used_at"] is None
        server.store.advance_clock(601)
        assert answer(server, "list-keys", "--agent", agent["id"])["items"][0]["last_used_at"]
