"""``alter-sync plan``: its options, its exit codes, and that it only ever reads."""

import json
from pathlib import Path

import pytest

from reconciler.config.schema import schema_document
from reconciler.errors import ExitCode
from reconciler.sandbox import SandboxServer
from tests.support.commands import declare, mutations, process, readers, run, use_key_of


def test_a_plan_goes_to_stdout_and_exits_with_zero_even_with_changes(alter: SandboxServer) -> None:
    declare(readers("alpha"))
    result = run("plan")
    assert (result.code, result.stderr) == (ExitCode.OK, "")
    assert result.stdout.startswith("Plan: 1 to create")
    assert "Run `alter-sync apply` to carry this out." in result.stdout
    assert mutations(alter) == []


def test_detailed_exit_codes_tell_changes_from_none(alter: SandboxServer) -> None:
    declare(readers("alpha"))
    assert run("plan", "--detailed-exitcode").code == ExitCode.CHANGES
    assert run("apply", "--yes").code == ExitCode.OK
    assert run("plan", "--detailed-exitcode").code == ExitCode.OK


@pytest.mark.usefixtures("alter")
def test_a_plan_without_changes_loads_nothing_that_only_shows_or_compares() -> None:
    declare(readers("alpha"))
    assert run("apply", "--yes").code == ExitCode.OK
    imports = process("plan", "--detailed-exitcode", PYTHONPROFILEIMPORTTIME="1").stderr
    loaded = {line.rpartition("|")[2].strip() for line in imports.splitlines()}
    assert "httpx" in loaded
    assert loaded.isdisjoint({"rich", "pygments", "deepdiff", "jinja2", "jsonschema", "importlib.metadata"})


def test_a_refusal_by_a_guard_comes_before_changes(alter: SandboxServer) -> None:
    declare(
        readers("alpha") | {"beta": {"scopes": {"google": ["drive"]}}},
        guards={"sensitive_scopes": ["*:drive"]},
    )
    result = run("plan", "--detailed-exitcode")
    assert result.code == ExitCode.REFUSED
    assert "`alter-sync apply --allow sensitive-scopes=beta`" in result.stdout
    assert run("plan", "--detailed-exitcode", "--allow", "sensitive-scopes=beta").code == ExitCode.CHANGES
    assert run("plan", "--allow", "sensitive-scopes").code == ExitCode.OK


def test_a_key_that_may_only_read_is_enough(alter: SandboxServer, monkeypatch: pytest.MonkeyPatch) -> None:
    declare(readers("alpha"))
    use_key_of(monkeypatch, alter, "agents:read")
    result = run("plan", "-v")
    assert result.code == ExitCode.OK
    # The catalogue of scopes is a help and not a condition.
    assert "scope names are not checked" in result.stderr
    assert run("plan").stderr == ""


def test_a_scope_that_the_catalogue_does_not_know_is_a_warning(alter: SandboxServer) -> None:
    declare({"alpha": {"scopes": {"google": ["gmail.readonyl"]}}})
    result = run("plan")
    assert result.code == ExitCode.OK
    assert "gmail.readonly" in result.stdout.partition("Warnings (1)")[2]


@pytest.mark.parametrize(("target", "agents"), [("tenant-*", ["tenant-a", "tenant-b"]), ("other", ["other"])])
def test_a_target_is_a_name_or_a_glob(alter: SandboxServer, target: str, agents: list[str]) -> None:
    declare(readers("tenant-a", "tenant-b", "other"))
    result = run("plan", "--target", target, "--output", "jsonl")
    assert [row["agent"] for row in result.rows] == agents


def test_a_target_that_no_agent_has_is_refused_with_the_nearest(alter: SandboxServer) -> None:
    declare(readers("nightly-sync"))
    result = run("plan", "--target", "nightly-sinc", "--output", "json")
    assert result.code == ExitCode.USAGE
    assert result.document["message"] == "--target nightly-sinc: no such agent, declared or live"
    assert result.document["hint"] == "did you mean 'nightly-sync'?"


def test_an_unknown_guard_is_refused_with_the_nearest_or_with_all(alter: SandboxServer) -> None:
    declare(readers("alpha"))
    result = run("plan", "--allow", "revoke-in-us=alpha")
    assert result.code == ExitCode.USAGE
    assert "did you mean 'revoke-in-use'?" in result.stderr
    assert "guards are: wrong-app," in run("plan", "--allow", "xyz").stderr
    assert alter.store.request_log() == []


