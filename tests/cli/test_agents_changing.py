"""``alter-sync agents``: agents created, updated and revoked by hand."""

import io
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from reconciler.errors import ExitCode
from reconciler.sandbox import SandboxServer
from tests.support.commands import (
    TO_FILES,
    Result,
    declare,
    held_key,
    mutations,
    plaintexts,
    readers,
    run,
    terminal,
)
from tests.support.planes import Plane, allow_only
from tests.support.sandbox_server import SignedClient

GOOGLE = '{"google": ["gmail.readonly"]}'


def agents(*words: str, said: str = "") -> Result:
    """One of the commands, which has to succeed; on stderr it says this or nothing."""
    result = run("agents", *words, "-q")
    assert result.code == ExitCode.OK, result
    assert said in result.stderr if said else result.stderr == ""
    return result


def show(name: str) -> dict[str, Any]:
    document: dict[str, Any] = agents("show", "--agent", name, "-o", "json").document
    return document


def everything(server: SandboxServer) -> list[dict[str, Any]]:
    """All agents and keys, to see that nothing has changed."""
    tables = ("agents", "keys")
    return [dict(row) for table in tables for row in server.store.rows(f"SELECT * FROM {table} ORDER BY seq")]


# create


def test_an_agent_is_created_with_its_fields(alter: SandboxServer, plane: Plane) -> None:
    words = (
        "--name",
        "nightly-sync",
        "--display-name",
        "Nightly Sync",
        "--type",
        "service",
        "--scopes",
        GOOGLE,
    )
    created = agents("create", *words, "--show-key", "-o", "json").document
    assert created["format"] == "alter-sync.created/1"
    assert (created["name"], created["display_name"], created["type"], created["owner"]) == (
        "nightly-sync",
        "Nightly Sync",
        "service",
        None,
    )
    assert created["scopes"] == {"google": ["gmail.readonly"]}
    assert created["delivered_to"] is None
    assert alter.use_key(created["api_key"]) == created["key_id"]
    assert created["api_key"].startswith(created["key_prefix"])
    assert show("nightly-sync")["id"] == created["id"]


def test_what_is_not_said_of_a_new_agent_is_the_default(alter: SandboxServer, plane: Plane) -> None:
    created = agents("create", "--name", "a", "--show-key", "-o", "jsonl").rows[0]
    assert (created["type"], created["scopes"], created["display_name"], created["metadata"]) == (
        "agent",
        {},
        None,
        {},
    )


@pytest.mark.parametrize("source", ["@body.json", "-"])
def test_a_body_from_a_file_or_from_standard_input_replaces_the_flags(
    alter: SandboxServer, plane: Plane, source: str
) -> None:
    body = {"name": "a", "type": "service", "display_name": "A", "scopes": {"google": ["gmail.readonly"]}}
    Path("body.json").write_text(json.dumps(body))
    created = run(
        "agents", "create", "--input", source, "--show-key", "-o", "json", stdin=io.StringIO(json.dumps(body))
    ).document
    assert {name: created[name] for name in body} == body


def test_a_body_may_have_metadata_and_a_policy_where_the_plane_can_set_them(
    alter: SandboxServer, plane: Plane
) -> None:
    Path("body.json").write_text('{"name": "a", "metadata": {"team": "pay"}, "policy": {"x": 1}}')
    result = run("agents", "create", "--input", "@body.json", "--show-key", "-o", "json")
    if plane == "sdk":
        assert result.document["metadata"] == {"team": "pay"}
        assert result.document["policy"] == {"x": 1}
    else:
        assert result.code == ExitCode.USAGE
        assert "sets neither metadata nor policy" in result.stderr
        assert [row for row in everything(alter) if row.get("agent_id")] == []


def test_the_key_of_a_new_agent_goes_to_a_sink_unseen(alter: SandboxServer, plane: Plane) -> None:
    declare(readers("other"), **TO_FILES)
    result = agents("create", "--name", "a", "--sink", "env", "-o", "json")
    created = result.document
    assert created["delivered_to"] == {"sink": "env", "place": "secrets/a.env"}
    assert created["api_key"] is None
    key = held_key("a")
    assert alter.use_key(key) == created["key_id"]
    assert key not in result.stdout + result.stderr
    table = agents("create", "--name", "b", "--sink", "env")
    assert re.search(r"^delivered to +env \(secrets/b.env\)$", table.stdout, re.MULTILINE)
    assert plaintexts(table.stdout) == set()


