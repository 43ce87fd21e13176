"""Two hundred agents made by hand: exported, planned, adopted, and nothing but their marks changed."""

from pathlib import Path
from typing import Any

from reconciler.errors import ExitCode
from reconciler.model.mark import MARK_KEY
from reconciler.sandbox import SandboxServer
from tests.support.commands import APP, OWNER, mutations, run
from tests.support.sdk_fleet import SIZE, fleet_as_it_is, make_fleet


def without_mark(agent: dict[str, Any]) -> dict[str, Any]:
    """All of an agent that an adoption must not touch; the version tells of every change, so of this, too."""
    metadata = {key: value for key, value in agent["metadata"].items() if key != MARK_KEY}
    return agent | {"metadata": metadata, "version": None}


def assert_plan_is_empty(*source: str) -> dict[str, Any]:
    result = run("plan", "--detailed-exitcode", "--output", "json", *source)
    assert result.code == ExitCode.OK, result.stdout
    plan: dict[str, Any] = result.document
    assert (plan["operations"], plan["blocked"], plan["unmanaged"]) == ([], [], [])
    assert plan["summary"]["in_sync"] + plan["summary"]["waiting"] == SIZE
    return plan


def test_two_hundred_agents_made_by_hand_are_exported_and_adopted_and_only_marked(
    alter: SandboxServer,
) -> None:
    make_fleet(alter)
    before = fleet_as_it_is(alter)
    assert len(before) == SIZE
    assert any(agent["scopes_pending"] for agent in before.values())
    assert any("approvers_count" in agent["policy"].get("requires_approval", {}) for agent in before.values())

    exported = run("export", "--owner", OWNER, "--app-name", APP, "--out", "agents.yaml")
    assert exported.code == ExitCode.OK, exported.stderr
    assert f"{SIZE} agents exported to agents.yaml" in exported.stderr
    assert run("validate").stdout == f"valid: {SIZE} agents of {OWNER}\n"
    first = assert_plan_is_empty()
    assert [one["rule"] for one in first["findings"] if one["rule"] == "unowned"] == ["unowned"]
    assert run("export").stdout == Path("agents.yaml").read_text()
    assert run("export", "--split", "agents").code == ExitCode.OK
    assert len(list(Path("agents").iterdir())) == SIZE + 1
    assert_plan_is_empty("-c", "agents")
    assert fleet_as_it_is(alter) == before

    changed = len(mutations(alter))
    adopted = run("adopt", "--yes", "--output", "json")
    assert adopted.code == ExitCode.OK, adopted.stdout
    assert {row["kind"] for row in adopted.document["operations"]} == {"adopt_agent"}
    assert len(adopted.document["operations"]) == len(mutations(alter)) - changed == SIZE
    after = fleet_as_it_is(alter)
    assert {name: without_mark(agent) for name, agent in after.items()} == {
        name: without_mark(agent) for name, agent in before.items()
    }
    for name, agent in after.items():
        assert agent["metadata"][MARK_KEY]["owner"] == OWNER
        assert agent["version"] == before[name]["version"] + 1
    second = assert_plan_is_empty()
    assert [one["rule"] for one in second["findings"] if one["rule"] == "unowned"] == []

    # Once more is nothing, and what is exported now is what was exported then.
    assert "Nothing to adopt" in run("adopt", "--yes").stdout
    assert fleet_as_it_is(alter) == after
    assert run("export").stdout == Path("agents.yaml").read_text()
