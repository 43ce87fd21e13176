"""What CEL says of one operation, and what becomes of an expression that says nothing."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from reconciler.policies.engine import Engine, answers, serve

VARIABLES: Mapping[str, Any] = {
    "operation": {"kind": "create_agent", "changes": [{"path": "scopes.google", "after": ["drive"]}]},
    "agent": {"name": "alpha", "declared": {"metadata": {"n": 1}}, "live": None},
    "plan": {"owner": "o", "app": "a"},
    "now": "2026-11-24T12:00:00Z",
}


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine()


def rule(
    condition: str, *, when: str = "true", denies: bool = False, message: tuple[str, ...] = ("no",)
) -> Any:
    return {"when": when, "condition": condition, "violated_by": denies, "message": list(message)}


def answer(engine: Engine, *rules: Any, variables: Mapping[str, Any] = VARIABLES) -> list[Any]:
    questions = [{"rules": list(range(len(rules))), "variables": variables}]
    return list(answers(engine, {"rules": list(rules), "questions": questions}))


def fault(engine: Engine, text: str, *, is_condition: bool = True) -> Any:
    (found,) = engine.faults([{"text": text, "is_condition": is_condition}])
    return found


@pytest.mark.parametrize(
    ("condition", "verdict"),
    [
        ("agent.name == 'alpha'", "pass"),
        ("agent.name == 'beta'", "violated"),
        ("operation.changes.exists(c, c.path.startsWith('scopes.') && 'drive' in c.after)", "pass"),
        ("has(agent.declared.metadata.team)", "violated"),
        ("agent.live == null", "pass"),
        ("now < timestamp('2027-01-01T00:00:00Z')", "pass"),
        ("now.getDayOfWeek('UTC') == 2", "pass"),
        ("agent.name.upperAscii() == 'ALPHA'", "pass"),
        ("true || agent.declared.metadata.team == 'x'", "pass"),
    ],
)
def test_what_is_required_passes_when_it_is_true(engine: Engine, condition: str, verdict: str) -> None:
    ((found, _),) = answer(engine, rule(condition))
    assert found == verdict
    denied = {"pass": "violated", "violated": "pass"}[verdict]
    assert answer(engine, rule(condition, denies=True))[0][0] == denied


@pytest.mark.parametrize(
    ("condition", "why"),
    [
        ("agent.declared.metadata.team == 'x'", 'Key not found in map : "team"'),
        ("agent.declared.metadata.n == 'x' || agent.declared.metadata.n + 'x' == ''", "matching overload"),
        ("agent.live", "the result is null, not true or false"),
        ("1 / (agent.declared.metadata.n - 1) == 1", "divide by zero"),
        ("agent.name.matches('(')", "invalid regular expression"),
    ],
)
def test_what_cannot_be_evaluated_fails_and_does_not_pass(engine: Engine, condition: str, why: str) -> None:
    for denies in (False, True):
        ((verdict, reason),) = answer(engine, rule(condition, denies=denies))
        assert verdict == "failed"
        assert why in reason
    ((verdict, _),) = answer(engine, rule("true", when=condition))
    assert verdict == "failed"


def test_a_rule_is_silent_where_it_does_not_apply(engine: Engine) -> None:
    assert answer(engine, rule("false", when="operation.kind == 'revoke_agent'")) == [["pass", ""]]


def test_a_message_shows_values_and_survives_its_own_failure(engine: Engine) -> None:
    message = ("", "agent.name", ": ", "[1, 2]", " ", "agent.declared.metadata.n", " ", "agent.nix.x", "")
    ((_, text),) = answer(engine, rule("false", message=message))
    assert text.startswith("alpha: 1, 2 1 (Key not found")


def test_a_number_that_cel_has_no_type_for_is_read_as_a_double() -> None:
    huge = {**VARIABLES, "agent": {"declared": {"metadata": {"n": 2**70, "more": 10**400}}}}
    asked = {
        "rules": [rule("agent.declared.metadata.n > 1e21")],
        "questions": [{"rules": [0], "variables": huge}],
    }
    target = io.StringIO()
    serve(io.StringIO(json.dumps(asked)), target)
    assert json.loads(target.getvalue()) == ["pass", ""]


def test_a_value_that_is_no_text_fails_every_rule_of_its_question(engine: Engine) -> None:
    odd = {**VARIABLES, "now": "yesterday"}
    assert [verdict for verdict, _ in answer(engine, rule("true"), rule("false"), variables=odd)] == [
        "failed",
        "failed",
    ]
    surrogate = {**VARIABLES, "agent": {"name": "\ud800"}}
    assert answer(engine, rule("agent.name == 'x'"), variables=surrogate)[0][0] == "failed"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("agnt.name == 'x'", ["undeclared reference to 'agnt.name'", 1, 5]),
        ("true &&\n nix", ["undeclared reference to 'nix'", 2, 2]),
        ("size(", ["Syntax error: mismatched input '<EOF>'", 1, 6]),
        ("1 + 1", ["this is a number, and has to be true or false", 0, 0]),
        ("[agent]", ["this is a list, and has to be true or false", 0, 0]),
        ("now", ["this is of the type timestamp, and has to be true or false", 0, 0]),
        ("agent.name == 'x'", None),
        ("agent.name", None),
    ],
)
def test_an_expression_is_checked_before_anything_is_planned(
    engine: Engine, text: str, expected: Any
) -> None:
    assert fault(engine, text) == expected


def test_a_message_may_be_of_any_type(engine: Engine) -> None:
    assert fault(engine, "1 + 1", is_condition=False) is None


def test_a_deep_expression_is_refused(engine: Engine) -> None:
    assert "recursion" in fault(engine, "(" * 200 + "true" + ")" * 200)[0]


def test_a_long_loop_is_cut_off(engine: Engine) -> None:
    digits = "[1,2,3,4,5,6,7,8,9,10]"
    condition = f"{digits}.all(a, {digits}.all(b, {digits}.all(c, {digits}.all(d, {digits}.all(e, a > 0)))))"
    ((verdict, why),) = answer(engine, rule(condition))
    assert (verdict, why) == ("failed", "Iteration budget exceeded")


def requests() -> Iterator[tuple[Any, list[Any]]]:
    yield {"expressions": [{"text": "true", "is_condition": True}]}, [None]
    questions = [{"rules": [0], "variables": VARIABLES}]
    yield {"rules": [rule("true")], "questions": questions}, [["pass", ""]]


@pytest.mark.parametrize(("request_", "expected"), list(requests()))
def test_a_request_is_answered_line_by_line(request_: Any, expected: list[Any]) -> None:
    target = io.StringIO()
    serve(io.StringIO(json.dumps(request_)), target)
    assert [json.loads(line) for line in target.getvalue().splitlines()] == expected
