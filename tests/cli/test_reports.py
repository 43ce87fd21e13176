"""`markdown`, `github`, `sarif` and `junit` from the command line: on success, refusal and failure."""

import io
import json
import os
import re
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from reconciler.cli import main
from reconciler.cli.reporting import run_facts
from reconciler.errors import ExitCode
from reconciler.sandbox import SandboxServer
from tests.support.commands import READER, Result, declare, mutations, process, readers, run, use_key_of
from tests.unit.reports.inert import foreign_in

FORMATS = {"json": "r.json", "markdown": "r.md", "github": "summary.md", "sarif": "r.sarif", "junit": "r.xml"}
ALL = [word for name, path in FORMATS.items() for word in ("--report", f"{name}={path}")]
FROZEN = [{"from": "2026-01-01", "to": "2090-01-01"}]
RUN_URL = "https://github.test/o/r/actions/runs/7"


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests themselves may run in a CI, which commands under test must not see."""
    for name in list(os.environ):
        if name.startswith(("GITHUB_", "CI_")):
            monkeypatch.delenv(name)


@pytest.fixture
def actions(alter: SandboxServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Mapping[str, Path]:
    """A step of a workflow: the files that it may append to."""
    files = {name: tmp_path / name for name in ("GITHUB_STEP_SUMMARY", "GITHUB_OUTPUT")}
    for name, path in files.items():
        path.write_text("from another tool", encoding="utf-8")
        monkeypatch.setenv(name, str(path))
    for name, value in {
        "GITHUB_ACTIONS": "true",
        "GITHUB_SHA": "abcdef0123456789",
        "GITHUB_SERVER_URL": "https://github.test",
        "GITHUB_REPOSITORY": "o/r",
        "GITHUB_RUN_ID": "7",
        "GITHUB_WORKSPACE": str(Path.cwd()),
    }.items():
        monkeypatch.setenv(name, value)
    files["GITHUB_OUTPUT"].write_text("", encoding="utf-8")
    return files


def text_of(name: str) -> str:
    return Path(FORMATS[name]).read_text(encoding="utf-8")


def sarif() -> Any:
    return json.loads(text_of("sarif"))["runs"][0]


def suite() -> Mapping[str, str]:
    return ElementTree.fromstring(text_of("junit"))[0].attrib


def all_are_there() -> None:
    for path in FORMATS.values():
        assert Path(path).read_text(encoding="utf-8").endswith("\n")
    assert foreign_in(text_of("markdown")) == []
    assert text_of("markdown").endswith(text_of("github"))


def outputs(actions: Mapping[str, Path]) -> dict[str, str]:
    text = actions["GITHUB_OUTPUT"].read_text(encoding="utf-8")
    plain = dict(line.split("=") for line in text.splitlines() if re.fullmatch(r"\w+=\w+", line))
    return plain | dict(re.findall(r"^(\w+)<<.+\n(.*)\n", text, re.MULTILINE))


def annotations(result: Result) -> list[str]:
    return [line for line in result.stderr.splitlines() if line.startswith("::")]


def test_every_format_is_written_beside_what_is_shown(alter: SandboxServer) -> None:
    declare(readers("alpha"))
    result = run("plan", *ALL, "--save", "plan.json")
    assert result.code == ExitCode.OK
    assert result.stdout.startswith("Plan: 1 to create")
    all_are_there()
    assert "### Plan: 1 to create" in text_of("markdown")
    assert "| `alpha` (new) | `google:gmail.readonly` |  |" in text_of("markdown")
    assert f"plan={json.loads(Path('plan.json').read_text())['plan_digest']} -->" in text_of("markdown")
    assert (sarif()["results"], suite()["failures"]) == ([], "0")


@pytest.mark.parametrize(
    ("command", "headline"),
    [
        (("validate",), "### Validation: valid"),
        (("plan",), "### Plan: 1 to create"),
        (("apply", "--yes"), "### Apply: 1 done"),
        (("drift",), "### Drift: none; 1 not applied yet"),
    ],
)
def test_every_command_has_every_format(
    alter: SandboxServer, command: tuple[str, ...], headline: str
) -> None:
    declare(readers("alpha"))
    assert run(*command, *ALL).code == ExitCode.OK
    all_are_there()
    assert headline in text_of("markdown")
    assert suite()["name"] == f"alter-sync {command[0]}"


def test_what_a_guard_refuses_is_in_every_format(alter: SandboxServer) -> None:
    declare(readers("alpha"), freeze=FROZEN)
    assert run("plan", *ALL).code == ExitCode.REFUSED
    all_are_there()
    assert "to let this through: `alter-sync apply --allow freeze=alpha`" in text_of("markdown")
    assert "exit code 12" in text_of("markdown")
    [result] = sarif()["results"]
    assert (result["ruleId"], result["level"]) == ("alter-sync/guard-freeze", "error")
    assert result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "agents.yaml"
    assert result["locations"][0]["physicalLocation"]["region"]["startLine"] > 1
    assert suite()["failures"] == "1"


@pytest.mark.parametrize("command", [("validate",), ("plan",), ("apply", "--yes"), ("drift",)])
def test_a_configuration_with_errors_is_in_every_format(
    alter: SandboxServer, command: tuple[str, ...]
) -> None:
    declare({"alpha": {**READER, "displayname": "x"}})
    assert run(*command, *ALL).code == ExitCode.USAGE
    all_are_there()
    assert "failed: the configuration has 1 error" in text_of("markdown")
    says = r'error `agents.yaml:\d+:\d+`: .* no key "displayname" \[`unknown-key`\]; Did you mean "display'
    assert re.search(says, text_of("markdown"))
    [result] = sarif()["results"]
    assert result["ruleId"] == "alter-sync/unknown-key"
    assert (suite()["failures"], suite()["errors"]) == ("1", "0")


def test_a_refusal_of_the_api_is_in_every_format(
    alter: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_key_of(monkeypatch, alter, "audit:read")
    declare(readers("alpha"))
    assert run("plan", *ALL).code == ExitCode.AUTH
    all_are_there()
    assert "### Plan failed: " in text_of("markdown")
    assert "what next: " in text_of("markdown")
    assert not sarif()["invocations"][0]["executionSuccessful"]
    assert suite()["errors"] == "1"


def test_an_apply_that_did_a_part_is_in_every_format(alter: SandboxServer) -> None:
    refusal = {"code": "agent_concurrent_update", "message": "somebody was faster"}
    alter.faults.add("status", method="POST", status=409, body=refusal)
    declare(readers("alpha", "beta"))
    assert run("apply", "--yes", "--parallelism", "1", *ALL).code == ExitCode.PARTIAL
    all_are_there()
    assert "### Apply: 1 done, 1 failed" in text_of("markdown")
    assert "**Go on with:**\n\n```sh\nalter-sync apply\n```" in text_of("markdown")
    assert suite()["failures"] == "1"


def test_reports_are_there_before_anything_is_shown(alter: SandboxServer) -> None:
    class Watcher(io.StringIO):
        def write(self, text: str) -> int:
            all_are_there()
            return super().write(text)

    declare(readers("alpha"))
    shown = Watcher()
    with redirect_stdout(shown), redirect_stderr(io.StringIO()):
        assert main.run(["plan", *ALL]) == ExitCode.OK
    assert shown.getvalue().startswith("Plan: ")


def test_reports_are_there_when_nobody_reads_what_is_shown(alter: SandboxServer) -> None:
    declare(readers("alpha"))
    process("plan", *ALL)
    all_are_there()


@pytest.mark.parametrize("name", FORMATS)
def test_a_report_that_cannot_be_is_refused_before_anything_is_done(alter: SandboxServer, name: str) -> None:
    declare(readers("alpha"))
    for place, says in (("no/where", "is in a folder that is not there"), (".", "is a folder")):
        result = run("apply", "--yes", "--report", f"{name}={place}")
        assert (result.code, says in result.stderr) == (ExitCode.USAGE, True)
    result = run("apply", "--yes", "--report", f"{name}=a", "--report", "json=a")
    assert (result.code, "another report goes to a" in result.stderr) == (ExitCode.USAGE, True)
    assert mutations(alter) == []


@pytest.mark.parametrize("name", ["markdown", "github"])
def test_a_file_that_cannot_be_written_is_said(alter: SandboxServer, name: str) -> None:
    declare(readers("alpha"))
    result = run("plan", "--report", f"{name}=/dev/full")
    assert result.code == ExitCode.USAGE
    assert "the report /dev/full cannot be written" in result.stderr


def test_a_comment_can_be_made_shorter(alter: SandboxServer) -> None:
    declare(readers(*(f"agent-{n:03}" for n in range(60))))
    assert run("plan", *ALL, "--max-chars", "5000").code == ExitCode.OK
    text = text_of("markdown")
    assert len(text) < 5_000
    assert "agent-059" in text
    assert "Shortened to what there is room for" in text
    assert "Shortened" not in text_of("github")
    assert run("plan", *ALL, "--max-chars", "10").code == ExitCode.USAGE


def test_the_folder_of_the_repository_is_known_as_far_as_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    monkeypatch.chdir(folder)
    here = str(folder)
    assert (run_facts({}).workspace, run_facts({}).folder) == (here, here)
    gitlab = run_facts({"CI_PROJECT_DIR": str(tmp_path)})
    assert (gitlab.workspace, gitlab.folder) == (str(tmp_path), here)
    github = run_facts({"GITHUB_ACTIONS": "true", "GITHUB_WORKSPACE": str(tmp_path)})
    assert (github.workspace, github.folder) == (str(tmp_path), here)
    folder.rmdir()
    assert run_facts({}).folder == ""


# GitHub Actions.


def test_the_summary_is_appended_and_the_outputs_are_set(actions: Mapping[str, Path]) -> None:
    declare(readers("alpha", "beta"))
    summary = actions["GITHUB_STEP_SUMMARY"]
    result = run("plan", "--save", "plan.json", "--report", f"github={summary}", "--detailed-exitcode")
    text = summary.read_text(encoding="utf-8")
    assert text.startswith("from another tool\n\n### Plan: 2 to create")
    assert f"commit `abcdef0` · [run]({RUN_URL})" in text
    digest = json.loads(Path("plan.json").read_text())["plan_digest"]
    assert outputs(actions) == {
        "changes_to_create": "2",
        "changes_to_update": "0",
        "changes_to_revoke": "0",
        "changes_to_rotate": "0",
        "blocked": "0",
        "waiting": "0",
        "drift": "0",
        "exit_code": "10",
        "plan_path": "plan.json",
        "plan_digest": digest,
    }
    assert (result.code, annotations(result)) == (ExitCode.CHANGES, [])


def test_two_steps_append_to_one_summary(actions: Mapping[str, Path]) -> None:
    declare(readers("alpha"))
    summary = actions["GITHUB_STEP_SUMMARY"]
    summary.write_text("")
    for command in ("validate", "plan"):
        assert run(command, "--report", f"github={summary}").code == ExitCode.OK
    text = summary.read_text()
    assert text.startswith("### Validation: valid")
    assert "\n\n### Plan: 1 to create" in text


def test_another_file_is_written_anew_each_time(actions: Mapping[str, Path]) -> None:
    declare(readers("alpha"))
    for _ in range(2):
        run("plan", "--report", "github=summary.md")
    assert text_of("github").count("###") == 1
    assert actions["GITHUB_STEP_SUMMARY"].read_text() == "from another tool"


def test_a_summary_that_is_full_stays_as_it_is(actions: Mapping[str, Path]) -> None:
    declare(readers("alpha"))
    summary = actions["GITHUB_STEP_SUMMARY"]
    summary.write_text("x" * (1_048_576 - 100))
    result = run("plan", "--report", f"github={summary}")
    assert result.code == ExitCode.OK
    assert "has no room left for the summary" in result.stderr
    assert summary.stat().st_size == 1_048_476


def test_a_summary_that_is_nearly_full_gets_a_shorter_text(actions: Mapping[str, Path]) -> None:
    declare(readers(*(f"agent-{n:03}" for n in range(60))))
    summary = actions["GITHUB_STEP_SUMMARY"]
    summary.write_text("x" * (1_048_576 - 4_000))
    assert run("plan", "--report", f"github={summary}").code == ExitCode.OK
    assert "agent-059" in summary.read_text()
    assert summary.stat().st_size <= 1_048_576


def test_findings_and_refusals_become_annotations_at_their_lines(
    actions: Mapping[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    declare({"alpha": {**READER, "displayname": "x"}}, file="deploy/agents.yaml")
    monkeypatch.chdir("deploy")
    invalid = run("validate", "--report", "github=summary.md")
    assert invalid.code == ExitCode.USAGE
    [line] = annotations(invalid)
    assert re.match(
        r"::error file=deploy/agents\.yaml,line=\d+,col=\d+,title=unknown-key::.*displayname", line
    )
    declare(readers("alpha"), freeze=FROZEN)
    refused = run("plan", "--report", "github=summary.md")
    [line] = annotations(refused)
    assert re.match(
        r"::error file=deploy/agents\.yaml,line=\d+,col=\d+,title=freeze refuses create agent::alpha: ", line
    )
    assert outputs(actions)["blocked"] == "1"
    assert outputs(actions)["exit_code"] == "12"


def test_a_failure_becomes_an_annotation_and_an_exit_code(
    actions: Mapping[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ALTER_API_KEY")
    declare(readers("alpha"))
    result = run("plan", "--report", "github=summary.md")
    assert result.code == ExitCode.AUTH
    [line] = annotations(result)
    assert line.startswith("::error title=plan failed::")
    assert outputs(actions)["exit_code"] == "3"


def test_without_the_format_nothing_is_annotated_and_no_output_is_set(actions: Mapping[str, Path]) -> None:
    declare({"alpha": {**READER, "displayname": "x"}})
    assert annotations(run("validate", "--report", "markdown=r.md")) == []
    assert actions["GITHUB_OUTPUT"].read_text() == ""


def test_elsewhere_nothing_is_annotated(alter: SandboxServer) -> None:
    declare({"alpha": {**READER, "displayname": "x"}})
    assert annotations(run("validate", "--report", "github=summary.md")) == []


def test_outputs_that_cannot_be_set_are_said(
    actions: Mapping[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(readers("alpha"))
    monkeypatch.setenv("GITHUB_OUTPUT", "/dev/full")
    result = run("plan", "--report", "github=summary.md")
    assert (result.code, "/dev/full cannot be written" in result.stderr) == (ExitCode.USAGE, True)
