"""``alter-sync agents``: what can be read of agents, their keys and their past."""

import re
from collections.abc import Sequence
from typing import Any

import pytest

from reconciler.errors import ExitCode
from reconciler.sandbox import SandboxServer
from tests.support.commands import Result, declare, mutations, plaintexts, readers, run
from tests.support.planes import Plane, allow_only, use_token
from tests.support.sandbox_server import SignedClient

AGENT_FIELDS = [
    "id", "name", "display_name", "type", "status", "scopes", "scopes_pending", "scopes_applies_at", "policy",
    "metadata", "version", "created_at", "last_used_at", "owner",
]  # fmt: skip


def agents(*words: str) -> Result:
    """One of the commands that has to succeed without a word on stderr."""
    result = run("agents", *words)
    assert (result.code, result.stderr) == (ExitCode.OK, ""), result
    return result


def make_fleet(server: SandboxServer) -> dict[str, dict[str, Any]]:
    """Four agents of several kinds; ``gone`` is revoked."""
    with SignedClient(server) as client:
        made = {
            "nightly-sync": client.create(
                "nightly-sync", display_name="Nightly Sync", scopes={"google": ["gmail.readonly"]}
            ),
            "billing": client.create(
                "billing", type="service", display_name="Money", metadata={"team": "pay"}
            ),
            "asleep": client.create("asleep", scopes={"slack": ["chat:write"]}),
            "gone": client.create("gone", type="service"),
        }
        target = f"/sdk/agents/{made['asleep']['id']}?expected_version=1"
        assert client.send("PATCH", target, document={"status": "inactive"}).status_code == 200
        assert client.send("DELETE", f"/sdk/agents/{made['gone']['id']}").status_code == 200
    return made


@pytest.mark.parametrize(
    ("flags", "names"),
    [
        ((), ["asleep", "billing", "gone", "nightly-sync"]),
        (("--status", "active"), ["billing", "nightly-sync"]),
        (("--status", "inactive, revoked"), ["asleep", "gone"]),
        (("--status=active,inactive,revoked",), ["asleep", "billing", "gone", "nightly-sync"]),
        (("--type", "service"), ["billing", "gone"]),
        (("--type", "service", "--status", "active"), ["billing"]),
        (("--provider", "google"), ["nightly-sync"]),
        (("--provider", "goo"), []),
        (("--search", "SYNC"), ["nightly-sync"]),
        (("--search", "mon"), ["billing"]),
        (("--limit", "2"), ["asleep", "billing"]),
        (("--limit", "2", "--offset", "3"), ["nightly-sync"]),
        (("--offset", "9"), []),
    ],
)
def test_a_list_shows_what_its_flags_ask_for(
    alter: SandboxServer, flags: Sequence[str], names: Sequence[str]
) -> None:
    make_fleet(alter)
    assert [row["name"] for row in agents("list", *flags, "-o", "jsonl").rows] == names
    assert [row["name"] for row in agents("list", *flags, "-o", "json").document["items"]] == names
    table = agents("list", *flags).stdout
    assert re.findall(r"^(asleep|billing|gone|nightly-sync) ", table, re.MULTILINE) == names


def test_a_list_and_an_agent_look_the_same_on_both_planes(alter: SandboxServer, plane: Plane) -> None:
    made = make_fleet(alter)
    listed = agents("list", "--output", "json", "--limit", "3").document
    assert {name: listed[name] for name in listed if name != "items"} == {
        "format": "alter-sync.agents/1", "total": 4, "limit": 3, "offset": 0, "has_more": True
    }  # fmt: skip
    assert [list(row) for row in listed["items"]] == [AGENT_FIELDS] * 3
    billing = listed["items"][1]
    assert (
        billing["id"],
        billing["display_name"],
        billing["type"],
        billing["metadata"],
        billing["owner"],
    ) == (
        made["billing"]["id"],
        "Money",
        "service",
        {"team": "pay"},
        None,
    )
    by_id = agents("show", "--agent", billing["id"], "-o", "json").document
    assert by_id == {"format": "alter-sync.agent/1", **billing}
    by_name = agents("show", "--agent", "billing", "-o", "jsonl").rows
    assert by_name == [by_id]
    assert agents("show", "--agent", made["gone"]["id"], "-o", "json").document["status"] == "revoked"
    card = agents("show", "--agent", "billing").stdout
    assert re.search(r"^metadata +\{\"team\": \"pay\"\}$", card, re.MULTILINE)
    assert re.search(r"^owner +none: unmanaged$", card, re.MULTILINE)
    table = agents("list").stdout
    assert re.match(r"NAME +DISPLAY NAME +TYPE +STATUS +PROVIDERS +OWNER +LAST USED \(UTC\) +ID\n", table)
    assert table.endswith("\n4 of 4 agents\n")
    assert agents("list", "--limit", "1").stdout.endswith("\n1 of 4 agents; more with --offset 1\n")


