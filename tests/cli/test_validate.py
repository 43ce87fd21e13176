"""``alter-sync validate``: offline, every finding with its place, and what a program gets."""

from pathlib import Path

import pytest

from reconciler.errors import ExitCode
from tests.support.commands import declare, readers, run

pytestmark = pytest.mark.usefixtures("workplace")


def test_a_valid_configuration_is_said_to_be_so_without_network_and_credentials() -> None:
    declare(readers("alpha", "beta"))
    result = run("validate")
    assert (result.code, result.stdout, result.stderr) == (0, "valid: 2 agents of payments/agents\n", "")


def test_one_agent_is_not_agents() -> None:
    declare(readers("alpha"))
    assert run("validate").stdout == "valid: 1 agent of payments/agents\n"


def test_no_agents_are_valid_too() -> None:
    declare({})
    assert run("validate").stdout == "valid: 0 agents of payments/agents\n"


def test_every_error_is_shown_at_its_place_and_nothing_on_stdout() -> None:
    declare({"alpha": {"scopes": {}, "typo": 1}, "beta": {"scopes": {}, "status": "paused"}})
    result = run("validate")
    assert result.code == ExitCode.USAGE
    assert result.stdout == ""
    places = [line for line in result.stderr.splitlines() if line.startswith("agents.yaml:")]
    assert len(places) == 2
    assert all(": error: " in line for line in places)
    assert "2 errors" in result.stderr


def test_errors_are_a_document_for_a_program() -> None:
    declare({"alpha": {"scopes": {}, "typo": 1}})
    result = run("validate", "--output", "json")
    assert result.code == ExitCode.USAGE
    assert result.document["code"] == "invalid_configuration"
    assert result.document["message"] == "the configuration has 1 error"
    assert result.document["summary"] == {"errors": 1, "warnings": 0}
    (finding,) = result.document["findings"]
    assert finding["file"] == "agents.yaml"
    assert (finding["line"] > 1, finding["column"] > 1) == (True, True)


def test_jsonl_has_one_line_for_each_finding_and_no_empty_one() -> None:
    declare({"alpha": {"scopes": {}, "typo": 1}, "beta": {"scopes": {}, "typo": 1}})
    assert [row["severity"] for row in run("validate", "--output", "jsonl").rows] == ["error", "error"]
    declare(readers("alpha"))
    assert run("validate", "--output", "jsonl").stdout == ""


def test_a_warning_is_shown_and_changes_no_exit_code() -> None:
    declare(readers("alpha"), former_owners=["payments/agents"])
    result = run("validate")
    assert result.code == ExitCode.OK
    assert "warning" in result.stderr
    assert "valid: 1 agent" in result.stdout
    asked = run("validate", "--output", "json", "--fields", "valid,agents,summary")
    assert asked.document == {"valid": True, "agents": 1, "summary": {"errors": 0, "warnings": 1}}


def test_several_files_and_a_folder_are_one_configuration() -> None:
    declare(readers("alpha"), file="one/a.yaml")
    declare(readers("beta"), file="one/b.yml")
    declare(readers("gamma"), file="more.yaml")
    assert run("validate", "-c", "one", "--config", "more.yaml").stdout.startswith("valid: 3 agents")


@pytest.mark.parametrize("output", ["table", "json", "jsonl"])
def test_a_file_that_is_not_there_is_not_found(output: str) -> None:
    result = run("validate", "--output", output)
    assert result.code == ExitCode.NOT_FOUND
    assert '"agents.yaml"' in result.stderr
    if output != "table":
        assert result.document["code"] == "file_not_found"


def test_a_configuration_that_is_no_text_is_refused_without_a_traceback(workplace: Path) -> None:
    (workplace / "agents.yaml").write_bytes(b"\xff\xfe\x00")
    result = run("validate")
    assert result.code == ExitCode.USAGE
    assert "Traceback" not in result.stderr
