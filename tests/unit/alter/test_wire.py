from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler import errors
from reconciler.alter import wire
from reconciler.model.agent import AgentName, AgentPatch, NewAgent
from reconciler.model.scopes import Scopes
from tests.unit.alter.fakes import agent_json, key_json, page_json

ROUTE = "GET /sdk/agents"


def read(**changes: Any) -> Any:
    return wire.read_agent(agent_json(**changes), route=ROUTE)


def test_an_agent_is_read_whole_and_unknown_fields_are_ignored() -> None:
    agent = read(
        scopes={"slack": ["b", "a", "a"], "empty": []},
        scopes_pending={},
        scopes_applies_at="2026-11-25T00:00:00+02:00",
        policy={"requires_approval": {"approvers_count": 2}},
        metadata={"team": "x"},
        last_used_at="2026-11-20T00:00:00.123456",
        stored_legacy_managed_secret_names=["Old"],
        version=3.0,
        brand_new={"x": 1},
    )
    assert agent.scopes == Scopes.of({"slack": ["a", "b"]})
    assert agent.scopes_pending == Scopes()
    assert agent.scopes_applies_at == datetime(2026, 11, 24, 22, tzinfo=UTC)
    assert agent.last_used_at == datetime(2026, 11, 20, 0, 0, 0, 123456, tzinfo=UTC)
    assert agent.created_at.utcoffset() is not None
    assert (agent.version, agent.stored_legacy_secrets) == (3, ("Old",))


def test_absent_and_null_are_nothing_where_nothing_is_allowed() -> None:
    document = agent_json(policy=None, metadata=None, stored_legacy_managed_secret_names=None)
    for name in ("display_name", "scopes_pending", "scopes_applies_at", "last_used_at"):
        del document[name]
    agent = wire.read_agent(document, route=ROUTE)
    assert (agent.policy, agent.metadata, agent.scopes_pending, agent.display_name) == ({}, {}, None, None)


@pytest.mark.parametrize("name", ["id", "name", "type", "status", "version", "created_at", "scopes"])
def test_a_missing_required_field_is_named_with_the_route(name: str) -> None:
    document = agent_json()
    del document[name]
    with pytest.raises(errors.BadAnswer, match=f'has no field "{name}"$') as caught:
        wire.read_agent(document, route=ROUTE)
    assert caught.value.message.startswith(ROUTE)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("id", 7),
        ("id", ""),
        ("id", "alter_ak_abcdefghijklmnopqrstuv_234567"),
        ("name", None),
        ("type", "robot"),
        ("status", "paused"),
        ("version", "1"),
        ("version", True),
        ("created_at", "soon"),
        ("created_at", 1_700_000_000),
        ("last_used_at", "0001-01-01T00:00:00+14:00"),
        ("scopes", ["a"]),
        ("scopes", None),
        ("scopes", {"slack": "chat"}),
        ("scopes", {"slack": [1]}),
        ("scopes_pending", {"slack": None}),
        ("display_name", 5),
        ("metadata", []),
        ("policy", "x"),
        ("stored_legacy_managed_secret_names", "x"),
        ("stored_legacy_managed_secret_names", [1]),
    ],
)
def test_a_field_of_a_wrong_kind_is_named_but_its_value_not_shown(name: str, value: Any) -> None:
    with pytest.raises(errors.BadAnswer, match=f'has a field "{name}" that is not'):
        read(**{name: value})


def test_the_agent_is_named_only_when_its_name_can_be_shown() -> None:
    with pytest.raises(errors.BadAnswer, match="the agent agent-00007 has"):
        wire.read_agent(agent_json(7, version=None), route=ROUTE)
    with pytest.raises(errors.BadAnswer, match="the agent has"):
        read(name="\x1b[2J", version=None)


@pytest.mark.parametrize("document", [None, [], "x", 1])
def test_an_answer_that_is_no_object_is_refused(document: Any) -> None:
    with pytest.raises(errors.BadAnswer, match="is not an object"):
        wire.read_page(document, route=ROUTE)


def test_a_page_needs_its_flag_and_its_items() -> None:
    page = wire.read_page(page_json([agent_json()], has_more=True, total=5), route=ROUTE)
    assert (len(page.agents), page.total, page.has_more) == (1, 5, True)
    broken: list[dict[str, Any]] = [{"has_more": 0}, {"items": {}}, {"total": -1}]
    for changes in broken:
        with pytest.raises(errors.BadAnswer, match=next(iter(changes))):
            wire.read_page(page_json([]) | changes, route=ROUTE)


def test_keys_come_oldest_first_whatever_the_server_does() -> None:
    keys = wire.read_keys({"items": [key_json(3), key_json(1), key_json(2)]}, route=ROUTE)
    assert [key.created_at.day for key in keys] == [1, 2, 3]


def test_a_minted_plaintext_goes_into_a_secret_and_its_prefix_may_be_missing() -> None:
    plaintext = "alter_ak_" + "x" * 29
    minted = wire.read_minted({"key_id": "k", "api_key": plaintext}, route=ROUTE)
    assert minted.plaintext is not None
    assert minted.plaintext.reveal() == plaintext
    assert minted.key_prefix == plaintext[:15]
    assert plaintext not in repr(minted)
    named = wire.read_minted({"key_id": "k", "api_key": plaintext, "key_prefix": "p"}, route=ROUTE)
    assert named.key_prefix == "p"


