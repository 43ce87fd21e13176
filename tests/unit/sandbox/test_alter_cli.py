"""The `alter` executable: every command and flag, what it answers, how it ends and what it does."""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reconciler.sandbox import SandboxServer
from reconciler.sandbox.catalog import DASHBOARD_PERMISSIONS
from tests.support.commands import terminal
from tests.support.sandbox_server import SignedClient, alter, run_alter, running_sandbox

NOBODY = "00000000-0000-4000-8000-000000000000"
COMMANDS = [
    ("list", [], "dashboard_agents:read"),
    ("create", ["--name", "b"], "dashboard_agents:write"),
    ("show", ["--agent", "{id}"], "dashboard_agents:read"),
    ("audit", ["--agent", "{id}"], "dashboard_audit:read"),
    ("registry-list", [], "dashboard_agents:read"),
    ("registry-show", ["--agent", "{id}"], "dashboard_agents:read"),
    ("update", ["--agent", "{id}", "--display-name", "B"], "dashboard_agents:write"),
    ("revoke", ["--agent", "{id}", "--yes"], "dashboard_agents:admin"),
    ("mint-key", ["--agent", "{id}"], "dashboard_agents:write"),
    ("list-keys", ["--agent", "{id}"], "dashboard_agents:read"),
    ("revoke-key", ["--agent", "{id}", "--key", "{key_id}", "--force", "--yes"], "dashboard_agents:admin"),
    ("deprecate-key", ["--agent", "{id}", "--key", "{key_id}"], "dashboard_agents:write"),
    ("undeprecate-key", ["--agent", "{id}", "--key", "{key_id}"], "dashboard_agents:write"),
]

OF_ONE_AGENT = [command for command in COMMANDS if "--agent" in command[1]]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SandboxServer]:
    """A sandbox that nobody serves: the executable needs only its file."""
    server = SandboxServer(tmp_path / "sandbox.db")
    yield server
    server.stop()


@pytest.fixture
def agent(server: SandboxServer) -> dict[str, Any]:
    """An agent `a` whose key has been used."""
    created: dict[str, Any] = alter(server, "create", "--name", "a")
    server.use_key(created["api_key"])
    return created


def filled(words: list[str], agent: dict[str, Any]) -> list[str]:
    return [word.format(id=agent["id"], key_id=agent["key_id"]) for word in words]


def shown(server: SandboxServer, agent: dict[str, Any]) -> Any:
    return alter(server, "show", "--agent", agent["id"])


def names(page: Any) -> list[str]:
    return [row["name"] for row in page["items"]]


# All commands.


@pytest.mark.parametrize(("command", "words", "permission"), COMMANDS)
def test_a_command_needs_its_permission_and_only_that(
    server: SandboxServer, agent: dict[str, Any], command: str, words: list[str], permission: str
) -> None:
    others = sorted(set(DASHBOARD_PERMISSIONS) - {permission})
    words = [command, *filled(words, agent), "--output", "json"]
    refused = run_alter(server, *words, ALTER_PAT=server.create_pat(others))
    assert refused.code == 3
    assert permission in refused.stderr
    assert refused.document["error"] == "insufficient_scope"
    assert (refused.document["required"], refused.document["missing"]) == ([permission], [permission])
    assert permission in refused.document["hint"]
    assert run_alter(server, *words, ALTER_PAT=server.create_pat([permission])).code == 0


@pytest.mark.parametrize("output", ["table", "json", "jsonl"])
@pytest.mark.parametrize(("command", "words", "_permission"), COMMANDS)
def test_a_command_answers_in_every_format(
    server: SandboxServer,
    agent: dict[str, Any],
    output: str,
    command: str,
    words: list[str],
    _permission: str,
) -> None:
    result = run_alter(server, command, *filled(words, agent), f"--output={output}")
    assert result.code == 0
    assert result.stdout.endswith("\n")
    if output == "table":
        assert not result.stdout.startswith("{")
    elif output == "json":
        assert isinstance(result.document, dict)
    else:
        assert all(isinstance(row, dict) for row in result.rows)


