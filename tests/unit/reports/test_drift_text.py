"""Drift for people: the gravest first, who did it, and what to do about it."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from reconciler.model.drift import Drift, DriftFinding
from reconciler.reports.columns import display_width
from reconciler.reports.drift_text import drift_text
from reconciler.reports.styles import Style
from tests.unit.reports.drift_samples import (
    CLEAN,
    KEY,
    NAME,
    NO_FEED,
    ORPHAN,
    PENDING,
    REVOKED,
    RICH,
    SCOPES,
    SHADOW,
    UNDECLARED,
    UNUSED,
    event,
    found,
    hostile_drift,
)
from tests.unit.reports.golden import assert_golden

PLAIN = Style.plain()
APPLY = "alter-sync apply -c agents"


def text_of(drift: Drift, *, style: Style = PLAIN, width: int | None = None, verbose: bool = False) -> str:
    return drift_text(drift, style=style, width=width, verbose=verbose, command=APPLY)


def of(*findings: DriftFinding) -> str:
    return text_of(replace(CLEAN, findings=findings))


def test_drift_is_told_by_severity_with_who_did_it() -> None:
    assert_golden("drift_rich", text_of(RICH))


def test_on_request_nothing_is_left_out() -> None:
    text = text_of(RICH, verbose=True)
    assert "dashboard-13" in text
    assert "… and" not in text
    assert "… and 4 more" in text_of(RICH)


def test_values_are_cut_to_the_width_of_the_terminal_and_names_are_not() -> None:
    long = found("changed_outside", "low", "nightly-sync", "display_name", live="b" * 90, declared="a" * 90)
    text = text_of(replace(CLEAN, findings=(long,)), width=80)
    [line] = [line for line in text.split("\n") if "nightly-sync" in line]
    assert display_width(line) <= 80
    assert line.endswith("b…")
    assert "b" * 90 in text_of(replace(CLEAN, findings=(long,)), width=80, verbose=True)


def test_one_long_path_does_not_push_the_others_away() -> None:
    long = found("changed_outside", "low", "a", "metadata." + "x" * 150, live=1)
    lines = of(long, NAME).split("\n")
    [line] = [line for line in lines if "大阪" in line]
    assert display_width(line) < 90


def test_colours_say_nothing_that_the_text_does_not() -> None:
    coloured = text_of(RICH, style=Style.ansi())
    assert coloured != text_of(RICH)
    assert re.sub(r"\x1b\[\d+m", "", coloured) == text_of(RICH)


def test_without_drift_that_is_what_it_says() -> None:
    assert text_of(CLEAN) == "Drift: none; 12 in sync\n\nNo drift: nothing was changed outside."


def test_why_nobody_is_named_is_said_even_without_drift() -> None:
    assert f"\nNot told: {NO_FEED}\n" in text_of(replace(CLEAN, feed=NO_FEED))


@pytest.mark.parametrize(
    ("findings", "step"),
    [
        ([SCOPES, REVOKED], f"Run `{APPLY} --only-drift` to put back what was changed outside"),
        ([KEY], f"Run `{APPLY} --only-drift` "),
        ([NAME, ORPHAN], f"Run `{APPLY} --only-drift` "),
        ([replace(ORPHAN, event=event("key.mint"))], f"Run `{APPLY} --only-drift` "),
        ([REVOKED, PENDING, SHADOW], f"Run `{APPLY}` to create again what was revoked, with new keys."),
        ([ORPHAN, SHADOW], f"Run `{APPLY}` to finish what a run of this tool left behind."),
        ([SHADOW, PENDING], "What differs needs a person"),
        ([UNDECLARED], "What differs needs a person"),
        ([replace(NAME, path="mark")], "What differs needs a person"),
        ([PENDING, UNUSED], f"No drift. Run `{APPLY}` to apply what the configuration is ahead of."),
        ([UNUSED], "No drift: nothing was changed outside."),
    ],
)
def test_the_last_line_is_what_to_do(findings: list[DriftFinding], step: str) -> None:
    assert of(*findings).rpartition("\n")[2].startswith(step)


def test_scopes_are_told_one_by_one_and_only_those_that_differ() -> None:
    [line] = [line for line in of(SCOPES).split("\n") if line.startswith("  nightly-sync")]
    assert line.split()[2:] == ["+", "drive", "−", "calendar"]


def test_what_is_not_applied_goes_from_live_to_declared_and_drift_the_other_way() -> None:
    both = replace(PENDING, live="is", declared="wanted")
    outside = found("changed_outside", "low", "a", "display_name", live="is", declared="wanted")
    assert '"is" → "wanted"' in of(both)
    assert '"wanted" → "is"' in of(outside)


def test_of_an_agent_that_is_declared_no_more_only_what_is_now_is_known() -> None:
    text = of(UNDECLARED)
    assert 'now ["drive"]' in text
    assert "the agent is declared no more" in text
    assert "+ drive" not in text


def test_somebody_without_a_name_is_somebody() -> None:
    assert "by somebody whom the feed does not name at 2026-11-24 08:55 UTC (key.mint)" in of(KEY)


@pytest.mark.parametrize("width", [None, 80, 20])
def test_hostile_texts_are_inert(width: int | None) -> None:
    text = text_of(hostile_drift(), width=width)
    for line in text.split("\n"):
        assert line.isprintable()
        assert not line.lstrip().startswith("::")
        assert "##[" not in line
        assert "##vso[" not in line


def test_hostile_drift_looks_like_this() -> None:
    assert_golden("drift_hostile", text_of(hostile_drift(), width=120))


def test_a_very_long_list_is_cut_and_says_so() -> None:
    many = tuple(found("changed_outside", "low", f"a{n}", "display_name", live=n) for n in range(230))
    assert "  … and 30 more" in text_of(replace(CLEAN, findings=many))
    assert "more" not in text_of(replace(CLEAN, findings=many), verbose=True)
