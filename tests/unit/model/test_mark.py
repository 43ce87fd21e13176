"""The mark is read back as it was written, and nothing that stands in its place can break a run."""

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest

from reconciler.model.mark import Claim, Delivered, Mark, format_time, parse_time
from reconciler.model.values import Json
from tests.support.builders import claim_of, delivery_of, mark_of

AT = datetime(2026, 11, 1, tzinfo=UTC)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
BARE = {"owner": "o", "app": "a"}


@pytest.mark.parametrize(
    "mark",
    [
        mark_of(),
        mark_of(app=""),
        mark_of(spec={"b": "1", "a": "2"}, protect=True),
        mark_of(protect=False, delivered=delivery_of(), claim=claim_of(keys=["k-1", "k-2"])),
        mark_of(claim=claim_of("")),
    ],
)
def test_a_mark_is_read_as_it_was_written(mark: Mark) -> None:
    assert Mark.from_json(json.loads(json.dumps(mark.as_json()))) == mark


def test_absent_parts_are_not_written() -> None:
    assert Mark("o", "a").as_json() == {"owner": "o", "app": "a", "spec": {}}
    assert list(mark_of(spec={"b": "1", "a": "2"}).as_json()["spec"]) == ["a", "b"]


def test_a_mark_is_written_in_full() -> None:
    mark = Mark(
        "o", "a", {"status": "1"}, True, delivery_of("k-1", sinks=("v",)), claim_of("r", keys=["k-0"])
    )
    assert mark.as_json() == {
        "owner": "o",
        "app": "a",
        "spec": {"status": "1"},
        "protect": True,
        "delivered": {"key_id": "k-1", "at": "2026-11-23T12:00:00Z", "sinks": ["v"]},
        "claim": {"run": "r", "at": "2026-11-24T12:00:00Z", "keys": ["k-0"]},
    }


@pytest.mark.parametrize(
    "value",
    [None, 1, "text", [], {}, {"owner": "o"}, {"app": "a"}, {**BARE, "owner": ""}, {**BARE, "app": 1}],
)
def test_what_has_no_owner_and_app_is_no_mark(value: Json) -> None:
    assert Mark.from_json(value) is None


@pytest.mark.parametrize(
    "damage",
    [
        {"spec": "x"},
        {"spec": {"a": 1, "b": None}},
        {"protect": "yes"},
        {"protect": 1},
        {"delivered": "x"},
        {"delivered": {"key_id": 1}},
        {"delivered": {}},
        {"claim": []},
        {"claim": {"run": None, "keys": ["k"]}},
        {"unknown": {"from": "the future"}},
    ],
)
def test_a_damaged_part_counts_as_absent(damage: dict[str, Json]) -> None:
    assert Mark.from_json({**BARE, **damage}) == Mark("o", "a")


@pytest.mark.parametrize("at", [None, 17, "yesterday", "", {}])
def test_an_unreadable_time_is_the_epoch(at: Json) -> None:
    mark = Mark.from_json(
        {
            **BARE,
            "delivered": {"key_id": "k", "at": at, "sinks": "vault"},
            "claim": {"run": "r", "at": at, "keys": ["k", 1, None]},
        }
    )
    assert mark is not None
    assert mark.delivered is not None
    assert mark.claim is not None
    assert mark.delivered == Delivered(mark.delivered.key_id, EPOCH, ())
    assert mark.claim == Claim(mark.claim.run, EPOCH, (mark.delivered.key_id,))


@pytest.mark.parametrize(
    "text",
    ["2026-11-01T00:00:00Z", "2026-11-01T02:00:00+02:00", "2026-11-01T00:00:00", "2026-10-31T19:00:00-05:00"],
)
def test_times_are_read_in_any_zone(text: str) -> None:
    assert parse_time(text) == AT
    assert parse_time(text).tzinfo is UTC


def test_times_are_written_in_utc_with_whole_seconds() -> None:
    here = datetime(2026, 11, 1, 5, 0, 0, 999_999, tzinfo=timezone(timedelta(hours=5)))
    assert format_time(here) == "2026-11-01T00:00:00Z"


def test_what_is_no_time_is_refused() -> None:
    with pytest.raises(ValueError, match="isoformat"):
        parse_time("soon")
