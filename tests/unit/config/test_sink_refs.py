"""Sinks: their settings, and that no two keys meet in one place."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.config.documents import HEAD, desired, only, place, rules

START = "version: 1\nowner: o\napp: {name: a}\n"


def with_sinks(sinks: str, *agents: str) -> str:
    """A configuration with these sinks (line 5 on) and agents, given as ``name: sink, sink``."""
    blocks = [
        f"  {name}: {{scopes: {{}}, deliver_to: [{sinks}]}}"
        for name, _, sinks in (a.partition(":") for a in agents)
    ]
    return START + "sinks:\n" + sinks + "agents:\n" + "\n".join(blocks or ["  {}"]) + "\n"


def test_settings_of_a_file_have_their_defaults_filled_in(tmp_path: Path) -> None:
    text = with_sinks(
        "  a: {type: file, path: 'x/{agent}'}\n  b: {type: file, path: y, format: json, field: k}\n"
    )
    sinks = desired(tmp_path, text).sinks
    assert sinks["a"].settings == {
        "path": "x/{agent}",
        "format": "raw",
        "variable": "AGENT_API_KEY",
        "field": "api_key",
    }
    assert sinks["b"].settings == {"path": "y", "format": "json", "variable": "AGENT_API_KEY", "field": "k"}
    assert (sinks["b"].name, sinks["b"].type) == ("b", "file")
    assert (sinks["b"].position.line, sinks["b"].position.column) == (6, 3)


def test_settings_of_a_command_are_lists_of_arguments(tmp_path: Path) -> None:
    text = with_sinks(
        "  a: {type: command, write: [w, 1, '{agent}']}\n"
        "  b: {type: command, write: [w], read: [r], timeout: 2m}\n"
    )
    sinks = desired(tmp_path, text).sinks
    assert sinks["a"].settings == {"write": ["w", "1", "{agent}"], "read": None, "timeout_seconds": 30}
    assert sinks["b"].settings == {"write": ["w"], "read": ["r"], "timeout_seconds": 120}


def test_settings_of_the_types_to_come_are_kept_as_they_are(tmp_path: Path) -> None:
    text = with_sinks("  v: {type: vault, path: secret/{agent}, mount: 5, deep: {a: [true]}}\n")
    sink = desired(tmp_path, text.replace("secret/{agent}", "'secret/{agent}'")).sinks["v"]
    assert sink.settings == {"path": "secret/{agent}", "mount": 5, "deep": {"a": [True]}}


@pytest.mark.parametrize("kind", ["age", "vault", "aws_secrets_manager", "kubernetes", "github_actions"])
def test_delivering_to_a_type_to_come_is_an_error(tmp_path: Path, kind: str) -> None:
    found = only(tmp_path, with_sinks(f"  v: {{type: {kind}}}\n", "x: v"))
    assert (found.rule, place(found)) == ("unavailable-sink", (7, 19))
    assert kind in found.message
    assert found.hint == "This version delivers to command and file."


@pytest.mark.parametrize(
    ("sink", "rule", "column", "part"),
    [
        ("{type: fil, path: x}", "unknown-sink-type", 13, '"fil"'),
        ("{path: x}", "missing-key", 3, '"type"'),
        ("{type: file}", "missing-key", 3, '"path"'),
        ("{type: file, path: ''}", "bad-path", 25, "is empty"),
        ('{type: file, path: "a\\tb"}', "bad-path", 25, "not allowed"),
        ("{type: file, path: secrets/}", "bad-path", 25, "a folder"),
        ("{type: file, path: ..}", "bad-path", 25, "a folder"),
        ("{type: file, path: x, format: xml}", "bad-value", 36, "dotenv, json, raw"),
        ("{type: file, path: x, variable: a-b}", "bad-name", 38, '"a-b"'),
        ("{type: file, path: x, mode: 1}", "unknown-key", 28, '"mode"'),
        ("{type: command}", "missing-key", 3, '"write"'),
        ("{type: command, write: sh -c x}", "wrong-type", 29, "a list"),
        ("{type: command, write: []}", "empty-command", 29, "is empty"),
        ("{type: command, write: ['']}", "bad-argument", 30, "is empty"),
        ("{type: command, write: [w], timeout: 0s}", "out-of-range", 43, "1s to 4m"),
        ("{type: command, write: [w], timeout: 2h}", "out-of-range", 43, "1s to 4m"),
        ("{type: command, write: [w], timeout: 99999w}", "bad-duration", 43, "100 years"),
        ("{type: command, write: [w], timeout: soon}", "bad-duration", 43, '"soon"'),
    ],
)
def test_a_sink_that_cannot_work_is_refused(
    tmp_path: Path, sink: str, rule: str, column: int, part: str
) -> None:
    found = only(tmp_path, with_sinks(f"  s: {sink}\n"))
    assert (found.rule, place(found)) == (rule, (5, column))
    assert part in found.message


def test_a_misspelt_placeholder_in_a_path_is_a_warning(tmp_path: Path) -> None:
    found = only(tmp_path, with_sinks("  s: {type: file, path: 'x/{name}'}\n"))
    assert (found.severity, found.rule) == ("warning", "unknown-placeholder")
    assert "{agent}" in found.hint


def test_two_agents_in_one_file_are_refused_with_both_places(tmp_path: Path) -> None:
    found = only(tmp_path, with_sinks("  s: {type: file, path: key}\n", "x: s", "y: s", "z: s"))
    assert (found.rule, place(found)) == ("same-place", (8, 3))
    assert "agents.yaml:7:3" in found.message
    assert found.hint == "Put {agent} into the path."


def test_one_agent_may_have_a_file_without_placeholder(tmp_path: Path) -> None:
    assert rules(tmp_path, with_sinks("  s: {type: file, path: key}\n", "x: s")) == []


def test_two_sinks_that_are_one_file_are_refused(tmp_path: Path) -> None:
    sinks = "  s: {type: file, path: 'a/../{agent}'}\n  t: {type: file, path: './{agent}'}\n"
    found = only(tmp_path, with_sinks(sinks, "x: s, t"))
    assert found.rule == "same-place"
    assert 'the sinks "s" and "t" are one file for x' in found.message
    assert rules(tmp_path, with_sinks(sinks, "x: s", "y: t")) == []


def test_two_agents_that_meet_across_sinks_are_refused(tmp_path: Path) -> None:
    sinks = "  s: {type: file, path: '{agent}'}\n  t: {type: file, path: x}\n"
    found = only(tmp_path, with_sinks(sinks, "x: s", "y: t"))
    assert (found.rule, place(found)) == ("same-place", (9, 3))
    assert "y (here) and x (" in found.message


def test_a_command_may_serve_many_agents(tmp_path: Path) -> None:
    assert rules(tmp_path, with_sinks("  s: {type: command, write: [w]}\n", "x: s", "y: s")) == []


def test_an_unknown_sink_names_the_nearest_or_what_there_is(tmp_path: Path) -> None:
    sinks = "  local: {type: file, path: '{agent}'}\n"
    assert only(tmp_path, with_sinks(sinks, "x: lokal")).hint == 'Did you mean "local"?'
    assert only(tmp_path, with_sinks(sinks, "x: qqq")).hint == "There are: local."
    many = "".join(f"  s{number:02d}: {{type: file, path: '{number}'}}\n" for number in range(20))
    assert only(tmp_path, with_sinks(many, "x: qqqqqqqqqqq")).hint.endswith("s11 and 8 more.")
    text = START + "agents: {x: {scopes: {}, deliver_to: qqq}}"
    assert "There are none" in only(tmp_path, text).hint


def test_a_very_long_name_is_not_compared_with_anything(tmp_path: Path) -> None:
    found = only(tmp_path, HEAD + f"{'k' * 150}: 1\nagents: {{}}\n")
    assert found.hint.startswith("Allowed here")
    assert len(found.excerpt) < 160
