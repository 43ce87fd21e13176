"""``alter-sync agents`` as a whole: its help, its configuration, its planes, and what leaves no trace."""

import os
import re
from pathlib import Path
from typing import Any

import pytest

from reconciler.errors import ExitCode
from reconciler.sandbox import SandboxServer
from tests.support.commands import EMBEDDED, TO_FILES, declare, plaintexts, process, readers, run, use_key_of
from tests.support.planes import use_token
from tests.support.sandbox_server import SignedClient

FLAGS_OF_SEED = {
    "list": "--status --type --provider --search --limit --offset",
    "create": "--name --display-name --type --scopes --input",
    "show": "--agent",
    "audit": "--agent --limit --offset --output",
    "registry-list": "--limit --offset",
    "registry-show": "--agent",
    "update": "--agent --display-name --metadata",
    "revoke": "--agent --yes",
    "mint-key": "--agent",
    "list-keys": "--agent",
    "revoke-key": "--agent --key --force --yes",
    "deprecate-key": "--agent --key",
    "undeprecate-key": "--agent --key",
}
SEED = list(FLAGS_OF_SEED)
SHARED = {
    "--app", "--config", "--output", "--fields", "--sandbox", "--api-key-file", "--no-color", "--no-input",
    "--quiet", "--verbose",
}  # fmt: skip


def test_the_group_alone_is_a_first_step_and_its_help_lists_all_commands(workplace: Path) -> None:
    alone = run("agents")
    assert (alone.code, alone.stderr) == (ExitCode.OK, "")
    assert "alter-sync agents list" in alone.stdout
    assert "More: alter-sync agents --help" in alone.stdout
    listed = run("agents", "--help").stdout.partition("Commands:\n")[2].partition("\n\n")[0]
    assert re.findall(r"^  ([a-z-]+) ", listed, re.MULTILINE) == SEED
    assert "..." not in listed
    assert "agents" in run("--help").stdout


@pytest.mark.parametrize("command", SEED)
def test_every_command_has_the_flags_of_the_seed_and_an_example(workplace: Path, command: str) -> None:
    text = run("agents", command, "--help").stdout
    flags = set(re.findall(r"--[a-z-]+", text.partition("Options:")[2].partition("Example")[0]))
    assert {*FLAGS_OF_SEED[command].split(), *SHARED} <= flags
    assert (
        f"  alter-sync agents {command} " in text.partition("Example")[2] + " " or command == "registry-list"
    )
    assert "Needs" in text or "needs" in text


@pytest.mark.parametrize(
    ("typo", "meant"), [("lst", "list"), ("revokekey", "revoke-key"), ("crete", "create")]
)
def test_a_typing_error_in_a_command_is_recognised(workplace: Path, typo: str, meant: str) -> None:
    wrong = run("agents", typo)
    assert (wrong.code, f"Did you mean '{meant}'" in wrong.stderr) == (ExitCode.USAGE, True)


def test_no_configuration_is_needed_and_a_broken_one_is_only_told(alter: SandboxServer) -> None:
    assert run("agents", "list").stderr == ""
    Path("agents.yaml").write_text("version: 1\n")
    told = run("agents", "list", "-q")
    assert told.code == ExitCode.OK
    assert told.stderr.count("warning: agents.yaml is not used: the configuration has ") == 1
    named = run("agents", "list", "-c", "agents.yaml")
    assert named.code == ExitCode.USAGE
    assert run("agents", "list", "-c", "nowhere.yaml").code in {ExitCode.USAGE, ExitCode.NOT_FOUND}