@pytest.mark.parametrize(("command", "words", "_permission"), OF_ONE_AGENT)
def test_an_agent_that_is_not_there_is_not_found(
    server: SandboxServer, command: str, words: list[str], _permission: str
) -> None:
    words = [word.format(id=NOBODY, key_id=NOBODY) for word in words]
    result = run_alter(server, command, *words, "--output", "json")
    missing = "actor_not_found" if command == "registry-show" else "agent_not_found"
    assert (result.code, result.document["error"]) == (4, missing)
    assert result.document["hint"] is None
    assert "hint" not in result.stderr


@pytest.mark.parametrize(("command", "words", "_permission"), OF_ONE_AGENT)
def test_a_command_without_what_it_needs_is_a_usage_error(
    server: SandboxServer, command: str, words: list[str], _permission: str
) -> None:
    assert run_alter(server, command).code == 2
    help_text = run_alter(server, command, "--help")
    assert help_text.code == 0
    assert all(flag in help_text.stdout for flag in words if flag.startswith("--"))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "COMMAND"),
        (["destroy"], "invalid choice: 'destroy'"),
        (["list", "--nonsense"], "--nonsense"),
        (["list", "--sta", "active"], "--sta"),
        (["list", "--output", "yaml"], "invalid choice: 'yaml'"),
        (["list", "--status", "active,asleep"], "must be some of active, inactive, revoked"),
        (["list", "--status", ""], "must be some of"),
        (["list", "--type", "robot"], "invalid choice: 'robot'"),
        (["list", "--limit", "0"], "from 1 to 1000"),
        (["list", "--limit", "1001"], "from 1 to 1000"),
        (["list", "--limit", "many"], "from 1 to 1000"),
        (["list", "--offset", "-1"], "--offset"),
        (["list", "--search", "\udcff"], "not valid text"),
        (["audit", "--agent", NOBODY, "--limit", "501"], "from 1 to 500"),
        (["registry-list", "--limit", "1001"], "from 1 to 1000"),
        (["create"], "--name is required"),
        (["create", "--name", "Upper"], "name: Must be 1 to 100 lower-case letters"),
        (["create", "--name", "a", "--scopes", "[]"], "--scopes must be a JSON object"),
        (["create", "--name", "a", "--scopes", '{"google": []}'], "google: Must be a non-empty list"),
        (["create", "--name", "a", "--display-name", ""], "display_name: Must be 1 to 255 characters"),
        (["create", "--input", "body.json"], "must be @FILE, or -"),
        (["create", "--input", "@nowhere.json"], "cannot be read: No such file"),
        (["create", "--input", "-"], "--input must be a JSON object"),
        (["create", "--input", "-", "--name", "a"], "not allowed with --name"),
        (["create", "--input", "-", "--type", "agent", "--scopes", "{}"], "with --type, --scopes"),
        (["create", "--input", "-", "--display-name", "A"], "not allowed with --display-name"),
        (["update", "--agent", NOBODY], "at least one of --display-name and --metadata"),
        (["update", "--agent", NOBODY, "--metadata", "[1]"], "--metadata must be a JSON object"),
        (["update", "--agent", NOBODY, "--metadata", ""], "--metadata must be a JSON object"),
        (["update", "--agent", NOBODY, "--metadata", "{NaN"], "--metadata must be a JSON object"),
        (["revoke", "--agent", NOBODY], "no terminal to ask on"),
        (["revoke-key", "--agent", NOBODY, "--key", NOBODY], "no terminal to ask on"),
        (["revoke-key", "--agent", NOBODY, "--yes"], "--key"),
    ],
    ids=" ".join,
)
def test_what_cannot_be_used_as_given_is_said_in_words_and_in_json(
    server: SandboxServer, words: list[str], said: str
) -> None:
    plain = run_alter(server, *words)
    assert (plain.code, plain.stdout) == (2, "")
    assert said in plain.stderr
    for output in ("json", "jsonl"):
        if words and "--output" not in words:
            asked = run_alter(server, *words, "--output", output)
            assert (asked.code, asked.stderr) == (2, plain.stderr)
            assert said in asked.document["message"]
            assert asked.document["error"] in ("usage", "validation_error")
    assert server.store.audit_log() == []


# Who asks, and of which app.


