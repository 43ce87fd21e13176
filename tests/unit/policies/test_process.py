"""The process around the engine: what it may not see, and what becomes of a rule that ends it."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from reconciler.errors import UsageError
from reconciler.model.diagnostic import Position
from reconciler.model.policy import PolicyRule, Question, Verdict
from reconciler.policies.process import EngineProcess, PolicyEngineFailed, check_installed

HERE = Position("rules.yaml", 1, 1)
VARIABLES = {"operation": {}, "agent": {"name": "alpha"}, "plan": {}, "now": "2026-11-24T12:00:00Z"}
DIGITS = "[1, 2, 3, 4, 5, 6, 7, 8, 9]"
# Nine to the fourth times through five million letters.
HOG = "agent.name.upperAscii() != ''"
for _variable in "abcd":
    HOG = f"{DIGITS}.all({_variable}, {HOG})"
# Each level makes the list four times as long: 461 characters for more memory than there is.
GLUTTON = "size(a11) > 0"
for _level in range(11, 0, -1):
    GLUTTON = f"[{'+'.join([f'a{_level - 1}'] * 4)}].map(a{_level}, {GLUTTON})[0]"
GLUTTON = f"[[1, 2, 3]].map(a0, {GLUTTON})[0]"
ASKED = [{"text": "true", "is_condition": True}]


def rule(name: str, **fields: Any) -> PolicyRule:
    return PolicyRule(name, HERE, **fields)


def test_verdicts_come_in_the_order_of_the_questions() -> None:
    rules = (
        rule("named", require="agent.name == 'alpha'", message=("not ", "agent.name", "")),
        rule("never", deny="true", message=("never",)),
    )
    others = {**VARIABLES, "agent": {"name": "beta"}}
    questions = [Question((0,), VARIABLES), Question((0, 1), others), Question((), VARIABLES)]
    assert EngineProcess().judge_of(rules)(questions) == [
        [],
        [Verdict(0, "not beta"), Verdict(1, "never")],
        [],
    ]


def test_a_rule_that_takes_too_long_fails_and_so_does_what_comes_after_it() -> None:
    rules = (rule("fine", require="true"), rule("hog", require=HOG), rule("after", require="true"))
    long = {**VARIABLES, "agent": {"name": "x" * 5_000_000}}
    first, second = EngineProcess().judge_of(rules)([Question((0, 1, 2), long), Question((0,), VARIABLES)])
    assert [(verdict.rule, verdict.is_failure) for verdict in first] == [(1, True), (2, True)]
    assert "more than 1 s or 1 GiB" in first[0].message
    assert "another rule" in first[1].message
    assert second == [Verdict(0, first[1].message, is_failure=True)]


def test_a_rule_that_wants_too_much_memory_fails() -> None:
    (found,) = EngineProcess().judge_of([rule("glutton", require=GLUTTON)])([Question((0,), VARIABLES)])
    assert [verdict.is_failure for verdict in found] == [True]


def test_an_expression_that_would_end_the_compiler_is_a_fault() -> None:
    asked = [{"text": text, "is_condition": True} for text in ("true", "(" * 1000, "size(")]
    found = EngineProcess().faults(asked)
    assert found[0] is None
    assert found[1] is not None
    assert found[2] is not None


def test_the_process_has_no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALTER_API_KEY", "alter_rk_secret")
    program = "import json, os; print(json.dumps([name for name in os.environ if name != 'LC_CTYPE']))"
    assert EngineProcess(program).faults(ASKED) == [[]]


@pytest.mark.parametrize("program", ["raise SystemExit(3)", "syntax error("])
def test_a_process_that_fails_by_itself_is_a_failure_and_no_verdict(program: str) -> None:
    with pytest.raises(PolicyEngineFailed, match="ended with"):
        EngineProcess(program).faults(ASKED)


def test_a_process_that_cannot_be_started_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(PolicyEngineFailed, match="cannot be started"):
        EngineProcess().faults(ASKED)


def test_a_process_that_sleeps_is_not_waited_for() -> None:
    sleeping = EngineProcess("import time; print('null', flush=True); time.sleep(20)", wall_seconds=1.0)
    (first, second) = sleeping.faults([*ASKED, *ASKED])
    assert first is None
    assert "more than 1 s" in second[0]


def test_a_missing_library_is_told_with_the_way_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    check_installed()
    monkeypatch.setitem(sys.modules, "cel_expr_python", None)
    with pytest.raises(UsageError) as caught:
        check_installed()
    assert "alter-sync[policy]" in caught.value.hint