def test_a_declared_agent_that_is_created_by_hand_has_to_be_adopted(alter: SandboxServer) -> None:
    declare(readers("a"), **TO_FILES)
    agents("create", "--name", "a", "--scopes", GOOGLE, "--sink", "env", said="`alter-sync adopt a`")
    assert "alter-sync adopt" in run("plan").stdout + run("plan").stderr


def test_a_name_that_is_taken_is_a_conflict(alter: SandboxServer, plane: Plane) -> None:
    agents("create", "--name", "a", "--show-key")
    before = everything(alter)
    again = run("agents", "create", "--name", "a", "--show-key", "-o", "json")
    assert (again.code, again.document["code"]) == (ExitCode.CONFLICT, "agent_name_exists")
    assert everything(alter) == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "create needs --name"),
        (("--name", "Nightly Sync"), "lower-case letters, digits, - and _"),
        (("--name", "a", "--type", "bot"), "'agent', 'service'"),
        (("--name", "a", "--scopes", '{"google": ["x",]}'), "--scopes: not JSON at line 1, column "),
        (("--name", "a", "--scopes", '{\n"google": oops}'), "--scopes: not JSON at line 2, column 11"),
        (("--name", "a", "--scopes", "[]"), "--scopes: a list instead of an object"),
        (("--name", "a", "--scopes", '{"google": "x"}'), "--scopes: at google: "),
        (("--name", "a", "--scopes", '{"google": ["x", 7]}'), "--scopes: at google[1]: 7"),
        (("--name", "a", "--scopes", '{"google": [""]}'), "the name of a scope"),
        (("--name", "a", "--scopes", '{"google": [], "google": []}'), "the key 'google' is there twice"),
        (("--name", "a", "--scopes", '{"google": NaN}'), "NaN is no JSON number"),
        (("--name", "a", "--scopes", "[" * 100_000), "nested too deeply"),
        (("--name", "a", "--scopes", json.dumps({"g": ["x" * 13_000]})), "Alter allows 12288"),
        (("--name", "a", "--input", "-"), "--input replaces --name"),
        (
            ("--scopes", "{}", "--type", "agent", "--display-name", "A", "--input", "-"),
            "--input replaces --d",
        ),
        (("--input", "body.json"), "--input @PATH, or -"),
        (("--input", "-"), "--input: not JSON at line 1, column 1"),
        (("--input", "@latin"), "is not UTF-8 at byte 0"),
        (("--input", "@."), "cannot be read: Is a directory"),
        (("--input", "@large"), "1 MiB at most"),
        (("--input", "@{}"), "--input: at name: None"),
        (("--input", '@{"name": "a", "nmae": 1}'), "there is no field 'nmae'"),
        (("--input", '@{"name": "a", "zzzzzz": 1}'), "fields: name, type"),
        (("--input", '@{"name": "a", "type": "bot"}'), "allowed is agent or service"),
        (("--input", '@{"name": "a", "display_name": 1}'), "--input: at display_name: 1"),
        (("--input", '@{"name": "a", "metadata": []}'), "--input: at metadata: a list instead"),
        (("--input", '@{"name": "a", "policy": null}'), "--input: at policy: null"),
        (("--input", '@{"name": "a", "scopes": true}'), "--input: at scopes: true"),
        (("--input", '@{"name": "a", "scopes": {"g": {}}}'), "--input: at scopes.g: an object instead"),
        (("--input", '@{"name": "a", "metadata": {"alter-sync": {}}}'), "never written by hand"),
        (("--input", "@true"), "--input: true or false instead of an object"),
        (("--input", "@null"), "--input: null instead of an object"),
        (("--input", "@1"), "--input: a number instead of an object"),
        (("--input", '@"a"'), "--input: a text instead of an object"),
    ],
)
def test_what_no_agent_can_be_made_of_is_refused_with_its_place(
    alter: SandboxServer, words: Sequence[str], said: str
) -> None:
    Path("latin").write_bytes(b"\xff")
    Path("large").write_text(" " * (1024 * 1024 + 1))
    given = list(words)
    if words and words[-1].startswith("@") and words[-1] not in {"@latin", "@large", "@."}:
        Path("body.json").write_text(words[-1][1:])
        given[-1] = "@body.json"
    refused = run("agents", "create", *given, "--show-key")
    assert refused.code == ExitCode.USAGE
    assert said in refused.stderr
    assert alter.store.request_log() == []


def test_a_body_that_is_not_there_is_not_found(alter: SandboxServer) -> None:
    assert run("agents", "create", "--input", "@nowhere", "--show-key").code == ExitCode.NOT_FOUND


