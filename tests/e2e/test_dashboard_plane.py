"""With a personal access token alone: what the `alter` executable can do is done, the rest is refused."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from reconciler.errors import ExitCode
from reconciler.sandbox.catalog import DASHBOARD_PERMISSIONS
from tests.support.commands import (
    TO_FILES,
    Result,
    declare,
    embedded_server,
    held_key,
    plaintexts,
    process,
    readers,
    run,
    use,
)

EXAMPLE = Path(__file__).parents[2] / "examples" / "agents.yaml"


def token_only(monkeypatch: pytest.MonkeyPatch, *permissions: str) -> None:
    """From now on there is no API key, and a token with these permissions; with all unless told."""
    words = [word for permission in permissions for word in ("--permissions", permission)]
    for line in run("sandbox", "dashboard", *words).stdout.splitlines():
        name, _, value = line.removeprefix("export ").partition("=")
        monkeypatch.setenv(name, value)


def state() -> dict[str, Any]:
    """Every row of agents and keys."""
    with embedded_server() as server:
        return {
            table: [dict(row) for row in server.store.rows(f"SELECT * FROM {table} ORDER BY seq")]
            for table in ("agents", "keys", "audit")
        }


@pytest.fixture(autouse=True)
def no_embedded_run(workplace: Path) -> None:
    assert "ALTER_API_KEY" not in os.environ


def test_the_example_applies_but_for_the_agent_that_has_to_be_suspended(
    workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copyfile(EXAMPLE, "agents.yaml")
    token_only(monkeypatch)
    planned = run("plan")
    assert planned.code == ExitCode.REFUSED
    assert "plane (create agent)  invoice-archiver" in planned.stdout
    assert "cannot create an agent that is declared inactive" in planned.stdout
    assert "Its token needs dashboard_agents:read, dashboard_agents:write." in planned.stdout
    applied = run("apply", "--yes")
    assert applied.code == ExitCode.REFUSED, applied.stderr
    assert "Apply: 14 done; 1 blocked" in applied.stdout
    assert plaintexts(applied.stdout + applied.stderr + planned.stdout) == set()
    use("nightly-sync", "release-notes", "support-assistant", "weekly-report")
    use("tenant-acme", "tenant-globex", "tenant-initech")
    before = state()
    again = run("apply", "--yes")
    assert "Nothing can be carried out" in again.stdout
    assert state() == before
    # The other plane finds what this one made to be in order, and does the rest.
    finished = run("apply", "--yes", "--sandbox")
    assert finished.code == ExitCode.OK
    assert "Plan: 1 to create, 1 to suspend, 1 key to mint; 7 in sync" in finished.stdout
    assert run("plan", "--detailed-exitcode").code == ExitCode.OK


def test_a_scope_change_is_refused_when_it_is_planned_and_nothing_is_changed(
    workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(readers("alpha", "beta"))
    token_only(monkeypatch)
    assert run("apply", "--yes").code == ExitCode.OK
    before = state()
    declare({"alpha": {"scopes": {"google": ["gmail.send"]}}, **readers("beta")})
    for command in (("plan",), ("apply", "--yes"), ("apply", "--yes", "--output", "json")):
        refused = run(*command)
        assert refused.code == ExitCode.REFUSED
        assert "cannot change the scopes of a live agent" in refused.stdout
        assert "ALTER_API_KEY" in refused.stdout
    assert state() == before
    allowed = run("apply", "--yes", "--allow", "plane=alpha")
    assert allowed.code == ExitCode.USAGE
    assert "nothing lets this guard pass" in allowed.stderr


def test_agents_are_updated_rotated_and_revoked(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    declare(readers("alpha", "beta"), **TO_FILES)
    token_only(monkeypatch)
    assert run("apply", "--yes").code == ExitCode.OK
    first = held_key("alpha")
    declare({"alpha": {"scopes": {"google": ["gmail.readonly"]}, "display_name": "A"}}, **TO_FILES)
    changed = run("apply", "--yes")
    assert (changed.code, changed.stderr.count("refused")) == (ExitCode.OK, 0)
    assert "Apply: 2 done" in changed.stdout
    rotated = run("rotate", "alpha", "--yes")
    assert rotated.code == ExitCode.OK
    assert held_key("alpha") != first
    assert "observing" in run("status").stdout
    use("alpha")
    revoked = run("apply", "--yes", "--allow", "key-in-use=alpha")
    assert revoked.code == ExitCode.OK
    assert "revoked key" in revoked.stdout
    use("alpha")
    with embedded_server() as server:
        actors = {row["user"] for row in server.store.rows("SELECT * FROM audit")}
        living = [row["digest"] for row in server.store.rows("SELECT * FROM keys WHERE revoked_at IS NULL")]
    assert actors == {"owner@sandbox.example"}
    assert len(living) == 1
    assert run("plan", "--detailed-exitcode").code == ExitCode.OK


def test_a_plan_of_one_plane_is_not_carried_out_on_the_other(
    workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(readers("alpha"), app={"name": "payments-prod", "base_url": "https://alter.test"})
    token_only(monkeypatch)
    assert run("plan", "--save", "plan.json").code == ExitCode.OK
    stale = run("apply", "plan.json", "--yes", "--sandbox")
    assert stale.code == ExitCode.STALE


@pytest.mark.parametrize("missing", ["dashboard_agents:write", "dashboard_agents:admin"])
def test_a_missing_permission_is_named(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    declare(readers("alpha"))
    token_only(monkeypatch)
    assert run("apply", "--yes").code == ExitCode.OK
    declare(readers("beta") if missing.endswith("admin") else {**readers("alpha", "beta")})
    token_only(monkeypatch, *(name for name in DASHBOARD_PERMISSIONS if name != missing))
    refused = run("apply", "--yes")
    assert refused.code in {ExitCode.AUTH, ExitCode.PARTIAL}
    assert missing in refused.stdout
    assert "ALTER_PAT" in refused.stdout


def dying(workplace: Path, monkeypatch: pytest.MonkeyPatch, *, after: str) -> None:
    """An `alter` that carries the command out and then kills the process that called it, once."""
    real = os.environ["ALTER_CLI"]
    program, done = workplace / "dying-alter", workplace / "died"
    program.write_text(
        "#!/bin/sh\n"
        f'answer=$("{real}" "$@") || exit $?\n'
        f'if [ "$2" = "{after}" ] && [ ! -e "{done}" ]; then touch "{done}"; kill -9 $PPID; exit 1; fi\n'
        'printf "%s" "$answer"\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("ALTER_CLI", str(program))


def killed(*words: str) -> Result:
    result = process(*words)
    assert result.code == -9, result.stderr
    return result


@pytest.mark.parametrize("after", ["update", "mint-key", "list-keys", "deprecate-key"])
def test_killed_in_a_rotation_two_more_runs_end_with_one_delivered_key(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, after: str
) -> None:
    declare(readers("alpha"), **TO_FILES)
    token_only(monkeypatch)
    assert run("apply", "--yes").code == ExitCode.OK
    use("alpha")
    dying(workplace, monkeypatch, after=after)
    killed("rotate", "alpha", "--yes")
    for _ in range(2):
        assert run("apply", "--yes").code == ExitCode.OK
    use("alpha")
    document = run("status", "--output", "json").document
    [agent] = document["agents"]
    assert agent["stage"] in {"steady", "observing"}
    assert all(key["explanation"] for key in agent["keys"] if key["revoked_at"] is None)


def test_killed_before_a_new_agent_is_marked_the_decision_that_is_needed_is_named(
    workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(readers("alpha"), **TO_FILES)
    token_only(monkeypatch)
    dying(workplace, monkeypatch, after="create")
    killed("apply", "--yes")
    for _ in range(2):
        left = run("apply", "--yes")
        assert "alter-sync adopt" in left.stdout
    assert run("adopt", "alpha", "--yes").code == ExitCode.OK
    for _ in range(2):
        assert run("apply", "--yes").code == ExitCode.OK
    use("alpha")
