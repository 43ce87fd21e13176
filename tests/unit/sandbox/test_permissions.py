"""Each route asks for its own permission, and for nothing more."""

import pytest

from reconciler.sandbox import SandboxServer
from reconciler.sandbox.catalog import APP_PERMISSIONS
from tests.support.sandbox_server import SignedClient

AGENT = "/sdk/agents/00000000-0000-4000-8000-000000000000"
KEY = f"{AGENT}/keys/00000000-0000-4000-8000-000000000001"

ROUTES = [
    ("GET", "/sdk/agents", "agents:read"),
    ("GET", AGENT, "agents:read"),
    ("GET", f"{AGENT}/keys", "agents:read"),
    ("POST", "/sdk/agents", "agents:write"),
    ("PATCH", AGENT, "agents:write"),
    ("POST", f"{AGENT}/keys", "agents:write"),
    ("PATCH", f"{KEY}/deprecate", "agents:write"),
    ("PATCH", f"{KEY}/undeprecate", "agents:write"),
    ("DELETE", AGENT, "agents:admin"),
    ("DELETE", KEY, "agents:admin"),
    ("GET", "/sdk/oauth/provider-catalog", "providers:read"),
]


@pytest.mark.parametrize(("method", "target", "permission"), ROUTES)
def test_a_route_needs_its_permission_and_only_that(
    server: SandboxServer, method: str, target: str, permission: str
) -> None:
    others = [one for one in APP_PERMISSIONS if one != permission]
    with SignedClient(server, server.create_app_key(others)) as lacking:
        answer = lacking.send(method, target)
        detail = answer.json()["detail"]
        assert (answer.status_code, detail["error"]) == (403, "insufficient_scope")
        assert (detail["required"], detail["missing"]) == ([permission], [permission])
        assert detail["granted"] == sorted(others)
        assert permission in detail["hint"]
    with SignedClient(server, server.create_app_key([permission])) as holding:
        assert holding.send(method, target).status_code in (200, 404, 422)


def test_any_key_reads_the_permission_catalogue(server: SandboxServer) -> None:
    with SignedClient(server, server.create_app_key([])) as client:
        assert client.get("/sdk/scopes").status_code == 200


def test_a_request_can_be_narrowed_and_never_widened(server: SandboxServer) -> None:
    key = server.create_app_key(["agents:read", "agents:write", "providers:read"])
    with SignedClient(server, key) as client:
        narrowed = client.get("/sdk/oauth/provider-catalog", constraints="agents:write")
        assert (narrowed.status_code, narrowed.json()["detail"]["granted"]) == (403, ["agents:write"])
        widened = client.get("/sdk/scopes", constraints="agents:read,agents:admin")
        assert widened.status_code == 200  # nothing is needed for this, so nothing is looked at
        widened = client.get("/sdk/agents", constraints="agents:read,agents:admin")
        assert (widened.status_code, widened.json()["detail"]["error"]) == (400, "constraint_not_narrowing")


@pytest.mark.parametrize(("method", "target", "permission"), ROUTES[:-1])
def test_an_agent_s_key_manages_nothing(
    server: SandboxServer, client: SignedClient, method: str, target: str, permission: str
) -> None:
    created = client.create("a")
    with SignedClient(server, created["api_key"]) as agent:
        answer = agent.send(method, target)
        assert (answer.status_code, answer.json()["error"]) == (403, "agent_cannot_mint_subagents")


def test_every_answer_to_a_deprecated_key_carries_the_header(
    server: SandboxServer, client: SignedClient
) -> None:
    created = client.create("a")
    client.send("PATCH", f"/sdk/agents/{created['id']}/keys/{created['key_id']}/deprecate")
    with SignedClient(server, created["api_key"]) as agent:
        for target in ("/sdk/agents/me", "/sdk/scopes", "/sdk/agents"):
            assert agent.get(target).headers["X-Alter-Key-Deprecated"] == "true"
    assert "X-Alter-Key-Deprecated" not in client.get("/sdk/agents").headers


def test_a_suspended_agent_may_only_look_at_itself(server: SandboxServer, client: SignedClient) -> None:
    created = client.create("a")
    client.send("PATCH", f"/sdk/agents/{created['id']}", document={"status": "inactive"})
    with SignedClient(server, created["api_key"]) as agent:
        assert agent.get("/sdk/agents/me").json()["status"] == "inactive"
        refused = agent.get("/sdk/scopes")
        assert (refused.status_code, refused.json()["error"]) == (401, "agent_inactive")


@pytest.mark.parametrize("status", ["inactive", "revoked"])
def test_a_caller_must_be_active(server: SandboxServer, client: SignedClient, status: str) -> None:
    created = client.create("a")
    caller = {"X-Alter-Caller": created["id"], "X-Alter-Caller-Type": "agent"}
    assert client.get("/sdk/agents/me", labelled=caller).json()["id"] == created["id"]
    if status == "revoked":
        client.send("DELETE", f"/sdk/agents/{created['id']}")
    else:
        client.send("PATCH", f"/sdk/agents/{created['id']}", document={"status": status})
    refused = client.get("/sdk/agents", labelled=caller)
    assert (refused.status_code, refused.json()["error"]) == (404, "caller_agent_unresolved")


def test_unknown_paths_and_methods_are_answered_in_json(client: SignedClient) -> None:
    assert client.get("/sdk/nothing").json() == {"detail": "Not Found"}
    assert client.send("PUT", "/sdk/agents").status_code == 405
    assert client.get("/sdk/agents/").status_code == 404
