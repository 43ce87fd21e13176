"""Drift for programs: as the schema says, whatever was found."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from jsonschema_rs import Draft7Validator

from reconciler.config.schema import schema_text
from reconciler.model.drift import DRIFT_KINDS, Drift
from reconciler.planning.baseline import fingerprint_of
from reconciler.reports.drift_document import drift_document
from reconciler.reports.json_document import dump
from tests.unit.reports.drift_samples import CLEAN, KEY, NAME, RICH, SCOPES, SHADOW, hostile_drift
from tests.unit.reports.golden import assert_golden

SCHEMA = json.loads(schema_text("drift"))


def faults(document: Any) -> list[str]:
    return [error.message for error in Draft7Validator(SCHEMA).iter_errors(document)]


@pytest.mark.parametrize("drift", [CLEAN, RICH, hostile_drift()], ids=["clean", "rich", "hostile"])
def test_a_document_keeps_to_its_schema_and_comes_through_json_unchanged(drift: Drift) -> None:
    document = drift_document(drift)
    assert faults(document) == []
    text = dump(document, "json")
    assert faults(json.loads(text)) == []
    text.encode()  # raises for a lone surrogate, which would break whoever writes it
    assert dump(drift_document(drift), "json") == text


def test_a_document_looks_like_this() -> None:
    assert_golden("drift_document", dump(drift_document(RICH), "json"))


def test_the_schema_would_notice() -> None:
    document = drift_document(RICH)
    assert faults(document | {"more": 1})
    assert faults({name: value for name, value in document.items() if name != "attribution"})
    finding = document["findings"][0]
    for wrong in ({"kind": "other"}, {"severity": "none"}, {"event": {"at": "x"}}, {"key_id": 1}):
        assert faults(document | {"findings": [finding | wrong]})


def test_the_schema_knows_every_kind_and_every_count() -> None:
    kinds = SCHEMA["definitions"]["finding"]["properties"]["kind"]["enum"]
    assert tuple(kinds) == DRIFT_KINDS
    assert set(SCHEMA["properties"]["summary"]["required"]) == set(CLEAN.summary())


def test_who_did_it_and_where_it_is_declared_is_there_or_null() -> None:
    document = drift_document(replace(RICH, findings=(SCOPES, SHADOW)))
    first, second = document["findings"]
    assert first["event"] == {
        "at": "2026-11-24T08:55:00Z",
        "actor": "jane@corp.example",
        "action": "agent.update",
    }
    assert first["source"] == {"file": "agents.yaml", "line": 31, "column": 3}
    assert (second["event"], second["source"], second["agent_id"]) == (None, None, None)


def test_whether_everything_could_be_read_is_told() -> None:
    assert drift_document(CLEAN)["attribution"] == {"available": True, "reason": ""}
    assert drift_document(RICH)["attribution"] == {"available": False, "reason": RICH.feed}


def test_an_ignored_finding_has_its_reason_and_its_end() -> None:
    by_rule, by_baseline = drift_document(RICH)["ignored"]
    assert (by_rule["reason"], by_rule["until"]) == ("the migration team edits it", "2027-01-31T00:00:00Z")
    assert (by_baseline["reason"], by_baseline["until"]) == ("accepted by the baseline", None)
    assert by_baseline["finding"]["kind"] == "key_minted_outside"


def test_the_fingerprint_is_that_of_the_baseline() -> None:
    assert [one["fingerprint"] for one in drift_document(RICH)["findings"][:2]] == [
        fingerprint_of(SCOPES),
        fingerprint_of(KEY),
    ]


def test_as_lines_each_finding_is_one() -> None:
    rows = [json.loads(line) for line in dump(drift_document(RICH), "jsonl").splitlines()]
    assert [row["kind"] for row in rows] == [one.kind for one in RICH.findings]
    assert rows[6]["agent"] == NAME.agent
