"""``alter-sync status``: who is live, with which keys, and what is odd about them."""

from pathlib import Path
from typing import Any

import pytest

from reconciler.errors import ExitCode
from reconciler.sandbox import SandboxServer
from tests.support.commands import declare, mutations, readers, run, use_key_of
from tests.support.sandbox_server import SignedClient

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
        somebody.send("POST", f"/sdk/agents/{_id_of(somebody, 'alpha')}/keys", document={})
    notes = {name: row["note"] for name, row in rows().items()}
    assert notes["alpha"].startswith("live besides the delivered key: alter_ak_")
    assert notes["beta"].startswith("not delivered by alter-sync: alter_ak_")


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
    assert rows()["alpha"]["note"].endswith("has not finished with its keys")


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
