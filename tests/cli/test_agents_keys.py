"""``alter-sync agents``: keys minted, deprecated and revoked by hand, and where their plaintexts go."""

import io
import json
import os
import re
import signal
import stat
import subprocess
import time
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest

from reconciler.cli import main
from reconciler.errors import ExitCode
from reconciler.sandbox import SandboxServer
from reconciler.sandbox.answers import Refusal
from tests.support.commands import (
    OWNER,
    SCRIPT,
    TO_FILES,
    Result,
    declare,
    environment,
    held_key,
    plaintexts,
    readers,
    run,
    terminal,
)
from tests.support.planes import Plane
from tests.support.sandbox_server import SignedClient

OWNED = f"a is managed by alter-sync (owner {OWNER}): "


def agents(*words: str, said: str = "") -> Result:
    """One of the commands, which has to succeed; on stderr it says this or nothing."""
    result = run("agents", *words, "-q")
    assert result.code == ExitCode.OK, result
    assert said in result.stderr if said else result.stderr == ""
    return result


def keys_of(name: str) -> list[dict[str, Any]]:
    document: dict[str, Any] = agents("list-keys", "--agent", name, "-o", "json").document
    items: list[dict[str, Any]] = document["items"]
    return items


def live_keys(name: str) -> list[str]:
    return [key["key_id"] for key in keys_of(name) if not key["revoked_at"]]


def make(server: SandboxServer, name: str = "a", *, keys: int = 1) -> dict[str, Any]:
    """An unmanaged agent with so many keys; the answer to its create."""
    with SignedClient(server) as client:
        made = client.create(name)
        for _ in range(keys - 1):
            client.send("POST", f"/sdk/agents/{made['id']}/keys", document={})
    return made


def own(server: SandboxServer) -> str:
    """An agent ``a`` of ours; the id of the key that its sink holds."""
    declare(readers("a"), **TO_FILES)
    assert run("apply", "--yes").code == ExitCode.OK
    return server.use_key(held_key("a"))


# mint-key


def test_a_key_is_shown_once_and_only_on_stdout(alter: SandboxServer, plane: Plane) -> None:
    make(alter)
    shown = run("agents", "mint-key", "--agent", "a", "--show-key")
    assert shown.code == ExitCode.OK
    (key,) = plaintexts(shown.stdout)
    assert shown.stdout.count(key) == 1
    assert shown.stdout.endswith(f"\n\n{key}\n")
    assert shown.stderr == "this key is not shown again: keep it now\n"
    assert re.search(rf"^key +{alter.use_key(key)}$", shown.stdout, re.MULTILINE)
    for output in ("json", "jsonl"):
        document = agents("mint-key", "--agent", "a", "--show-key", "-o", output).document
        assert document["format"] == "alter-sync.minted-key/1"
        assert (document["agent"], document["delivered_to"]) == ("a", None)
        assert alter.use_key(document["api_key"]) == document["key_id"]
        everything = agents("list-keys", "--agent", "a", "-o", output).stdout
        assert document["api_key"] not in everything
    assert len(live_keys("a")) == 4


def test_a_key_goes_to_a_sink_and_nobody_sees_it(alter: SandboxServer, plane: Plane) -> None:
    make(alter)
    declare(readers("other"), **TO_FILES)
    said = ""
    for flags in ((), ("-o", "json"), ("-o", "jsonl"), ("-vv",)):
        result = run("agents", "mint-key", "--agent", "a", "--sink", "env", *flags)
        assert result.code == ExitCode.OK
        said += result.stdout + result.stderr
    assert plaintexts(said) == set()
    assert stat.S_IMODE(Path("secrets/a.env").stat().st_mode) == 0o600
    assert alter.use_key(held_key("a")) == live_keys("a")[-1]
    assert '"delivered_to":{"sink":"env","place":"secrets/a.env"}' in said
    assert "env (secrets/a.env)" in said


def test_a_configuration_may_be_named(alter: SandboxServer) -> None:
    make(alter)
    config = declare(readers("other"), file="elsewhere/fleet.yaml", **TO_FILES)
    agents("mint-key", "--agent", "a", "--sink", "env", "-c", str(config))
    assert alter.use_key(held_key("a")) == live_keys("a")[-1]