def test_revoked_agents_are_read_only_when_they_are_asked_for(alter: SandboxServer) -> None:
    agents("list", "--status", "active")
    agents("list")
    queries = [request.query for request in alter.store.request_log()]
    assert ["include_revoked=false" in query for query in queries] == [True, False]


def test_fields_choose_what_a_program_gets(alter: SandboxServer) -> None:
    make_fleet(alter)
    assert agents("list", "--type", "service", "-o", "jsonl", "--fields", "name,status").rows == [
        {"name": "billing", "status": "active"},
        {"name": "gone", "status": "revoked"},
    ]
    assert agents("list", "-o", "json", "--fields", "total").document == {"total": 4}
    assert agents("show", "--agent", "billing", "-o", "json", "--fields", "type").document == {
        "type": "service"
    }
    wrong = run("agents", "list", "-o", "json", "--fields", "nmae")
    assert (wrong.code, "did you mean 'name'?" in wrong.stderr) == (ExitCode.USAGE, True)


def test_an_owned_agent_names_its_owner_and_the_sinks_of_its_key(alter: SandboxServer, plane: Plane) -> None:
    sinks = {"env": {"type": "file", "path": "secrets/{agent}.env", "format": "dotenv"}}
    declare({"alpha": {"scopes": {}, "deliver_to": ["env"]}}, sinks=sinks)
    assert run("apply", "--yes").code == ExitCode.OK
    assert agents("show", "--agent", "alpha", "-o", "json").document["owner"] == "payments/agents"
    assert "payments/agents, app payments-prod" in agents("show", "--agent", "alpha").stdout
    (key,) = agents("list-keys", "--agent", "alpha", "-o", "json").document["items"]
    assert key["delivered_to"] == ["env"]
    assert re.search(r"  env$", agents("list-keys", "--agent", "alpha").stdout, re.MULTILINE)


def test_all_keys_of_an_agent_are_listed_oldest_first(alter: SandboxServer, plane: Plane) -> None:
    made = make_fleet(alter)["billing"]
    with SignedClient(alter) as client:
        path = f"/sdk/agents/{made['id']}/keys"
        second, third = (client.send("POST", path, document={}).json() for _ in range(2))
        client.send("PATCH", f"{path}/{second['key_id']}/deprecate", document={})
        client.send("DELETE", f"{path}/{made['key_id']}")
    alter.use_key(third["api_key"])
    listed = agents("list-keys", "--agent", "billing", "-o", "json").document
    assert (listed["format"], listed["agent_id"], listed["agent"]) == (
        "alter-sync.keys/1",
        made["id"],
        "billing",
    )
    assert [(key["key_id"], key["status"]) for key in listed["items"]] == [
        (made["key_id"], "revoked"),
        (second["key_id"], "deprecated"),
        (third["key_id"], "active"),
    ]
    assert [key["last_used_at"] is not None for key in listed["items"]] == [False, False, True]
    assert list(listed["items"][0]) == [
        "key_id", "key_prefix", "name", "status", "created_at", "deprecated_at", "revoked_at", "last_used_at",
        "delivered_to",
    ]  # fmt: skip
    table = agents("list-keys", "--agent", made["id"]).stdout
    assert table.endswith("\n3 keys, 2 live\n")
    assert agents("list-keys", "--agent", "billing", "-o", "jsonl").rows == listed["items"]
    assert plaintexts(table) == set()


