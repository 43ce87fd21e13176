"""The sandbox is as strict as a server that trusts no client."""

from typing import Any

import pytest

from tests.support.sandbox_server import SignedClient

UNKNOWN = "/sdk/agents/00000000-0000-4000-8000-000000000000"


def locations(answer: Any) -> list[list[Any]]:
    assert answer.status_code == 422, answer.text
    return [one["loc"] for one in answer.json()["detail"]]


@pytest.mark.parametrize(
    ("change", "location"),
    [
        ({"name": ""}, ["body", "name"]),
        ({"name": "Upper"}, ["body", "name"]),
        ({"name": "-first"}, ["body", "name"]),
        ({"name": "line\n"}, ["body", "name"]),
        ({"name": "x" * 101}, ["body", "name"]),
        ({"name": 7}, ["body", "name"]),
        ({"type": "robot"}, ["body", "type"]),
        ({"type": None}, ["body", "type"]),
        ({"scopes": []}, ["body", "scopes"]),
        ({"scopes": {"google": []}}, ["body", "scopes", "google"]),
        ({"scopes": {"google": "drive"}}, ["body", "scopes", "google"]),
        ({"scopes": {"google": ["drive", ""]}}, ["body", "scopes", "google"]),
        ({"scopes": {"google": [" drive"]}}, ["body", "scopes", "google"]),
        ({"scopes": {"google": [1]}}, ["body", "scopes", "google"]),
        ({"scopes": {" google": ["drive"]}}, ["body", "scopes", " google"]),
        ({"scopes": {"google": ["x" * 12_288]}}, ["body", "scopes"]),
        ({"metadata": []}, ["body", "metadata"]),
        ({"policy": None}, ["body", "policy"]),
        ({"policy": {"requires_approval": True}}, ["body", "policy", "requires_approval"]),
        (
            {"policy": {"requires_approval": {"approvers": "a@example.com"}}},
            ["body", "policy", "requires_approval", "approvers"],
        ),
        (
            {"policy": {"requires_approval": {"approvers_count": 2}}},
            ["body", "policy", "requires_approval", "approvers_count"],
        ),
        ({"display_name": ""}, ["body", "display_name"]),
        ({"display_name": "x" * 256}, ["body", "display_name"]),
        ({"surprise": 1}, ["body", "surprise"]),
    ],
)
def test_a_create_with_a_wrong_field_names_it(
    client: SignedClient, change: dict[str, Any], location: list[str]
) -> None:
    document = {"name": "a", "scopes": {}, **change}
    assert locations(client.send("POST", "/sdk/agents", document=document)) == [location]


def test_all_findings_come_at_once(client: SignedClient) -> None:
    answer = client.send("POST", "/sdk/agents", document={"type": "robot", "surprise": 1})
    assert locations(answer) == [["body", "surprise"], ["body", "name"], ["body", "scopes"], ["body", "type"]]


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b"\xff",
        b"[]",
        b'"text"',
        b'{"name": NaN}',
        b'{"name": 1e999}',
        b'{"name": "\\ud800"}',
        b"[" * 100_000,
    ],
)
def test_a_body_that_is_no_json_object_is_refused(client: SignedClient, content: bytes) -> None:
    assert locations(client.send("POST", "/sdk/agents", content=content)) == [["body"]]


def test_scopes_of_exactly_the_limit_are_taken(client: SignedClient) -> None:
    room = 12_288 - len('{"g":[""]}')
    assert client.create("a", scopes={"g": ["x" * room]})["version"] == 1
    too_long = {"name": "b", "scopes": {"g": ["x" * (room + 1)]}}
    assert locations(client.send("POST", "/sdk/agents", document=too_long)) == [["body", "scopes"]]


def test_repeated_scopes_count_once(client: SignedClient) -> None:
    created = client.create("a", scopes={"google": ["drive", "drive", "openid"]})
    assert created["scopes"] == {"google": ["drive", "openid"]}


@pytest.mark.parametrize(
    ("query", "document", "location"),
    [
        ("", {"scopes": {}}, ["query", "expected_version"]),
        ("?grace_seconds=5", {"display_name": "x"}, ["query", "grace_seconds"]),
        ("?expected_version=0", {}, ["query", "expected_version"]),
        ("?expected_version=one", {}, ["query", "expected_version"]),
        ("?expected_version=1&grace_seconds=-1", {"scopes": {}}, ["query", "grace_seconds"]),
        ("?expected_version=1&grace_seconds=604801", {"scopes": {}}, ["query", "grace_seconds"]),
        ("", {"status": "revoked"}, ["body", "status"]),
        ("", {"name": "new"}, ["body", "name"]),
        ("", {"type": "service"}, ["body", "type"]),
    ],
)
def test_an_update_with_a_wrong_part_names_it(
    client: SignedClient, query: str, document: dict[str, Any], location: list[str]
) -> None:
    assert locations(client.send("PATCH", UNKNOWN + query, document=document)) == [location]


@pytest.mark.parametrize("grace", [0, 604_800])
def test_the_grace_period_may_be_from_nothing_to_a_week(client: SignedClient, grace: int) -> None:
    created = client.create("a", scopes={"google": ["drive"]})
    target = f"/sdk/agents/{created['id']}?expected_version=1&grace_seconds={grace}"
    assert client.send("PATCH", target, document={"scopes": {}}).status_code == 200


@pytest.mark.parametrize(
    ("query", "location"),
    [
        ("limit=0", ["query", "limit"]),
        ("limit=1001", ["query", "limit"]),
        ("limit=ten", ["query", "limit"]),
        ("offset=-1", ["query", "offset"]),
        ("include_revoked=maybe", ["query", "include_revoked"]),
    ],
)
def test_a_page_that_makes_no_sense_is_refused(client: SignedClient, query: str, location: list[str]) -> None:
    assert locations(client.get(f"/sdk/agents?{query}")) == [location]


def test_a_display_name_can_be_taken_away(client: SignedClient) -> None:
    created = client.create("a", display_name="A")
    changed = client.send("PATCH", f"/sdk/agents/{created['id']}", document={"display_name": None})
    assert (changed.json()["display_name"], changed.json()["version"]) == (None, 2)


def test_force_is_true_or_false(client: SignedClient) -> None:
    assert locations(client.send("DELETE", f"{UNKNOWN}/keys/x?force=yes")) == [["query", "force"]]


def test_minting_takes_no_fields(client: SignedClient) -> None:
    assert locations(client.send("POST", f"{UNKNOWN}/keys", document={"name": "x"})) == [["body", "name"]]


@pytest.mark.parametrize("key", ["", "x" * 256])
def test_an_idempotency_key_has_1_to_255_characters(client: SignedClient, key: str) -> None:
    answer = client.send(
        "POST", "/sdk/agents", document={"name": "a", "scopes": {}}, headers={"Idempotency-Key": key}
    )
    assert (answer.status_code, answer.json()["error"]) == (422, "idempotency_key_invalid")


def test_an_id_is_found_in_either_case(client: SignedClient) -> None:
    created = client.create("a")
    assert client.get(f"/sdk/agents/{created['id'].upper()}").status_code == 200


def test_an_exact_name_is_looked_up_alone(client: SignedClient) -> None:
    client.create("a")
    page = client.get("/sdk/agents?name=a").json()
    assert (page["total"], page["has_more"], [one["name"] for one in page["items"]]) == (1, False, ["a"])
    assert client.get("/sdk/agents?name=").json()["items"] == []
