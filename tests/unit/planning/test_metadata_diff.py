"""Metadata is compared key by key; keys of other people are not ours to touch."""

import pytest

from reconciler.model.agent import LiveAgent
from reconciler.model.desired import DesiredAgent
from reconciler.model.mark import MARK_KEY
from reconciler.model.plan import Cause, Change
from reconciler.model.values import Json
from reconciler.planning.agent_diff import diff_agent, removed_metadata
from tests.support.builders import declared, live, mark_of


def changes(agent: DesiredAgent, found: LiveAgent) -> tuple[Change, ...]:
    return diff_agent(agent, found, found.mark).update


def places(before: Json, after: Json) -> list[tuple[str, Json, Json]]:
    found = changes(declared(metadata={"k": after}), live(metadata={"k": before}))
    return [(change.path, change.before, change.after) for change in found]


def test_keys_that_neither_the_configuration_nor_the_mark_knows_are_left_alone() -> None:
    agent = declared(metadata={"team": "x"})
    found = live(metadata={"team": "x", "theirs": {"deep": [1]}}, mark=mark_of(agent))
    assert changes(agent, found) == ()
    assert removed_metadata(agent, found, found.mark) == ()


def test_a_key_that_we_applied_and_that_is_declared_no_more_is_removed() -> None:
    before = declared(metadata={"team": "x", "cost": 1})
    found = live(metadata={"team": "x", "cost": 1, "theirs": 2}, mark=mark_of(before))
    assert changes(declared(metadata={"team": "x"}), found) == (
        Change("metadata.cost", 1, None, cause="config"),
    )


def test_a_removed_key_that_was_changed_outside_meanwhile_is_both() -> None:
    found = live(metadata={"cost": 2}, mark=mark_of(declared(metadata={"cost": 1})))
    assert changes(declared(), found) == (Change("metadata.cost", 2, None, cause="both"),)


def test_a_removed_key_that_is_gone_already_needs_nothing() -> None:
    assert changes(declared(), live(mark=mark_of(declared(metadata={"cost": 1})))) == ()


@pytest.mark.parametrize("ignore", ["metadata", "metadata.cost"])
def test_a_key_that_was_given_to_the_dashboard_is_not_removed(ignore: str) -> None:
    found = live(metadata={"cost": 1}, mark=mark_of(declared(metadata={"cost": 1})))
    assert changes(declared(ignore=[ignore]), found) == ()


def test_the_mark_itself_never_shows_as_a_difference() -> None:
    found = live(mark=mark_of(declared()))
    assert MARK_KEY in found.metadata
    assert changes(declared(), found) == ()


@pytest.mark.parametrize(
    ("applied", "current", "wanted", "cause"),
    [
        ({"team": "old"}, {"team": "old"}, {"team": "new"}, "config"),
        ({"team": "old"}, {"team": "moved"}, {"team": "old"}, "outside"),
        ({"team": "old"}, {}, {"team": "old"}, "outside"),
        ({"team": "old"}, {"team": "moved"}, {"team": "new"}, "both"),
        ({}, {}, {"team": "new"}, "config"),
        ({}, {"team": "theirs"}, {"team": "new"}, "both"),
    ],
)
def test_the_mark_tells_who_moved_a_key(
    applied: dict[str, str], current: dict[str, str], wanted: dict[str, str], cause: Cause
) -> None:
    found = live(metadata=current, mark=mark_of(declared(metadata=applied)))
    assert changes(declared(metadata=wanted), found) == (
        Change(
            "metadata.team", current.get("team"), "new" if wanted["team"] == "new" else "old", cause=cause
        ),
    )


def test_a_live_null_is_no_value() -> None:
    assert changes(declared(metadata={"team": None}), live(metadata={})) == ()
    assert changes(declared(metadata={"team": None}), live(metadata={"team": None})) == ()
    assert places(None, "x") == [("metadata.k", None, "x")]
    assert places("x", None) == [("metadata.k", "x", None)]


@pytest.mark.parametrize(
    ("left", "right"),
    [(1, True), (0, False), ([1], [True]), ({"a": 0}, {"a": False}), ("1", 1), (None, False), ([], {})],
)
def test_values_of_different_kinds_differ(left: Json, right: Json) -> None:
    assert places(left, right)
    assert places(right, left)


@pytest.mark.parametrize(
    ("left", "right"), [(1, 1.0), ([2], [2.0]), ({"a": 3}, {"a": 3.0}), ({"a": 1, "b": 2}, {"b": 2, "a": 1})]
)
def test_equal_numbers_and_reordered_keys_do_not_differ(left: Json, right: Json) -> None:
    assert places(left, right) == []


def test_the_order_of_a_list_matters() -> None:
    assert places(["a", "b"], ["b", "a"])


def test_nested_values_show_the_single_places_that_differ() -> None:
    before = {"same": 1, "deep": {"list": [1, {"x": 1}], "gone": True}}
    after = {"same": 1.0, "deep": {"list": [1, {"x": 2}, 3], "came": "y"}}
    assert places(before, after) == [
        ("metadata.k.deep.came", None, "y"),
        ("metadata.k.deep.gone", True, None),
        ("metadata.k.deep.list[1].x", 1, 2),
        ("metadata.k.deep.list[2]", None, 3),
    ]


def test_a_whole_part_that_came_or_went_is_shown_with_its_values() -> None:
    part = {"x": [1, True, None, "text", {"y": 0.5}]}
    assert places({"a": 1}, {"a": 1, "b": part}) == [("metadata.k.b", None, part)]
    assert places({"a": 1, "b": part}, {"a": 1}) == [("metadata.k.b", part, None)]


def test_a_value_that_becomes_empty_is_shown_as_a_whole() -> None:
    assert places({"a": {"b": 1}}, {}) == [("metadata.k", {"a": {"b": 1}}, {})]
    assert places({}, {"a": 1}) == [("metadata.k", {}, {"a": 1})]


@pytest.mark.parametrize(
    ("before", "after", "path"),
    [
        ({"a": 1, "z": 1}, {"a": True, "z": 2}, "metadata.k.a"),
        ({"a": [1, 5], "z": 1}, {"a": [True, 5], "z": 2}, "metadata.k.a[0]"),
        ({"__a": 1, "z": 1}, {"__a": 2, "z": 2}, "metadata.k.__a"),
        ({"a": 1e-13, "z": 1}, {"a": 2e-13, "z": 2}, "metadata.k.a"),
    ],
)
def test_no_difference_hides_behind_another(before: Json, after: Json, path: str) -> None:
    assert [found for found, _, _ in places(before, after)] == [path, "metadata.k.z"]


def test_places_that_would_read_the_same_are_shown_as_a_whole() -> None:
    before, after = {"a.b": 1, "a": {"b": 1}}, {"a.b": 2, "a": {"b": 3}}
    assert places(before, after) == [("metadata.k", before, after)]
