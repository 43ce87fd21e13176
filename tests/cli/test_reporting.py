"""`--report FORMAT=PATH`: asked for before anything is done, written before anything is printed."""

import json
from pathlib import Path

import pytest

from reconciler.cli.reporting import run_facts
from reconciler.errors import ExitCode
from reconciler.sandbox import SandboxServer
from tests.support.commands import declare, mutations, readers, run


def report(path: str = "report.json") -> dict[str, object]:
    document: dict[str, object] = json.loads(Path(path).read_text(encoding="utf-8"))
    return document


@pytest.mark.parametrize(
    ("command", "format"),
    [
        (("validate",), "alter-sync.findings/1"),
        (("plan",), "alter-sync.plan/1"),
        (("apply", "--yes"), "alter-sync.outcome/1"),
        (("drift",), "alter-sync.drift/1"),
    ],
)
def test_a_report_has_what_the_command_would_print(
    alter: SandboxServer, command: tuple[str, ...], format: str
) -> None:
    declare(readers("alpha"))
    shown = run(*command, "--report", "json=report.json")
    assert shown.code == ExitCode.OK
    assert report()["format"] == format
    assert shown.stdout


def test_a_report_is_written_when_a_guard_refuses(alter: SandboxServer) -> None:
    declare(readers("alpha"), freeze=[{"from": "2026-01-01", "to": "2090-01-01"}])
    assert run("plan", "--report", "json=report.json").code == ExitCode.REFUSED
    blocked = report()["blocked"]
    assert isinstance(blocked, list)
    assert blocked[0]["guard"] == "freeze"


@pytest.mark.parametrize("command", [("validate",), ("plan",), ("apply", "--yes"), ("drift",)])
def test_a_report_is_written_when_the_run_fails(alter: SandboxServer, command: tuple[str, ...]) -> None:
    declare({"alpha": {"scopes": {"google": ["gmail.readonly"]}, "displayname": "x"}})
    assert run(*command, "--report", "json=report.json").code == ExitCode.USAGE
    assert report()["code"] == "invalid_configuration"
    assert "displayname" in json.dumps(report()["findings"])


@pytest.mark.parametrize(
    ("request_", "says"),
    [
        ("jsn=report.json", "did you mean 'json'?"),
        ("json", "where to?"),
        ("json=", "where to?"),
        ("json=nowhere/report.json", "is in a folder that is not there"),
        ("json=.", "is a folder"),
        ("json=agents.yaml", "looks like a configuration"),
    ],
)
def test_a_report_that_cannot_be_is_refused_before_anything_is_done(
    alter: SandboxServer, request_: str, says: str
) -> None:
    declare(readers("alpha"))
    result = run("apply", "--yes", "--report", request_)
    assert result.code == ExitCode.USAGE
    assert says in result.stderr
    assert mutations(alter) == []


def test_the_comment_of_a_part_that_fails_is_not_that_of_the_whole(alter: SandboxServer) -> None:
    declare(readers("alpha"))
    alter.faults.add("status", method="GET", path="/agents$", status=403, times=None)
    marks = []
    for flags in ((), ("--target", "alpha"), ("--shard", "1/2")):
        run("plan", *flags, "--report", "markdown=report.md")
        marks.append(Path("report.md").read_text().partition("\n")[0])
    assert "only=" not in marks[0]
    assert (" only=agents%20alpha" in marks[1], " only=1/2" in marks[2]) == (True, True)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
@pytest.mark.parametrize(("frozen", "code"), [(False, ExitCode.USAGE), (True, ExitCode.REFUSED)])
def test_a_report_that_cannot_be_written_takes_nothing_else_with_it(
    alter: SandboxServer, frozen: bool, code: ExitCode
) -> None:
    freeze = [{"from": "2026-01-01", "to": "2090-01-01"}] if frozen else []
    declare(readers("alpha"), freeze=freeze)
    reports = ("--report", "json=/dev/full", "--report", "json=report.json")
    result = run("apply", "--yes", "--output", "json", *reports)
    assert result.code == code
    assert json.loads(result.stdout)["format"] == "alter-sync.outcome/1"
    assert report()["format"] == "alter-sync.outcome/1"
    assert "the report /dev/full cannot be written" in result.stderr
    assert len(mutations(alter)) == (0 if frozen else 1)


def test_two_reports_do_not_go_to_one_file(alter: SandboxServer) -> None:
    declare(readers("alpha"))
    result = run("plan", "--report", "json=a.json", "--report", "json=a.json")
    assert (result.code, "another report goes to a.json" in result.stderr) == (ExitCode.USAGE, True)
    Path("same.json").symlink_to("a.json")
    assert run("plan", "--report", "json=a.json", "--report", "json=same.json").code == ExitCode.USAGE
    assert run("plan", "--save", "a.json", "--report", "json=a.json").code == ExitCode.USAGE
    assert run("plan", "--report", "json=a.json", "--report", "json=b.json").code == ExitCode.OK
    assert Path("a.json").read_text() == Path("b.json").read_text()


def test_the_surroundings_tell_commit_and_run(tmp_path: Path) -> None:
    event = tmp_path / "event.json"
    event.write_text(json.dumps({"pull_request": {"head": {"sha": "head"}}}))
    github = {
        "GITHUB_ACTIONS": "true",
        "GITHUB_SHA": "merge",
        "GITHUB_SERVER_URL": "https://github.test",
        "GITHUB_REPOSITORY": "o/r",
        "GITHUB_RUN_ID": "7",
    }
    facts = run_facts(github | {"GITHUB_EVENT_PATH": str(event)})
    assert (facts.head_sha, facts.run_url) == ("head", "https://github.test/o/r/actions/runs/7")
    assert run_facts(github).head_sha == "merge"
    event.write_text("[]")
    assert run_facts(github | {"GITHUB_EVENT_PATH": str(event)}).head_sha == "merge"
    gitlab = run_facts({"CI_COMMIT_SHA": "abc", "CI_JOB_URL": "https://gitlab.test/1"})
    assert (gitlab.head_sha, gitlab.run_url) == ("abc", "https://gitlab.test/1")
    assert run_facts({}).head_sha == ""