@pytest.mark.parametrize("command", [("mint-key", "--agent", "a"), ("create", "--name", "b")])
@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ((), "--sink NAME delivers it to a sink of the configuration, --show-key prints it once"),
        (("--sink", "env", "--show-key"), "--sink and --show-key exclude each other"),
        (("--sink", "emv"), "did you mean 'env'?"),
        (("--sink", "zzzzzz"), "it has: env"),
        (("--sink", "env", "-c", "broken.yaml"), "no `app` is declared"),
    ],
)
def test_where_the_key_goes_has_to_be_clear_before_there_is_one(
    alter: SandboxServer, command: Sequence[str], flags: Sequence[str], said: str
) -> None:
    Path("broken.yaml").write_text("version: 1\nowner: x\n")
    declare(readers("other"), **TO_FILES)
    refused = run("agents", *command, *flags)
    assert refused.code == ExitCode.USAGE
    assert said in refused.stderr + refused.stdout
    assert alter.store.request_log() == []


def test_a_sink_needs_a_configuration_that_is_in_order(alter: SandboxServer) -> None:
    make(alter)
    alter.store.clear_request_log()
    without = run("agents", "mint-key", "--agent", "a", "--sink", "env")
    assert (without.code, "there is no agents.yaml" in without.stderr) == (ExitCode.USAGE, True)
    Path("agents.yaml").write_text("version: 1\n")
    assert run("agents", "mint-key", "--agent", "a", "--sink", "env").code == ExitCode.USAGE
    assert alter.store.request_log() == []
    declare(readers("other"))
    assert "it has: none" in run("agents", "mint-key", "--agent", "a", "--sink", "env").stderr


def test_the_sinks_of_an_owned_agent_are_left_to_alter_sync(alter: SandboxServer, plane: Plane) -> None:
    own(alter)
    before = keys_of("a"), held_key("a")
    refused = run("agents", "mint-key", "--agent", "a", "--sink", "env", "-o", "json")
    assert (refused.code, refused.document["code"]) == (ExitCode.REFUSED, "owned")
    assert "`alter-sync rotate a`" in refused.document["hint"]
    assert (keys_of("a"), held_key("a")) == before


def test_a_key_that_is_minted_for_an_owned_agent_is_retired_as_is_said(alter: SandboxServer) -> None:
    own(alter)
    said = OWNED + "the key counts as minted outside: apply, when it next looks at these keys, deprecates it"
    minted = agents("mint-key", "--agent", "a", "--show-key", "-o", "json", said=said).document
    assert run("rotate", "a", "--yes").code == ExitCode.OK
    states = {key["key_id"]: key["status"] for key in keys_of("a")}
    assert states[minted["key_id"]] == "deprecated"


def test_a_sink_that_is_not_ready_gets_no_key(alter: SandboxServer, plane: Plane) -> None:
    make(alter)
    declare(readers("other"), sinks={"env": {"type": "file", "path": "/proc/nowhere/{agent}"}})
    for command in (("mint-key", "--agent", "a"), ("create", "--name", "b")):
        refused = run("agents", *command, "--sink", "env")
        assert refused.code == ExitCode.SINK
    assert len(live_keys("a")) == 1
    assert [row["name"] for row in agents("list", "-o", "jsonl").rows] == ["a"]


def test_a_key_that_no_sink_holds_is_retired_and_that_is_said(alter: SandboxServer, plane: Plane) -> None:
    make(alter)
    # It accepts every key and holds none.
    sink = {"type": "command", "write": ["true"], "read": ["true"], "timeout": "5s"}
    declare(readers("other"), sinks={"env": sink})
    minted = run("agents", "mint-key", "--agent", "a", "--sink", "env", "-o", "json")
    assert (minted.code, minted.document["code"]) == (ExitCode.SINK, "sink_failed")
    _, new = keys_of("a")
    assert new["status"] == "revoked"
    assert minted.document["message"].endswith(f"; key {new['key_id']} was revoked again")
    created = run("agents", "create", "--name", "b", "--sink", "env")
    (only,) = keys_of("b")
    assert (created.code, only["status"]) == (ExitCode.SINK, "deprecated")
    assert f"key {only['key_id']} is deprecated, not revoked: it is the only one" in created.stderr
    said = created.stdout + created.stderr + minted.stdout + minted.stderr
    assert plaintexts(said) == set()