def test_an_allowance_for_an_agent_that_is_not_there_is_refused_with_the_nearest(
    alter: SandboxServer,
) -> None:
    declare(readers("nightly-sync"))
    result = run("plan", "--allow", "revoke-in-use=nightly-sinc")
    assert result.code == ExitCode.USAGE
    assert "did you mean 'nightly-sync'?" in result.stderr


def test_the_document_fits_its_schema_and_the_saved_one_is_the_same(alter: SandboxServer) -> None:
    import jsonschema

    declare(readers("alpha"))
    printed = run("plan", "--output", "json", "--save", "plan.json")
    jsonschema.Draft7Validator(schema_document("plan")).validate(printed.document)
    assert json.loads(Path("plan.json").read_text()) == printed.document


def test_fields_choose_columns(alter: SandboxServer) -> None:
    declare(readers("alpha"))
    assert run("plan", "--output", "jsonl", "--fields", "agent,kind").rows == [
        {"agent": "alpha", "kind": "create_agent"}
    ]
    assert list(run("plan", "--output", "json", "--fields", "summary,owner").document) == ["owner", "summary"]
    wrong = run("plan", "--output", "json", "--fields", "sumary")
    assert (wrong.code, wrong.document["code"]) == (ExitCode.USAGE, "usage")
    assert "did you mean 'summary'?" in wrong.document["hint"]


def test_fields_are_refused_for_a_table() -> None:
    result = run("plan", "--fields", "agent")
    assert result.code == ExitCode.USAGE
    assert "hint: add --output json" in result.stderr


def test_where_there_is_nothing_to_do_jsonl_is_empty(alter: SandboxServer) -> None:
    declare({})
    assert run("plan", "--output", "jsonl").stdout == ""


def test_saving_says_how_to_carry_it_out_from_here(alter: SandboxServer) -> None:
    declare(readers("alpha"), file="team a/agents.yaml")
    result = run("plan", "-c", "team a/agents.yaml", "--save", "my plan.json")
    assert result.code == ExitCode.OK
    assert "alter-sync apply -c 'team a/agents.yaml' 'my plan.json'" in result.stderr
    assert run("plan", "-q", "-c", "team a/agents.yaml", "--save", "my plan.json").stderr == ""


def test_a_plan_that_cannot_be_saved_is_a_failure_and_nothing_else_on_stdout(alter: SandboxServer) -> None:
    declare(readers("alpha"))
    result = run("plan", "--output", "json", "--save", "nowhere/plan.json")
    assert result.code == ExitCode.USAGE
    assert "nowhere/plan.json cannot be written" in result.document["message"]
    Path("folder").mkdir()
    assert run("plan", "--save", "folder").code == ExitCode.USAGE
    assert sorted(path.name for path in Path().iterdir()) == ["agents.yaml", "folder"]


def test_the_embedded_alter_needs_no_credentials_and_keeps_its_state(workplace: Path) -> None:
    declare(readers("alpha"))
    bare = run("plan", "--sandbox")
    assert bare.code == ExitCode.OK
    assert bare.stderr == "sandbox: .alter-sync/sandbox.sqlite3\n"
    assert "Run `alter-sync apply --sandbox` to carry this out." in bare.stdout
    assert "Run `alter-sync apply --sandbox=other.db`" in run("plan", "--sandbox=other.db").stdout
    assert run("apply", "--sandbox=other.db", "--yes", "-q").code == ExitCode.OK
    assert run("plan", "--sandbox=other.db", "--detailed-exitcode").code == ExitCode.OK
    assert run("plan", "--sandbox", "--detailed-exitcode").code == ExitCode.CHANGES


def test_a_file_of_another_program_is_no_sandbox(workplace: Path) -> None:
    declare(readers("alpha"))
    result = run("plan", "--sandbox=agents.yaml")
    assert result.code == ExitCode.USAGE
    assert "agents.yaml is not a sandbox" in result.stderr
    assert run("plan", "--sandbox=.").code == ExitCode.USAGE
    assert json.loads(Path("agents.yaml").read_text())["version"] == 1
