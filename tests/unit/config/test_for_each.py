"""One block, many agents."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.config.documents import HEAD, desired, loaded, of_agents, only, place, rules


def test_there_is_one_agent_for_each_combination(tmp_path: Path) -> None:
    text = of_agents(
        "'{env}-{tenant}': {for_each: {tenant: [a, b], env: [dev, prod]}, scopes: {}, deliver_to: []}"
    )
    assert list(desired(tmp_path, text).agents) == ["dev-a", "dev-b", "prod-a", "prod-b"]


def test_variables_are_replaced_in_every_text_but_in_no_key(tmp_path: Path) -> None:
    text = of_agents(
        """
        a-{t}:
          for_each: {t: [x]}
          template: base
          display_name: "{t} {{t}} {u} {agent} {"
          metadata: {"{t}": "{t}", list: ["{t}", 5], map: {deep: "is {t}"}, plain: text}
          policy: {a: "{t}"}
          scopes: {managed_secret_slugs: ["{t}-key"]}
          deliver_to: ["{t}"]
        """,
        more="templates: {base: {scopes: {google: ['of-{t}']}}}\n",
    ).replace("sinks: {", "sinks: {x: {type: command, write: [w, '{agent}']}, ")
    (agent,) = desired(tmp_path, text).agents.values()
    assert agent.name == "a-x"
    assert agent.display_name == "x {x} {u} {agent} {"
    assert agent.metadata == {"{t}": "x", "list": ["x", 5], "map": {"deep": "is x"}, "plain": "text"}
    assert agent.policy == {"a": "x"}
    assert agent.scopes.as_json() == {"google": ["of-x"], "managed_secret_slugs": ["x-key"]}
    assert agent.deliver_to == ("x",)


def test_a_value_is_never_replaced_a_second_time(tmp_path: Path) -> None:
    text = of_agents(
        "'a-{t}-{u}': {for_each: {t: ['1'], u: ['2']}, display_name: '{t}', scopes: {}, deliver_to: []}"
    ).replace("'1'", "'1'")
    (agent,) = desired(tmp_path, text).agents.values()
    assert agent.display_name == "1"


def test_all_agents_of_a_block_stand_where_it_stands(tmp_path: Path) -> None:
    agents = desired(tmp_path, of_agents("a-{t}: {for_each: {t: [x, y]}, scopes: {}, deliver_to: []}")).agents
    assert {(one.position.line, one.position.column) for one in agents.values()} == {(6, 3)}


@pytest.mark.parametrize(
    ("block", "rule", "column", "texts"),
    [
        ("'a-{tenent}': {for_each: {tenant: [a]}}", "unknown-placeholder", 3, ('"tenent"', '"tenant"')),
        (
            "'a-{zzz}': {for_each: {tenant: [a]}}",
            "unknown-placeholder",
            3,
            ('"zzz"', "Variables here: tenant"),
        ),
        ("'a-{t}': {}", "unknown-placeholder", 3, ('"t"', "Declare it with for_each")),
        ("a: {for_each: {t: [x, y]}}", "unused-variable", 18, ("{t}", "Put {t} into the name")),
        ("'a-{agent}': {for_each: {agent: [x]}}", "reserved-variable", 28, ("{agent}", "another name")),
        (
            "'a-{t}': {for_each: {t: [X]}, scopes: {}, deliver_to: []}",
            "bad-agent-name",
            3,
            ('"a-X"', '"a-x"'),
        ),
        ("'{t}': {for_each: {t: [-x]}, scopes: {}, deliver_to: []}", "bad-agent-name", 3, ('"-x"', '"x"')),
        (
            "'{t}': {for_each: {t: [é]}, scopes: {}, deliver_to: []}",
            "bad-agent-name",
            3,
            ('"é"', "lower-case"),
        ),
    ],
)
def test_a_block_that_cannot_be_expanded(
    tmp_path: Path, block: str, rule: str, column: int, texts: tuple[str, str]
) -> None:
    found = next(one for one in loaded(tmp_path, of_agents(block)).diagnostics if one.rule == rule)
    assert place(found) == (6, column)
    assert texts[0] in found.message
    assert texts[1] in found.hint


def test_names_that_meet_are_refused_with_both_places(tmp_path: Path) -> None:
    text = of_agents(
        """
        a-x: {scopes: {}, deliver_to: []}
        a-{t}: {for_each: {t: [x]}, scopes: {}, deliver_to: []}
        """
    )
    found = only(tmp_path, text)
    assert (found.rule, place(found)) == ("duplicate-agent", (8, 3))
    assert "agents.yaml:7:3" in found.message


def test_a_repeated_value_is_refused(tmp_path: Path) -> None:
    text = of_agents("a-{t}: {for_each: {t: [x, x]}, scopes: {}, deliver_to: []}")
    assert rules(tmp_path, text) == ["duplicate-agent"]


def test_a_name_of_more_than_100_characters_is_refused(tmp_path: Path) -> None:
    text = of_agents(f"a-{{t}}: {{for_each: {{t: [{'x' * 99}]}}, scopes: {{}}, deliver_to: []}}")
    found = only(tmp_path, text)
    assert found.rule == "bad-agent-name"
    assert "101 characters; at most 100" in found.message


def test_a_display_name_that_grows_too_long_is_refused(tmp_path: Path) -> None:
    text = of_agents(
        f"a-{{t}}: {{for_each: {{t: [{'x' * 90}]}}, display_name: '{'{t}' * 3}', "
        "scopes: {}, deliver_to: []}"
    )
    found = only(tmp_path, text)
    assert found.rule == "bad-text"
    assert "270 characters; at most 255" in found.message


def test_the_number_of_agents_is_bounded_before_they_are_made(tmp_path: Path) -> None:
    values = ", ".join(str(number) for number in range(200))
    text = of_agents(f"'{{a}}-{{b}}-{{c}}': {{for_each: {{a: [{values}], b: [{values}], c: [{values}]}}}}")
    found = only(tmp_path, text)
    assert (found.rule, place(found)) == ("too-many-agents", (6, 19))
    assert "20,000" in found.message


def test_the_text_that_variables_make_is_bounded(tmp_path: Path) -> None:
    values = ", ".join(str(number) for number in range(1_000))
    text = HEAD + (
        f"agents:\n  '{{a}}':\n    for_each: {{a: [{values}]}}\n    scopes: {{}}\n    deliver_to: []\n"
        f"    metadata: {{x: '{'{a}' * 100_000}'}}\n"
    )
    found = only(tmp_path, text)
    assert found.rule == "too-many-agents"
    assert "too large" in found.message
