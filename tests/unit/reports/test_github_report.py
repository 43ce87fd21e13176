"""Annotations at the lines of files, and the outputs of a step."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.errors import ExitCode, UsageError
from reconciler.model.agent import AgentName
from reconciler.model.diagnostic import Diagnostic, Position
from reconciler.model.plan import Blocked
from reconciler.reports.github_report import annotation_lines, github_report, output_lines
from reconciler.reports.markdown_report import step_summary
from reconciler.reports.problems import path_in_repository
from reconciler.reports.subject import RunFacts
from tests.unit.reports.golden import assert_golden
from tests.unit.reports.samples import EMPTY, at, operation
from tests.unit.reports.subjects import (
    APPLIED,
    DRIFT,
    INVALID,
    PLAN,
    RUN,
    SAMPLES,
    failed,
    hostile_subjects,
    subject,
)

_COMMAND = re.compile(r"::(error|warning|notice) ((?:file=[^,:]+,line=\d+,col=\d+,)?title=[^,:]*)::(.+)")


def read_outputs(text: str) -> dict[str, str]:
    """As GitHub's runner reads the file."""
    found: dict[str, str] = {}
    lines = iter(text.split("\n")[:-1])
    for line in lines:
        name, equals, value = line.partition("=")
        if equals and "<<" not in name:
            found[name] = value
            continue
        name, _, end = line.partition("<<")
        block = []
        while (line := next(lines)) != end:
            block.append(line)
        found[name] = "\n".join(block)
    return found


def test_the_file_is_the_summary() -> None:
    assert github_report(PLAN) == step_summary(PLAN)
    assert "<!--" not in github_report(PLAN)


def test_annotations_look_like_this() -> None:
    lines = [line for name in SAMPLES for line in (f"# {name}", *annotation_lines(SAMPLES[name]))]
    assert_golden("github_annotations", "\n".join(lines))


def test_a_refusal_is_where_its_operation_comes_from() -> None:
    refused = replace(operation("revoke_agent", "busy"), source=at(12))
    blocked = Blocked(
        "revoke-in-use", AgentName("busy"), "used at 08:10, 30 %", "--allow revoke-in-use=busy", refused
    )
    [line] = annotation_lines(
        subject("plan", ExitCode.REFUSED, plan=replace(EMPTY, blocked=(blocked, blocked)))
    )
    assert line == (
        "::error file=agents/agents.yaml,line=12,col=3,title=revoke-in-use refuses revoke agent::"
        "busy: used at 08:10, 30 %25%0Ato let this through: --allow revoke-in-use=busy"
    )


def test_properties_and_messages_are_escaped() -> None:
    finding = Diagnostic("error", "a:b,c%", "100 %\nnew", Position("x,y:z%.yaml", 1, 2))
    [line] = annotation_lines(subject("validate", findings=(finding,), run=RunFacts()))
    assert line == "::error file=x%2Cy%3Az%25.yaml,line=1,col=2,title=a%3Ab%2Cc%25::100 %25\\nnew"


def test_there_are_ten_of_a_kind_and_the_last_counts_the_rest() -> None:
    errors = tuple(Diagnostic("error", "r", f"e{n}", at(n + 1)) for n in range(25))
    warnings = tuple(Diagnostic("warning", "r", f"w{n}", at(n + 1)) for n in range(10))
    lines = annotation_lines(subject("validate", findings=(*errors, *warnings)))
    assert [sum(line.startswith(f"::{kind} ") for line in lines) for kind in ("error", "warning")] == [10, 10]
    assert lines[9] == "::error title=alter-sync::and 16 more, see the summary of the step"
    assert lines[-1].endswith("::w9")


def test_a_guard_that_refuses_many_for_one_reason_says_it_once() -> None:
    lines = [line for line in annotation_lines(PLAN) if "max-revocations" in line]
    assert len(lines) == 1
    assert "::mass-00 and 11 more: 12 of 40 owned agents at once (30 %25)%0Ato let this" in lines[0]


def test_a_failure_is_annotated_unless_the_findings_say_it() -> None:
    assert annotation_lines(failed("plan", UsageError("no", hint="go"))) == (
        "::error title=plan failed::no%0Ago",
    )
    assert all("the configuration has" not in line for line in annotation_lines(INVALID))


@pytest.mark.parametrize("name", hostile_subjects())
def test_hostile_texts_stay_in_their_command(name: str) -> None:
    for line in annotation_lines(hostile_subjects()[name]):
        assert _COMMAND.fullmatch(line), line
        assert line.isprintable()
        assert not re.search(r"##\w*\[|%(?!25|0A|3A|2C)", line)


@pytest.mark.parametrize(
    ("file", "workspace", "folder", "path"),
    [
        ("agents.yaml", "/w", "/w", "agents.yaml"),
        ("agents.yaml", "/w", "/w/deploy", "deploy/agents.yaml"),
        ("../a.yaml", "/w", "/w/deploy", "a.yaml"),
        ("/w/a/b.yaml", "/w/", "/w/deploy", "a/b.yaml"),
        ("/elsewhere/a.yaml", "/w", "/w", "/elsewhere/a.yaml"),
        ("../a.yaml", "/w", "/w", "../a.yaml"),
        ("./a.yaml", "", "", "a.yaml"),
        ("a.yaml", "/w", "/wider", "a.yaml"),
    ],
)
def test_paths_are_those_of_the_repository(file: str, workspace: str, folder: str, path: str) -> None:
    assert path_in_repository(file, RunFacts(workspace=workspace, folder=folder)) == path


# Outputs.


def test_outputs_count_agents() -> None:
    assert read_outputs(output_lines(PLAN)) == {
        "changes_to_create": "2",
        "changes_to_update": "7",
        "changes_to_revoke": "2",
        "changes_to_rotate": "3",
        "blocked": "15",
        "waiting": "2",
        "drift": "0",
        "exit_code": "12",
        "plan_path": "plan.json",
        "plan_digest": "sha256:p",
    }


def test_outputs_are_whole_numbers_whatever_the_run_came_to() -> None:
    for given_subject in SAMPLES.values():
        found = read_outputs(output_lines(given_subject))
        numbers = [value for name, value in found.items() if not name.startswith("plan_")]
        assert all(value.isdecimal() for value in numbers)
    assert read_outputs(output_lines(DRIFT))["drift"] == "7"
    assert read_outputs(output_lines(APPLIED))["blocked"] == "1"


@given(st.text(max_size=80))
def test_an_output_cannot_end_early(path: str) -> None:
    hostile = subject("plan", run=replace(RUN, plan_path=path.replace("\r", "")))
    found = read_outputs(output_lines(hostile))
    assert found["plan_path"] == path.replace("\r", "")
    assert len(found) == 10
