"""The JSON of the `alter` executable is not published: what can be understood is, the rest is named."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from reconciler import errors
from reconciler.alter import dashboard_wire as read
from reconciler.model.activity import ActionKind

PLAINTEXT = "alter_ak_abcdefghijklmnopqrstuv_abcdef"
AGENT: dict[str, Any] = {
    "id": "a-1",
    "name": "nightly-sync",
    "display_name": "Nightly Sync",
    "type": "service",
    "status": "active",
    "scopes": {"google": ["gmail.readonly"], "camelCase": ["someScope"]},
    "scopes_pending": None,
    "metadata": {
        "costCenter": "4711",
        "alter-sync": {"owner": "o", "app": "a", "spec": {"metadata.aB": "x"}},
    },
    "policy": {"requiresApproval": True},
    "version": 7,
    "created_at": "2026-11-01T00:00:00Z",
}


def camel(document: dict[str, Any]) -> dict[str, Any]:
    """The same with the names of its fields in camelCase; what they hold stays."""

    def name(text: str) -> str:
        head, *rest = text.split("_")
        return head + "".join(word.capitalize() for word in rest)

    return {name(key): value for key, value in document.items()}


@pytest.mark.parametrize(
    "document",
    [AGENT, camel(AGENT), {"agent": AGENT}, {"data": camel(AGENT)}, {"result": AGENT, "requestId": "r"}],
)
def test_an_agent_is_read_in_whatever_it_is_wrapped(document: dict[str, Any]) -> None:
    agent = read.read_agent(read.object_of(document, what="agent", route="r"), route="r")
    assert (agent.id, agent.name, agent.type, agent.version) == ("a-1", "nightly-sync", "service", 7)
    assert agent.scopes.as_json() == {"camelCase": ["someScope"], "google": ["gmail.readonly"]}
    assert agent.own_metadata == {"costCenter": "4711"}
    assert agent.policy == {"requiresApproval": True}
    assert agent.mark is not None
    assert agent.mark.spec == {"metadata.aB": "x"}


@pytest.mark.parametrize(
    "document",
    [
        [AGENT],
        {"items": [AGENT]},
        {"agents": [camel(AGENT)], "total": 1},
        {"data": {"agents": [AGENT]}},
        {"rows": [AGENT], "total": 1},
        {"warnings": [], "items": [AGENT]},
    ],
)
def test_a_list_is_found_wherever_it_is(document: Any) -> None:
    [row] = read.rows_of(document, what="agent", route="r")
    assert read.read_agent(row, route="r").name == "nightly-sync"


@pytest.mark.parametrize("document", [None, 3, "x", {}, {"a": [1], "b": [2]}, {"items": "none"}])
def test_what_holds_no_list_is_no_list(document: Any) -> None:
    with pytest.raises(errors.BadAnswer, match="it holds no list of agents"):
        read.rows_of(document, what="agent", route="r")


@pytest.mark.parametrize("missing", ["name", "type", "status", "scopes", "metadata", "version", "created_at"])
def test_what_is_missing_of_an_agent_is_named(missing: str) -> None:
    row = {key: value for key, value in AGENT.items() if key != missing}
    assert not read.is_whole_agent(row)
    with pytest.raises(errors.BadAnswer, match=f'has no field "{missing}"'):
        read.read_agent(row, route="r")


def test_an_agent_without_an_id_is_none() -> None:
    row = {key: value for key, value in AGENT.items() if key != "id"}
    assert not read.is_whole_agent(row)
    assert read.is_whole_agent({**row, "agent_id": "a-2"})
    with pytest.raises(errors.BadAnswer, match='field "id"'):
        read.read_agent(row, route="r")


@pytest.mark.parametrize(
    ("document", "count", "has_more", "total"),
    [
        ([], 0, False, 0),
        ([], 2, True, 3),
        ({"total": 9, "has_more": True}, 2, True, 9),
        ({"total": 2, "hasMore": False}, 2, False, 2),
        ({"total": "many"}, 1, False, 1),
    ],
)
def test_what_a_page_does_not_say_of_the_whole_is_concluded(
    document: Any, count: int, has_more: bool, total: int
) -> None:
    agent = read.read_agent(AGENT, route="r")
    page = read.page_of(document, [agent] * count, offset=0, limit=2)
    assert (page.has_more, page.total) == (has_more, total)


@pytest.mark.parametrize(
    "row",
    [
        {"key_id": "k-1", "key_prefix": "alter_ak_x", "name": "n", "created_at": "2026-11-01T00:00:00Z"},
        {"id": "k-1", "prefix": "alter_ak_x", "created_at": "2026-11-01T00:00:00Z"},
        {"keyId": "k-1", "createdAt": "2026-11-01T00:00:00Z", "lastUsedAt": None},
    ],
)
def test_keys_are_read_oldest_first(row: dict[str, Any]) -> None:
    younger = {"key_id": "k-2", "created_at": "2026-11-02T00:00:00Z", "deprecated_at": "2026-11-03T00:00:00Z"}
    keys = read.read_keys({"keys": [younger, row]}, route="r")
    assert [key.key_id for key in keys] == ["k-1", "k-2"]
    assert keys[1].deprecated_at is not None


@pytest.mark.parametrize(
    "document",
    [
        {"api_key": PLAINTEXT, "key_id": "k-1"},
        {"apiKey": PLAINTEXT, "keyId": "k-1", "keyPrefix": "alter_ak_se"},
        {"key": {"id": "k-1", "plaintext": PLAINTEXT}},
        {"id": "k-1", "key": PLAINTEXT},
        {**AGENT, "api_key": PLAINTEXT, "key_id": "k-1"},
        {"agent": AGENT, "key": {"key_id": "k-1", "api_key": PLAINTEXT}},
        {"agent": AGENT, "api_key": PLAINTEXT, "key_id": "k-1"},
    ],
)
def test_the_new_key_is_found_wherever_its_plaintext_stands(document: dict[str, Any]) -> None:
    minted = read.read_minted(document, route="r")
    assert minted.key_id == "k-1"
    assert minted.plaintext is not None
    assert minted.plaintext.starts_with(PLAINTEXT)
    assert PLAINTEXT not in repr(minted)


def test_the_id_of_a_new_agent_is_not_taken_for_that_of_its_key() -> None:
    with pytest.raises(errors.BadAnswer, match='field "key_id"'):
        read.read_minted({**AGENT, "api_key": PLAINTEXT}, route="r")


@pytest.mark.parametrize(
    ("action", "kind"),
    [
        ("agent.create", "create_agent"),
        ("agent.update", "update_agent"),
        ("AgentUpdated", "update_agent"),
        ("agent_suspended", "update_agent"),
        ("managed_agent.revoked", "revoke_agent"),
        ("key.mint", "mint_key"),
        ("agent_key_minted", "mint_key"),
        ("AgentKeyCreated", "mint_key"),
        ("agent.mint_key", "mint_key"),
        ("agent-key.revoked", "revoke_key"),
        ("key.deprecate", "deprecate_key"),
        ("agent_key_undeprecated", "undeprecate_key"),
        ("agent.narrowing_applied", "other"),
        ("", "other"),
        ("key.read", "other"),
    ],
)
def test_an_action_is_known_however_it_is_spelled(action: str, kind: ActionKind) -> None:
    assert read.kind_of(action) == kind


@pytest.mark.parametrize(
    "row",
    [
        {"at": "2026-11-01T00:00:00Z", "action": "agent.update", "actor": "jane", "changed": ["scopes"]},
        {
            "timestamp": "2026-11-01T00:00:00Z",
            "event": "agent.update",
            "actor": {"id": "u-1", "email": "jane"},
            "details": {"changedFields": ["scopes"]},
        },
        {
            "created_at": "2026-11-01T00:00:00Z",
            "type": "agent.update",
            "user_email": "jane",
            "changes": {"scopes": {"before": {}, "after": {}}},
        },
    ],
)
def test_an_event_tells_when_who_and_what(row: dict[str, Any]) -> None:
    [found] = read.rows_of([row], what="event", route="r")
    event = read.read_event(found, route="r")
    assert (event.at, event.kind) == (datetime(2026, 11, 1, tzinfo=UTC), "update_agent")
    assert (event.actor, event.fields) == ("jane", ("scopes",))


def test_an_event_may_tell_less_but_not_nothing() -> None:
    event = read.read_event({"at": "2026-11-01T00:00:00Z", "action": "key.mint", "keyId": None}, route="r")
    assert (event.actor, event.fields, event.key_id) == ("", None, None)
    with pytest.raises(errors.BadAnswer, match='the event has no field "at"'):
        read.read_event({"action": "key.mint"}, route="r")


@pytest.mark.parametrize(
    "row",
    [
        {"actor_id": "x", "name": "bot", "last_activity_at": "2026-11-01T00:00:00Z", "activity_count_30d": 3},
        {"id": "x", "label": "bot", "last_seen": "2026-11-01T00:00:00Z", "count_30_days": 3},
    ],
)
def test_an_entry_of_the_registry_tells_whom_it_saw(row: dict[str, Any]) -> None:
    entry = read.read_entry(row, route="r")
    assert (entry.actor_id, entry.name, entry.recent_count) == ("x", "bot", 3)
    assert entry.last_activity_at == datetime(2026, 11, 1, tzinfo=UTC)
    with pytest.raises(errors.BadAnswer, match='no field "actor_id"'):
        read.read_entry({"name": "bot"}, route="r")