def test_a_token_that_is_missing_or_no_good_is_refused(server: SandboxServer) -> None:
    revoked, expired = server.create_pat([]), server.create_pat([])
    server.store.set_key_state(revoked, "revoked")
    server.store.set_key_state(expired, "expired")
    for token, code in (
        ("", "token_missing"),
        ("alter_pk_unknown", "invalid_key"),
        (server.app_key(), "invalid_key"),
        (revoked, "key_revoked"),
        (expired, "key_expired"),
    ):
        result = run_alter(server, "list", "--output", "json", ALTER_PAT=token)
        assert (result.code, result.document["error"]) == (3, code)
        assert result.document["hint"]
        assert not token or token not in result.stdout + result.stderr


def test_the_app_is_an_id_or_a_name_from_the_flag_or_the_environment(server: SandboxServer) -> None:
    for app in (server.app_id(), "sandbox"):
        assert run_alter(server, "list", "--app", app, ALTER_APP_ID="other").code == 0
        assert run_alter(server, "list", ALTER_APP_ID=app).code == 0
    none = run_alter(server, "list", ALTER_APP_ID="")
    assert (none.code, "no app is named" in none.stderr) == (2, True)


def test_a_token_sees_its_own_app_alone(server: SandboxServer, agent: dict[str, Any]) -> None:
    other = server.create_pat(DASHBOARD_PERMISSIONS, app="other")
    app_id = server.store.app_id("other")
    for app, token in ((app_id, server.pat()), (server.app_id(), other), ("nowhere", other)):
        refused = run_alter(server, "list", "--app", app, "--output", "json", ALTER_PAT=token)
        assert (refused.code, refused.document["error"]) == (4, "app_not_found")
    theirs: Any = {"ALTER_PAT": other, "ALTER_APP_ID": app_id}
    assert alter(server, "list", **theirs)["items"] == []
    assert alter(server, "registry-list", **theirs)["items"] == []
    for command in ("show", "list-keys", "audit", "registry-show"):
        assert run_alter(server, command, "--agent", agent["id"], **theirs).code == 4


def test_a_database_that_is_no_sandbox_is_named(server: SandboxServer, tmp_path: Path) -> None:
    strange = tmp_path / "notes.txt"
    strange.write_text("no database at all, but long enough to look like something" * 20)
    result = run_alter(server, "list", ALTER_SANDBOX_DATABASE=str(strange))
    assert (result.code, "notes.txt: file is not a database" in result.stderr) == (1, True)
    for path in ("", str(tmp_path / "nowhere.db")):
        result = run_alter(server, "list", ALTER_SANDBOX_DATABASE=path)
        assert (result.code, "there is no sandbox" in result.stderr) == (2, True)
    assert not (tmp_path / "nowhere.db").exists()


def test_a_token_has_the_budget_of_the_server_s_settings(tmp_path: Path) -> None:
    with running_sandbox(tmp_path, rate_limit_per_minute=2) as server:
        # Seven do not fit into two minutes, should one end meanwhile.
        results = [run_alter(server, "list", "--output", "json") for _ in range(7)]
    assert [result.code for result in results[:2]] == [0, 0]
    refused = next(result for result in results if result.code == 6)
    assert refused.document["error"] == "rate_limit_exceeded"
    assert 0 < refused.document["retry_after"] <= 60


@pytest.mark.parametrize("settings", ["{", "[1]", '{"speed": 1}'])
def test_settings_that_are_none_are_refused(server: SandboxServer, settings: str) -> None:
    assert run_alter(server, "list", ALTER_SANDBOX_SETTINGS=settings).code == 2
    assert run_alter(server, "list", ALTER_SANDBOX_SETTINGS="").code == 0


