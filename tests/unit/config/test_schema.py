"""What does not fit the schema is said once, at its place, with what is allowed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from reconciler.config.explain import explain
from reconciler.config.findings import MAX_REPORTED, Findings
from reconciler.config.loader import schema_text
from reconciler.config.schema import schema_document
from reconciler.config.schema import schema_text as any_schema_text
from reconciler.config.source import parse
from reconciler.errors import FileMissing
from tests.unit.config.documents import HEAD, desired, loaded, of_agent, of_agents, only, place, rules


@pytest.mark.parametrize(
    ("fields", "rule", "where", "texts"),
    [
        ("displayname: x", "unknown-key", (7, 5), ('no key "displayname"', '"display_name"')),
        ("qqqqqqq: x", "unknown-key", (7, 5), ('no key "qqqqqqq"', "Allowed here: deliver_to")),
        ("rotation: {max_ag: 1d}", "unknown-key", (7, 16), ("agents.x.rotation", '"max_age"')),
        ("ignore: [{field: scopes, untill: 2027-01-01}]", "unknown-key", (7, 30), ("ignore[0]", '"until"')),
        ("ignore: [{reason: x}]", "missing-key", (7, 14), ('lacks the key "field"', "`field: …`")),
        ("ignore: [scope]", "bad-ignore", (7, 14), ('"scope"', "metadata.<key>")),
        ("ignore: display_name", "wrong-type", (7, 13), ("a list", "Fields that the dashboard owns")),
        ("status: activ", "bad-value", (7, 13), ("allowed: active, inactive", '"active"')),
        ("type: 5", "bad-value", (7, 11), ("allowed: agent, service", "")),
        ("type: []", "bad-value", (7, 11), ("a list", "")),
        ("display_name: ''", "bad-text", (7, 19), ("is empty", "one line")),
        ("display_name: ' x'", "bad-text", (7, 19), ("not allowed", "spaces at its ends")),
        ('display_name: "x\\n"', "bad-text", (7, 19), ("not allowed", "one line")),
        ('display_name: "a\\nb"', "bad-text", (7, 19), ("not allowed", "one line")),
        (f"display_name: {'x' * 256}", "bad-text", (7, 19), ("256 characters; at most 255", "")),
        ("narrowing_grace: 24", "bad-duration", (7, 22), ('"24"', "90d")),
        ("narrowing_grace: 1h1d", "bad-duration", (7, 22), ('"1h1d"', "1d12h")),
        ("narrowing_grace: 1.5h", "bad-duration", (7, 22), ('"1.5h"', "90d")),
        ("narrowing_grace: -1h", "bad-duration", (7, 22), ('"-1h"', "90d")),
        ("narrowing_grace: ''", "bad-duration", (7, 22), ("not allowed", "90d")),
        ("expires_at: tomorrow", "bad-date", (7, 17), ('"tomorrow"', "2027-06-30")),
        ("expires_at: 2027-06-30T12:00:00", "bad-date", (7, 17), ("not allowed", "with its zone")),
        ("rotation: {rotate_keys_before: 2027-06-30}", "bad-date", (7, 36), ("not allowed", "zone")),
        ("rotation: {on_overdue: explode}", "bad-value", (7, 28), ("block, revoke, warn", "")),
        ("scopes: {google: []}", "empty-scope-list", (7, 22), ("is empty", "Leave the provider out")),
        ("scopes: {google: gmail}", "wrong-type", (7, 22), ("a list", "Leave the provider out")),
        ("scopes: {google: [' x']}", "bad-scope", (7, 23), ("scopes.google[0]", "spaces at its ends")),
        ("scopes: {google: [null]}", "wrong-type", (7, 23), ("nothing (null)", "One scope")),
        ("scopes: {'a b': [x]}", "bad-name", (7, 14), ('"a b"', "one line")),
        ("scopes: [google]", "wrong-type", (7, 13), ("a mapping", "deny all")),
        ("metadata: []", "wrong-type", (7, 15), ("a list; allowed: a mapping", "Any JSON object")),
        ("policy: x", "wrong-type", (7, 13), ("a mapping", "Any JSON object")),
        ("template: {a: b}", "wrong-type", (7, 15), ("a mapping; allowed: text", "template")),
        ("deliver_to: {a: b}", "wrong-type", (7, 17), ("text or a list", "sinks")),
        ("for_each: {}", "bad-for-each", (7, 15), ("at least one", "")),
        ("for_each: {t: []}", "empty-for-each", (7, 19), ("at least one", "Remove the block")),
        ("for_each: {T: [a]}", "bad-name", (7, 16), ('"T"', "lower-case")),
        ("for_each: {t: [' ']}", "bad-text", (7, 20), ("not allowed", "one line")),
    ],
)
def test_a_field_that_does_not_fit(
    tmp_path: Path, fields: str, rule: str, where: tuple[int, int], texts: tuple[str, str]
) -> None:
    found = only(tmp_path, of_agent(fields))
    assert (found.rule, place(found)) == (rule, where)
    assert texts[0] in found.message
    assert texts[1] in found.hint
    assert found.excerpt == ("    " + fields if len(fields) <= 156 else ("    " + fields)[:159] + "…")


@pytest.mark.parametrize(
    ("line", "rule", "column", "message"),
    [
        ("guards: {max_revocations: {count: -1}}", "out-of-range", 35, "at least 0"),
        ("guards: {key_cap: 0}", "out-of-range", 19, "at least 1"),
        ("guards: {max_revocations: {percent: 101}}", "out-of-range", 37, "at most 100"),
        ("guards: {max_revocations: {count: 1.5}}", "wrong-type", 35, "a whole number"),
        ("guards: {sensitive_scopes: [drive]}", "bad-pattern", 29, '"drive"'),
        ("freeze: [{from: 2026-12-20}]", "missing-key", 10, '"to"'),
        ("freeze: {from: 2026-12-20, to: 2026-12-21}", "wrong-type", 9, "a list"),
        ("templates: {a: {template: b}}", "unknown-key", 17, "templates.a"),
        ("defaults: {for_each: {a: [b]}}", "unknown-key", 12, "defaults"),
        ("templates: {a b: {}}", "bad-name", 13, '"a b"'),
        ("rotation_policies: {a: {policy: b}}", "unknown-key", 25, "rotation_policies.a"),
        ("former_owners: old", "wrong-type", 16, "a list"),
        ("agent: {}", "unknown-key", 1, 'no key "agent"'),
    ],
)
def test_a_section_that_does_not_fit(tmp_path: Path, line: str, rule: str, column: int, message: str) -> None:
    found = only(tmp_path, HEAD + line + "\nagents: {}\n")
    assert (found.rule, place(found)) == (rule, (5, column))
    assert message in found.message


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com",
        "https://u:p@example.com",
        "https://a/?b",
        "https://a#b",
        "ftp://a",
        "example.com",
        "https://",
    ],
)
def test_a_base_url_that_could_leak_a_key_is_refused(tmp_path: Path, url: str) -> None:
    found = only(tmp_path, f"version: 1\nowner: o\napp:\n  name: a\n  base_url: '{url}'\nagents: {{}}\n")
    assert (found.rule, place(found)) == ("bad-url", (5, 13))


@pytest.mark.parametrize(
    "url",
    ["https://backend.alterauth.com", "https://a.example:8443/x", "http://127.0.0.1:8080", "http://[::1]:1"],
)
def test_https_and_loopback_are_accepted(tmp_path: Path, url: str) -> None:
    text = f"version: 1\nowner: o\napp: {{name: a, base_url: '{url}'}}\nagents: {{}}\n"
    assert desired(tmp_path, text).app.base_url == url


@pytest.mark.parametrize("name", ["Nightly", "a b", "ä", "a.b", "a/b", "{T}", "{}", ""])
def test_a_name_that_alter_would_refuse_is_found_at_its_key(tmp_path: Path, name: str) -> None:
    found = only(tmp_path, of_agents(f"'{name}': {{scopes: {{}}, deliver_to: []}}"))
    assert (found.rule, place(found)) == ("bad-agent-name", (6, 3))


def test_an_absent_version_is_named(tmp_path: Path) -> None:
    found = only(tmp_path, "owner: o\n")
    assert (found.rule, place(found), found.hint) == ("missing-key", (1, 1), "Add `version: …`.")


def test_another_version_is_refused_without_judging_the_rest(tmp_path: Path) -> None:
    found = only(tmp_path, "version: 2\nagents: {x: {template: y}}\n")
    assert (found.rule, place(found)) == ("unsupported-version", (1, 10))
    assert found.hint


@pytest.mark.parametrize("text", ["[]", "text", "- version: 1", "null", "4711"])
def test_a_file_that_is_no_mapping_is_refused(tmp_path: Path, text: str) -> None:
    found = only(tmp_path, text)
    assert found.rule == "wrong-type"
    assert "allowed: a mapping" in found.message


def test_agents_of_null_are_refused_with_the_explicit_way(tmp_path: Path) -> None:
    found = only(tmp_path, HEAD + "agents:\n")
    assert found.rule == "agents-null"
    assert "agents: {}" in found.hint


def test_an_agent_without_a_block_is_refused(tmp_path: Path) -> None:
    found = only(tmp_path, of_agents("x:"))
    assert (found.rule, place(found)) == ("wrong-type", (6, 5))


def test_a_wrong_agent_hides_nothing_of_the_others(tmp_path: Path) -> None:
    text = of_agents(
        """
        a: {scopes: {}, deliver_to: [], protect: 5}
        b: {scopes: {}, deliver_to: lokal}
        c: {scopes: {}, deliver_to: [], template: t}
        """,
        more="templates: {t: {typ: agent}}\n",
    )
    assert rules(tmp_path, text) == ["unknown-key", "wrong-type", "unknown-sink"]


def test_what_refers_to_something_broken_is_not_reported_on_top(tmp_path: Path) -> None:
    text = """\
        version: 1
        owner: o
        app: {name: a}
        defaults: {deliver_tu: s}
        rotation_policies: {p: {max: 1d}}
        sinks: {s: {type: fil}}
        agents: {a: {deliver_to: s, rotation: p}, b: {}}
        """
    assert rules(tmp_path, text) == ["unknown-key", "unknown-key", "unknown-sink-type"]


def test_of_very_many_findings_the_first_are_listed_and_the_rest_counted(tmp_path: Path) -> None:
    agents = "".join(f"a{number}: {{scopes: {{}}, deliver_to: [], protect: x}}\n" for number in range(500))
    found = loaded(tmp_path, of_agents(agents)).diagnostics
    assert len(found) == MAX_REPORTED + 1
    assert found[-1].message == "… and 300 more findings"
    assert found[-1].position is None
    assert place(found[0]) == (6, 45)


def test_more_findings_than_are_kept_are_counted_too(tmp_path: Path) -> None:
    items = ", ".join(["' '"] * 3_000)
    found = loaded(tmp_path, of_agent(f"scopes: {{google: [{items}]}}")).diagnostics
    assert len(found) == MAX_REPORTED + 1
    keys = ", ".join(f"k{number}: 1" for number in range(3_000))
    found = loaded(tmp_path, of_agent(f"rotation: {{{keys}}}")).diagnostics
    assert found[-1].message == "… and 2,800 more findings"


def test_errors_are_listed_before_warnings_are_counted(tmp_path: Path) -> None:
    agents = "".join(f"a{number}: {{scopes: {{google: [x, x]}}, deliver_to: []}}\n" for number in range(300))
    found = loaded(tmp_path, of_agents(agents + "z: {scopes: {}, deliver_to: [no]}\n")).diagnostics
    assert [one.rule for one in found if one.severity == "error"] == ["unknown-sink", "too-many-findings"]
    assert loaded(tmp_path, of_agents(agents)).diagnostics[-1].severity == "warning"


def test_what_only_the_deciding_validator_refuses_is_a_finding_too() -> None:
    # U+FEFF is a space in the regular expressions of JSON Schema, but not in those of Python.
    findings = Findings()
    root = parse("version: 1\nowner: x", file="f", findings=findings)
    assert root is not None
    assert explain({"version": 1, "owner": "x\ufeff"}, root, file="f", findings=findings) == [("owner",)]
    (found,) = findings.sorted()
    assert (found.rule, str(found.position)) == ("bad-value", "f:2:8")


def test_the_schema_is_a_draft_7_schema_that_explains_every_field() -> None:
    schema = json.loads(schema_text())
    jsonschema.Draft7Validator.check_schema(schema)
    assert schema["$id"]
    for place_, field in fields_of(schema, "$"):
        target = schema["definitions"][field["$ref"].rpartition("/")[2]] if "$ref" in field else field
        assert target.get("title"), place_
        assert target.get("description"), place_
        assert "default" in target or target.get("examples"), place_


def fields_of(schema: Any, place_: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every property of the schema, however deep."""
    if isinstance(schema, dict):
        for name, field in (schema.get("properties") or {}).items():
            if isinstance(field, dict):
                yield f"{place_}.{name}", field
        for key, inner in schema.items():
            if key not in ("examples", "default", "if"):
                yield from fields_of(inner, f"{place_}.{key}")


def test_every_example_in_the_schema_fits_it() -> None:
    schema = json.loads(schema_text())
    for place_, field in fields_of(schema, "$"):
        validator = jsonschema.Draft7Validator({**field, "definitions": schema["definitions"]})
        for example in (*field.get("examples", ()), *([field["default"]] if "default" in field else ())):
            assert validator.is_valid(example), (place_, example)


def test_a_schema_that_is_not_there_is_a_missing_file() -> None:
    assert schema_document("agents")["title"]
    with pytest.raises(FileMissing, match="nothing"):
        any_schema_text("nothing")  # type: ignore[arg-type]
