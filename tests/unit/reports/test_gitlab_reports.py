"""What GitLab gets: the numbers of a plan, and problems at their lines."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from reconciler.reports.gitlab_reports import codequality_report, terraform_report
from reconciler.reports.subject import Subject
from tests.unit.reports import subjects


def problems(subject: Subject) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(codequality_report(subject))
    return found


def test_agents_are_counted_and_a_replaced_one_twice() -> None:
    numbers = json.loads(terraform_report(subjects.PLAN))
    plan = subjects.PLAN.plan
    assert plan is not None
    by_kind = {
        kind: {operation.agent for operation in plan.operations if operation.kind == kind}
        for kind in ("create_agent", "revoke_agent")
    }
    everybody = {operation.agent for operation in plan.operations}
    assert numbers == {
        "create": len(by_kind["create_agent"]),
        "update": len(everybody - by_kind["create_agent"] - by_kind["revoke_agent"]),
        "delete": len(by_kind["revoke_agent"]),
    }
    assert min(numbers.values()) > 0
    assert json.loads(terraform_report(subjects.NO_CHANGES)) == {"create": 0, "update": 0, "delete": 0}


def test_no_plan_is_not_no_change() -> None:
    assert json.loads(terraform_report(subjects.INVALID)) == {}


@pytest.mark.parametrize("subject", [subjects.INVALID, subjects.PLAN, subjects.APPLIED, subjects.DRIFT])
def test_every_problem_has_what_gitlab_asks_for(subject: Subject) -> None:
    found = problems(subject)
    assert found
    for problem in found:
        assert problem["description"]
        assert problem["check_name"]
        assert problem["severity"] in {"info", "minor", "major", "critical", "blocker"}
        assert problem["location"]["path"]
        assert problem["location"]["lines"]["begin"] >= 1
        assert not problem["location"]["path"].startswith("./")
    assert len({problem["fingerprint"] for problem in found}) == len(found)


def test_the_same_problem_has_the_same_fingerprint_and_that_of_another_app_another() -> None:
    first = [problem["fingerprint"] for problem in problems(subjects.PLAN)]
    assert [problem["fingerprint"] for problem in problems(subjects.PLAN)] == first
    other = [problem["fingerprint"] for problem in problems(replace(subjects.PLAN, app="other"))]
    assert not set(first) & set(other)


def test_what_is_in_order_is_an_empty_list() -> None:
    assert problems(subjects.VALID) == problems(subjects.NO_DRIFT) == []