def test_a_replayed_create_has_a_key_without_plaintext_but_an_absent_field_is_a_fault() -> None:
    assert wire.read_minted({"key_id": "k", "api_key": None}, route=ROUTE).plaintext is None
    for document in ({"key_id": "k"}, {"key_id": "k", "api_key": ""}, {"api_key": "x"}):
        with pytest.raises(errors.BadAnswer):
            wire.read_minted(document, route=ROUTE)


def test_catalogues_are_read() -> None:
    providers = {
        "slack": {"available_scopes": {"chat:write": {"required": True}}},
        "x": {"available_scopes": {}},
    }
    found = wire.read_provider_scopes({"providers": providers}, route=ROUTE)
    assert found == {"slack": frozenset({"chat:write"}), "x": frozenset()}
    catalogue = {"resources": {"agents": {"verbs": ["read", "write"]}}, "action_verbs": ["token:retrieve"]}
    permissions = wire.read_key_permissions(catalogue, route=ROUTE)
    assert permissions == {"agents:read", "agents:write", "token:retrieve"}
    with pytest.raises(errors.BadAnswer, match="available_scopes"):
        wire.read_provider_scopes({"providers": {"slack": {}}}, route=ROUTE)


def test_bodies_leave_out_what_is_not_set_and_are_compact() -> None:
    body = NewAgent(AgentName("a"), "agent", Scopes.of({"s": ["x"]}), MappingProxyType({"k": (1, 2)}))
    assert (
        wire.encode(wire.new_agent_body(body))
        == b'{"name":"a","type":"agent","scopes":{"s":["x"]},"metadata":{"k":[1,2]}}'
    )
    patch = AgentPatch(scopes=Scopes(), status="inactive")
    assert wire.encode(wire.patch_body(patch)) == b'{"scopes":{},"status":"inactive"}'
    assert wire.patch_body(AgentPatch()) == {}


def test_a_value_that_json_cannot_hold_is_a_fault_of_ours() -> None:
    with pytest.raises(TypeError, match="not a JSON value: datetime"):
        wire.encode({"at": datetime.now(UTC)})


@pytest.mark.parametrize(
    ("changes", "patch", "shows"),
    [
        ({}, AgentPatch(), True),
        ({"display_name": "A"}, AgentPatch(display_name="A"), True),
        ({"display_name": "B"}, AgentPatch(display_name="A"), False),
        ({"status": "inactive"}, AgentPatch(status="inactive"), True),
        ({"status": "active"}, AgentPatch(status="inactive"), False),
        ({"metadata": {"a": [1], "gone": None}}, AgentPatch(metadata={"a": (1,)}), True),
        ({"metadata": {"a": 1, "b": 2}}, AgentPatch(metadata={"a": 1}), False),
        ({"scopes": {"s": ["y", "x"]}}, AgentPatch(scopes=Scopes.of({"s": ["x", "y"]})), True),
        ({"scopes": {"s": ["x", "y"]}}, AgentPatch(scopes=Scopes.of({"s": ["x"]})), False),
        (
            {"scopes": {"s": ["x", "y"]}, "scopes_pending": {"s": ["x"]}},
            AgentPatch(scopes=Scopes.of({"s": ["x"]})),
            True,
        ),
        (
            {"scopes": {"s": ["x", "y"]}, "scopes_pending": {"s": ["x"]}},
            AgentPatch(scopes=Scopes.of({"s": ["x", "y"]})),
            False,
        ),
        (
            {"policy": {"requires_approval": {"approvers_count": 2}}},
            AgentPatch(policy={"requires_approval": {"approvers": ["a", "b"]}}),
            True,
        ),
        ({"policy": {"a": 1}}, AgentPatch(policy={"a": 2}), False),
    ],
)
def test_an_agent_shows_a_patch_or_not(changes: dict[str, Any], patch: AgentPatch, shows: bool) -> None:
    assert wire.shows_patch(read(**changes), patch) is shows


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(field=st.sampled_from(sorted(agent_json())), value=json_values)
def test_whatever_a_field_holds_the_agent_is_read_or_refused(field: str, value: Any) -> None:
    refusal = ""
    try:
        read(**{field: value})
    except errors.BadAnswer as exc:
        refusal = exc.message
    assert not refusal or field in refusal


def test_what_the_official_client_reads_we_read() -> None:
    from alter_sdk.agents import _build_agent_from_response

    document = json.loads(json.dumps(agent_json(5, display_name="x", metadata={"a": 1})))
    theirs = _build_agent_from_response(document)
    ours = wire.read_agent(document, route=ROUTE)
    assert (uuid.UUID(ours.id), ours.name, ours.created_at) == (theirs.id, theirs.name, theirs.created_at)
    assert (ours.version, ours.scopes.as_json()) == (theirs.version, theirs.scopes)
