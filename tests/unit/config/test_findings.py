"""The collector of findings: bounded, sorted, and fit to be printed."""

from __future__ import annotations

import pytest

from reconciler.config.findings import MAX_KEPT, MAX_REPORTED, Findings, listed, shown
from reconciler.model.diagnostic import Position
from reconciler.model.nearest import nearest


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "nothing (null)"),
        (True, "true"),
        (False, "false"),
        (5, "5"),
        (1.5, "1.5"),
        ([1], "a list"),
        ({}, "a mapping"),
        ("a\x1b[31m\u202eb\n", '"a�[31m�b�"'),
        ("x" * 100, '"' + "x" * 59 + '…"'),
    ],
)
def test_values_are_shown_on_one_short_line(value: object, text: str) -> None:
    assert shown(value) == text


def test_the_nearest_is_found_whatever_its_case_and_only_if_it_is_near() -> None:
    assert nearest("READER", ["reader", "writer"]) == "reader"
    assert nearest("zzz", ["reader", "writer"]) == ""
    assert nearest("r" * 200, ["r" * 200]) == ""
    assert listed(["b", "a"]) == "a, b"


def test_the_same_finding_is_kept_once() -> None:
    findings = Findings()
    for _ in range(3):
        findings.warning("rule", "message", Position("f", 1, 1))
    assert len(findings.sorted()) == 1
    assert not findings.has_errors


def test_findings_without_a_place_come_last() -> None:
    findings = Findings()
    findings.error("b", "no place", None)
    findings.error("a", "second", Position("f", 2, 1))
    findings.error("a", "first", Position("f", 1, 9))
    assert [one.message for one in findings.sorted()] == ["first", "second", "no place"]


def test_an_error_is_seen_behind_any_number_of_warnings() -> None:
    findings = Findings()
    for line in range(2 * MAX_KEPT):
        findings.warning("odd", "odd", Position("f", line + 1, 1))
    findings.error("wrong", "wrong", Position("f", 1, 1))
    found = findings.sorted()
    assert len(found) == MAX_REPORTED + 1
    assert "wrong" in [one.rule for one in found]
    assert f"{2 * MAX_KEPT + 1 - MAX_REPORTED:,}" in found[-1].message


def test_suggestions_end_when_they_have_cost_enough() -> None:
    findings = Findings()
    names = [f"template-{number}" for number in range(500)]
    assert findings.suggest("templat-7", names) == 'Did you mean "template-7"?'
    for _ in range(100):
        findings.suggest("templat-7", names)
    assert findings.suggest("templat-7", names, otherwise="Look it up.") == "Look it up."