# Agents.


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ([], ["alpha", "beta", "gamma", "beta"]),
        (["--status", "active"], ["alpha", "beta"]),
        (["--status", "inactive"], ["gamma"]),
        (["--status", "revoked,inactive"], ["beta", "gamma"]),
        (["--type", "service"], ["beta", "gamma"]),
        (["--provider", "google"], ["alpha", "beta"]),
        (["--provider", "goo"], []),
        (["--search", "ET"], ["beta", "beta"]),
        (["--search", "nightly"], ["alpha"]),
        (["--search", "%"], []),
        (["--search", ""], ["alpha", "beta", "gamma", "beta"]),
        (["--status", "active", "--type", "agent", "--provider", "google", "--search", "alp"], ["alpha"]),
    ],
    ids=" ".join,
)
def test_agents_are_listed_by_status_type_provider_and_name(
    server: SandboxServer, words: list[str], found: list[str]
) -> None:
    google = ("--scopes", '{"google": ["drive.file"]}')
    alter(server, "create", "--name", "alpha", "--display-name", "Nightly Sync", *google)
    first = alter(server, "create", "--name", "beta", "--type", "service")
    alter(server, "revoke", "--agent", first["id"], "--yes")
    alter(server, "create", "--name", "gamma", "--type", "service")
    alter(server, "create", "--name", "beta", *google)
    with server.store.transaction() as connection:
        connection.execute("UPDATE agents SET status = 'inactive' WHERE name = 'gamma'")
    page = alter(server, "list", *words)
    assert sorted(names(page)) == sorted(found)
    assert (page["total"], page["limit"], page["offset"], page["has_more"]) == (len(found), 50, 0, False)


def test_a_list_comes_in_pages(server: SandboxServer) -> None:
    for number in range(5):
        alter(server, "create", "--name", f"a{number}")
    assert names(alter(server, "list", "--limit", "1000")) == ["a0", "a1", "a2", "a3", "a4"]
    page = alter(server, "list", "--limit", "2", "--offset", "1")
    assert (names(page), page["total"], page["has_more"]) == (["a1", "a2"], 5, True)
    assert alter(server, "list", "--limit", "2", "--offset", "3")["has_more"] is False
    assert alter(server, "list", "--offset", "9999999999")["items"] == []
    lines = run_alter(server, "list", "--limit", "2", "--output", "jsonl")
    assert [row["name"] for row in lines.rows] == ["a0", "a1"]
    assert " " not in lines.stdout.splitlines()[0]
    table = run_alter(server, "list", "--limit", "2", "--offset", "1").stdout.splitlines()
    assert table[0].split() == [
        "ID",
        "NAME",
        "DISPLAY",
        "NAME",
        "TYPE",
        "STATUS",
        "PROVIDERS",
        "LAST",
        "USED",
    ]
    assert [line.split()[1] for line in table[1:3]] == ["a1", "a2"]
    assert table[3] == "2 of 5, from 1 on"


def test_a_new_agent_has_what_was_said_and_a_key_that_works(server: SandboxServer) -> None:
    created = alter(
        server, "create", "--name", "nightly-sync", "--type", "service",
        "--display-name", "Nightly Sync", "--scopes", '{"google": ["drive.file", "drive.file"]}',
    )  # fmt: skip
    assert server.use_key(created["api_key"]) == created["key_id"]
    agent = {name: value for name, value in created.items() if name not in ("api_key", "key_id")}
    assert agent | {"last_used_at": None} == shown(server, agent) | {"last_used_at": None}
    assert (agent["name"], agent["type"], agent["display_name"]) == (
        "nightly-sync",
        "service",
        "Nightly Sync",
    )
    assert (agent["scopes"], agent["metadata"], agent["policy"]) == ({"google": ["drive.file"]}, {}, {})
    plain = alter(server, "create", "--name", "plain")
    assert (plain["type"], plain["display_name"], plain["scopes"]) == ("agent", None, {})


def test_a_body_comes_from_a_file_or_from_standard_input(server: SandboxServer, tmp_path: Path) -> None:
    body = {"name": "a", "display_name": "Ä", "type": "service", "scopes": {"slack": ["chat:write"]}}
    file = tmp_path / "body.json"
    file.write_text(json.dumps(body, ensure_ascii=False), encoding="utf-8")
    from_file = alter(server, "create", "--input", f"@{file}")
    assert from_file | body == from_file
    text = io.StringIO(json.dumps({"name": "b"}))
    assert alter(server, "create", "--input", "-", stdin=text)["scopes"] == {}
    file.write_bytes(b'{"name": "\xff"}')
    broken = run_alter(server, "create", "--input", f"@{file}")
    assert (broken.code, "is not UTF-8 text" in broken.stderr) == (2, True)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"name": "a", "metadata": {}}, "metadata cannot be set when an agent is created"),
        ({"name": "a", "policy": {}, "metadata": {}}, "metadata and policy cannot be set"),
        ({"name": "a", "colour": "red"}, "colour: Extra inputs are not permitted"),
        ({"scopes": {}}, "name: Field required"),
        ({"name": "a", "type": "robot"}, "type: Must be agent or service."),
    ],
    ids=["metadata", "policy", "unknown", "no name", "type"],
)
def test_a_body_that_cannot_be_used_is_refused(server: SandboxServer, body: Any, said: str) -> None:
    result = run_alter(server, "create", "--input", "-", stdin=io.StringIO(json.dumps(body)))
    assert (result.code, result.stdout) == (2, "")
    assert said in result.stderr
    assert alter(server, "list")["total"] == 0


