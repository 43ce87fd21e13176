"""Every mutation leaves its trace in the audit log, every request one in the request log."""

from reconciler.sandbox import SandboxServer
from tests.support.sandbox_server import SignedClient

CALLER = {"X-Alter-Caller": "alter-sync/payments", "X-Alter-Caller-Type": "service"}


def test_the_audit_log_says_who_did_what_to_which_agent(server: SandboxServer, client: SignedClient) -> None:
    created = client.send(
        "POST", "/sdk/agents", document={"name": "a", "scopes": {"google": ["drive"]}}, labelled=CALLER
    )
    agent = created.json()
    target = f"/sdk/agents/{agent['id']}"
    minted = client.send("POST", f"{target}/keys", document={}).json()
    old = f"{target}/keys/{agent['key_id']}"
    for method, path, document in (
        ("PATCH", f"{old}/deprecate", {}),
        ("PATCH", f"{old}/deprecate", {}),
        ("PATCH", f"{old}/undeprecate", {}),
        ("DELETE", old, None),
        ("DELETE", old, None),
        ("PATCH", target, {"status": "inactive", "display_name": "A"}),
        ("PATCH", target, {"status": "inactive"}),
        ("PATCH", f"{target}?expected_version=2", {"scopes": {}}),
        ("GET", target, None),
    ):
        assert client.send(method, path, document=document).status_code == 200
    server.store.advance_clock(100_000)
    client.send("DELETE", target)
    client.send("DELETE", target)
    client.create("other")

    rows = server.store.audit_log(agent["id"])
    assert [row["action"] for row in rows] == [
        "agent.create",
        "key.mint",
        "key.mint",
        "key.deprecate",
        "key.undeprecate",
        "key.revoke",
        "agent.update",
        "agent.update",
        "agent.narrowing_applied",
        "agent.revoke",
    ]
    assert [row["target_key_id"] for row in rows[1:6]] == [
        agent["key_id"],
        minted["key_id"],
        *[agent["key_id"]] * 3,
    ]
    assert (rows[0]["caller"], rows[2]["caller"]) == ("alter-sync/payments", None)
    assert rows[0]["request_id"] == created.headers["X-Request-ID"]
    assert rows[5]["detail"] == {"forced": False}
    assert rows[6]["detail"] == {"changed": ["display_name", "status"]}
    assert rows[8]["actor_key_id"] is None
    assert all(row["actor_key_id"] for row in rows if row["action"] != "agent.narrowing_applied")
    assert len(server.store.audit_log()) == len(rows) + 2
    listed = client.http.get("/_sandbox/audit", params={"agent_id": agent["id"]}).json()["items"]
    assert listed == rows


def test_the_request_log_tells_reads_from_changes(server: SandboxServer, client: SignedClient) -> None:
    client.get("/sdk/agents?limit=1")
    client.create("a")
    client.http.get("/sdk/agents")
    log = server.store.request_log()
    assert [(one.method, one.path, one.query, one.status, one.mutating) for one in log] == [
        ("GET", "/sdk/agents", "limit=1", 200, False),
        ("POST", "/sdk/agents", "", 201, True),
        ("GET", "/sdk/agents", "", 401, False),
    ]
    assert log[0].key_id == log[1].key_id is not None
    assert log[2].key_id is None
    over_http = client.http.get("/_sandbox/requests").json()["items"]
    assert [one["mutating"] for one in over_http] == [False, True, False]
    client.http.delete("/_sandbox/requests")
    assert server.store.request_log() == []


def test_a_plaintext_key_is_in_no_log(server: SandboxServer, client: SignedClient) -> None:
    created = client.create("a")
    client.http.post("/_sandbox/use", json={"api_key": created["api_key"]})
    logs = f"{server.store.audit_log()}{server.store.request_log()}"
    assert created["api_key"] not in logs
    assert client.key not in logs