def test_a_field_that_no_answer_has_is_refused_before_anything_is_made(alter: SandboxServer) -> None:
    for fields in ("nmae,api_key", "name"):
        refused = run("agents", "create", "--name", "a", "--show-key", "-o", "json", "--fields", fields)
        assert refused.code == ExitCode.USAGE
    created = agents("create", "--name", "a", "--show-key", "-o", "json", "--fields", "id,api_key").document
    assert list(created) == ["id", "api_key"]
    for words in (
        ("update", "--agent", "a", "--display-name", "B"),
        ("revoke", "--agent", "a", "--yes"),
        ("mint-key", "--agent", "a", "--show-key"),
        ("deprecate-key", "--agent", "a", "--key", "k"),
        ("revoke-key", "--agent", "a", "--key", "k", "--yes"),
    ):
        alter.store.clear_request_log()
        assert run("agents", *words, "-o", "json", "--fields", "nmae").code == ExitCode.USAGE
        assert alter.store.request_log() == []


# update


def test_an_update_changes_what_is_given_and_nothing_else(alter: SandboxServer, plane: Plane) -> None:
    with SignedClient(alter) as client:
        client.create("a", display_name="A", metadata={"team": "pay", "tier": 1})
    renamed = agents("update", "--agent", "a", "--display-name", "B", "-o", "json").document
    assert renamed["format"] == "alter-sync.agent/1"
    assert (renamed["display_name"], renamed["metadata"], renamed["version"]) == (
        "B",
        {"team": "pay", "tier": 1},
        2,
    )
    replaced = agents(
        "update", "--agent", renamed["id"], "--metadata", '{"team": "ops"}', "-o", "json"
    ).document
    assert (replaced["display_name"], replaced["metadata"]) == ("B", {"team": "ops"})
    both = agents("update", "--agent", "a", "--metadata", "{}", "--display-name", "C", "-o", "jsonl").rows[0]
    assert (both["display_name"], both["metadata"]) == ("C", {})
    assert re.search(
        r"^display name +D$", agents("update", "--agent", "a", "--display-name", "D").stdout, re.M
    )


def test_the_mark_of_an_owned_agent_survives_an_update_and_apply_puts_the_rest_back(
    alter: SandboxServer, plane: Plane
) -> None:
    declared = {"a": {"scopes": {}, "display_name": "A", "metadata": {"team": "pay"}}}
    declare(declared)
    assert run("apply", "--yes").code == ExitCode.OK
    mark = show("a")["metadata"]["alter-sync"]
    words = ("--display-name", "B", "--metadata", '{"mine": 1}')
    said = (
        "a is managed by alter-sync (owner payments/agents): the next apply puts back what its configuration"
    )
    changed = agents("update", "--agent", "a", *words, "-o", "json", said=said).document
    assert changed["metadata"] == {"mine": 1, "alter-sync": mark}
    assert run("apply", "--yes").code == ExitCode.OK
    after = show("a")
    assert (after["display_name"], after["metadata"]["team"], after["metadata"]["mine"]) == ("A", "pay", 1)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "update needs something to change"),
        (("--metadata", "{"), "--metadata: not JSON at line 1, column 2"),
        (("--metadata", "[1]"), "--metadata: a list instead of an object"),
        (("--metadata", '{"alter-sync": null}'), "never written by hand"),
    ],
)
def test_what_no_agent_can_be_updated_with_is_refused(
    alter: SandboxServer, words: Sequence[str], said: str
) -> None:
    refused = run("agents", "update", "--agent", "a", *words)
    assert refused.code == ExitCode.USAGE
    assert said in refused.stderr
    assert alter.store.request_log() == []


def test_an_agent_that_moved_is_a_conflict(alter: SandboxServer) -> None:
    with SignedClient(alter) as client:
        client.create("a")
    alter.faults.add("status", method="PATCH", status=409, body={"error": "agent_concurrent_update"})
    refused = run("agents", "update", "--agent", "a", "--display-name", "B", "-o", "json")
    assert (refused.code, refused.document["code"]) == (ExitCode.CONFLICT, "agent_concurrent_update")
    assert "alter-sync agents show --agent a" in refused.document["hint"]
    assert show("a")["display_name"] is None


# revoke


