"""``alter-sync status``: who is live, with which keys, and what is odd about them."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from reconciler.errors import ExitCode
from reconciler.sandbox import SandboxServer
from tests.support.commands import (
    EMBEDDED,
    TO_FILES,
    advance,
    declare,
    declare_rotating,
    held_key,
    mutations,
    readers,
    run,
    use,
    use_key_of,
)
from tests.support.sandbox_server import SignedClient, running_sandbox

SINKS = {"env": {"type": "file", "path": "secrets/{agent}.env", "format": "dotenv"}}


def rows(*flags: str) -> dict[str, Any]:
    """The rows by name of agent."""
    result = run("status", "--output", "jsonl", *flags)
    assert (result.code, result.stderr) == (ExitCode.OK, "")
    return {row["name"]: row for row in result.rows}


def test_an_agent_that_is_not_live_yet_is_listed_with_what_to_do(alter: SandboxServer) -> None:
    declare(readers("alpha"))
    row = rows()["alpha"]
    assert (row["declared"], row["owned"], row["status"]) == (True, False, "not live")
    assert row["note"] == "declared, not live: apply creates it"
    assert "alpha" in run("status").stdout


def test_a_delivered_key_is_shown_with_its_sink(alter: SandboxServer) -> None:
    declare({"alpha": {"scopes": {}, "deliver_to": ["env"]}}, sinks=SINKS)
    run("apply", "--yes")
    row = rows()["alpha"]
    assert row["delivered"]["sinks"] == ["env"]
    assert row["delivered"]["key_id"] == row["keys"][0]["key_id"]
    assert (row["owned"], row["owner"], row["note"]) == (True, "payments/agents", "")
    table = run("status").stdout
    assert row["delivered"]["key_id"][:8] in table
    plaintext = Path("secrets/alpha.env").read_text().partition("AGENT_API_KEY=")[2].split()[0].strip("'\"")
    assert plaintext not in table + run("status", "-o", "json").stdout


def test_a_key_that_nobody_delivered_is_pointed_out(alter: SandboxServer) -> None:
    declare({"alpha": {"scopes": {}, "deliver_to": ["env"]}, "beta": {"scopes": {}}}, sinks=SINKS)
    run("apply", "--yes")
    with SignedClient(alter) as somebody:
        made = somebody.send("POST", f"/sdk/agents/{_id_of(somebody, 'alpha')}/keys", document={}).json()
    listed = rows()
    alpha, beta = listed["alpha"], listed["beta"]
    assert (alpha["stage"], beta["stage"]) == ("orphaned", "undelivered")
    delivered, orphan = alpha["keys"]
    assert (delivered["next"], orphan["next"]) == ("keep", "deprecate")
    assert orphan["key_id"] == made["key_id"]
    assert orphan["explanation"] == "is in no sink and not in the mark: minted outside, or lost"
    assert beta["keys"][0]["explanation"].startswith("no sink is declared for it (deliver_to)")
    table = run("status").stdout
    assert f"    key {made['key_id'][:8]}…, 0 h old, never used: is in no sink" in table
    assert made["api_key"] not in table


def _id_of(client: SignedClient, name: str) -> str:
    agents = client.get("/sdk/agents").json()["items"]
    return str(next(agent["id"] for agent in agents if agent["name"] == name))


def test_owned_and_declared_agents_are_listed_and_strangers_are_not(alter: SandboxServer) -> None:
    declare(readers("alpha", "beta"))
    run("apply", "--yes")
    with SignedClient(alter) as somebody:
        somebody.create("stranger")
        somebody.create("gamma")
    declare(readers("alpha", "gamma"))
    listed = rows()
    assert list(listed) == ["alpha", "beta", "gamma"]
    assert (listed["beta"]["declared"], listed["beta"]["owned"]) == (False, True)
    assert listed["gamma"]["note"] == "not owned by any configuration"
    assert run("status").code == ExitCode.OK


def test_an_unfinished_run_is_pointed_out(alter: SandboxServer) -> None:
    sinks = {"env": {"type": "command", "write": ["false"], "timeout": "5s"}}
    declare({"alpha": {"scopes": {}, "deliver_to": ["env"]}}, sinks=sinks)
    assert run("apply", "--yes").code == ExitCode.SINK
    row = rows()["alpha"]
    assert (row["stage"], row["delivered"]) == ("due", None)
    assert row["keys"][0]["explanation"] == "deprecated; a newer key is about to come"


def test_a_run_that_may_still_be_at_work_is_named_and_waited_for(alter: SandboxServer) -> None:
    declare({"alpha": {"scopes": {}, "deliver_to": ["env"]}}, sinks=SINKS)
    run("apply", "--yes")
    with SignedClient(alter) as somebody:
        (live,) = somebody.get("/sdk/agents").json()["items"]
        claim = {"run": "elsewhere-1-2-3", "at": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}", "keys": []}
        mark = {**live["metadata"]["alter-sync"], "claim": claim}
        metadata = {**live["metadata"], "alter-sync": mark}
        somebody.send("PATCH", f"/sdk/agents/{live['id']}", document={"metadata": metadata})
    row = rows()["alpha"]
    assert row["stage"] == "claimed"
    assert row["keys"][0]["explanation"] == "run elsewhere-1-2-3 is working on this agent's keys"
    assert row["waiting_until"] > claim["at"]
    assert "until " in run("status").stdout
    planned = run("plan")
    assert planned.code == ExitCode.OK
    assert "claimed  run elsewhere-1-2-3 is working" in planned.stdout


def test_the_stage_of_a_rotation_is_shown_from_its_beginning_to_its_end(workplace: Path) -> None:
    declare_rotating("alpha", rotation={"quiet_for": "2h"})
    stages = []

    def look() -> None:
        (row,) = rows(EMBEDDED, "-q").values()
        waits = row["waiting_until"] is not None
        stages.append((row["stage"], [key["next"] for key in row["keys"] if not key["revoked_at"]], waits))

    for step in ("apply", "31d", "apply", "use", "25h", "apply", "20d"):
        if step == "apply":
            assert run("apply", "--yes", EMBEDDED).code == ExitCode.OK
        elif step == "use":
            use("alpha")
        else:
            advance(step)
        look()
    assert stages == [
        ("steady", ["keep"], True),
        ("due", ["deprecate"], False),
        ("observing", ["wait", "keep"], False),
        ("observing", ["wait", "keep"], True),
        ("retiring", ["revoke", "keep"], False),
        ("steady", ["keep"], True),
        ("steady", ["keep"], True),
    ]


def test_it_says_why_a_rotation_is_due(workplace: Path) -> None:
    declare_rotating("alpha")
    run("apply", "--yes", EMBEDDED)
    advance("31d")
    assert "(max_age)" in run("status", EMBEDDED).stdout
    assert "(max_age)" in run("status", EMBEDDED, "-o", "json").stdout


def test_a_use_that_shows_late_keeps_an_unused_looking_key_for_an_hour(workplace: Path) -> None:
    declare_rotating("alpha", rotation={"min_overlap": "0s", "quiet_for": "1h"})
    run("apply", "--yes", EMBEDDED)
    run("rotate", "alpha", "--yes", EMBEDDED)
    use("alpha")
    for stage in ("observing", "retiring"):
        row = rows(EMBEDDED, "-q")["alpha"]
        assert (row["stage"], row["keys"][0]["last_used_at"]) == (stage, None)
        advance("1h")


def test_a_use_that_the_server_has_not_written_yet_is_no_use(
    workplace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(readers("alpha"), **TO_FILES)
    with running_sandbox(tmp_path, last_used_lag_seconds=600) as server:
        monkeypatch.setenv("ALTER_BASE_URL", server.base_url)
        monkeypatch.setenv("ALTER_API_KEY", server.app_key())
        run("apply", "--yes")
        run("rotate", "alpha", "--yes")
        server.use_key(held_key("alpha"))
        old, new = rows()["alpha"]["keys"]
    assert new["last_used_at"] is None
    assert f"waits for key {new['key_id']} to be used (require_use)" in old["explanation"]


def test_targets_choose_and_typing_errors_are_refused(alter: SandboxServer) -> None:
    declare(readers("alpha", "beta"))
    assert list(rows("--target", "be*")) == ["beta"]
    wrong = run("status", "--target", "alhpa")
    assert wrong.code == ExitCode.USAGE
    assert "did you mean 'alpha'?" in wrong.stderr


def test_it_only_reads(alter: SandboxServer, monkeypatch: pytest.MonkeyPatch) -> None:
    declare(readers("alpha"))
    run("apply", "--yes")
    alter.store.clear_request_log()
    use_key_of(monkeypatch, alter, "agents:read")
    assert run("status").code == ExitCode.OK
    assert mutations(alter) == []


def test_no_agents_are_no_lines(alter: SandboxServer) -> None:
    declare({})
    assert run("status", "--output", "jsonl").stdout == ""
    assert run("status", "--output", "json").document["agents"] == []
    assert run("status").code == ExitCode.OK


def test_fields_choose_columns(alter: SandboxServer) -> None:
    declare(readers("alpha"))
    assert run("status", "-o", "jsonl", "--fields", "name,status").rows == [
        {"name": "alpha", "status": "not live"}
    ]
