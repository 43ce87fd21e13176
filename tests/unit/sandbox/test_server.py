"""The sandbox starts, stops, survives a restart, and needs nothing of the rest of the project."""

import ast
import os
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

import reconciler.sandbox
from reconciler.sandbox import SandboxServer, SandboxSettings
from tests.support.sandbox_server import SignedClient, running_sandbox


def test_state_and_key_survive_a_restart(tmp_path: Path) -> None:
    with running_sandbox(tmp_path) as server, SignedClient(server) as client:
        key, agent = server.app_key(), client.create("a", scopes={"google": ["drive"]})
        server.store.advance_clock(86_400)
        now = server.store.now()
        old_url = server.base_url
    with running_sandbox(tmp_path) as server, SignedClient(server) as client:
        assert server.app_key() == key
        assert server.base_url != old_url
        read = client.get(f"/sdk/agents/{agent['id']}").json()
        assert read == {name: value for name, value in agent.items() if name not in ("api_key", "key_id")}
        assert server.store.now() >= now
        assert [row["action"] for row in server.store.audit_log()] == ["agent.create", "key.mint"]
        assert server.store.request_log()[0].method == "GET"


def test_one_server_can_be_started_again(tmp_path: Path) -> None:
    server = SandboxServer(tmp_path / "sandbox.db")
    key = server.app_key()
    for _ in range(2):
        server.start()
        with SignedClient(server, key) as client:
            assert client.get("/sdk/agents").status_code == 200
        server.stop()
    server.stop()
    with pytest.raises(RuntimeError, match="not running"):
        _ = server.base_url


def test_a_running_server_is_not_started_twice(server: SandboxServer) -> None:
    with pytest.raises(RuntimeError, match="already"):
        server.start()


def test_plaintext_keys_of_agents_are_not_in_the_database(tmp_path: Path) -> None:
    with running_sandbox(tmp_path) as server, SignedClient(server) as client:
        api_key = client.create("a")["api_key"]
    for file in tmp_path.iterdir():
        assert api_key.encode() not in file.read_bytes()


def test_a_taken_port_is_an_error(server: SandboxServer, tmp_path: Path) -> None:
    port = int(server.base_url.rsplit(":", 1)[1])
    second = SandboxServer(tmp_path / "second.db", port=port)
    with pytest.raises(OSError, match="in use"):
        second.start()
    assert second.store.closed


def test_only_loopback_addresses_are_served(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="loopback"):
        SandboxServer(tmp_path / "sandbox.db", host="0.0.0.0")


@pytest.mark.skipif(not socket.has_ipv6, reason="needs IPv6")
def test_an_ipv6_address_is_written_in_brackets(tmp_path: Path) -> None:
    with SandboxServer(tmp_path / "sandbox.db", host="::1") as server, SignedClient(server) as client:
        assert server.base_url.startswith("http://[::1]:")
        assert client.get("/sdk/agents").status_code == 200


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_foreground_server_in_order(tmp_path: Path, number: signal.Signals) -> None:
    server = SandboxServer(tmp_path / "sandbox.db")
    answers: list[int] = []

    def interrupt() -> None:
        for _ in range(200):
            try:
                answers.append(httpx.get(f"{server.base_url}/_sandbox/clock", trust_env=False).status_code)
                break
            except (RuntimeError, httpx.HTTPError):
                time.sleep(0.02)
        os.kill(os.getpid(), number)

    thread = threading.Thread(target=interrupt)
    thread.start()
    server.run_forever()
    thread.join()
    assert answers == [200]
    assert server.store.closed


def test_stopping_does_not_wait_for_clients_that_are_kept_waiting(tmp_path: Path) -> None:
    server = SandboxServer(tmp_path / "sandbox.db")
    server.start()
    server.faults.add("delay", seconds=25)
    with SignedClient(server) as client:
        failures: list[Exception] = []

        def wait() -> None:
            try:
                client.get("/sdk/agents")
            except httpx.HTTPError as exc:
                failures.append(exc)

        thread = threading.Thread(target=wait)
        thread.start()
        while not server.faults.fired():
            time.sleep(0.01)
        started = time.monotonic()
        server.stop()
        thread.join()
        assert time.monotonic() - started < 5
    assert len(failures) == 1


def test_an_error_of_ours_is_a_500_and_the_server_goes_on(server: SandboxServer) -> None:
    with SignedClient(server) as client:
        agent = client.create("a")
        with server.store.transaction() as connection:
            connection.execute("UPDATE agents SET metadata = 'broken'")
        assert client.get(f"/sdk/agents/{agent['id']}").status_code == 500
        assert client.get("/sdk/scopes").status_code == 200


def test_of_many_writers_with_one_version_exactly_one_wins(server: SandboxServer) -> None:
    with SignedClient(server) as client:
        agent = client.create("a")

    def write(number: int) -> int:
        with SignedClient(server) as one:
            document = {"display_name": f"writer {number}"}
            target = f"/sdk/agents/{agent['id']}?expected_version=1"
            # Meanwhile somebody looks into the database from outside the server's thread.
            server.store.audit_log(agent["id"])
            return one.send("PATCH", target, document=document).status_code

    with ThreadPoolExecutor(8) as pool:
        statuses = sorted(pool.map(write, range(24)))
    assert statuses == [200] + [409] * 23


def test_five_thousand_agents_are_listed_without_waiting(tmp_path: Path) -> None:
    with running_sandbox(tmp_path) as server, SignedClient(server) as client:
        client.create("seed", metadata={"alter-sync": {"owner": "x", "spec": {"scopes": "0123456789ab"}}})
        with server.store.transaction() as connection:
            connection.execute(
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 4999)"
                " INSERT INTO agents (id, app_id, name, type, scopes, policy, metadata, created_at)"
                " SELECT printf('00000000-0000-4000-8000-%012d', i), app_id, 'agent-' || i,"
                " type, scopes, policy, metadata, created_at FROM agents, n"
            )
        found: set[str] = set()
        offset, more, slowest = 0, True, 0.0
        while more:
            started = time.monotonic()
            page = client.get(f"/sdk/agents?limit=1000&offset={offset}").json()
            slowest = max(slowest, time.monotonic() - started)
            found |= {agent["id"] for agent in page["items"]}
            offset, more = offset + 1000, page["has_more"]
        assert len(found) == 5000
        assert slowest < 2  # a hanging query, not a slow machine


def test_the_sandbox_imports_nothing_of_the_rest_of_the_project() -> None:
    folder = Path(reconciler.sandbox.__file__).parent
    for module in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(module.read_text())):
            imported = []
            if isinstance(node, ast.Import):
                imported = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                imported = [node.module or ""]
            for name in imported:
                assert not name.startswith("httpx"), module
                assert not name.startswith("reconciler") or name.startswith("reconciler.sandbox"), module


def test_settings_are_in_memory_only(tmp_path: Path) -> None:
    with running_sandbox(tmp_path, key_cap=1):
        pass
    with running_sandbox(tmp_path) as server:
        assert server.settings == SandboxSettings()
