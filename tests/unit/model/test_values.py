"""Agents, keys, positions and findings."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from reconciler.model.desired import CountLimit
from reconciler.model.diagnostic import Diagnostic, Position
from reconciler.model.scopes import Scopes
from tests.support.builders import declared, key, live, mark_of


def test_the_target_of_scopes_is_what_they_will_be() -> None:
    wide, narrow = {"s": ["a", "b"]}, {"s": ["a"]}
    assert live(scopes=wide).target_scopes == Scopes.of(wide)
    assert live(scopes=wide, pending=narrow).target_scopes == Scopes.of(narrow)
    assert live(scopes=wide, pending={}).target_scopes == Scopes()


def test_own_metadata_is_without_the_mark_and_without_nulls() -> None:
    mark = mark_of(protect=True)
    found = live(metadata={"team": "x", "none": None, "nested": {"a": None}}, mark=mark)
    assert found.own_metadata == {"team": "x", "nested": {"a": None}}
    assert found.mark == mark
    assert live().mark is None


def test_a_key_lives_until_it_is_revoked() -> None:
    assert key().is_live
    assert replace(key(), deprecated_at=datetime(2026, 1, 1, tzinfo=UTC)).is_live
    assert not key(revoked=True).is_live


def test_a_field_stands_where_it_is_or_where_its_nearest_parent_is() -> None:
    scopes, google = Position("a.yaml", 8, 5), Position("a.yaml", 9, 7)
    agent = declared(position=Position("a.yaml", 7, 3), positions={"scopes": scopes, "scopes.google": google})
    assert agent.position_of("scopes.google") == agent.position_of("scopes.google.mail") == google
    assert agent.position_of("scopes") == agent.position_of("scopes.slack") == scopes
    assert agent.position_of("metadata.team") == agent.position_of("") == agent.position


def test_positions_sort_by_file_line_and_column() -> None:
    places = [
        Position("b.yaml", 1, 1),
        Position("a.yaml", 10, 1),
        Position("a.yaml", 9, 5),
        Position("a.yaml", 9, 2),
    ]
    assert [str(place) for place in sorted(places)] == [
        "a.yaml:9:2",
        "a.yaml:9:5",
        "a.yaml:10:1",
        "b.yaml:1:1",
    ]


def test_a_finding_as_json_names_its_place_or_none() -> None:
    finding = Diagnostic("error", "bad-name", "message", Position("a.yaml", 3, 5), "hint", "excerpt")
    assert finding.as_json() == {
        "severity": "error",
        "rule": "bad-name",
        "message": "message",
        "hint": "hint",
        "file": "a.yaml",
        "line": 3,
        "column": 5,
    }
    nowhere = replace(finding, position=None).as_json()
    assert (nowhere["file"], nowhere["line"], nowhere["column"]) == (None, None, None)


@pytest.mark.parametrize(
    ("affected", "total", "exceeded"),
    [(0, 0, False), (3, 3, False), (4, 40, False), (4, 39, True), (4, 0, True), (40, 400, False)],
)
def test_a_limit_is_exceeded_by_count_and_by_share(affected: int, total: int, exceeded: bool) -> None:
    assert CountLimit(3, 10).exceeded(affected, total) is exceeded