def test_a_key_that_a_write_only_sink_did_not_take_is_retired(alter: SandboxServer) -> None:
    make(alter)
    declare(readers("other"), sinks={"env": {"type": "command", "write": ["false"], "timeout": "5s"}})
    refused = run("agents", "mint-key", "--agent", "a", "--sink", "env")
    assert (refused.code, len(live_keys("a"))) == (ExitCode.SINK, 1)


def on(path: str, *words: str) -> tuple[int, str]:
    """The exit code and stderr of a command whose stdout is that device."""
    stderr = io.StringIO()
    with open(path, "w") as stdout, redirect_stdout(stdout), redirect_stderr(stderr):
        return main.run(["agents", *words]), stderr.getvalue()


def test_a_key_that_nobody_could_see_is_taken_back(alter: SandboxServer, plane: Plane) -> None:
    make(alter)
    for command, fate in (
        (("mint-key", "--agent", "a"), "was revoked again"),
        (("create", "--name", "b"), "is deprecated, not revoked: it is the only one"),
    ):
        code, stderr = on("/dev/full", *command, "--show-key")
        assert code == ExitCode.ERROR
        assert "stdout cannot be written: No space left on device. A new key of agent" in stderr
        assert fate in stderr
        assert plaintexts(stderr) == set()
    assert [key["status"] for key in keys_of("a")] == ["active", "revoked"]
    assert [key["status"] for key in keys_of("b")] == ["deprecated"]


def test_a_stdout_that_leads_nowhere_is_noticed_before_there_is_a_key(alter: SandboxServer) -> None:
    make(alter)
    code, stderr = on("/dev/null", "mint-key", "--agent", "a", "--show-key")
    assert (code, "leads nowhere" in stderr) == (ExitCode.USAGE, True)
    closed = subprocess.run(
        ["/bin/sh", "-c", f"{SCRIPT} agents mint-key --agent a --show-key >&-"],
        env=environment(),
        stderr=subprocess.PIPE,
        text=True,
        timeout=20,
        check=False,
    )
    assert (closed.returncode, "leads nowhere" in closed.stderr) == (ExitCode.USAGE, True)
    assert len(live_keys("a")) == 1


def test_an_agent_that_is_full_gets_no_key(alter: SandboxServer, plane: Plane) -> None:
    make(alter, keys=5)
    full = run("agents", "mint-key", "--agent", "a", "--show-key", "-o", "json")
    assert (full.code, full.document["code"]) == (ExitCode.CONFLICT, "agent_key_limit_reached")


def test_a_lost_answer_to_a_mint_is_not_repeated_and_what_came_of_it_is_named(alter: SandboxServer) -> None:
    make(alter)
    alter.faults.add("drop_after", method="POST")
    lost = run("agents", "mint-key", "--agent", "a", "--show-key", "-o", "json")
    assert lost.code == ExitCode.ERROR
    _, fresh = keys_of("a")
    assert f"what appeared meanwhile: {fresh['key_id']}" in lost.document["message"]
    assert f"revoke-key --agent {_id_of('a')} --key {fresh['key_id']}" in lost.document["hint"]
    alter.faults.add("drop_before", method="POST")
    never = run("agents", "mint-key", "--agent", "a", "--show-key", "-o", "json")
    assert (never.code, len(live_keys("a"))) == (ExitCode.ERROR, 2)
    assert "no new key is listed" in never.document["message"]


def _id_of(name: str) -> str:
    return str(agents("show", "--agent", name, "-o", "json").document["id"])


def test_a_lost_answer_to_a_create_is_repeated_and_its_lost_key_named(alter: SandboxServer) -> None:
    alter.faults.add("drop_after", method="POST")
    lost = run("agents", "create", "--name", "a", "--show-key", "-o", "json")
    assert (lost.code, lost.document["code"]) == (ExitCode.ERROR, "key_lost")
    (key,) = keys_of("a")
    assert key["key_id"] in lost.document["message"]
    assert f"agents mint-key --agent {_id_of('a')}" in lost.document["hint"]
    assert f"--key {key['key_id']}" in lost.document["hint"]
    alter.faults.add("drop_before", method="POST")
    agents("create", "--name", "b", "--show-key")
    assert len(agents("list", "-o", "jsonl").rows) == 2


