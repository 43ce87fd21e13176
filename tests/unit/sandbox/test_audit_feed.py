"""The audit feed: what was done to one agent, on which plane, and by whom."""

from datetime import datetime
from typing import Any

from reconciler.sandbox import SandboxServer
from reconciler.sandbox.catalog import DASHBOARD_PERMISSIONS
from tests.support.sandbox_server import SignedClient, alter, run_alter

CALLER = {"X-Alter-Caller": "alter-sync/payments", "X-Alter-Caller-Type": "service"}


def feed(server: SandboxServer, agent: dict[str, Any], *words: str) -> Any:
    return alter(server, "audit", "--agent", agent["id"], *words)


def test_actions_of_both_planes_are_told_newest_first_with_who_did_them(
    server: SandboxServer, client: SignedClient
) -> None:
    agent = client.create("a", scopes={"google": ["drive"]})
    target, sdk = ["--agent", agent["id"]], f"/sdk/agents/{agent['id']}"
    key = [*target, "--key", agent["key_id"]]
    ana = {"ALTER_PAT": server.create_pat(DASHBOARD_PERMISSIONS, user="ana@example.com")}
    minted = alter(server, "mint-key", *target, **ana)
    alter(server, "deprecate-key", *key, **ana)
    alter(server, "undeprecate-key", *key)
    client.send("PATCH", sdk, document={"status": "inactive", "display_name": "A"}, labelled=CALLER)
    alter(server, "update", *target, "--metadata", '{"x": 1}')
    client.send("PATCH", f"{sdk}?expected_version=3", document={"scopes": {}})
    server.store.advance_clock(100_000)
    alter(server, "revoke-key", *key, "--yes")
    alter(server, "revoke", *target, "--yes", **ana)
    client.create("other")

    owner, ana_acts, app = (
        ("owner@sandbox.example", "user"),
        ("ana@example.com", "user"),
        ("sandbox runtime key", "key"),
    )
    page = feed(server, agent)
    told = [
        (row["action"], (row["actor"], row["actor_type"]), row["key_id"], row["changed"])
        for row in reversed(page["items"])
    ]
    assert told == [
        ("agent.create", app, None, None),
        ("key.mint", app, agent["key_id"], None),
        ("key.mint", ana_acts, minted["key_id"], None),
        ("key.deprecate", ana_acts, agent["key_id"], None),
        ("key.undeprecate", owner, agent["key_id"], None),
        ("agent.update", ("alter-sync/payments", "service"), None, ["display_name", "status"]),
        ("agent.update", owner, None, ["metadata"]),
        ("agent.update", app, None, ["scopes", "scopes_applies_at", "scopes_pending"]),
        ("agent.narrowing_applied", (None, "system"), None, None),
        ("key.revoke", owner, agent["key_id"], None),
        ("agent.revoke", ana_acts, None, None),
    ]
    assert {row["agent_id"] for row in page["items"]} == {agent["id"]}
    times = [datetime.fromisoformat(row["at"]) for row in page["items"]]
    assert times == sorted(times, reverse=True)
    assert page["total"] == len(page["items"])


def test_a_caller_without_a_type_is_an_agent(server: SandboxServer, client: SignedClient) -> None:
    client.send(
        "POST", "/sdk/agents", document={"name": "a", "scopes": {}}, labelled={"X-Alter-Caller": "me"}
    )
    (agent,) = client.get("/sdk/agents").json()["items"]
    assert {(row["actor"], row["actor_type"]) for row in feed(server, agent)["items"]} == {("me", "agent")}


def test_a_request_and_its_events_have_the_same_id(server: SandboxServer, client: SignedClient) -> None:
    answer = client.send("POST", "/sdk/agents", document={"name": "a", "scopes": {}})
    first = {row["request_id"] for row in feed(server, answer.json())["items"]}
    assert first == {answer.headers["X-Request-ID"]}
    agent = alter(server, "create", "--name", "b")
    (one,) = {row["request_id"] for row in feed(server, agent)["items"]}
    alter(server, "mint-key", "--agent", agent["id"])
    assert feed(server, agent)["items"][0]["request_id"] not in (None, one)


def test_the_feed_comes_in_pages(server: SandboxServer) -> None:
    agent = alter(server, "create", "--name", "a")
    for number in range(3):
        alter(server, "update", "--agent", agent["id"], "--display-name", f"A {number}")
    whole = feed(server, agent)
    assert (whole["limit"], whole["offset"], whole["total"], whole["has_more"]) == (50, 0, 5, False)
    page = feed(server, agent, "--limit", "2", "--offset", "1")
    assert page["items"] == whole["items"][1:3]
    assert page["has_more"] is True
    lines = run_alter(server, "audit", "--agent", agent["id"], "--output", "jsonl").rows
    assert lines == whole["items"]
    table = run_alter(server, "audit", "--agent", agent["id"], "--limit", "1").stdout.splitlines()
    assert table[0].split() == ["AT", "ACTION", "ACTOR", "ACTOR", "TYPE", "KEY", "ID", "CHANGED"]
    assert table[1].split()[1:] == ["agent.update", "owner@sandbox.example", "user", "-", "display_name"]
    assert table[2] == "1 of 5, from 0 on"


def test_what_changes_nothing_is_no_event(server: SandboxServer) -> None:
    agent = alter(server, "create", "--name", "a")
    alter(server, "update", "--agent", agent["id"], "--metadata", "{}")
    alter(server, "undeprecate-key", "--agent", agent["id"], "--key", agent["key_id"])
    assert (
        run_alter(server, "revoke-key", "--agent", agent["id"], "--key", agent["key_id"], "--yes").code == 5
    )
    assert [row["action"] for row in feed(server, agent)["items"]] == ["key.mint", "agent.create"]


def test_the_audit_table_itself_names_the_user(server: SandboxServer) -> None:
    agent = alter(server, "create", "--name", "a")
    assert {row["user"] for row in server.store.audit_log(agent["id"])} == {"owner@sandbox.example"}
