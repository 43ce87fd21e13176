"""``--policy DIR`` on plan and apply: rules of the user's own, asked about every operation."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

from reconciler.config.schema import schema_document
from reconciler.errors import ExitCode
from reconciler.sandbox import SandboxServer
from tests.support.commands import Result, declare, mutations, readers, run
from tests.support.sandbox_server import SignedClient

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples" / "policies"
NAMING: Mapping[str, Any] = {
    "name": "naming",
    "require": "agent.name.startsWith('team-')",
    "message": "{agent.name} has to begin with team-",
}


def rules(*entries: Mapping[str, Any], folder: str = "policies") -> str:
    Path(folder).mkdir(exist_ok=True)
    Path(folder, "rules.yaml").write_text(json.dumps({"version": 1, "rules": entries}, indent=2))
    return folder


def refused(result: Result) -> list[tuple[str, str]]:
    return [(entry["guard"], entry["agent"]) for entry in result.document["blocked"]]


def test_a_plan_refuses_what_a_rule_denies_and_fits_its_schema(alter: SandboxServer) -> None:
    declare(readers("alpha", "team-beta"))
    result = run("plan", "--policy", rules(NAMING), "--output", "json")
    assert result.code == ExitCode.REFUSED
    assert refused(result) == [("policy", "alpha")]
    assert result.document["blocked"][0]["allow"] == "--allow policy=alpha"
    assert "alpha has to begin with team-" in result.document["blocked"][0]["reason"]
    Draft7Validator(schema_document("plan")).validate(result.document)


def test_the_rest_is_applied(alter: SandboxServer) -> None:
    declare(readers("alpha", "team-beta"))
    result = run("apply", "--yes", "--policy", rules(NAMING), "--output", "json")
    assert result.code == ExitCode.REFUSED
    assert [row["agent"] for row in result.document["operations"]] == ["team-beta"]
    assert [request.method for request in mutations(alter)] == ["POST"]


def test_one_agent_passes_when_it_is_let_through_by_name(alter: SandboxServer) -> None:
    declare(readers("alpha", "beta"))
    result = run("plan", "--policy", rules(NAMING), "--allow", "policy=alpha", "--output", "json")
    assert refused(result) == [("policy", "beta")]
    assert run("plan", "--policy", "policies", "--allow", "policy").code == ExitCode.OK
    assert "did you mean 'policy'?" in run("plan", "--allow", "polcy=alpha").stderr


def test_the_command_that_is_shown_asks_the_same_rules(alter: SandboxServer) -> None:
    declare(readers("alpha", "team-beta"))
    shown = run("plan", "--policy", rules(NAMING)).stdout
    assert "`alter-sync apply --policy policies --allow policy=alpha`" in shown
    assert "Run `alter-sync apply --policy policies`" in shown


def test_a_warning_is_shown_and_refuses_nothing(alter: SandboxServer) -> None:
    declare(readers("alpha"))
    folder = rules({**NAMING, "severity": "warn"})
    result = run("plan", "--policy", folder)
    assert result.code == ExitCode.OK
    assert "warning: alpha: alpha has to begin with team- [policy:naming]" in result.stdout
    (finding,) = run("plan", "--policy", folder, "--output", "json").document["findings"]
    assert (finding["rule"], finding["file"], finding["severity"]) == (
        "policy:naming",
        "agents.yaml",
        "warning",
    )


def test_a_rule_that_cannot_be_evaluated_refuses(alter: SandboxServer) -> None:
    declare(readers("alpha"))
    team = {"name": "team", "require": "agent.declared.metadata.team == 'x'", "message": "m"}
    result = run("apply", "--yes", "--policy", rules(team), "--output", "json")
    assert result.code == ExitCode.REFUSED
    assert (
        'cannot be evaluated, so it denies: Key not found in map : "team"'
        in (result.document["blocked"][0]["reason"])
    )
    assert mutations(alter) == []


def test_a_saved_plan_is_asked_about_again_when_it_is_applied(alter: SandboxServer) -> None:
    declare(readers("alpha", "team-beta"))
    assert run("plan", "--save", "plan.json").code == ExitCode.OK
    folder = rules(NAMING)
    checked = run("plan", "--check", "plan.json", "--policy", folder, "--output", "json")
    assert checked.code == ExitCode.REFUSED
    assert [reason["guard"] for reason in checked.document["reasons"]] == ["policy"]
    applied = run("apply", "plan.json", "--yes", "--policy", folder, "--output", "json")
    assert applied.code == ExitCode.REFUSED
    assert refused(applied) == [("policy", "alpha")]
    assert [row["agent"] for row in applied.document["operations"]] == ["team-beta"]


def test_a_saved_plan_keeps_what_was_let_through(alter: SandboxServer) -> None:
    declare(readers("alpha"))
    folder = rules(NAMING)
    assert (
        run("plan", "--policy", folder, "--allow", "policy=alpha", "--save", "plan.json").code == ExitCode.OK
    )
    assert run("apply", "plan.json", "--yes", "--policy", folder).code == ExitCode.OK


def test_a_warning_about_a_saved_plan_is_shown_when_it_is_applied(alter: SandboxServer) -> None:
    declare(readers("alpha"))
    run("plan", "--save", "plan.json")
    result = run("apply", "plan.json", "--yes", "--policy", rules({**NAMING, "severity": "warn"}))
    assert result.code == ExitCode.OK
    assert "[policy:naming]" in result.stdout


def test_a_repair_is_asked_about_too(alter: SandboxServer) -> None:
    declare({"alpha": {"scopes": {}, "display_name": "One"}})
    assert run("apply", "--yes").code == ExitCode.OK
    with SignedClient(alter) as somebody:
        (agent,) = somebody.get("/sdk/agents").json()["items"]
        somebody.send("PATCH", f"/sdk/agents/{agent['id']}", document={"display_name": "Two"})
    result = run("plan", "--only-drift", "--policy", rules(NAMING), "--output", "json")
    assert refused(result) == [("policy", "alpha")]
    applied = run("apply", "--only-drift", "--yes", "--policy", "policies", "--output", "json")
    assert (applied.code, applied.document["operations"]) == (ExitCode.REFUSED, [])


@pytest.mark.parametrize("command", [("plan",), ("apply", "--yes")])
def test_a_wrong_rule_ends_the_command_before_any_request(
    alter: SandboxServer, command: tuple[str, ...]
) -> None:
    declare(readers("alpha"))
    folder = rules({**NAMING, "require": "agnt.name == 'x'"}, {**NAMING, "name": "two", "severity": "worn"})
    result = run(*command, "--policy", folder)
    assert result.code == ExitCode.USAGE
    assert re.search(r"policies/rules\.yaml:\d+:\d+: error: .*worn", result.stderr)
    folder = rules({**NAMING, "require": "agnt.name == 'x'"})
    result = run(*command, "--policy", folder, "--output", "json")
    assert result.document["message"] == "the policy has 1 error"
    (finding,) = result.document["findings"]
    assert (finding["file"], finding["rule"]) == ("policies/rules.yaml", "bad-expression")
    assert '"agent"' in finding["hint"]
    assert alter.store.request_log() == []


def test_a_folder_that_holds_no_rules_is_refused(alter: SandboxServer) -> None:
    declare(readers("alpha"))
    Path("empty").mkdir()
    assert "holds no rules" in run("plan", "--policy", "empty").stderr
    assert run("plan", "--policy", "nowhere").code == ExitCode.NOT_FOUND


def test_the_examples_say_what_they_are_for(alter: SandboxServer) -> None:
    shutil.copytree(EXAMPLES, "policies")
    good = {
        "payments-reader": {"scopes": {"google": ["gmail.readonly"]}, "metadata": {"team": "payments"}},
        "legacy_thing": {"scopes": {}, "metadata": {"team": "data"}},
    }
    declare(good)
    result = run("plan", "--policy", "policies", "--output", "json")
    assert refused(result) == [("policy", "legacy_thing")]
    keys: dict[str, Any] = {
        "defaults": {"deliver_to": ["env"]},
        "sinks": {"env": {"type": "file", "path": "k/{agent}"}},
    }
    bad = {
        "bad": {"scopes": {}, "metadata": {"team": "payments"}, "deliver_to": []},
        "data-drive": {"scopes": {"google": ["drive"]}, "metadata": {"team": "data"}, "deliver_to": []},
        "data-admin": {"scopes": {"slack": ["admin.users"]}, "metadata": {"team": "data"}, "deliver_to": []},
        "data-slow": {"scopes": {}, "metadata": {"team": "data"}, "rotation": {"max_age": "91d"}},
        "data-fine": {"scopes": {}, "metadata": {"team": "data"}, "rotation": {"max_age": "90d"}},
        "data-lost": {"scopes": {}, "deliver_to": []},
    }
    declare(bad, **keys)
    result = run("plan", "--policy", "policies", "--output", "json")
    found = {(entry["agent"], entry["reason"].partition(":")[0]) for entry in result.document["blocked"]}
    assert found == {
        ("bad", "name-says-team-and-purpose"),
        ("data-drive", "forbidden-scopes"),
        ("data-admin", "admin-scopes-need-a-human"),
        ("data-slow", "keys-rotate-within-90-days"),
    }
    assert [finding["rule"] for finding in result.document["findings"] if "policy" in finding["rule"]] == [
        "policy:team-is-known"
    ]


def test_every_example_fits_the_schema(alter: SandboxServer) -> None:
    assert {path.name for path in EXAMPLES.iterdir()} == {"keys.yaml", "naming.yaml", "scopes.yaml"}
    for path in EXAMPLES.iterdir():
        assert "schemas/policy.schema.json" in path.read_text()
