"""``alter-sync apply``: what it shows, whom it asks, what it answers."""

import os
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from reconciler.config.schema import schema_document
from reconciler.errors import ExitCode
from reconciler.sandbox import SandboxServer
from tests.support.commands import declare, mutations, readers, run, terminal, use_key_of

TO_FILES: dict[str, Any] = {
    "defaults": {"deliver_to": ["env"]},
    "sinks": {"env": {"type": "file", "path": "secrets/{agent}.env", "format": "dotenv"}},
}


def test_it_shows_the_plan_carries_it_out_and_says_what_became_of_it(alter: SandboxServer) -> None:
    declare(readers("alpha"), **TO_FILES)
    result = run("apply", "--yes")
    assert result.code == ExitCode.OK
    plan, _, outcome = result.stdout.partition("\n\nApply: 2 done")
    assert plan.startswith("Plan: 1 to create, 1 key to mint")
    assert "to carry this out" not in plan
    assert "secrets/alpha.env" in outcome
    assert outcome.endswith("Everything is done.\n")
    assert "AGENT_API_KEY=" in Path("secrets/alpha.env").read_text()


def test_it_has_nothing_to_ask_when_there_is_nothing_to_do(alter: SandboxServer) -> None:
    declare(readers("alpha"))
    run("apply", "--yes")
    result = run("apply")
    assert (result.code, result.stderr) == (ExitCode.OK, "")
    assert (
        result.stdout
        == "Plan: no changes; 1 in sync\n\nNothing to do: live agents match the configuration.\n"
    )


def test_it_fails_where_nobody_can_answer(alter: SandboxServer) -> None:
    declare(readers("alpha"))
    result = run("apply")
    assert result.code == ExitCode.USAGE
    assert result.stdout.startswith("Plan: 1 to create")
    assert "there is nobody to answer" in result.stderr
    assert "--yes" in result.stderr
    assert mutations(alter) == []


def test_it_never_asks_when_it_was_told_not_to(alter: SandboxServer) -> None:
    declare(readers("alpha"))
    with terminal("y") as typing:
        result = run("apply", "--no-input", stdin=typing)
    assert result.code == ExitCode.USAGE
    assert "[y/N]" not in result.stderr
    assert mutations(alter) == []


@pytest.mark.parametrize("answer", ["y", "Y", "yes", " YES "])
def test_a_yes_is_carried_out(alter: SandboxServer, answer: str) -> None:
    declare(readers("alpha", "beta"))
    with terminal(answer) as typing:
        result = run("apply", stdin=typing)
    assert result.code == ExitCode.OK
    assert result.stderr == f"Carry out 2 operations on payments-prod at {alter.base_url}? [y/N] "
    assert "Apply: 2 done" in result.stdout


@pytest.mark.parametrize("answer", ["n", "", "yess", "ok"])
def test_anything_else_is_a_no_and_changes_nothing(alter: SandboxServer, answer: str) -> None:
    declare(readers("alpha"))
    with terminal(answer) as typing:
        result = run("apply", stdin=typing)
    assert result.code == ExitCode.ERROR
    assert "Carry out 1 operation on" in result.stderr
    assert "nothing was changed: the answer was no" in result.stderr
    assert mutations(alter) == []


def test_who_is_asked_sees_the_plan_although_stdout_is_for_a_program(alter: SandboxServer) -> None:
    declare(readers("alpha"))
    with terminal("n") as typing:
        result = run("apply", "--output", "json", stdin=typing)
    assert result.code == ExitCode.ERROR
    assert "Plan: 1 to create" in result.stderr
    assert result.document["code"] == "declined"
    with terminal("y") as typing:
        agreed = run("apply", "--output", "json", stdin=typing)
    assert agreed.document["summary"] == {"done": 1, "failed": 0, "not_tried": 0, "blocked": 0}


def test_the_outcome_fits_its_schema(alter: SandboxServer) -> None:
    declare(readers("alpha", "beta"))
    result = run("apply", "--yes", "--output", "json")
    jsonschema.Draft7Validator(schema_document("outcome")).validate(result.document)
    assert result.stderr == ""


def test_fields_choose_columns_of_the_outcome(alter: SandboxServer) -> None:
    declare(readers("alpha"))
    result = run("apply", "--yes", "--output", "jsonl", "--fields", "agent,status")
    assert result.rows == [{"agent": "alpha", "status": "done"}]


def test_a_field_that_no_outcome_has_is_refused_before_anything_is_done(alter: SandboxServer) -> None:
    declare(readers("alpha"))
    result = run("apply", "--yes", "--output", "json", "--fields", "stats")
    assert result.code == ExitCode.USAGE
    assert "status" in result.document["hint"]
    assert mutations(alter) == []


def test_quiet_leaves_data_and_errors(alter: SandboxServer) -> None:
    declare(readers("alpha"))
    result = run("apply", "--yes", "--quiet", "--output", "json")
    assert (result.code, result.stderr) == (ExitCode.OK, "")
    declare(readers("alpha", "beta"))
    refused = run("apply", "--quiet", "--output", "json")
    assert refused.code == ExitCode.USAGE
    assert refused.stderr.startswith("error: ")


