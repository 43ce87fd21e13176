"""Equal values have one text, whatever order they were written in."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from types import MappingProxyType

import pytest

from reconciler.model.diagnostic import Position
from reconciler.model.scopes import Scopes
from reconciler.model.values import Json
from reconciler.planning.fingerprint import canonical, digest, fingerprint, plain, same
from tests.support.builders import configuration, declared


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (2.0, "2"),
        (2.5, "2.5"),
        ("é", '"é"'),
        ({"b": 1, "a": (1, [2])}, '{"a":[1,[2]],"b":1}'),
        (MappingProxyType({"b": {"d": 1, "c": 2}}), '{"b":{"c":2,"d":1}}'),
        (frozenset({"b", "a"}), '["a","b"]'),
        (Scopes.of({"s": ["b", "a"]}), '{"s":["a","b"]}'),
        (datetime(2026, 1, 1, 2, tzinfo=timezone(timedelta(hours=2))), '"2026-01-01T00:00:00Z"'),
        (timedelta(minutes=1), "60.0"),
    ],
)
def test_each_kind_of_value_has_one_text(value: Json, text: str) -> None:
    assert canonical(value) == text


def test_one_is_not_true_and_is_the_same_as_one_point_zero() -> None:
    assert not same(1, True)
    assert not same(0, False)
    assert same(1, 1.0)
    assert fingerprint([1]) == fingerprint([1.0]) != fingerprint([True])


def test_a_plain_value_has_its_keys_in_one_order() -> None:
    left: Mapping[str, Json] = {"b": [{"y": 1, "x": 2.0}], "a": None}
    right: Mapping[str, Json] = {"a": None, "b": ({"x": 2, "y": 1},)}
    assert json.dumps(plain(left)) == json.dumps(plain(right)) == '{"a": null, "b": [{"x": 2, "y": 1}]}'


def test_fingerprints_are_short_and_digests_are_whole() -> None:
    assert len(fingerprint("x")) == 12
    assert digest("x").startswith("sha256:" + fingerprint("x"))
    assert len(digest("x")) == 71


def test_broken_characters_have_a_fingerprint_too() -> None:
    assert fingerprint("\ud800") != fingerprint("\ud801")


def test_moving_a_block_in_the_file_does_not_change_the_configuration() -> None:
    here = declared(display_name="A", positions={"display_name": Position("a.yaml", 1, 1)})
    there = replace(here, position=Position("b.yaml", 9, 9), positions={})
    assert digest(configuration(here)) == digest(configuration(there))
    assert digest(configuration(here)) != digest(configuration(replace(here, display_name="B")))


def test_the_time_zone_of_a_date_does_not_change_the_configuration() -> None:
    utc = datetime(2027, 1, 1, tzinfo=UTC)
    here, there = (declared(expires_at=at) for at in (utc, utc.astimezone(timezone(timedelta(hours=5)))))
    assert digest(configuration(here)) == digest(configuration(there))