def test_the_audit_feed_is_paged_newest_first(alter: SandboxServer, both_planes: None) -> None:
    made = make_fleet(alter)["billing"]
    for number in range(3):
        assert run("agents", "update", "--agent", "billing", "--display-name", f"Money {number}").code == 0
    page = agents("audit", "--agent", made["id"], "--limit", "2", "-o", "json").document
    assert {name: page[name] for name in page if name != "items"} == {
        "format": "alter-sync.audit/1", "agent_id": made["id"], "limit": 2, "offset": 0, "has_more": True
    }  # fmt: skip
    assert [(row["kind"], row["actor"], row["changed"]) for row in page["items"]] == [
        ("update_agent", "alter-sync/agents", ["display_name"])
    ] * 2
    rest = agents("audit", "--agent", "billing", "--offset", "2", "-o", "json").document
    assert ([row["kind"] for row in rest["items"]], rest["has_more"]) == (
        ["update_agent", "mint_key", "create_agent"],
        False,
    )
    assert [row["key_id"] for row in rest["items"]] == [None, made["key_id"], None]
    assert len(agents("audit", "--agent", "billing", "-o", "jsonl").rows) == 5
    table = agents("audit", "--agent", "billing", "--limit", "5").stdout
    assert re.match(r"AT \(UTC\) +ACTION +ACTOR +CHANGED +KEY ID\n", table)
    assert table.endswith("\n5 events\n")
    assert agents("audit", "--agent", "billing", "--limit", "1").stdout.endswith(
        "1 event; more with --offset 1\n"
    )
    assert agents("audit", "--agent", "billing", "--offset", "5").stdout == "No events from 5 on.\n"


def test_the_registry_shows_who_was_at_work(alter: SandboxServer, both_planes: None) -> None:
    made = make_fleet(alter)["billing"]
    alter.use_key(made["api_key"])
    agents("list")
    listed = agents("registry-list", "-o", "json").document
    assert (listed["format"], listed["limit"], listed["has_more"]) == ("alter-sync.registry/1", 50, False)
    by_name = {row["name"]: row for row in listed["items"]}
    assert by_name["billing"]["actor_id"] == made["id"]
    assert by_name["billing"]["activity_count_30d"] == 1
    assert {"alter-sync/agents", "billing"} <= set(by_name)
    one = agents("registry-show", "--agent", made["id"], "-o", "json").document
    assert one == {"format": "alter-sync.registry-entry/1", **by_name["billing"]}
    first, second = (
        agents("registry-list", "--limit", "1", "--offset", offset, "-o", "json").document for offset in "01"
    )
    assert [first["has_more"], second["has_more"]] == [True, False]
    assert {first["items"][0]["name"], second["items"][0]["name"]} == set(by_name)
    assert re.match(
        r"NAME +TYPE +LAST ACTIVITY \(UTC\) +ACTIVITY \(30 DAYS\) +ACTOR ID\n", agents("registry-list").stdout
    )
    assert re.search(
        r"^last 30 days +1$", agents("registry-show", "--agent", made["id"]).stdout, re.MULTILINE
    )
    unknown = run("agents", "registry-show", "--agent", "nobody")
    assert unknown.code == ExitCode.NOT_FOUND


@pytest.mark.parametrize(
    ("words", "permission"),
    [
        (("audit", "--agent", "a"), "dashboard_audit:read"),
        (("registry-list",), "dashboard_agents:read"),
        (("registry-show", "--agent", "a"), "dashboard_agents:read"),
    ],
)
def test_the_past_needs_a_token_and_its_permission(
    alter: SandboxServer,
    monkeypatch: pytest.MonkeyPatch,
    words: Sequence[str],
    permission: str,
) -> None:
    agent_id = make_fleet(alter)["billing"]["id"]
    words = [agent_id if word == "a" else word for word in words]
    refused = run("agents", *words)
    assert refused.code == ExitCode.AUTH
    assert "ALTER_PAT" in refused.stderr
    assert permission in refused.stderr
    monkeypatch.delenv("ALTER_API_KEY")
    assert permission in run("agents", *words).stderr
    use_token(monkeypatch, alter, permissions=["dashboard_agents:write"])
    lacking = run("agents", *words, "-o", "json")
    assert (lacking.code, lacking.document["code"]) == (ExitCode.AUTH, "insufficient_scope")
    assert permission in lacking.document["hint"]
    use_token(monkeypatch, alter, permissions=[permission])
    assert run("agents", *words).code in {ExitCode.OK, ExitCode.NOT_FOUND}


