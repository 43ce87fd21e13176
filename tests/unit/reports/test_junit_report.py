"""JUnit by the rules of Ant's schema and of that of Jenkins: one suite, its counts, always XML."""

from __future__ import annotations

import re
from dataclasses import replace
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import pytest

from reconciler.model.shard import Shard
from reconciler.reports.junit_report import junit_report
from reconciler.reports.subject import Subject
from tests.unit.reports.golden import assert_golden
from tests.unit.reports.subjects import (
    APPLIED,
    DRIFT,
    INVALID,
    NO_CHANGES,
    NO_DRIFT,
    PLAN,
    REFUSED_BY_API,
    SAMPLES,
    VALID,
    hostile_subjects,
)

ALL = {**SAMPLES, **{f"hostile_{name}": one for name, one in hostile_subjects().items()}}
SUITE = {"name", "package", "id", "tests", "failures", "errors", "skipped", "time", "timestamp", "hostname"}


def suite_of(given: Subject) -> Element:
    root = ElementTree.fromstring(junit_report(given))
    assert (root.tag, root.attrib) == ("testsuites", {})
    [suite] = root
    return suite


def results(given: Subject) -> list[tuple[str, str]]:
    return [
        (case.get("name", ""), case[0].tag if len(case) else "passed")
        for case in suite_of(given).iter("testcase")
    ]


@pytest.mark.parametrize("name", SAMPLES)
def test_a_report_looks_like_this(name: str) -> None:
    assert_golden(f"junit_{name}", junit_report(SAMPLES[name]))


@pytest.mark.parametrize("name", ALL)
def test_every_report_keeps_the_rules_of_both_schemas(name: str) -> None:
    suite = suite_of(ALL[name])
    assert (suite.tag, set(suite.attrib)) == ("testsuite", SUITE)
    tags = [child.tag for child in suite]
    cases = tags.count("testcase")
    assert tags == ["properties", *["testcase"] * cases, "system-out", "system-err"]
    assert cases == int(suite.attrib["tests"]) >= 1
    for attribute, tag in {"failures": "failure", "errors": "error", "skipped": "skipped"}.items():
        assert int(suite.attrib[attribute]) == sum(1 for _ in suite.iter(tag))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", suite.attrib["timestamp"])
    for entry in suite[0]:
        assert (entry.tag, set(entry.attrib)) == ("property", {"name", "value"})
    for case in suite.iter("testcase"):
        assert set(case.attrib) == {"classname", "name", "time"}
        assert len(case) <= 1
        for child in case:
            assert child.tag in {"skipped", "failure", "error"}
            assert set(child.attrib) == {"message"} | ({"type"} if child.tag != "skipped" else set())


@pytest.mark.parametrize("name", ALL)
def test_no_report_holds_a_control_character_or_markup_of_others(name: str) -> None:
    text = junit_report(ALL[name])
    assert all(line.isprintable() for line in text.split("\n"))
    assert not re.search(r"##\w*\[|^\s*::", text, re.MULTILINE)
    text.encode("utf-8")


def test_a_run_without_problems_has_a_case_that_passed() -> None:
    assert results(VALID) == [("validate finds nothing to object to", "passed")]
    assert results(NO_CHANGES) == [("plan finds nothing to object to", "passed")]
    assert results(NO_DRIFT) == [("drift finds nothing to object to", "passed")]


def test_errors_fail_and_warnings_are_skipped() -> None:
    assert results(INVALID) == [
        ("unknown-key: agents/agents.yaml:12:3", "failure"),
        ("unused-template: agents/agents.yaml:9:3", "skipped"),
        ("agents-missing", "failure"),
    ]


def test_a_plan_has_its_operations_and_what_is_refused() -> None:
    found = results(PLAN)
    assert ("revoke-in-use refuses revoke agent: busy-bot", "failure") in found
    assert ("revoke agent: old-bot", "passed") in found
    assert ("revoke key key-9: mailer", "passed") in found
    assert ("observing: turner", "skipped") in found


def test_an_outcome_has_what_is_done_what_failed_and_what_was_not_tried() -> None:
    found = results(APPLIED)
    assert ("create agent: nightly-sync", "passed") in found
    assert ("update agent: billing-bot", "failure") in found
    assert ("suspend agent: sleeper", "skipped") in found


def test_drift_fails_and_notices_and_what_is_ignored_are_skipped() -> None:
    found = results(DRIFT)
    assert found.count(("changed outside: nightly-sync", "failure")) == 1
    assert ("not applied: billing-bot: metadata.team", "skipped") in found
    assert ("changed outside: legacy-1: metadata.team", "skipped") in found


def test_what_ended_the_run_is_an_error() -> None:
    assert results(REFUSED_BY_API) == [("plan failed", "error")]
    [error] = suite_of(REFUSED_BY_API).iter("error")
    assert error.text == "the key lacks agents:read\nmake a key with agents:read"


def test_a_part_is_no_suite_of_the_whole() -> None:
    assert PLAN.plan is not None
    part = suite_of(replace(PLAN, plan=replace(PLAN.plan, shard=Shard(1, 5), targets=("x", "<y>"))))
    told = "only part 1/5, only agents matching x, <y>"
    assert part.get("name") == f"alter-sync plan, {told}"
    assert {one.get("name"): one.get("value") for one in part.iter("property")}["only"] == told
    assert suite_of(PLAN).get("name") == "alter-sync plan"
