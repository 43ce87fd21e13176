"""What the user's policies say of operations: refusals, findings, and what they are asked with."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from reconciler.model.desired import RotationPolicy
from reconciler.model.diagnostic import Position
from reconciler.model.plan import Plan
from reconciler.model.policy import Policies, PolicyRule, Question, Verdict
from reconciler.planning.plan_document import operation_document
from reconciler.planning.planner import LiveState, PlanOptions, make_plan
from reconciler.planning.policies import VARIABLES
from tests.support.builders import (
    BASE_URL,
    NOW,
    allowing,
    configuration,
    declared,
    ids,
    live,
    mark_of,
    owned,
    refused_ids,
)

SCHEMA = json.loads((Path(__file__).parents[3] / "schemas" / "plan.schema.json").read_text(encoding="utf-8"))
PLACE = Position("rules.yaml", 3, 5)
DESIRED = configuration(declared("alpha", deliver_to=("vault",)), declared("beta"))


class Answers:
    """Gives every rule of every question the verdict that is set for the agent, and keeps the questions."""

    def __init__(self, verdicts: Mapping[str, Verdict]) -> None:
        self.verdicts = verdicts
        self.questions: list[Question] = []

    def __call__(self, questions: Sequence[Question]) -> list[list[Verdict]]:
        self.questions += questions
        return [self._of(question) for question in questions]

    def _of(self, question: Question) -> list[Verdict]:
        verdict = self.verdicts.get(question.variables["agent"]["name"])
        return [replace(verdict, rule=index) for index in question.rules] if verdict else []


def plan_with(
    answers: Answers, *rules: PolicyRule, agents: Iterable[Any] = (), allow: tuple[str, ...] = ()
) -> Plan:
    options = PlanOptions("1", base_url=BASE_URL, allow=allowing(*allow), policies=Policies(rules, answers))
    return make_plan(DESIRED, LiveState(tuple(agents)), now=NOW, options=options)


def rule(name: str = "naming", **fields: Any) -> PolicyRule:
    return PolicyRule(name, PLACE, require="…", **fields)


def test_a_denied_operation_falls_with_its_dependents_and_the_rest_stays() -> None:
    plan = plan_with(Answers({"alpha": Verdict(0, "not like this")}), rule())
    assert ids(plan) == ["create_agent:beta"]
    assert refused_ids(plan) == {("policy", "create_agent:alpha"), ("policy", "mint_key:alpha")}
    entry = plan.blocked[0]
    assert entry.allow == "--allow policy=alpha"
    assert entry.reason.startswith("naming: not like this (rules.yaml:3:5)")


@pytest.mark.parametrize("allow", ["policy=alpha", "policy"])
def test_a_denial_is_let_through_like_that_of_a_guard(allow: str) -> None:
    plan = plan_with(Answers({"alpha": Verdict(0, "no")}), rule(), allow=(allow,))
    assert plan.blocked == ()
    assert len(plan.operations) == 3
    assert plan.allowed == (allow,)


def test_an_allowance_for_another_agent_lets_nothing_through() -> None:
    assert plan_with(Answers({"alpha": Verdict(0, "no")}), rule(), allow=("policy=beta",)).blocked


def test_a_warning_is_a_finding_at_the_block_and_is_told_once() -> None:
    plan = plan_with(Answers({"alpha": Verdict(0, "hm")}), rule(severity="warn"))
    assert plan.blocked == ()
    assert len(plan.operations) == 3
    (finding,) = plan.findings
    assert (finding.severity, finding.rule, finding.message) == ("warning", "policy:naming", "alpha: hm")
    assert finding.position == DESIRED.agents[next(iter(DESIRED.agents))].position
    assert "rules.yaml:3:5" in finding.hint


def test_a_warning_about_an_agent_without_a_block_stands_where_its_block_would_be() -> None:
    plan = plan_with(Answers({"gone": Verdict(0, "hm")}), rule(severity="warn"), agents=[owned("gone")])
    assert [finding.position for finding in plan.findings] == [DESIRED.position]


@pytest.mark.parametrize("severity", ["deny", "warn"])
def test_a_rule_that_cannot_be_evaluated_denies_whatever_its_severity(severity: Any) -> None:
    plan = plan_with(Answers({"beta": Verdict(0, "no such key", is_failure=True)}), rule(severity=severity))
    (entry,) = plan.blocked
    assert entry.reason == "naming: cannot be evaluated, so it denies: no such key (rules.yaml:3:5)"
    assert entry.allow == "--allow policy=beta"


def test_exempt_agents_are_not_asked_about() -> None:
    answers = Answers({})
    plan_with(answers, rule(), rule("second", exempt=("al*",)))
    asked = [(question.variables["agent"]["name"], question.rules) for question in answers.questions]
    assert asked == [("alpha", (0,)), ("alpha", (0,)), ("beta", (0, 1))]


def test_nothing_is_asked_when_nothing_is_to_be_done() -> None:
    answers = Answers({})
    desired = configuration(declared("beta"))
    options = PlanOptions("1", policies=Policies((rule(),), answers))
    assert make_plan(desired, LiveState((owned("beta"),)), now=NOW, options=options).operations == ()
    assert answers.questions == []


def test_a_question_shows_the_operation_of_the_plan_document() -> None:
    answers = Answers({})
    plan = plan_with(answers, rule())
    asked = [question.variables["operation"] for question in answers.questions]
    assert asked == [operation_document(operation) for operation in plan.operations]
    assert set(VARIABLES["operation"]) == set(SCHEMA["definitions"]["operation"]["properties"])


def test_a_question_shows_what_is_declared_and_what_is_live() -> None:
    answers = Answers({})
    policy = RotationPolicy(max_age=timedelta(days=30))
    agent = declared(
        scopes={"google": ["b", "a"]},
        metadata={"team": "x"},
        rotation=policy,
        deliver_to=("vault",),
        expires_at=NOW + timedelta(days=9),
        protect=True,
    )
    found = live(mark=mark_of(), scopes={"slack": ["c"]}, metadata={"cost": 5}, last_used_at=NOW)
    options = PlanOptions("1", base_url=BASE_URL, policies=Policies((rule(),), answers))
    make_plan(configuration(agent), LiveState((found,)), now=NOW, options=options)
    variables = answers.questions[0].variables
    assert set(variables) == set(VARIABLES)
    assert variables["now"] == "2026-11-24T12:00:00Z"
    assert variables["plan"] == {
        "owner": "payments/agents",
        "app": "payments-prod",
        "base_url": BASE_URL,
        "plane": "sdk",
    }
    assert tuple(variables["plan"]) == VARIABLES["plan"]
    assert tuple(variables["agent"]) == VARIABLES["agent"]
    shown = variables["agent"]["declared"]
    assert shown["scopes"] == {"google": ["a", "b"]}
    assert shown["metadata"] == {"team": "x"}
    assert shown["rotation"]["max_age"] == 30 * 24 * 3600
    assert (shown["deliver_to"], shown["protect"]) == (["vault"], True)
    assert shown["expires_at"] == "2026-12-03T12:00:00Z"
    assert shown["type"] == "agent"
    state = variables["agent"]["live"]
    assert state["scopes"] == {"slack": ["c"]}
    assert state["metadata"] == {"cost": 5}
    assert state["last_used_at"] == "2026-11-24T12:00:00Z"
    assert state["owner"] == "payments/agents"
    assert json.loads(json.dumps(variables)) == variables


def test_what_is_not_there_is_null() -> None:
    answers = Answers({})
    plan_with(answers, rule(), agents=[owned("gone")])
    shown = {
        question.variables["agent"]["name"]: question.variables["agent"] for question in answers.questions
    }
    assert shown["gone"]["declared"] is None
    assert shown["alpha"]["live"] is None
    assert shown["alpha"]["declared"]["rotation"] is None
