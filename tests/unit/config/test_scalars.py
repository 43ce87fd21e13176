"""How a scalar is read: as the schema wants it, and as it is written wherever text is wanted."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from reconciler.config.shapes import FREE, shape_of
from tests.unit.config.documents import HEAD, agent, desired, of_agent, only, place


@pytest.mark.parametrize(
    "text", ["1.10", "no", "on", "2026-11-01", "0777", "1_000", "12:30", "true", "1e3", ".inf"]
)
def test_text_stays_as_it_is_written(tmp_path: Path, text: str) -> None:
    assert agent(tmp_path, f"display_name: {text}").display_name == text
    assert agent(tmp_path, f"scopes: {{google: [{text}]}}").scopes.of_provider("google") == (text,)
    assert desired(tmp_path, HEAD.replace("owner: o", f"owner: {text}") + "agents: {}").owner == text


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        ("false", False),
        ("True", "True"),
        ("yes", "yes"),
        ("no", "no"),
        ("null", None),
        ("~", None),
        ("4711", 4711),
        ("-3", -3),
        ("0", 0),
        ("007", "007"),
        ("+1", "+1"),
        ("0x1f", "0x1f"),
        ("1_000", "1_000"),
        ("-0", "-0"),
        ("-", "-"),
        ("1.5", 1.5),
        ("-2.25", -2.25),
        ("1.10", "1.10"),
        ("1e3", "1e3"),
        ("1e+16", 1e16),
        ("1.2.3", "1.2.3"),
        (".5", ".5"),
        (".inf", ".inf"),
        ("inf", "inf"),
        ("nan", "nan"),
        ("9223372036854775807", 9223372036854775807),
        ("9223372036854775808", "9223372036854775808"),
        ("9" * 5000, "9" * 5000),
        ("2026-11-01", "2026-11-01"),
        ("12:30", "12:30"),
        ("'4711'", "4711"),
        ('"true"', "true"),
        ("'null'", "null"),
        ("[1, a, true]", [1, "a", True]),
        ("{b: {c: 1}}", {"b": {"c": 1}}),
    ],
)
def test_free_json_takes_numbers_only_when_nothing_of_them_is_lost(
    tmp_path: Path, text: str, value: Any
) -> None:
    metadata = agent(tmp_path, f"metadata: {{x: [{text}, end]}}").metadata
    assert metadata == {"x": [value, "end"]}
    assert type(metadata["x"][0]) is type(value)


def test_an_empty_value_in_free_json_is_null(tmp_path: Path) -> None:
    assert agent(tmp_path, "metadata:\n  list:\n    -\n    - end").metadata == {"list": [None, "end"]}


@pytest.mark.parametrize("text", ["true", "True", "TRUE"])
def test_a_boolean_is_read_where_one_is_wanted(tmp_path: Path, text: str) -> None:
    assert agent(tmp_path, f"protect: {text}").protect is True


@pytest.mark.parametrize("text", ["yes", "on", "1", '"true"', "y"])
def test_nothing_else_is_a_boolean(tmp_path: Path, text: str) -> None:
    found = only(tmp_path, of_agent(f"protect: {text}"))
    assert (found.rule, place(found)) == ("wrong-type", (7, 14))
    assert "true or false" in found.message
    assert "YAML 1.2" in found.hint


@pytest.mark.parametrize(
    ("text", "percent"), [("10", 10), ("12.5", 12.5), ("1e1", 10), ("0", 0), (".5", 0.5)]
)
def test_a_number_is_read_where_one_is_wanted(tmp_path: Path, text: str, percent: float) -> None:
    head = HEAD + f"guards: {{max_changes: {{percent: {text}}}}}\n"
    assert desired(tmp_path, head + "agents: {}").guards.max_changes.percent == percent


@pytest.mark.parametrize("text", ["x", "1e999", ".nan", "1_0"])
def test_what_is_no_number_is_refused(tmp_path: Path, text: str) -> None:
    head = HEAD + f"guards: {{max_changes: {{percent: {text}}}}}\n"
    assert only(tmp_path, head + "agents: {}").rule == "wrong-type"


def test_a_quoted_number_is_text_and_the_hint_says_so(tmp_path: Path) -> None:
    found = only(tmp_path, 'version: "1"')
    assert found.rule == "wrong-type"
    assert found.hint == "Write the number without quotes."


@pytest.mark.parametrize("text", ["null", "~", ""])
def test_nothing_is_not_a_text(tmp_path: Path, text: str) -> None:
    found = only(tmp_path, f"version: 1\nowner: {text}\napp: {{name: a}}\nagents: {{}}\n")
    assert found.rule == "wrong-type"
    assert "nothing (null)" in found.message


def test_a_value_of_for_each_is_kept_as_it_is_written(tmp_path: Path) -> None:
    text = HEAD + "agents: {'a-{n}': {for_each: {n: [007, 1]}, scopes: {}, deliver_to: []}}"
    assert list(desired(tmp_path, text).agents) == ["a-007", "a-1"]


def test_a_schema_that_wants_nothing_takes_anything() -> None:
    assert shape_of({}, {}) is FREE


def test_durations_with_several_units_add_up(tmp_path: Path) -> None:
    assert agent(tmp_path, "narrowing_grace: 1d12h").narrowing_grace == timedelta(days=1, hours=12)
    assert agent(tmp_path, "narrowing_grace: 0s").narrowing_grace == timedelta(0)
    rotation = agent(tmp_path, "rotation: {max_age: 2w, min_overlap: 1h15m30s}").rotation
    assert rotation is not None
    assert (rotation.max_age, rotation.min_overlap) == (timedelta(weeks=2), timedelta(seconds=4530))
