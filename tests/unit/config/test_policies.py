"""Rules of ``--policy``: read with the place of everything that is wrong."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from textwrap import indent

import pytest

from reconciler.config.policies import Expression, ExpressionFault, LoadedPolicies, load_policies
from reconciler.errors import FileMissing, UsageError
from reconciler.model.diagnostic import Diagnostic
from reconciler.model.policy import PolicyRule

RULE = "- name: one\n  require: agent.name == 'x'\n  message: no\n"


def accept(expressions: Sequence[Expression]) -> list[ExpressionFault | None]:
    return [None] * len(expressions)


def refuse(message: str, line: int, column: int) -> list[ExpressionFault | None]:
    return [ExpressionFault(message, line, column)]


def write(folder: Path, rules: str, *, file: str = "rules.yaml") -> Path:
    """``rules`` begin on line 3, in column 3."""
    folder.mkdir(exist_ok=True)
    (folder / file).write_text("version: 1\nrules:\n" + indent(rules, "  "), encoding="utf-8")
    return folder


def loaded(folder: Path, rules: str) -> LoadedPolicies:
    return load_policies([write(folder, rules)], accept)


def only_rule(folder: Path, rules: str) -> PolicyRule:
    (rule,) = loaded(folder, rules).rules
    return rule


def only_finding(result: LoadedPolicies) -> Diagnostic:
    assert result.rules == ()
    (finding,) = result.diagnostics
    return finding


def test_a_rule_has_defaults(tmp_path: Path) -> None:
    rule = only_rule(tmp_path, RULE)
    assert (rule.name, rule.when, rule.require, rule.deny) == ("one", "true", "agent.name == 'x'", "")
    assert (rule.severity, rule.exempt, rule.message) == ("deny", (), ("no",))
    assert rule.condition == rule.require
    assert str(rule.position) == f"{tmp_path / 'rules.yaml'}:3:11"


def test_a_rule_says_everything(tmp_path: Path) -> None:
    text = (
        "- {name: one, description: d, when: operation.risk == 'x', deny: true, message: no, "
        "severity: warn, exempt: [a-*]}\n"
    )
    rule = only_rule(tmp_path, text)
    assert (rule.when, rule.deny, rule.condition) == ("operation.risk == 'x'", "true", "true")
    assert (rule.severity, rule.exempt) == ("warn", ("a-*",))


def test_a_message_is_text_with_expressions(tmp_path: Path) -> None:
    text = RULE.replace("message: no", 'message: "a {{b}} { agent.name }: {operation.kind}{plan.app}."')
    parts = only_rule(tmp_path, text).message
    assert parts == ("a {b} ", "agent.name", ": ", "operation.kind", "", "plan.app", ".")


@pytest.mark.parametrize("message", ["a {", "a }", "a {}", "a { }", "{a {b}"])
def test_a_brace_that_stands_alone_is_refused(tmp_path: Path, message: str) -> None:
    finding = only_finding(loaded(tmp_path, RULE.replace("message: no", f"message: '{message}'")))
    assert finding.rule == "bad-message"
    assert "{{" in finding.hint


@pytest.mark.parametrize(
    ("rules", "rule", "place", "said"),
    [
        (RULE.replace("require", "requires"), "unknown-key", (4, 5), '"require"'),
        (RULE.replace("one", "One"), "bad-value", (3, 11), "Lower-case"),
        (RULE + "  severity: worn\n", "bad-value", (6, 15), '"warn"'),
        (RULE + "  deny: 'true'\n", "require-or-deny", (3, 5), "exactly one of these keys: deny, require"),
        ("- name: one\n  message: no\n", "require-or-deny", (3, 5), "exactly one of these keys"),
        ("- name: one\n  require: 'true'\n", "missing-key", (3, 5), '"message"'),
        (RULE + "  exempt: a\n", "wrong-type", (6, 13), "a list"),
        (RULE + RULE, "duplicate-rule", (6, 11), ":3:11"),
    ],
)
def test_what_is_wrong_stands_at_its_place(
    tmp_path: Path, rules: str, rule: str, place: tuple[int, int], said: str
) -> None:
    result = loaded(tmp_path, rules)
    assert result.rules == ()
    finding = next(one for one in result.diagnostics if one.rule == rule)
    assert finding.position
    assert (finding.position.line, finding.position.column) == place
    assert said in f"{finding.message} {finding.hint}"


@pytest.mark.parametrize(
    ("rules", "place"),
    [
        ("- name: one\n  require: agent.name == nix\n  message: no\n", (4, 28)),
        ("- name: one\n  require: 'agent.name == nix'\n  message: no\n", (4, 29)),
        ("- name: one\n  require: |\n    agent.name == nix\n  message: no\n", (5, 21)),
        ("- name: one\n  require: |-\n    true\n    && x == nix\n  message: no\n", (6, 15)),
    ],
)
def test_a_fault_of_an_expression_stands_at_its_very_character(
    tmp_path: Path, rules: str, place: tuple[int, int]
) -> None:
    def check(expressions: Sequence[Expression]) -> list[ExpressionFault | None]:
        (expression,) = expressions
        lines = expression.text.split("\n")
        line = next(index for index, text in enumerate(lines, start=1) if "nix" in text)
        return refuse("undeclared reference to 'nix'", line, lines[line - 1].index("nix") + 1)

    finding = only_finding(load_policies([write(tmp_path, rules)], check))
    assert finding.position
    assert (finding.position.line, finding.position.column) == place


def test_a_fault_without_a_place_stands_at_the_expression(tmp_path: Path) -> None:
    def check(expressions: Sequence[Expression]) -> list[ExpressionFault | None]:
        return refuse("this is a number, and has to be true or false", 0, 0)

    finding = only_finding(load_policies([write(tmp_path, RULE)], check))
    assert finding.position
    assert (finding.position.line, finding.position.column) == (4, 14)


def test_a_fault_in_a_folded_text_names_the_line_inside_it(tmp_path: Path) -> None:
    def check(expressions: Sequence[Expression]) -> list[ExpressionFault | None]:
        return refuse("odd", 1, 9)

    text = "- name: one\n  require: >-\n    true\n    && false\n  message: no\n"
    finding = only_finding(load_policies([write(tmp_path, text)], check))
    assert finding.message == "odd (line 1, column 9 of it)"


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("operation.knd == ''", '"kind"'),
        ("agent.scopes == ''", "It has: declared, live, name"),
        ("plan.ap == ''", '"app"'),
    ],
)
def test_a_field_that_a_variable_never_has_is_refused(tmp_path: Path, expression: str, said: str) -> None:
    finding = only_finding(loaded(tmp_path, RULE.replace("agent.name == 'x'", expression)))
    assert finding.rule == "bad-expression"
    assert said in finding.message
    assert finding.position
    assert finding.position.line == 4


@pytest.mark.parametrize("expression", ["'operation.knd' == 'x'", "agent.live.plan.x == 1", "x.agent.y"])
def test_only_fields_of_the_variables_themselves_are_looked_at(tmp_path: Path, expression: str) -> None:
    assert loaded(tmp_path, RULE.replace("agent.name == 'x'", f'"{expression}"')).rules


def test_an_unknown_variable_gets_the_nearest_match(tmp_path: Path) -> None:
    def check(expressions: Sequence[Expression]) -> list[ExpressionFault | None]:
        return refuse("undeclared reference to 'operatoin.kind'", 1, 1)

    assert '"operation"' in only_finding(load_policies([write(tmp_path, RULE)], check)).hint


def test_rules_of_several_folders_are_one_list(tmp_path: Path) -> None:
    first = write(tmp_path / "a", RULE)
    second = write(tmp_path / "b", RULE.replace("one", "two"), file="more.yml")
    (second / "notes.txt").write_text("no rules")
    result = load_policies([second, first, first], accept)
    assert [rule.name for rule in result.rules] == ["one", "two"]


def test_a_broken_file_takes_all_rules_away(tmp_path: Path) -> None:
    write(tmp_path, RULE)
    (tmp_path / "broken.yaml").write_text("rules: [")
    assert load_policies([tmp_path], accept).rules == ()
    (tmp_path / "broken.yaml").write_bytes(b"\xff\xfe")
    assert load_policies([tmp_path], accept).rules == ()


def test_a_folder_without_rules_lets_nothing_pass(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no rules"):
        load_policies([tmp_path], accept)
    with pytest.raises(FileMissing, match="there is no folder"):
        load_policies([tmp_path / "nowhere"], accept)
    write(tmp_path, RULE)
    with pytest.raises(UsageError, match="is no folder"):
        load_policies([tmp_path / "rules.yaml"], accept)


def test_an_empty_list_of_rules_is_refused(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text("version: 1\nrules: []\n")
    assert "at least one" in only_finding(load_policies([tmp_path], accept)).message
