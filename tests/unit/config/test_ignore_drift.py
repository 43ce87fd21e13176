"""``ignore_drift``: drift that is known, each with its reason and best with an end."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from reconciler.config.loader import load
from reconciler.model.desired import DriftIgnore
from reconciler.model.diagnostic import Position
from tests.unit.config.documents import NOW, desired, loaded, of_agent, only, place, rules


def of_rules(*items: str) -> str:
    """A configuration with these rules; the first stands on line 6, from column 5."""
    more = "ignore_drift:\n" + "".join(f"  - {item}\n" for item in items)
    return of_agent("scopes: {}", more=more)


def read(folder: Path, *items: str) -> tuple[DriftIgnore, ...]:
    return desired(folder, of_rules(*items)).ignore_drift


def test_a_rule_is_read_with_its_place_and_a_day_counts_whole(tmp_path: Path) -> None:
    file = str(tmp_path / "agents.yaml")
    assert read(
        tmp_path,
        "{agent: b, reason: always so}",
        '{agent: "a*", path: scopes.google, reason: x, until: 2026-12-31}',
    ) == (
        DriftIgnore("a*", "scopes.google", "x", datetime(2027, 1, 1, tzinfo=UTC), Position(file, 7, 5)),
        DriftIgnore("b", "*", "always so", None, Position(file, 6, 5)),
    )


def test_without_rules_there_are_none(tmp_path: Path) -> None:
    assert desired(tmp_path, of_agent("scopes: {}")).ignore_drift == ()
    assert desired(tmp_path, of_agent("scopes: {}", more="ignore_drift: []\n")).ignore_drift == ()


def test_a_moment_has_its_zone(tmp_path: Path) -> None:
    [rule] = read(tmp_path, "{agent: a, reason: x, until: 2026-12-31T14:00:00+02:00}")
    assert rule.until == datetime(2026, 12, 31, 12, tzinfo=UTC)


def test_a_rule_that_has_ended_is_left_out_and_reported_where_its_end_stands(tmp_path: Path) -> None:
    text = of_rules("{agent: legacy, reason: x, until: 2026-11-23}", "{agent: b, reason: y}")
    found = only(tmp_path, text)
    assert (found.severity, found.rule, place(found)) == ("warning", "ignore-ended", (6, 39))
    assert found.message == 'the drift of "legacy" is no longer ignored: the rule has ended'
    assert found.hint == "Remove it, or give it another day."
    assert [rule.agent for rule in desired(tmp_path, text).ignore_drift] == ["b"]


@pytest.mark.parametrize(
    ("until", "ended"),
    [
        ("2026-11-23", True),
        ("2026-11-24", False),
        ("2026-11-24T00:00:00Z", True),
        ("2026-11-24T00:00:01Z", False),
        ("2026-11-24T01:00:00+01:00", True),
    ],
)
def test_a_rule_ends_with_its_day_or_at_its_moment(tmp_path: Path, until: str, ended: bool) -> None:
    assert f"{NOW:%Y-%m-%dT%H:%M:%S}" == "2026-11-24T00:00:00"
    rule = f"{{agent: a, reason: x, until: {until}}}"
    assert rules(tmp_path, of_rules(rule)) == (["ignore-ended"] if ended else [])
    assert bool(read(tmp_path, rule)) is not ended


@pytest.mark.parametrize(
    ("item", "rule", "where", "said"),
    [
        ("{reason: x}", "missing-key", (6, 5), "agent"),
        ("{agent: a}", "missing-key", (6, 5), "reason"),
        ('{agent: "", reason: x}', "bad-text", (6, 13), "agent"),
        ('{agent: a, reason: "  "}', "bad-text", (6, 24), "reason"),
        ('{agent: a, reason: "two\\nlines"}', "bad-text", (6, 24), "reason"),
        ("{agent: a, reason: x, until: tomorrow}", "bad-date", (6, 34), "until"),
        ("{agent: a, reason: x, until: 2026-02-30}", "bad-date", (6, 34), "no such day"),
        ("{agent: a, reason: x, until: 2026-12-01T00:00:00}", "bad-date", (6, 34), "until"),
        ("{agent: a, reason: x, until: 9999-12-31}", "bad-date", (6, 34), "no such day"),
        ("{agent: a, reason: x, till: 2026-12-01}", "unknown-key", (6, 27), "till"),
        ("{agent: [a], reason: x}", "wrong-type", (6, 13), "agent"),
        ("legacy", "wrong-type", (6, 5), "ignore_drift"),
    ],
)
def test_a_bad_rule_is_an_error_with_its_place(
    tmp_path: Path, item: str, rule: str, where: tuple[int, int], said: str
) -> None:
    found = only(tmp_path, of_rules(item))
    assert (found.severity, found.rule, place(found)) == ("error", rule, where)
    assert said in found.message
    assert loaded(tmp_path, of_rules(item)).desired is None


def test_the_rules_of_several_files_are_one_list_in_a_fixed_order(tmp_path: Path) -> None:
    first, second = tmp_path / "1.yaml", tmp_path / "2.yaml"
    first.write_text(of_rules("{agent: b, reason: x}", "{agent: a, path: z, reason: x}"))
    head = "version: 1\nowner: o\napp: {name: a}\n"
    second.write_text(head + "ignore_drift: [{agent: a, path: b, reason: x}]\nagents: {}\n")
    read_both = [load(paths, now=NOW).desired for paths in ([first, second], [second, first])]
    assert all(read_both)
    assert [[(rule.agent, rule.path) for rule in one.ignore_drift] for one in read_both if one] == [
        [("a", "b"), ("a", "z"), ("b", "*")]
    ] * 2