@pytest.mark.parametrize(
    "words",
    [("list",), ("show", "--agent", "billing"), ("show", "--agent", "ID"), ("list-keys", "--agent", "ID")],
)
def test_a_read_without_the_permission_is_refused_by_its_name(
    alter: SandboxServer, plane: Plane, monkeypatch: pytest.MonkeyPatch, words: Sequence[str]
) -> None:
    agent_id = make_fleet(alter)["billing"]["id"]
    words = [agent_id if word == "ID" else word for word in words]
    allow_only(monkeypatch, alter, plane, "write")
    refused = run("agents", *words)
    assert refused.code == ExitCode.AUTH
    assert ("agents:read" if plane == "sdk" else "dashboard_agents:read") in refused.stderr
    allow_only(monkeypatch, alter, plane, "read")
    alter.store.clear_request_log()
    assert run("agents", *words).code == ExitCode.OK
    assert mutations(alter) == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("list", "--status", "actve"), "did you mean 'active'?"),
        (("list", "--status", "active,,"), "allowed: active, inactive, revoked"),
        (("list", "--status", "zzz"), "allowed: active, inactive, revoked"),
        (("list", "--type", "bot"), "'agent', 'service'"),
        (("list", "--limit", "0"), "1<=x<=1000"),
        (("list", "--limit", "1001"), "1<=x<=1000"),
        (("list", "--offset", "-1"), "x>=0"),
        (("audit", "--agent", "a", "--limit", "501"), "1<=x<=500"),
        (("registry-list", "--limit", "1001"), "1<=x<=1000"),
        (("show",), "Missing option '--agent'"),
        (("list-keys",), "Missing option '--agent'"),
        (("audit",), "Missing option '--agent'"),
        (("registry-show",), "Missing option '--agent'"),
        (("list", "--fields", "name"), "--fields needs --output json or jsonl"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_is_asked(
    alter: SandboxServer, words: Sequence[str], said: str
) -> None:
    refused = run("agents", *words)
    assert refused.code == ExitCode.USAGE
    assert said in refused.stderr
    assert alter.store.request_log() == []


@pytest.mark.parametrize(
    "words", [("show",), ("list-keys",), ("revoke", "--yes"), ("mint-key", "--show-key")]
)
def test_an_unknown_agent_is_not_found_and_the_nearest_is_named(
    alter: SandboxServer, plane: Plane, words: Sequence[str]
) -> None:
    make_fleet(alter)
    unknown = run("agents", *words, "--agent", "biling", "-o", "json")
    assert (unknown.code, unknown.document["code"]) == (ExitCode.NOT_FOUND, "agent_not_found")
    assert unknown.document["hint"] == "did you mean 'billing'?"


def test_an_unknown_id_and_the_name_of_a_revoked_agent_are_not_found(alter: SandboxServer) -> None:
    make_fleet(alter)
    nobody = "00000000-0000-4000-8000-000000000000"
    for reference in (nobody, "gone", "..", "UPPER"):
        unknown = run("agents", "show", "--agent", reference)
        assert unknown.code == ExitCode.NOT_FOUND
        assert f"there is no agent {reference}" in unknown.stderr


def test_an_agent_may_be_named_like_an_id(alter: SandboxServer) -> None:
    name = "00000000-0000-4000-8000-00000000000a"
    with SignedClient(alter) as client:
        made = client.create(name)
    assert agents("show", "--agent", name, "-o", "json").document["id"] == made["id"]


def test_nothing_is_an_answer_too(alter: SandboxServer, both_planes: None) -> None:
    assert agents("list").stdout == "No agents.\n"
    assert agents("list", "-o", "jsonl").stdout == ""
    assert agents("list", "-o", "json").document["items"] == []
    declare(readers("alpha"))
    assert agents("list", "--provider", "google").stdout == "No agents.\n"


def test_hostile_names_cannot_move_the_cursor(alter: SandboxServer, both_planes: None) -> None:
    with SignedClient(alter) as client:
        client.create("a", display_name="\x1b[2J::error::", metadata={"k": "\x9b1m\u202e"})
    for words in (("list",), ("show", "--agent", "a"), ("audit", "--agent", "a")):
        for output in ("table", "json", "jsonl"):
            text = agents(*words, "-o", output).stdout
            assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", text)
