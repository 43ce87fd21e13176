"""Sinks: their settings, and that no two keys meet in one place."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.config.schema import schema_document
from reconciler.sinks.registry import AVAILABLE_TYPES
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


@pytest.mark.parametrize(
    ("sink", "settings"),
    [
        (
            "type: age, path: 'k/{agent}.age', recipients: [age1x, ssh-ed25519 AAAA]",
            {"path": "k/{agent}.age", "recipients": ["age1x", "ssh-ed25519 AAAA"]},
        ),
        (
            "type: age, path: k, recipients: [age1x], identity_file: id.txt",
            {"path": "k", "recipients": ["age1x"], "identity_file": "id.txt"},
        ),
        (
            "type: vault, path: 'secret/agents/{agent}'",
            {"path": "secret/agents/{agent}", "field": "api_key", "token_env": "VAULT_TOKEN"},
        ),
        (
            "type: vault, path: x, mount: 5, field: key, address: 'https://v:8200', namespace: a/b, "
            "token_env: T, token_file: /t, ca_file: ca.pem",
            {
                "path": "x",
                "mount": "5",
                "field": "key",
                "address": "https://v:8200",
                "namespace": "a/b",
                "token_env": "T",
                "token_file": "/t",
                "ca_file": "ca.pem",
            },
        ),
        ("type: aws_secrets_manager, secret_id: 'a/{agent}'", {"secret_id": "a/{agent}"}),
        (
            "type: aws_secrets_manager, secret_id: x, field: f, region: r, profile: p, "
            "endpoint_url: 'http://localstack:4566', kms_key_id: alias/k",
            {
                "secret_id": "x",
                "field": "f",
                "region": "r",
                "profile": "p",
                "endpoint_url": "http://localstack:4566",
                "kms_key_id": "alias/k",
            },
        ),
        (
            "type: kubernetes, namespace: n",
            {"namespace": "n", "secret": "{agent}", "field": "api_key"},
        ),
        (
            "type: kubernetes, namespace: n, secret: s, field: f, kubeconfig: k, context: c",
            {"namespace": "n", "secret": "s", "field": "f", "kubeconfig": "k", "context": "c"},
        ),
        (
            "type: github_actions, repository: o/n",
            {
                "repository": "o/n",
                "secret": "{agent}_API_KEY",
                "token_env": "GITHUB_TOKEN",
                "base_url": "https://api.github.com",
            },
        ),
        (
            "type: github_actions, repository: o/n, environment: e, secret: S, token_env: T, "
            "base_url: 'http://localhost:80'",
            {
                "repository": "o/n",
                "environment": "e",
                "secret": "S",
                "token_env": "T",
                "base_url": "http://localhost:80",
            },
        ),
    ],
)
def test_settings_of_every_other_type_have_their_defaults_filled_in(
    tmp_path: Path, sink: str, settings: dict[str, object]
) -> None:
    found = desired(tmp_path, with_sinks(f"  s: {{{sink}}}\n", "x: s")).sinks["s"]
    assert found.settings == settings
    assert f"type: {found.type}," in sink


def test_every_type_of_the_schema_can_be_opened_by_the_registry() -> None:
    types = schema_document("agents")["definitions"]["sink"]["properties"]["type"]["enum"]
    assert tuple(types) == AVAILABLE_TYPES


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
        ("{type: age, path: x}", "missing-key", 3, '"recipients"'),
        ("{type: age, path: x/, recipients: [a]}", "bad-path", 24, "a folder"),
        ("{type: age, path: x, recipients: []}", "empty-recipients", 39, "at least one"),
        ("{type: age, path: x, recipients: a}", "wrong-type", 39, "a list"),
        ("{type: age, path: x, recipients: [a], armor: true}", "unknown-key", 44, '"armor"'),
        ("{type: vault}", "missing-key", 3, '"path"'),
        ("{type: vault, path: x}", "bad-path", 26, "names no secret"),
        ("{type: vault, path: x/}", "bad-path", 26, "names no secret"),
        ("{type: vault, path: x/y/}", "bad-path", 26, "names no secret"),
        ("{type: vault, path: x/../y}", "bad-path", 26, "names no secret"),
        ("{type: vault, path: a//b, mount: m}", "bad-path", 26, "names no secret"),
        ("{type: vault, path: /, mount: m}", "bad-path", 26, "names no secret"),
        ("{type: vault, path: x/y, address: 'https://u:p@v'}", "bad-url", 40, "not allowed"),
        ("{type: vault, path: x/y, address: vault:8200}", "bad-url", 40, "not allowed"),
        ("{type: vault, path: x/y, token: t}", "unknown-key", 31, '"token"'),
        ("{type: vault, path: x/y, token_env: s.x}", "bad-name", 42, "not allowed"),
        ("{type: aws_secrets_manager}", "missing-key", 3, '"secret_id"'),
        ("{type: aws_secrets_manager, secret_id: ''}", "bad-text", 45, "is empty"),
        ("{type: aws_secrets_manager, secret_id: x, endpoint_url: x}", "bad-url", 62, "not allowed"),
        ("{type: kubernetes}", "missing-key", 3, '"namespace"'),
        ("{type: kubernetes, namespace: n, name: x}", "unknown-key", 39, '"name"'),
        ("{type: github_actions}", "missing-key", 3, '"repository"'),
        ("{type: github_actions, repository: payments}", "bad-repository", 41, "not allowed"),
        ("{type: github_actions, repository: a/b/c}", "bad-repository", 41, "not allowed"),
        (
            "{type: github_actions, repository: a/b, base_url: 'http://a.example'}",
            "bad-url",
            56,
            "not allowed",
        ),
    ],
)
def test_a_sink_that_cannot_work_is_refused(
    tmp_path: Path, sink: str, rule: str, column: int, part: str
) -> None:
    found = only(tmp_path, with_sinks(f"  s: {sink}\n"))
    assert (found.rule, place(found)) == (rule, (5, column))
    assert part in found.message


@pytest.mark.parametrize(
    "sink",
    [
        "type: file, path: 'x/{name}'",
        "type: age, path: 'x/{name}', recipients: [age1x]",
        "type: vault, path: 'x/{name}'",
        "type: aws_secrets_manager, secret_id: 'x/{name}'",
        "type: kubernetes, namespace: n, secret: 'x-{name}'",
        "type: github_actions, repository: o/n, secret: '{Agent}_KEY'",
    ],
)
def test_a_misspelt_placeholder_is_a_warning(tmp_path: Path, sink: str) -> None:
    found = only(tmp_path, with_sinks(f"  s: {{{sink}}}\n"))
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


STORES = {
    "age": ("type: age, recipients: [age1x], path: 'k/{agent}'", ["path: 'l/{agent}'"]),
    "vault": (
        "type: vault, path: 'secret/{agent}'",
        ["path: 'other/{agent}'", "mount: other", "address: 'https://v'", "namespace: n"],
    ),
    "aws": (
        "type: aws_secrets_manager, secret_id: 'a/{agent}'",
        ["secret_id: 'b/{agent}'", "region: r", "profile: p", "endpoint_url: 'https://e'"],
    ),
    "kubernetes": (
        "type: kubernetes, namespace: n",
        ["namespace: m", "secret: 'x-{agent}'", "kubeconfig: k", "context: c"],
    ),
    "github": (
        "type: github_actions, repository: o/n",
        [
            "repository: o/m",
            "repository: 'o/n-{agent}'",
            "environment: e",
            "secret: '{agent}_TOKEN'",
            "base_url: 'https://g/api/v3'",
        ],
    ),
}


@pytest.mark.parametrize(("sink", "other"), [(sink, one) for sink, all_ in STORES.values() for one in all_])
def test_what_tells_two_places_of_a_store_apart_is_respected(tmp_path: Path, sink: str, other: str) -> None:
    changed = other.partition(":")[0]
    kept = ", ".join(part for part in sink.split(", ") if not part.startswith(f"{changed}:"))
    assert rules(tmp_path, with_sinks(f"  s: {{{sink}}}\n  t: {{{kept}, {other}}}\n", "x: s, t")) == []


@pytest.mark.parametrize("sink", [sink for sink, _ in STORES.values()])
def test_two_sinks_that_are_one_place_of_a_store_are_refused(tmp_path: Path, sink: str) -> None:
    both = f"  s: {{{sink}}}\n  t: {{{sink}}}\n"
    found = only(tmp_path, with_sinks(both, "x: s, t"))
    assert found.rule == "same-place"
    assert 'the sinks "s" and "t" are one ' in found.message
    assert found.hint.startswith("Give one of the sinks another ")
    assert rules(tmp_path, with_sinks(both, "x: s", "y: t")) == []


@pytest.mark.parametrize(
    ("sink", "hint"),
    [
        ("type: age, recipients: [age1x], path: k", "Put {agent} into the path."),
        ("type: vault, path: secret/x", "Put {agent} into the path."),
        ("type: aws_secrets_manager, secret_id: x", "Put {agent} into the secret_id."),
        ("type: kubernetes, namespace: n, secret: x", "Put {agent} into the secret."),
        ("type: github_actions, repository: o/n, secret: x", "Put {agent} into the secret."),
    ],
)
def test_two_agents_in_one_place_of_a_store_are_refused(tmp_path: Path, sink: str, hint: str) -> None:
    found = only(tmp_path, with_sinks(f"  s: {{{sink}}}\n", "x: s", "y: s"))
    assert (found.rule, found.hint) == ("same-place", hint)
    assert "y (here) and x (" in found.message
    assert rules(tmp_path, with_sinks(f"  s: {{{sink}}}\n", "x: s")) == []


@pytest.mark.parametrize(
    "sink",
    [
        "type: vault, path: secret/x",
        "type: aws_secrets_manager, secret_id: x",
        "type: kubernetes, namespace: n, secret: x",
    ],
)
def test_two_fields_of_one_secret_are_one_place(tmp_path: Path, sink: str) -> None:
    both = f"  s: {{{sink}, field: a}}\n  t: {{{sink}, field: b}}\n"
    assert only(tmp_path, with_sinks(both, "x: s", "y: t")).rule == "same-place"
    assert only(tmp_path, with_sinks(both, "x: s, t")).rule == "same-place"


@pytest.mark.parametrize(
    ("one", "same"),
    [
        ("type: vault, path: 'a/b/{agent}'", "type: vault, mount: a/, path: '/b/{agent}'"),
        ("type: vault, path: 'a/b/{agent}'", "type: vault, mount: a/b, path: '{agent}'"),
        (
            "type: vault, path: 'a/{agent}', address: 'https://v/'",
            "type: vault, path: 'a/{agent}', address: 'https://v'",
        ),
        ("type: file, path: 'k/{agent}'", "type: age, path: './k/{agent}', recipients: [age1x]"),
        (
            "type: github_actions, repository: Own/Repo",
            "type: github_actions, repository: own/repo, secret: '{agent}-api.key'",
        ),
    ],
)
def test_one_place_in_other_words_is_recognised(tmp_path: Path, one: str, same: str) -> None:
    found = only(tmp_path, with_sinks(f"  s: {{{one}}}\n  t: {{{same}}}\n", "x: s, t"))
    assert found.rule == "same-place"


def test_two_agents_whose_names_become_one_secret_are_refused(tmp_path: Path) -> None:
    sink = "  s: {type: github_actions, repository: o/n}\n"
    found = only(tmp_path, with_sinks(sink, "a-b: s", "a_b: s"))
    assert (found.rule, place(found)) == ("same-place", (8, 3))
    assert "deliver one of them to another sink" in found.hint
    assert rules(tmp_path, with_sinks(sink, "a-b: s", "a-c: s")) == []


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
