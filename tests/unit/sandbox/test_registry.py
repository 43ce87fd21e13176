"""The observed registry: agents and callers that were seen at work, counted by day."""

import sqlite3
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from reconciler.sandbox import SandboxServer
from reconciler.sandbox.registry import FLUSH_SECONDS, SeenActor, Sightings
from tests.support.sandbox_server import SignedClient, alter, run_alter, running_sandbox

DAY = 86_400
CALLER = {"X-Alter-Caller": "alter-sync/payments", "X-Alter-Caller-Type": "service"}


def entries(server: SandboxServer) -> dict[str, Any]:
    """By name; what still waits in the server's memory is written first."""
    server.store.sightings.flush()
    return {row["name"]: row for row in alter(server, "registry-list")["items"]}


def counts(server: SandboxServer) -> dict[str, int]:
    return {name: row["activity_count_30d"] for name, row in entries(server).items()}


def test_uses_of_keys_and_requests_of_callers_are_seen(server: SandboxServer, client: SignedClient) -> None:
    assert entries(server) == {}
    worker, idle = client.create("worker", type="service"), client.create("idle")
    server.use_key(worker["api_key"])
    with SignedClient(server, worker["api_key"]) as own:
        assert own.get("/sdk/agents/me").status_code == 200
    answers = [client.get("/sdk/agents", labelled=CALLER) for _ in range(3)]
    (actor_id,) = {answer.headers["X-Alter-Actor-ID"] for answer in answers}
    client.get("/sdk/agents", labelled={"X-Alter-Caller": "a script"})
    client.get("/sdk/agents")

    seen = entries(server)
    assert {name: (row["actor_id"], row["type"]) for name, row in seen.items() if name != "a script"} == {
        "worker": (worker["id"], "service"),
        "alter-sync/payments": (actor_id, "service"),
    }
    assert seen["a script"]["type"] == "agent"
    assert counts(server) == {"worker": 2, "alter-sync/payments": 3, "a script": 1}
    assert next(iter(seen)) == "a script"
    assert alter(server, "registry-show", "--agent", actor_id) == seen["alter-sync/payments"]
    assert alter(server, "registry-show", "--agent", worker["id"].upper()) == seen["worker"]
    assert run_alter(server, "registry-show", "--agent", idle["id"]).code == 4
    assert server.store.now() - datetime.fromisoformat(seen["worker"]["last_activity_at"]).timestamp() < 60


def test_a_caller_that_names_an_agent_counts_for_it(server: SandboxServer, client: SignedClient) -> None:
    agent = client.create("a")
    client.get("/sdk/agents", labelled={"X-Alter-Caller": agent["id"]})
    assert counts(server) == {"a": 1}
    with SignedClient(server, agent["api_key"]) as own:
        own.get("/sdk/agents/me", labelled={"X-Alter-Caller": agent["id"]})
    assert counts(server) == {"a": 2}  # one request, though the key and the caller say so
    assert entries(server)["a"]["actor_id"] == agent["id"]


def test_a_request_that_is_not_authenticated_is_nobody_s(server: SandboxServer) -> None:
    with SignedClient(server, "alter_rk_unknown") as stranger:
        assert stranger.get("/sdk/agents", labelled=CALLER).status_code == 401
    assert counts(server) == {}


def test_the_count_of_thirty_days_moves_with_the_clock(server: SandboxServer, client: SignedClient) -> None:
    agent = client.create("a")
    for _ in range(2):
        server.use_key(agent["api_key"])
        client.get("/sdk/agents", labelled=CALLER)
    server.store.advance_clock(20 * DAY)
    server.use_key(agent["api_key"])
    client.get("/sdk/agents", labelled=CALLER)
    both = {"a", "alter-sync/payments"}
    assert counts(server) == dict.fromkeys(both, 3)
    last = entries(server)["a"]["last_activity_at"]
    server.store.advance_clock(9 * DAY)
    assert counts(server) == dict.fromkeys(both, 3)
    server.store.advance_clock(DAY)
    assert counts(server) == dict.fromkeys(both, 1)
    server.store.advance_clock(20 * DAY)
    assert counts(server) == dict.fromkeys(both, 0)
    assert entries(server)["a"]["last_activity_at"] == last


def test_another_process_sees_a_new_caller_at_once_and_the_rest_within_a_second(
    server: SandboxServer, client: SignedClient
) -> None:
    answers = [client.get("/sdk/agents", labelled=CALLER) for _ in range(5)]
    actor_id = answers[0].headers["X-Alter-Actor-ID"]

    def count() -> int:
        return int(alter(server, "registry-show", "--agent", actor_id)["activity_count_30d"])

    assert count() >= 1
    until = time.monotonic() + FLUSH_SECONDS + 5
    while count() < 5:
        assert time.monotonic() < until
        time.sleep(0.05)


def test_what_waits_is_written_when_the_server_stops(tmp_path: Path) -> None:
    with running_sandbox(tmp_path) as server, SignedClient(server) as client:
        for _ in range(4):
            client.get("/sdk/agents", labelled=CALLER)
    with running_sandbox(tmp_path) as server:
        assert counts(server) == {"alter-sync/payments": 4}


def test_reset_forgets_also_what_waits(server: SandboxServer, client: SignedClient) -> None:
    for _ in range(3):
        client.get("/sdk/agents", labelled=CALLER)
    server.store.reset()
    assert counts(server) == {}
    client.get("/sdk/agents", labelled=CALLER)
    assert {row["activity_count_30d"] for row in alter(server, "registry-list")["items"]} == {1}


def test_the_registry_comes_in_pages(server: SandboxServer, client: SignedClient) -> None:
    for number in range(3):
        client.get("/sdk/agents", labelled={"X-Alter-Caller": f"caller {number}"})
        server.store.advance_clock(1)
    page = alter(server, "registry-list", "--limit", "2")
    assert [row["name"] for row in page["items"]] == ["caller 2", "caller 1"]
    assert (page["total"], page["has_more"]) == (3, True)
    table = run_alter(server, "registry-list", "--offset", "2").stdout.splitlines()
    assert table[0].endswith("ACTIVITY (30 DAYS)")
    assert table[1].split()[1:4] == ["caller", "0", "agent"]


def test_what_cannot_be_written_waits_and_is_asked_for_again(tmp_path: Path) -> None:
    server = SandboxServer(tmp_path / "sandbox.db")
    seen = SeenActor(server.app_id(), "x", "x", "agent")
    server.store.connection.execute("PRAGMA busy_timeout = 0")
    sightings = Sightings(server.store)
    assert sightings.add(seen, at=server.store.now()) is False  # written at once
    assert sightings.add(seen, at=server.store.now()) is True
    assert sightings.add(seen, at=server.store.now()) is False  # somebody was told to
    blocker = sqlite3.connect(tmp_path / "sandbox.db", isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        sightings.flush()
    blocker.close()
    assert sightings.add(seen, at=server.store.now()) is True
    sightings.flush()
    sightings.flush()
    assert counts(server) == {"x": 4}
    server.stop()
    sightings.add(seen, at=1.0)
    sightings.flush()  # it is too late, and no failure
