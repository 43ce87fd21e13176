"""Scripted faults happen on the real connection, on the calls they are meant for, and nowhere else."""

import json
import re
import time
from typing import Any

import httpx
import pytest

from reconciler.sandbox import SandboxServer
from reconciler.sandbox.faults import Fault, FaultPlan
from tests.support.sandbox_server import SignedClient

NEW_AGENT = {"name": "a", "scopes": {}}


def names(client: SignedClient) -> list[str]:
    return [agent["name"] for agent in client.get("/sdk/agents").json()["items"]]


def create(client: SignedClient) -> httpx.Response:
    return client.send("POST", "/sdk/agents", document=NEW_AGENT)


def test_drop_before_closes_the_connection_and_commits_nothing(
    server: SandboxServer, client: SignedClient
) -> None:
    server.faults.add("drop_before", method="POST")
    with pytest.raises(httpx.RemoteProtocolError, match="disconnected"):
        create(client)
    assert names(client) == []
    lost = server.store.request_log()[0]
    assert (lost.status, lost.fault, lost.mutating) == (None, "drop_before", True)


def test_a_long_body_is_read_to_its_end_before_the_connection_goes(
    server: SandboxServer, client: SignedClient
) -> None:
    server.faults.add("drop_before")
    with pytest.raises(httpx.RemoteProtocolError, match="disconnected"):
        client.send("POST", "/sdk/agents", content=b"x" * 3_000_000)


def test_a_path_that_reads_no_body_can_be_dropped_too(server: SandboxServer, client: SignedClient) -> None:
    server.faults.add("drop_after")
    with pytest.raises(httpx.RemoteProtocolError, match="disconnected"):
        client.send("POST", "/sdk/nothing", content=b"x")


def test_drop_after_commits_and_closes_the_connection_without_an_answer(
    server: SandboxServer, client: SignedClient
) -> None:
    server.faults.add("drop_after", method="POST")
    with pytest.raises(httpx.RemoteProtocolError, match="disconnected"):
        create(client)
    assert names(client) == ["a"]
    assert server.store.request_log()[0].key_id is not None


def test_truncate_commits_and_breaks_off_in_the_middle_of_the_body(
    server: SandboxServer, client: SignedClient
) -> None:
    server.faults.add("truncate", method="POST")
    with pytest.raises(httpx.RemoteProtocolError, match="without sending complete"):
        create(client)
    assert names(client) == ["a"]


def test_a_long_list_is_truncated_too(server: SandboxServer, client: SignedClient) -> None:
    for number in range(40):
        client.create(f"agent-{number}", metadata={"text": "x" * 20_000})
    server.faults.add("truncate", path=r"/sdk/agents$")
    with pytest.raises(httpx.RemoteProtocolError):
        client.get("/sdk/agents?limit=1000")


def test_a_status_comes_before_the_commit_or_after_it(server: SandboxServer, client: SignedClient) -> None:
    server.faults.add("status", method="POST", status=500)
    refused = create(client)
    assert (refused.status_code, refused.json()["error"]) == (500, "scripted_fault")
    assert names(client) == []
    server.faults.add(
        "status", method="POST", body={"error": "x"}, headers={"Retry-After": "3"}, after_commit=True
    )
    refused = create(client)
    assert (refused.status_code, refused.json(), refused.headers["retry-after"]) == (503, {"error": "x"}, "3")
    assert names(client) == ["a"]


def test_text_is_sent_as_it_is(server: SandboxServer, client: SignedClient) -> None:
    server.faults.add("status", status=200, body="{ half")
    answer = client.get("/sdk/agents")
    assert (answer.text, answer.headers["content-type"]) == ("{ half", "text/plain")


def test_a_proxy_s_page_hides_whether_anything_was_done(server: SandboxServer, client: SignedClient) -> None:
    server.faults.add("html", method="POST")
    server.faults.add("html", method="POST", after_commit=True, nth=2)
    for expected in ([], ["a"]):
        answer = create(client)
        assert (answer.status_code, answer.headers["content-type"]) == (502, "text/html")
        assert "<h1>502 Bad Gateway</h1>" in answer.text
        assert names(client) == expected


def test_delay_waits_and_then_answers(server: SandboxServer, client: SignedClient) -> None:
    server.faults.add("delay", seconds=0.3)
    started = time.monotonic()
    assert client.get("/sdk/agents").status_code == 200
    assert time.monotonic() - started >= 0.3
    server.faults.add("delay")
    assert client.get("/sdk/agents").status_code == 200


def test_a_stale_list_lacks_the_last_mutation_once(server: SandboxServer, client: SignedClient) -> None:
    client.create("a")
    client.create("b")
    server.faults.add("stale", path=r"^/sdk/agents$")
    assert names(client) == ["a"]
    assert names(client) == ["a", "b"]


def test_a_stale_agent_shows_what_it_was_before_its_own_last_change(
    server: SandboxServer, client: SignedClient
) -> None:
    agent = client.create("a", display_name="before", metadata={"quote": "it's"})
    target = f"/sdk/agents/{agent['id']}"
    client.send("PATCH", target, document={"display_name": "after", "metadata": {}})
    client.create("b")
    server.faults.add("stale", method="GET", path=agent["id"])
    past = client.get(target).json()
    assert (past["display_name"], past["version"], past["metadata"]) == ("before", 1, {"quote": "it's"})
    assert client.get(target).json()["display_name"] == "after"