def test_a_configuration_names_the_app_s_key_and_address(
    alter: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTHER_KEY", os.environ["ALTER_API_KEY"])
    monkeypatch.delenv("ALTER_API_KEY")
    monkeypatch.delenv("ALTER_BASE_URL")
    assert run("agents", "list").code == ExitCode.AUTH
    app = {"name": "payments-prod", "base_url": alter.base_url, "api_key_env": "OTHER_KEY"}
    declare(readers("a"), app=app)
    assert run("agents", "list").code == ExitCode.OK


def test_what_is_done_by_hand_is_not_taken_for_a_run_of_the_configuration(alter: SandboxServer) -> None:
    declare(readers("a"))
    run("agents", "create", "--name", "b", "--show-key")
    callers = {row["caller"] for row in alter.store.rows("SELECT caller FROM audit")}
    assert callers == {"alter-sync/agents"}


def test_the_app_may_be_named_in_three_places_and_the_flag_wins(
    alter: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ALTER_API_KEY")
    use_token(monkeypatch, alter)
    app_id = alter.app_id()
    monkeypatch.setenv("ALTER_APP_ID", "another")
    assert run("agents", "list").code == ExitCode.NOT_FOUND
    assert run("agents", "list", "--app", app_id).code == ExitCode.OK
    assert run("agents", "registry-list", "--app", app_id).code == ExitCode.OK
    assert run("agents", "list", "--app", "another").code == ExitCode.NOT_FOUND
    monkeypatch.delenv("ALTER_APP_ID")
    declare(readers("a"), app={"name": "payments-prod", "id": app_id})
    assert run("agents", "list").code == ExitCode.OK
    assert run("agents", "list", "--app", "another").code == ExitCode.NOT_FOUND


def test_a_runtime_key_knows_its_app_and_that_is_said(
    alter: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = run("agents", "list", "--app", "any")
    assert told.stderr == "note: --app does not matter here, the key in ALTER_API_KEY belongs to one app\n"
    key_file = Path("app.key")
    key_file.write_text(os.environ["ALTER_API_KEY"])
    told = run("agents", "list", "--app", "any", "--api-key-file", str(key_file))
    assert "the key in the API key file belongs to one app" in told.stderr
    use_token(monkeypatch, alter)
    assert run("agents", "registry-list", "--app", alter.app_id()).stderr == ""


def test_with_both_credentials_state_goes_over_http_and_the_past_through_the_executable(
    alter: SandboxServer, both_planes: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with SignedClient(alter) as client:
        made = client.create("a")
    # A key that may not read, and a token that may not write: each is used for its own part.
    use_key_of(monkeypatch, alter, "agents:read", "agents:write")
    use_token(monkeypatch, alter, permissions=["dashboard_audit:read"])
    assert run("agents", "update", "--agent", "a", "--display-name", "B").code == ExitCode.OK
    assert run("agents", "audit", "--agent", "a").code == ExitCode.OK
    monkeypatch.delenv("ALTER_API_KEY")
    # An id needs no other permission than that of the feed.
    assert run("agents", "audit", "--agent", made["id"]).code == ExitCode.OK
    assert run("agents", "audit", "--agent", "a").code == ExitCode.AUTH


def test_a_missing_executable_is_named(alter: SandboxServer, monkeypatch: pytest.MonkeyPatch) -> None:
    use_token(monkeypatch, alter)
    monkeypatch.delenv("ALTER_API_KEY")
    monkeypatch.setenv("ALTER_CLI", "no-such-alter")
    missing = run("agents", "list")
    assert (missing.code, "ALTER_CLI" in missing.stderr) == (ExitCode.NOT_FOUND, True)


def test_a_rotation_by_hand_on_the_embedded_alter(workplace: Path) -> None:
    """The three steps of the seed, with both planes and without any credential."""
    said = ""

    def agents(*words: str) -> list[dict[str, Any]]:
        nonlocal said
        done = process("agents", *words, EMBEDDED, "-o", "jsonl")
        assert done.code == ExitCode.OK, done
        said += done.stderr
        return done.rows

    (first,) = agents("create", "--name", "nightly-sync", "--type", "service", "--show-key")
    (second,) = agents("mint-key", "--agent", "nightly-sync", "--show-key")
    Path("key").write_text(second["api_key"])
    assert process("sandbox", "use", "key").code == ExitCode.OK
    old, new = agents("list-keys", "--agent", "nightly-sync")
    assert old["last_used_at"] is None
    assert new["last_used_at"] is not None
    (gone,) = agents("revoke-key", "--agent", "nightly-sync", "--key", first["key_id"], "--yes")
    assert gone["status"] == "revoked"
    done = [row["kind"] for row in agents("audit", "--agent", "nightly-sync")]
    assert done == ["revoke_key", "mint_key", "mint_key", "create_agent"]
    assert {"nightly-sync", "alter-sync/agents"} <= {row["name"] for row in agents("registry-list")}
    assert plaintexts(said) == set()


def test_a_key_that_a_sink_got_is_nowhere_else_on_the_disk(alter: SandboxServer, tmp_path: Path) -> None:
    declare(readers("other"), **TO_FILES)
    assert run("agents", "create", "--name", "a", "--sink", "env").code == ExitCode.OK
    assert run("agents", "mint-key", "--agent", "a", "--sink", "env").code == ExitCode.OK
    holding = {
        path.relative_to(tmp_path).as_posix()
        for path in tmp_path.rglob("*")
        if path.is_file() and plaintexts(path.read_bytes().decode("latin-1"))
    }
    assert {path for path in holding if "sandbox.db" not in path} <= {
        "work/secrets/a.env",
        "work/secrets/.a.env.previous",
    }