def test_a_name_that_is_taken_is_a_conflict(server: SandboxServer, agent: dict[str, Any]) -> None:
    result = run_alter(server, "create", "--name", "a", "--output", "json")
    assert (result.code, result.document["error"]) == (5, "agent_name_exists")
    assert result.stderr == (
        "error: A non-revoked agent named a exists in this app. (agent_name_exists)\n"
        "hint: Choose another name, or revoke that agent first.\n"
    )


def test_cosmetic_fields_are_changed_and_the_rest_stays(server: SandboxServer, agent: dict[str, Any]) -> None:
    words = ("update", "--agent", agent["id"])
    changed = alter(server, *words, "--display-name", "A", "--metadata", '{"team": "data", "n": {"x": 1}}')
    assert (changed["display_name"], changed["metadata"]) == ("A", {"team": "data", "n": {"x": 1}})
    assert changed["version"] == agent["version"] + 1
    replaced = alter(server, *words, "--metadata", '{"tier": 2}')
    assert (replaced["metadata"], replaced["display_name"]) == ({"tier": 2}, "A")
    same = alter(server, *words, "--metadata", '{"tier": 2}')
    assert same["version"] == replaced["version"]
    assert alter(server, *words, "--metadata", "{}")["metadata"] == {}


def test_metadata_is_merged_where_the_server_merges_it(tmp_path: Path) -> None:
    with running_sandbox(tmp_path, metadata_merge=True) as server:
        agent = alter(server, "create", "--name", "a")
        for block in ('{"x": 1}', '{"y": 2}'):
            alter(server, "update", "--agent", agent["id"], "--metadata", block)
        assert shown(server, agent)["metadata"] == {"x": 1, "y": 2}


def test_a_revoked_agent_loses_its_keys_and_can_only_be_looked_at(
    server: SandboxServer, agent: dict[str, Any]
) -> None:
    target = ("--agent", agent["id"])
    revoked = alter(server, "revoke", *target, "--yes")
    assert revoked["status"] == "revoked"
    assert alter(server, "revoke", *target, "--yes") == revoked
    assert all(key["revoked_at"] for key in alter(server, "list-keys", *target)["items"])
    assert shown(server, agent) == revoked
    for words in (
        ["update", "--display-name", "B"],
        ["mint-key"],
        ["deprecate-key", "--key", agent["key_id"]],
    ):
        assert run_alter(server, *words, *target).code == 4
    assert alter(server, "create", "--name", "a")["id"] != agent["id"]


# Keys.


def test_keys_are_minted_listed_deprecated_and_revoked(server: SandboxServer, agent: dict[str, Any]) -> None:
    target = ("--agent", agent["id"])
    minted = alter(server, "mint-key", *target)
    assert server.use_key(minted["api_key"]) == minted["key_id"]
    old = (*target, "--key", agent["key_id"])
    deprecated = alter(server, "deprecate-key", *old)
    assert deprecated["deprecated_at"] is not None
    assert alter(server, "deprecate-key", *old) == deprecated
    table = run_alter(server, "list-keys", *target).stdout.splitlines()
    assert table[0].endswith("LAST USED")
    assert [line.split()[3] for line in table[1:]] == ["deprecated", "active"]
    assert alter(server, "undeprecate-key", *old)["deprecated_at"] is None
    assert alter(server, "revoke-key", *old, "--yes")["revoked_at"] is not None
    page = alter(server, "list-keys", *target)
    assert [key["key_id"] for key in page["items"]] == [agent["key_id"], minted["key_id"]]
    assert (page["total"], page["has_more"]) == (2, False)
    assert "revoked" in run_alter(server, "list-keys", *target).stdout
    assert "api_key" not in str(page)


