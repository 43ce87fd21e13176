"""The sandbox's own controls: its clock, workloads that use keys, and starting over."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from reconciler.sandbox import SandboxServer
from tests.support.sandbox_server import SignedClient, running_sandbox


def last_use(client: SignedClient, agent: dict[str, Any]) -> tuple[datetime | None, datetime | None]:
    """Of the agent and of its first key."""
    shown = client.get(f"/sdk/agents/{agent['id']}").json()["last_used_at"]
    key = client.get(f"/sdk/agents/{agent['id']}/keys").json()["items"][0]["last_used_at"]
    return (
        None if shown is None else datetime.fromisoformat(shown),
        None if key is None else datetime.fromisoformat(key),
    )


def use(client: SignedClient, api_key: str) -> Any:
    return client.http.post("/_sandbox/use", json={"api_key": api_key})


def test_the_clock_advances_and_stamps_what_happens_next(client: SignedClient) -> None:
    first = client.create("a")["created_at"]
    answer = client.http.post("/_sandbox/clock/advance", json={"seconds": 3600.5}).json()
    assert answer["offset_seconds"] == 3600.5
    later = client.create("b")["created_at"]
    passed = datetime.fromisoformat(later) - datetime.fromisoformat(first)
    assert timedelta(seconds=3600) < passed < timedelta(seconds=3660)
    assert client.http.get("/_sandbox/clock").json()["offset_seconds"] == 3600.5


@pytest.mark.parametrize("seconds", [-1, 1e12, "60", None, True])
def test_the_clock_never_goes_back_nor_out_of_reach(client: SignedClient, seconds: object) -> None:
    answer = client.http.post("/_sandbox/clock/advance", json={"seconds": seconds})
    assert answer.status_code == 422
    assert client.http.get("/_sandbox/clock").json()["offset_seconds"] == 0


def test_a_workload_s_use_shows_on_its_key_and_its_agent(server: SandboxServer, client: SignedClient) -> None:
    agent = client.create("a")
    assert last_use(client, agent) == (None, None)
    answer = use(client, agent["api_key"]).json()
    assert answer == {"agent_id": agent["id"], "key_id": agent["key_id"], "deprecated": False}
    on_agent, on_key = last_use(client, agent)
    assert on_key is not None
    assert on_agent == on_key
    server.store.advance_clock(60)
    assert server.use_key(agent["api_key"]) == agent["key_id"]
    later, _ = last_use(client, agent)
    assert later is not None
    assert later - on_key >= timedelta(seconds=60)


def test_a_use_shows_only_after_the_lag(tmp_path: Path) -> None:
    with running_sandbox(tmp_path, last_used_lag_seconds=600) as server, SignedClient(server) as client:
        agent = client.create("a")
        use(client, agent["api_key"])
        server.store.advance_clock(300)
        use(client, agent["api_key"])
        assert last_use(client, agent) == (None, None)
        server.store.advance_clock(301)
        shown, on_key = last_use(client, agent)
        assert shown is not None
        assert shown == on_key
        # A use after that is collected again, and the one before stays to be seen.
        use(client, agent["api_key"])
        assert last_use(client, agent) == (shown, on_key)
        server.store.advance_clock(601)
        latest, _ = last_use(client, agent)
        assert latest is not None
        assert latest - shown >= timedelta(seconds=300)


def test_a_key_that_is_revoked_unknown_or_an_app_s_is_not_used(client: SignedClient) -> None:
    agent = client.create("a")
    client.send("PATCH", f"/sdk/agents/{agent['id']}/keys/{agent['key_id']}/deprecate")
    assert use(client, agent["api_key"]).json()["deprecated"]
    client.send("DELETE", f"/sdk/agents/{agent['id']}/keys/{agent['key_id']}?force=true")
    assert use(client, agent["api_key"]).json()["error"] == "key_revoked"
    for stranger in ("alter_ak_unknown", client.key):
        refused = use(client, stranger)
        assert (refused.status_code, refused.json()["error"]) == (401, "invalid_key")


def test_reset_empties_everything_but_the_keys_of_apps(server: SandboxServer, client: SignedClient) -> None:
    reader = server.create_app_key(["agents:read"])
    agent = client.create("a")
    server.store.advance_clock(1000)
    server.faults.add("status", times=None)
    assert client.http.post("/_sandbox/reset").json() == {}
    assert not server.store.audit_log()
    assert not server.store.request_log()
    assert not server.faults.fired()
    assert server.store.clock.offset_seconds == 0
    assert server.app_key() == client.key
    with SignedClient(server, reader) as other:
        assert other.get("/sdk/agents").json()["total"] == 0
    assert use(client, agent["api_key"]).status_code == 401
    client.create("a")
    server.faults.add("stale")
    assert client.get("/sdk/agents").json()["items"] == []


def test_reset_gives_every_key_its_budget_back(tmp_path: Path) -> None:
    with running_sandbox(tmp_path, rate_limit_per_minute=1) as server, SignedClient(server) as client:
        client.get("/sdk/agents")
        client.http.post("/_sandbox/reset")
        assert client.get("/sdk/agents").status_code == 200


def test_a_control_s_body_must_be_json(client: SignedClient) -> None:
    assert client.http.post("/_sandbox/clock/advance", content=b"{").status_code == 422


def test_a_fixed_past_is_forgotten_in_the_end(server: SandboxServer, client: SignedClient) -> None:
    from reconciler.sandbox import history

    agent = client.create("a")
    with server.store.transaction():
        for _ in range(history.MARKS_KEPT + 5):
            with server.store.mutation(agent["id"]) as connection:
                connection.execute("UPDATE agents SET version = version + 1")
    kept = server.store.rows("SELECT count(*) FROM undo")[0][0]
    assert history.MARKS_KEPT <= kept < history.MARKS_KEPT + 5
    past = server.store.as_it_was(seconds_ago=None, agent_id=agent["id"])
    row = past.row("SELECT version FROM agents")
    past.close()
    assert row is not None
    assert row["version"] == history.MARKS_KEPT + 5