def test_an_interrupted_mint_is_finished_so_that_its_key_is_not_lost(alter: SandboxServer) -> None:
    made = make(alter)
    alter.faults.add("delay", method="POST", seconds=0.5)
    with subprocess.Popen(
        [SCRIPT, "agents", "mint-key", "--agent", "a", "--show-key", "-o", "json"],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as child:
        # The last request before the mint; one is logged when it is answered.
        while not any(
            request.path == f"/sdk/agents/{made['id']}/keys" for request in alter.store.request_log()
        ):
            time.sleep(0.01)
        child.send_signal(signal.SIGINT)
        stdout, stderr = child.communicate(timeout=15)
    assert (child.returncode, "stopping: what is begun" in stderr) == (ExitCode.INTERRUPTED, True)
    assert alter.use_key(json.loads(stdout)["api_key"]) == json.loads(stdout)["key_id"]


# revoke-key


def test_a_key_is_revoked_after_a_yes(alter: SandboxServer, plane: Plane) -> None:
    made = make(alter, keys=2)
    alter.use_key(made["api_key"])
    words = ("revoke-key", "--agent", "a", "--key", made["key_id"])
    question = (
        rf"Revoke key {made['key_id']} \(alter_ak_\w+…, last used .* UTC\) of agent a \({made['id']}\)\?"
    )
    with terminal("n") as stdin:
        refused = run("agents", *words, stdin=stdin)
    assert refused.code == ExitCode.ERROR
    assert re.search(question + r" It is left with 1 other live key\. \[y/N\] ", refused.stderr)
    nobody = run("agents", *words)
    assert (nobody.code, "pass --yes" in nobody.stderr) == (ExitCode.USAGE, True)
    assert len(live_keys("a")) == 2
    with terminal("yes") as stdin:
        done = run("agents", *words, "-o", "json", stdin=stdin).document
    assert (done["format"], done["key_id"], done["status"]) == ("alter-sync.key/1", made["key_id"], "revoked")
    with pytest.raises(Refusal):
        alter.use_key(made["api_key"])
    again = agents(*words, said="was revoked already")
    assert re.search(r"^status +revoked$", again.stdout, re.MULTILINE)


def test_the_last_key_goes_with_force_only(alter: SandboxServer, plane: Plane) -> None:
    made = make(alter)
    words = ("revoke-key", "--agent", "a", "--key", made["key_id"])
    refused = run("agents", *words, "--yes", "-o", "json")
    assert (refused.code, refused.document["code"]) == (ExitCode.CONFLICT, "last_active_key")
    assert "alter-sync agents mint-key --agent a --sink" in refused.document["hint"]
    with terminal("n") as stdin:
        asked = run("agents", *words, "--force", stdin=stdin)
    assert "It is left with NO live key." in asked.stderr
    assert live_keys("a") == [made["key_id"]]
    assert agents(*words, "--force", "--yes", "-o", "jsonl").rows[0]["status"] == "revoked"
    assert live_keys("a") == []


def test_force_revokes_one_of_several_as_well(alter: SandboxServer, plane: Plane) -> None:
    made = make(alter, keys=2)
    agents("revoke-key", "--agent", "a", "--key", made["key_id"], "--force", "--yes")
    assert len(live_keys("a")) == 1


def test_a_guard_of_the_server_is_passed_on(alter: SandboxServer) -> None:
    """Somebody revokes the other key between our look and our request."""
    made = make(alter, keys=2)
    alter.faults.add("status", method="DELETE", status=409, body={"error": "last_active_key"})
    refused = run("agents", "revoke-key", "--agent", "a", "--key", made["key_id"], "--yes", "-o", "json")
    assert (refused.code, refused.document["code"]) == (ExitCode.CONFLICT, "last_active_key")
    assert "mint-key" in refused.document["hint"]


def test_the_delivered_key_is_replaced_by_a_rotation_as_is_said(alter: SandboxServer, plane: Plane) -> None:
    delivered = own(alter)
    only = run("agents", "revoke-key", "--agent", "a", "--key", delivered, "--yes", "-o", "json")
    assert (only.code, "`alter-sync rotate a` replaces it" in only.document["hint"]) == (
        ExitCode.CONFLICT,
        True,
    )
    said = "its sinks (env) hold this key, and apply, when it next looks at these keys, mints a new one"
    with terminal("n") as stdin:
        asked = run("agents", "revoke-key", "--agent", "a", "--key", delivered, "--force", stdin=stdin)
    assert OWNED + said in asked.stderr.partition("[y/N]")[0]
    agents("revoke-key", "--agent", "a", "--key", delivered, "--force", "--yes", said=OWNED + said)
    assert run("rotate", "a", "--yes").code == ExitCode.OK
    assert alter.use_key(held_key("a")) != delivered


# deprecate-key, undeprecate-key


def test_a_key_is_deprecated_and_that_is_taken_back_without_asking(
    alter: SandboxServer, plane: Plane
) -> None:
    made = make(alter)
    words = ("--agent", "a", "--key", made["key_id"])
    for _ in range(2):
        deprecated = agents("deprecate-key", *words, "-o", "json").document
        assert (deprecated["status"], deprecated["revoked_at"]) == ("deprecated", None)
    assert alter.use_key(made["api_key"]) == made["key_id"]
    for _ in range(2):
        assert agents("undeprecate-key", *words, "-o", "jsonl").rows[0]["status"] == "active"
    assert re.search(r"^status +deprecated$", agents("deprecate-key", *words).stdout, re.MULTILINE)


def test_a_revoked_key_and_an_unknown_one_are_refused(alter: SandboxServer, plane: Plane) -> None:
    made = make(alter, keys=2)
    agents("revoke-key", "--agent", "a", "--key", made["key_id"], "--yes")
    for command in ("deprecate-key", "undeprecate-key"):
        gone = run("agents", command, "--agent", "a", "--key", made["key_id"], "-o", "json")
        assert (gone.code, gone.document["code"]) == (ExitCode.CONFLICT, "key_revoked")
        unknown = run("agents", command, "--agent", "a", "--key", "nothing", "-o", "json")
        assert (unknown.code, unknown.document["code"]) == (ExitCode.NOT_FOUND, "key_not_found")
    near = made["key_id"][:-1] + ("0" if made["key_id"][-1] != "0" else "1")
    wrong = run("agents", "revoke-key", "--agent", "a", "--key", near, "--yes", "-o", "json")
    assert (wrong.code, made["key_id"] in wrong.document["hint"]) == (ExitCode.NOT_FOUND, True)
    far = run("agents", "revoke-key", "--agent", "a", "--key", "k", "--yes", "-o", "json")
    assert (far.code, "list-keys --agent a" in far.document["hint"]) == (ExitCode.NOT_FOUND, True)


def test_what_apply_makes_of_a_deprecation_is_said_and_true(alter: SandboxServer) -> None:
    first = own(alter)
    assert run("rotate", "a", "--yes").code == ExitCode.OK
    second = alter.use_key(held_key("a"))

    def status() -> dict[str, str]:
        return {key["key_id"]: key["status"] for key in keys_of("a")}

    agents(
        "deprecate-key", "--agent", "a", "--key", second, said="so the next apply takes the mark off again"
    )
    agents("undeprecate-key", "--agent", "a", "--key", first, said="the next apply deprecates the key again")
    assert status() == {first: "active", second: "deprecated"}
    assert run("apply", "--yes").code == ExitCode.OK
    assert status() == {first: "deprecated", second: "active"}
    agents("undeprecate-key", "--agent", "a", "--key", second, said="apply leaves it as it is now")
    agents("deprecate-key", "--agent", "a", "--key", first, said="revokes the key once it is quiet")


@pytest.mark.parametrize("command", ["deprecate-key", "undeprecate-key", "revoke-key"])
def test_a_server_that_does_not_do_what_it_accepted_is_not_believed(
    alter: SandboxServer, command: str
) -> None:
    made = make(alter, keys=2)
    words = ("--agent", "a", "--key", made["key_id"], *(["--yes"] if command == "revoke-key" else []))
    key = dict(keys_of("a")[0])
    key["deprecated_at"] = None if command == "deprecate-key" else "2026-01-01T00:00:00Z"
    alter.faults.add("status", method="DELETE" if "--yes" in words else "PATCH", status=200, body=key)
    refused = run("agents", command, *words)
    assert refused.code == ExitCode.ERROR
    assert "does not show it" in refused.stderr


@pytest.mark.parametrize("command", ["deprecate-key", "undeprecate-key", "revoke-key"])
def test_a_key_has_to_be_named(alter: SandboxServer, command: str) -> None:
    refused = run("agents", command, "--agent", "a")
    assert (refused.code, "Missing option '--key'" in refused.stderr) == (ExitCode.USAGE, True)
    assert os.environ["ALTER_API_KEY"] not in refused.stderr