def test_what_a_key_s_state_forbids_is_a_conflict(server: SandboxServer, agent: dict[str, Any]) -> None:
    key = ("--agent", agent["id"], "--key", agent["key_id"])

    def conflict(*words: str) -> str:
        result = run_alter(server, *words, "--output", "jsonl")
        assert result.code == 5
        return str(result.rows[0]["error"])

    assert conflict("revoke-key", *key, "--yes") == "last_active_key"
    assert alter(server, "revoke-key", *key, "--yes", "--force")["revoked_at"]
    assert alter(server, "revoke-key", *key, "--yes")["revoked_at"]
    assert conflict("deprecate-key", *key) == "key_revoked"
    assert conflict("undeprecate-key", *key) == "key_revoked"
    for _ in range(server.settings.key_cap):
        alter(server, "mint-key", "--agent", agent["id"])
    assert conflict("mint-key", "--agent", agent["id"]) == "agent_key_limit_reached"
    missing = run_alter(server, "deprecate-key", "--agent", agent["id"], "--key", NOBODY, "--output", "json")
    assert (missing.code, missing.document["error"]) == (4, "key_not_found")


@pytest.mark.parametrize("words", [["create", "--name", "b"], ["mint-key", "--agent", "{id}"]], ids=" ".join)
def test_a_plaintext_is_shown_once_and_said_to_be(
    server: SandboxServer, agent: dict[str, Any], words: list[str]
) -> None:
    result = run_alter(server, *filled(words, agent))
    (line,) = [line for line in result.stdout.splitlines() if line.startswith("api_key:")]
    assert server.use_key(line.split()[1])
    assert result.stderr == "This key is shown once. Keep it now.\n"
    assert line.split()[1] not in run_alter(server, "list-keys", "--agent", agent["id"]).stdout


# Asking.


@pytest.mark.parametrize("command", ["revoke", "revoke-key"])
@pytest.mark.parametrize(("answer", "code"), [("y", 0), ("YES", 0), ("n", 1), ("", 1), ("maybe", 1)])
def test_what_cannot_be_undone_is_asked_about(
    server: SandboxServer, agent: dict[str, Any], command: str, answer: str, code: int
) -> None:
    words = ["--agent", agent["id"]]
    if command == "revoke-key":
        words += ["--key", agent["key_id"], "--force"]
    with terminal(answer) as stdin:
        result = run_alter(server, command, *words, "--output", "json", stdin=stdin)
    assert result.code == code
    assert "[y/N]" in result.stderr
    assert words[1] in result.stderr
    (key,) = alter(server, "list-keys", "--agent", agent["id"])["items"]
    assert (key["revoked_at"] is not None) == (code == 0)
    if code:
        assert result.document["error"] == "declined"


# What strangers write.


def test_a_name_cannot_move_the_cursor(server: SandboxServer) -> None:
    created = alter(server, "create", "--name", "b", "--display-name", "A\x1b[2J\nB")
    table = run_alter(server, "list").stdout + run_alter(server, "show", "--agent", created["id"]).stdout
    assert "\x1b" not in table
    assert "A\\u001b[2J\\u000aB" in table
    assert created["display_name"] == "A\x1b[2J\nB"
    refused = run_alter(server, "list", "--app", "\x1b[2J")
    assert "\x1b" not in refused.stderr


def test_the_token_s_state_survives_a_reset_and_the_rest_does_not(
    server: SandboxServer, agent: dict[str, Any]
) -> None:
    token, limited = server.pat(), server.create_pat(["dashboard_agents:read"], user="ana@example.com")
    server.store.reset()
    assert server.pat() == token
    for pat in (token, limited):
        assert alter(server, "list", ALTER_PAT=pat)["total"] == 0
        assert alter(server, "registry-list", ALTER_PAT=pat)["items"] == []
    assert run_alter(server, "audit", "--agent", agent["id"]).code == 4


def test_both_planes_show_an_agent_alike(tmp_path: Path) -> None:
    with running_sandbox(tmp_path) as server, SignedClient(server) as client:
        agent = client.create("a", scopes={"google": ["drive"]}, metadata={"x": [1]})
        assert shown(server, agent) == client.get(f"/sdk/agents/{agent['id']}").json()
        keys = client.get(f"/sdk/agents/{agent['id']}/keys").json()["items"]
        assert alter(server, "list-keys", "--agent", agent["id"])["items"] == keys