def test_a_revocation_asks_and_says_what_is_affected(alter: SandboxServer, plane: Plane) -> None:
    with SignedClient(alter) as client:
        made = client.create("a")
        client.send("POST", f"/sdk/agents/{made['id']}/keys", document={})
    before = everything(alter)
    for word in ("n", "maybe", ""):
        with terminal(word) as stdin:
            refused = run("agents", "revoke", "--agent", "a", stdin=stdin)
        assert refused.code == ExitCode.ERROR
        assert f"Revoke agent a ({made['id']}) and its 2 live keys? [y/N] " in refused.stderr
        assert "nothing was changed" in refused.stderr
    for flags in ((), ("--no-input",)):
        with terminal("y") as stdin:
            nobody = run("agents", "revoke", "--agent", "a", *flags, stdin=stdin if flags else None)
        assert nobody.code == ExitCode.USAGE
        assert "pass --yes" in nobody.stderr
    assert everything(alter) == before
    with terminal("y") as stdin:
        done = run("agents", "revoke", "--agent", "a", "-o", "json", stdin=stdin)
    assert (done.code, done.document["status"]) == (ExitCode.OK, "revoked")
    assert run("agents", "list", "--status", "active", "-o", "jsonl").stdout == ""


def test_a_revocation_goes_without_asking_and_a_second_one_changes_nothing(
    alter: SandboxServer, plane: Plane
) -> None:
    with SignedClient(alter) as client:
        made = client.create("a")
    assert re.search(
        r"^status +revoked$", agents("revoke", "--agent", made["id"], "--yes").stdout, re.MULTILINE
    )
    before = everything(alter)
    again = agents("revoke", "--agent", made["id"], "-o", "json", said="was revoked already")
    assert again.document["status"] == "revoked"
    assert everything(alter) == before


def test_a_revoked_agent_that_is_still_declared_comes_back_as_is_said(alter: SandboxServer) -> None:
    declare(readers("a"))
    run("apply", "--yes")
    said = "the next apply creates it again, with a new id and a new key, if it is still declared"
    with terminal("n") as stdin:
        asked = run("agents", "revoke", "--agent", "a", stdin=stdin)
    assert said in asked.stderr.partition("[y/N]")[0]
    old = agents("revoke", "--agent", "a", "--yes", "-o", "json", said=said).document
    assert run("apply", "--yes").code == ExitCode.OK
    assert show("a")["id"] != old["id"]


def test_a_server_that_does_not_do_what_it_accepted_is_not_believed(alter: SandboxServer) -> None:
    with SignedClient(alter) as client:
        made = client.create("a")
        body = client.get(f"/sdk/agents/{made['id']}").json()
    before = everything(alter)
    alter.faults.add("status", method="DELETE", status=200, body=body)
    refused = run("agents", "revoke", "--agent", "a", "--yes")
    assert refused.code == ExitCode.ERROR
    assert "does not show it" in refused.stderr
    assert everything(alter) == before


# permissions


@pytest.mark.parametrize(
    ("words", "verb"),
    [
        (("create", "--name", "b", "--show-key"), "write"),
        (("update", "--agent", "a", "--display-name", "B"), "write"),
        (("mint-key", "--agent", "a", "--show-key"), "write"),
        (("deprecate-key", "--agent", "a", "--key", "KEY"), "write"),
        (("undeprecate-key", "--agent", "a", "--key", "KEY"), "write"),
        (("revoke", "--agent", "a", "--yes"), "admin"),
        (("revoke-key", "--agent", "a", "--key", "KEY", "--yes"), "admin"),
    ],
)
def test_a_change_without_the_permission_is_refused_by_its_name(
    alter: SandboxServer,
    plane: Plane,
    monkeypatch: pytest.MonkeyPatch,
    words: Sequence[str],
    verb: str,
) -> None:
    with SignedClient(alter) as client:
        made = client.create("a")
        client.send("POST", f"/sdk/agents/{made['id']}/keys", document={})
    words = [made["key_id"] if word == "KEY" else word for word in words]
    allow_only(monkeypatch, alter, plane, *({"read", "write", "admin"} - {verb}))
    before = everything(alter)
    refused = run("agents", *words, "-o", "json")
    assert (refused.code, refused.document["code"]) == (ExitCode.AUTH, "insufficient_scope")
    assert f"{'agents' if plane == 'sdk' else 'dashboard_agents'}:{verb}" in refused.document["hint"]
    after = everything(alter)
    assert [row for row in after if row.get("agent_id")] == [row for row in before if row.get("agent_id")]
    allow_only(monkeypatch, alter, plane, "read", verb)
    assert run("agents", *words).code == ExitCode.OK
    if plane == "sdk":
        assert len(mutations(alter)) >= 1