def test_verbose_says_what_the_conversation_cost(alter: SandboxServer) -> None:
    declare(readers("alpha"))
    result = run("apply", "--yes", "-v")
    assert result.stderr.endswith("3 requests, at most 1 at once, 0 retries, 0.0 s waited\n")


def test_one_agent_at_a_time_is_possible(alter: SandboxServer) -> None:
    declare(readers("alpha", "beta", "gamma"))
    assert run("apply", "--yes", "--parallelism", "1").code == ExitCode.OK


def test_only_targets_are_touched(alter: SandboxServer) -> None:
    declare(readers("alpha", "beta"))
    assert "Apply: 1 done" in run("apply", "--yes", "--target", "alph*").stdout
    assert "1 to create; 1 in sync" in run("plan").stdout


def test_what_a_guard_refuses_is_left_and_the_rest_is_done(alter: SandboxServer) -> None:
    declare(
        readers("alpha") | {"beta": {"scopes": {"google": ["drive"]}}},
        guards={"sensitive_scopes": ["*:drive"]},
    )
    result = run("apply", "--yes")
    assert result.code == ExitCode.REFUSED
    assert "Apply: 1 done; 1 blocked" in result.stdout
    alone = run("apply", "--yes")
    assert alone.code == ExitCode.REFUSED
    assert "everything that differs is blocked" in alone.stdout
    assert run("apply", "--yes", "--allow", "sensitive-scopes=beta").code == ExitCode.OK


def test_a_key_without_permission_changes_nothing_and_the_permission_is_named(
    alter: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(readers("alpha", "beta"))
    use_key_of(monkeypatch, alter, "agents:read")
    result = run("apply", "--yes", "--output", "json")
    assert result.code == ExitCode.AUTH
    failed = [row["error"] for row in result.document["operations"] if row["status"] == "failed"]
    assert failed
    assert {(error["exit"], error["code"]) for error in failed} == {(ExitCode.AUTH, "insufficient_scope")}
    assert "agents:write" in failed[0]["hint"]
    assert all(request.status == 403 for request in mutations(alter))
    assert "agents:write" in run("apply", "--yes").stdout


def test_one_failed_agent_does_not_stop_the_others(alter: SandboxServer) -> None:
    declare(readers("alpha", "beta"))
    refusal = {"error": "agent_concurrent_update", "message": "Changed meanwhile.", "hint": None}
    alter.faults.add("status", method="POST", status=409, body=refusal)
    result = run("apply", "--yes", "--parallelism", "1", "--output", "json")
    assert result.code == ExitCode.PARTIAL
    assert result.document["summary"] == {"done": 1, "failed": 1, "not_tried": 0, "blocked": 0}
    assert result.document["resume"] == "alter-sync apply"
    assert run("apply", "--yes").code == ExitCode.OK


def test_when_nothing_could_be_done_the_cause_is_the_exit_code(alter: SandboxServer) -> None:
    declare(readers("alpha"))
    refusal = {"error": "agent_concurrent_update", "message": "Changed meanwhile.", "hint": None}
    alter.faults.add("status", method="POST", status=409, body=refusal)
    result = run("apply", "--yes")
    assert result.code == ExitCode.CONFLICT
    assert "Go on with `alter-sync apply`." in result.stdout


def test_a_key_that_cannot_be_handed_over_is_the_gravest_cause(alter: SandboxServer) -> None:
    Path("secrets").write_text("a file where a folder is needed")
    declare(readers("alpha"), **TO_FILES)
    result = run("apply", "--yes", "--output", "json")
    assert result.code == ExitCode.SINK
    (failed,) = (row for row in result.document["operations"] if row["status"] == "failed")
    assert (failed["kind"], failed["error"]["exit"]) == ("mint_key", ExitCode.SINK)
    os.unlink("secrets")
    assert run("apply", "--yes").code == ExitCode.OK
    assert "AGENT_API_KEY=" in Path("secrets/alpha.env").read_text()


def test_going_on_means_the_same_targets_and_allowances(alter: SandboxServer) -> None:
    declare(
        {"alpha": {"scopes": {"google": ["drive"]}}}, guards={"sensitive_scopes": ["*:drive"]}, file="a.yaml"
    )
    flags = ["--target", "alph*", "--allow", "sensitive-scopes=alpha"]
    assert run("plan", "-c", "a.yaml", *flags, "--save", "plan.json").code == ExitCode.OK
    alter.faults.add("status", method="POST", status=409, times=2)
    expected = "alter-sync apply -c a.yaml --target 'alph*' --allow sensitive-scopes=alpha"
    now = run("apply", "-c", "a.yaml", *flags, "--yes", "--output", "json")
    assert now.document["resume"] == expected
    saved = run("apply", "-c", "a.yaml", "plan.json", "--yes", "--output", "json")
    assert saved.document["resume"] == expected