def test_a_stale_key_list_lacks_the_key_just_minted(server: SandboxServer, client: SignedClient) -> None:
    agent = client.create("a")
    target = f"/sdk/agents/{agent['id']}/keys"
    server.faults.add("stale", path="/keys$", times=2)
    client.send("POST", target, document={})
    assert [key["name"] for key in client.get(target).json()["items"]] == ["a-1"]
    client.send("PATCH", f"{target}/{agent['key_id']}/deprecate", document={})
    stale = client.get(target).json()["items"]
    assert [(key["name"], key["deprecated_at"]) for key in stale] == [("a-1", None), ("a-2", None)]


def test_a_refused_or_empty_change_is_no_mutation_to_go_back_before(
    server: SandboxServer, client: SignedClient
) -> None:
    agent = client.create("a", display_name="x")
    client.create("b")
    create(client)
    client.send("PATCH", f"/sdk/agents/{agent['id']}", document={"display_name": "x"})
    server.faults.add("stale")
    assert names(client) == ["a"]


def test_a_list_can_be_as_old_as_one_wants(server: SandboxServer, client: SignedClient) -> None:
    client.create("a")
    server.store.advance_clock(100)
    client.create("b")
    server.store.advance_clock(100)
    client.create("c")
    for seconds, expected in ((50, ["a", "b"]), (150, ["a"]), (250, []), (0, ["a", "b", "c"])):
        server.faults.add("stale", seconds=seconds)
        assert names(client) == expected


def test_staleness_without_a_past_is_the_present(server: SandboxServer, client: SignedClient) -> None:
    server.faults.add("stale")
    assert names(client) == []


def test_a_past_state_has_no_past_of_its_own(server: SandboxServer) -> None:
    past = server.store.as_it_was(seconds_ago=None, agent_id=None)
    with pytest.raises(RuntimeError):
        past.as_it_was(seconds_ago=None, agent_id=None)
    past.close()


def test_faults_hit_the_calls_they_count(server: SandboxServer, client: SignedClient) -> None:
    server.faults.add("status", method="GET", path="^/sdk/agents$", nth=2, times=2)
    server.faults.add("status", path="scopes", status=500, times=None)
    assert [client.get("/sdk/agents").status_code for _ in range(4)] == [200, 503, 503, 200]
    assert [client.get("/sdk/scopes").status_code for _ in range(3)] == [500, 500, 500]
    assert len(server.faults.fired()) == 5


def test_the_older_of_two_faults_wins_and_both_count() -> None:
    plan = FaultPlan()
    first = plan.add("status", status=500)
    second = plan.add("drop_before", times=2)
    assert [plan.claim("GET", "/x") for _ in range(3)] == [first, second, None]
    assert plan.fired() == [first, second]
    plan.clear()
    assert (plan.claim("GET", "/x"), plan.fired()) == (None, [])


def test_stale_leaves_changes_alone() -> None:
    plan = FaultPlan()
    plan.add("stale")
    assert plan.claim("POST", "/x") is None


def test_faults_can_be_added_read_and_cleared_over_http(client: SignedClient) -> None:
    added = client.http.post("/_sandbox/faults", json={"kind": "status", "status": 418, "method": "GET"})
    assert (added.status_code, added.json()["status"]) == (200, 418)
    assert client.get("/sdk/agents").status_code == 418
    assert [fault["kind"] for fault in client.http.get("/_sandbox/faults").json()["fired"]] == ["status"]
    client.http.post("/_sandbox/faults", json={"kind": "drop_before"})
    assert client.http.delete("/_sandbox/faults").status_code == 200
    assert client.get("/sdk/agents").status_code == 200


@pytest.mark.parametrize(
    "document",
    [
        {"kind": "explode"},
        {"kind": "status", "surprise": 1},
        {"kind": "status", "nth": 0},
        {"kind": "status", "times": 0},
        {"kind": "delay", "seconds": -1},
        {"kind": "status", "path": "("},
        {"kind": "status", "nth": "one"},
        {},
    ],
)
def test_a_fault_that_makes_no_sense_is_refused(client: SignedClient, document: dict[str, Any]) -> None:
    assert client.http.post("/_sandbox/faults", json=document).status_code == 422


def test_a_broken_pattern_is_an_error_at_once() -> None:
    with pytest.raises(re.error):
        Fault(kind="status", path="(")


def test_latency_holds_up_every_sdk_request(server: SandboxServer, client: SignedClient) -> None:
    from reconciler.sandbox import SandboxSettings

    with (
        SandboxServer(
            server.database.with_name("slow.db"), settings=SandboxSettings(latency_seconds=0.05)
        ) as slow,
        SignedClient(slow) as slow_client,
    ):
        started = time.monotonic()
        for _ in range(3):
            assert slow_client.get("/sdk/scopes").status_code == 200
        assert time.monotonic() - started >= 0.15


def test_the_connection_survives_what_is_not_about_the_connection(
    server: SandboxServer, client: SignedClient
) -> None:
    server.faults.add("html")
    server.faults.add("status", nth=2)
    assert [client.get("/sdk/scopes").status_code for _ in range(3)] == [502, 503, 200]
    assert json.loads(client.get("/sdk/scopes").text)["scope_version"]
