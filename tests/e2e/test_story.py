"""The story that the product tells, from the first plan to an agent that the official client sees."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from alter_sdk import App

from reconciler.errors import ExitCode
from reconciler.sandbox import SandboxServer
from tests.support.commands import declare, mutations, readers, run, use_key_of

EXAMPLE = Path(__file__).parents[2] / "examples" / "agents.yaml"
SCOPES = {
    "invoice-archiver": {"google": ["drive.readonly"]},
    "nightly-sync": {
        "google": ["drive.readonly", "gmail.readonly"],
        "managed_secret_slugs": ["stripe-production"],
        "slack": ["chat:write"],
    },
    "release-notes": {"github": ["read:org", "repo"], "slack": ["channels:read", "chat:write"]},
    "support-assistant": {
        "google": ["calendar", "gmail.readonly", "gmail.send"],
        "notion": ["content:read"],
    },
    "tenant-acme": {"google": ["drive.readonly", "gmail.readonly"]},
    "tenant-globex": {"google": ["drive.readonly", "gmail.readonly"]},
    "tenant-initech": {"google": ["drive.readonly", "gmail.readonly"]},
    "weekly-report": {"slack": ["channels:read", "chat:write"]},
}


def as_the_official_client_sees(key: str) -> dict[str, Any]:
    """Name of agent → its scopes, sorted."""

    async def story() -> dict[str, Any]:
        async with App(key) as app:
            listed = await app.agents.list(limit=100)
            return {
                agent.name: {provider: sorted(names) for provider, names in agent.scopes.items()}
                for agent in listed.agents
            }

    return asyncio.run(story())


def test_the_demo_tells_it_and_shows_no_key(workplace: Path) -> None:
    result = run("demo")
    assert (result.code, result.stderr) == (ExitCode.OK, "")
    assert "Plan: 8 to create, 1 to suspend, 8 keys to mint" in result.stdout
    assert result.stdout.count("Everything is done.") == 6
    assert "by jane@corp.example at" in result.stdout
    assert "17 blocked" in result.stdout
    assert "alter_ak_" not in result.stdout.replace("alter_ak_…", "")


def test_the_official_client_lists_exactly_the_declared_agents_and_scopes(alter: SandboxServer) -> None:
    example = ["-c", str(EXAMPLE)]
    assert run("plan", *example, "--detailed-exitcode").code == ExitCode.CHANGES
    assert run("apply", *example, "--yes").code == ExitCode.OK
    assert run("plan", *example, "--detailed-exitcode").code == ExitCode.OK
    assert as_the_official_client_sees(alter.app_key()) == SCOPES


def test_every_key_that_was_delivered_works(alter: SandboxServer) -> None:
    run("apply", "-c", str(EXAMPLE), "--yes")
    statuses = run("status", "-c", str(EXAMPLE), "-o", "jsonl").rows
    for row in statuses:
        text = Path(f"secrets/{row['name']}.env").read_text()
        plaintext = next(line for line in text.splitlines() if line.startswith("AGENT_API_KEY="))
        assert alter.use_key(plaintext.partition("=")[2].strip("'\"")) == row["delivered"]["key_id"]
    assert len(statuses) == len(SCOPES)


def test_a_reviewer_plans_with_a_key_that_reads_and_ci_applies_with_one_that_writes(
    alter: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(readers("alpha"))
    assert run("apply", "--yes").code == ExitCode.OK
    declare({"alpha": {"scopes": {"google": ["drive.readonly"]}}, "beta": {"scopes": {}}})
    alter.store.clear_request_log()
    use_key_of(monkeypatch, alter, "agents:read")
    assert run("validate").code == ExitCode.OK
    reviewed = run("plan", "--save", "plan.json", "--detailed-exitcode")
    assert reviewed.code == ExitCode.CHANGES
    assert mutations(alter) == []
    use_key_of(monkeypatch, alter, "agents:read", "agents:write")
    applied = run("apply", "plan.json", "--yes", "-o", "json")
    assert applied.code == ExitCode.OK
    assert applied.document["plan_digest"] == json.loads(Path("plan.json").read_text())["plan_digest"]
    assert "beta" in run("status").stdout


def test_many_files_are_one_configuration_in_whatever_order(alter: SandboxServer) -> None:
    head = {"version": 1, "owner": "payments/agents", "app": {"name": "payments-prod"}}
    for place in range(20):
        block = {"deliver_to": [], "template": "reader"}
        document: dict[str, Any] = {**head, "agents": {f"agent-{place:02}": block}}
        if place == 13:
            document["templates"] = {"reader": {"scopes": {"google": ["gmail.readonly"]}}}
        path = Path(f"agents/{place}.{'yml' if place % 2 else 'yaml'}")
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(document))
    paths = sorted(Path("agents").iterdir())
    forwards = [word for path in paths for word in ("-c", str(path))]
    backwards = [word for path in reversed(paths) for word in ("-c", str(path))]
    plans = [run("plan", *words, "-o", "json").document for words in (["-c", "agents"], forwards, backwards)]
    assert len({plan["plan_digest"] for plan in plans}) == 1
    assert plans[0]["summary"]["create"] == 20
    assert run("apply", *backwards, "--yes").code == ExitCode.OK
    assert run("plan", "-c", "agents", "--detailed-exitcode").code == ExitCode.OK
