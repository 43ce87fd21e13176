"""Columns line up whatever the characters are."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from reconciler.reports.columns import align, display_width, fit, join, pad, wrap
from reconciler.reports.styles import Style


def test_east_asian_characters_take_two_cells_and_accents_none() -> None:
    assert display_width("bot") == 3
    assert display_width("東京") == 4
    assert display_width("e\u0301\u20dd") == 1


def test_padding_counts_cells_and_never_shortens() -> None:
    assert pad("東", 4) == "東  "
    assert pad("long", 2) == "long"


def test_fitting_cuts_where_the_cells_end() -> None:
    assert fit("abc", 3) == "abc"
    assert fit("abcd", 3) == "ab…"
    assert fit("東京都", 4) == "東…"


def test_cells_of_a_column_are_equally_wide() -> None:
    rows = align([("名前", "x"), ("ab", "yy")])
    assert [join(row) for row in rows] == ["名前  x", "ab    yy"]


def test_only_elastic_columns_shrink_and_in_the_given_order() -> None:
    row = ("a-very-long-agent-name", "d" * 20, "n" * 20)
    (once,) = align([row], width=60, elastic=(2, 1))
    assert once == [row[0], row[1], "n" * 13 + "…"]
    (both,) = align([row], width=30, elastic=(2, 1))
    assert both == [row[0], "d" * 8 + "…", "n" * 8 + "…"]
    assert align([row], width=10) == [list(row)]
    assert align([]) == []


def test_a_list_breaks_between_items_only() -> None:
    assert wrap(["aaaa", "bbbb", "cccc"], indent=2, width=12) == [["aaaa", "bbbb"], ["cccc"]]
    assert wrap(["aaaa", "bbbb"], indent=2, width=None) == [["aaaa", "bbbb"]]
    assert wrap(["a" * 50], indent=2, width=12) == [["a" * 50]]
    assert wrap([], indent=2, width=12) == []


@given(st.text(max_size=30), st.integers(min_value=1, max_value=20))
def test_a_fitted_text_is_never_too_wide(text: str, width: int) -> None:
    assert display_width(fit(text, width)) <= width


def test_a_plain_style_changes_nothing_and_an_ansi_style_resets_itself() -> None:
    plain, ansi = Style.plain(), Style.ansi()
    for name, code in {"bold": 1, "dim": 2, "red": 31, "green": 32, "yellow": 33, "cyan": 36}.items():
        assert getattr(plain, name)("x") == "x"
        assert getattr(ansi, name)("x") == f"\x1b[{code}mx\x1b[0m"
        assert getattr(ansi, name)("") == ""
