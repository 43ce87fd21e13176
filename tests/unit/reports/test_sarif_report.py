"""SARIF 2.1.0, by the rules of the standard and by what code scanning asks for."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

import pytest

from reconciler.errors import ExitCode
from reconciler.model.diagnostic import Diagnostic, Position
from reconciler.model.drift import DRIFT_KINDS, NOTICES
from reconciler.model.shard import Shard
from reconciler.planning.guards import REFUSERS
from reconciler.reports.problems import Problem
from reconciler.reports.rules import rule_help, rule_id, rule_text
from reconciler.reports.sarif_report import sarif_report
from reconciler.reports.subject import RunFacts, Subject
from tests.unit.reports.golden import assert_golden
from tests.unit.reports.samples import at
from tests.unit.reports.subjects import (
    APPLIED,
    DRIFT,
    INVALID,
    NO_CHANGES,
    PLAN,
    REFUSED_BY_API,
    SAMPLES,
    hostile_subjects,
    subject,
)

ALL = {**SAMPLES, **{f"hostile_{name}": one for name, one in hostile_subjects().items()}}


def run_of(given: Subject) -> Any:
    document = json.loads(sarif_report(given))
    assert document["version"] == "2.1.0"
    assert set(document) == {"$schema", "version", "runs"}
    [run] = document["runs"]
    return run


def places(run: Any) -> list[tuple[str, int, int]]:
    found = [result["locations"][0]["physicalLocation"] for result in run["results"]]
    return [
        (one["artifactLocation"]["uri"], one["region"]["startLine"], one["region"]["startColumn"])
        for one in found
    ]


def texts_in(value: Any) -> Iterator[str]:
    """Every text of a document, names of fields included."""
    match value:
        case dict():
            yield from (text for pair in value.items() for part in pair for text in texts_in(part))
        case list():
            yield from (text for part in value for text in texts_in(part))
        case str():
            yield value
        case _:
            pass


def prints(given: Subject) -> list[Any]:
    return [result["partialFingerprints"] for result in run_of(given)["results"]]


@pytest.mark.parametrize("name", ["invalid", "plan", "drift", "failure"])
def test_a_report_looks_like_this(name: str) -> None:
    assert_golden(f"sarif_{name}", sarif_report(SAMPLES[name]))


@pytest.mark.parametrize("name", ALL)
def test_every_report_keeps_the_rules_of_the_standard(name: str) -> None:
    run = run_of(ALL[name])
    rules = run["tool"]["driver"]["rules"]
    names = [rule["id"] for rule in rules]
    assert len(set(names)) == len(names)
    for rule in rules:
        assert rule["defaultConfiguration"]["level"] in {"error", "warning", "note"}
        assert all(rule[text]["text"] for text in ("shortDescription", "fullDescription", "help"))
    for result in run["results"]:
        assert names[result["ruleIndex"]] == result["ruleId"]
        assert result["level"] in {"error", "warning", "note"}
        assert result["message"]["text"]
        assert all(isinstance(value, str) for value in result["partialFingerprints"].values())
        [place] = result["locations"]
        where = place["physicalLocation"]
        assert re.fullmatch(r"(file://)?[A-Za-z0-9._~%/-]*", where["artifactLocation"]["uri"])
        assert where["artifactLocation"].get("uriBaseId", "%SRCROOT%") == "%SRCROOT%"
        assert min(where["region"].values()) >= 1
    assert len({json.dumps(result["partialFingerprints"]) for result in run["results"]}) == len(
        run["results"]
    )
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", run["invocations"][0]["endTimeUtc"])


@pytest.mark.parametrize("name", ALL)
def test_no_report_holds_a_link_a_mention_or_a_control_character(name: str) -> None:
    text = sarif_report(ALL[name])
    assert text.isascii()
    assert all(one.replace("\n", "").isprintable() for one in texts_in(json.loads(text)))
    assert all(line.isprintable() for line in text.split("\n"))
    run = json.loads(text)["runs"][0]
    notes = run["invocations"][0]["toolExecutionNotifications"]
    for message in [one["message"]["text"] for one in (*run["results"], *notes)]:
        assert not re.search(r"(?<!\\)[\[\]]|(?<!\w)@\w|#\d", message)
        assert "{" not in message.replace("{{", "")


def test_without_problems_there_are_no_results_which_closes_the_old_ones() -> None:
    run = run_of(NO_CHANGES)
    assert (run["results"], run["tool"]["driver"]["rules"]) == ([], [])
    assert run["invocations"][0] == {
        "executionSuccessful": True,
        "exitCode": 0,
        "endTimeUtc": "2026-11-24T09:00:00Z",
        "toolExecutionNotifications": [],
    }


def test_findings_refusals_and_drift_are_results_at_their_places() -> None:
    assert places(run_of(INVALID))[0] == ("agents/agents.yaml", 12, 3)
    rules = {result["ruleId"] for result in run_of(PLAN)["results"]}
    assert {"alter-sync/guard-revoke-in-use", "alter-sync/unused-template"} <= rules
    levels = {result["ruleId"]: result["level"] for result in run_of(DRIFT)["results"]}
    assert levels["alter-sync/drift-key-minted-outside"] == "error"
    assert levels["alter-sync/drift-orphaned-key"] == "warning"
    assert not any("not-applied" in rule or "unused" in rule for rule in levels)


def test_what_stands_in_no_file_is_at_the_head_of_the_configuration() -> None:
    assert places(run_of(INVALID))[2] == ("agents/agents.yaml", 1, 1)
    alone = Diagnostic("error", "agents-missing", "there is no key")
    assert places(run_of(subject("validate", findings=(alone,), run=RunFacts()))) == [("agents.yaml", 1, 1)]


def test_what_failed_without_a_line_is_a_notification() -> None:
    run = run_of(REFUSED_BY_API)
    [note] = run["invocations"][0]["toolExecutionNotifications"]
    assert note["message"]["text"] == "the key lacks agents:read\nmake a key with agents:read"
    assert note["descriptor"] == {"id": "alter-sync/failure-insufficient_scope"}
    assert (run["results"], run["invocations"][0]["executionSuccessful"]) == ([], False)
    assert len(run_of(APPLIED)["invocations"][0]["toolExecutionNotifications"]) == 2


def test_a_path_is_a_relative_uri_and_one_from_elsewhere_an_absolute_one() -> None:
    odd = "dir with blank/ä#?%.yaml"
    findings = tuple(Diagnostic("error", "r", "m", Position(file, 1, 1)) for file in (odd, "/etc/a b.yaml"))
    (inside, _, _), (outside, _, _) = places(run_of(subject("validate", findings=findings, run=RunFacts())))
    assert (unquote(inside), outside) == (odd, "file:///etc/a%20b.yaml")
    assert "#" not in inside


def test_fingerprints_stay_when_lines_move_and_tell_equal_lines_apart() -> None:
    def shifted(by: int) -> tuple[Diagnostic, ...]:
        return tuple(
            Diagnostic("error", "unknown-key", f"see line {n + by}", at(n + by), excerpt="  x: 1")
            for n in (5, 9)
        )

    before, after = (prints(subject("validate", findings=shifted(by))) for by in (0, 40))
    assert before == after
    assert before[0] != before[1]
    moved = (
        tuple(replace(one, source=at(99)) if one.source else one for one in DRIFT.drift.findings)
        if DRIFT.drift
        else ()
    )
    assert DRIFT.drift is not None
    assert prints(DRIFT) == prints(replace(DRIFT, drift=replace(DRIFT.drift, findings=moved)))


@pytest.mark.parametrize("kind", ["guard", "drift"])
def test_every_guard_and_every_drift_has_a_text_of_its_own(kind: Any) -> None:
    drift = [one.replace("_", "-") for one in DRIFT_KINDS if one not in NOTICES]
    for name in REFUSERS if kind == "guard" else drift:
        problem = Problem(kind, name, "error", "", "")
        assert rule_text(problem) != f"{name.replace('-', ' ').capitalize()}."
        assert rule_help(problem).startswith(rule_text(problem))
        assert rule_id(problem) == f"alter-sync/{kind}-{name}"


def test_a_guard_and_a_finding_of_one_name_are_two_rules() -> None:
    assert rule_id(Problem("finding", "replace", "error", "", "")) == "alter-sync/replace"
    assert rule_text(Problem("guard", "policy-x", "error", "", "")) == "Policy x."


def test_a_run_that_was_refused_went_well_and_one_that_failed_did_not() -> None:
    for code, is_good in ((ExitCode.REFUSED, True), (ExitCode.CHANGES, True), (ExitCode.PARTIAL, False)):
        assert run_of(replace(NO_CHANGES, exit_code=code))["invocations"][0]["executionSuccessful"] is is_good


def test_a_part_says_so_and_closes_nothing_of_the_whole() -> None:
    assert DRIFT.drift is not None
    whole = run_of(DRIFT)
    parts = [run_of(replace(DRIFT, drift=replace(DRIFT.drift, shard=Shard(n, 5)))) for n in (1, 2)]
    assert "properties" not in whole
    assert [part["properties"] for part in parts] == [{"only": f"only part {n}/5"} for n in (1, 2)]
    assert len({run["automationDetails"]["id"] for run in (whole, *parts)}) == 3
