"""Remote text is inert on a terminal."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.reports.escaping import TEXT_LIMIT, for_terminal
from tests.unit.reports.samples import HOSTILE

ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=2 * TEXT_LIMIT)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("nightly-sync", "nightly-sync"),
        ("Grüße, 東京 🚀", "Grüße, 東京 🚀"),
        ("\x1b[31m", "\\x1b[31m"),
        ("\x9b31m", "\\x9b31m"),
        ("a\nb\rc\td\x00\x7f", "a\\nb\\rc\\td\\x00\\x7f"),
        ("\u202egnp\u2066", "\\u202egnp\\u2066"),
        ("a\u200bb\ufeffc\u2060", "a\\u200bb\\ufeffc\\u2060"),
        ("a\u2028b\u2029\x85", "a\\u2028b\\u2029\\x85"),
        ("\ud800", "\\ud800"),
        ("\ue000\U000e0041", "\\ue000\\U000e0041"),
        ("a\u3164b\u2800\ufe0f\U000e0100", "a\\u3164b\\u2800\\ufe0f\\U000e0100"),
        ("a\xa0b", "a\\xa0b"),
        ("C:\\x", "C:\\x"),
    ],
)
def test_what_would_not_be_seen_as_itself_shows_as_an_escape(text: str, shown: str) -> None:
    assert for_terminal(text) == shown


def test_accents_stay_but_piles_of_them_do_not() -> None:
    assert for_terminal("e\u0301\u0323") == "e\u0301\u0323"
    assert for_terminal("e" + "\u0301" * 5) == "e" + "\u0301" * 3 + "\\u0301" * 2


def test_an_accent_cannot_sit_on_a_character_of_ours() -> None:
    assert for_terminal("\u0301a") == "\\u0301a"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("::error::x", "\\x3a:error::x"),
        ("  ::error::x", "  \\x3a:error::x"),
        ("why ::stop-commands::x", "why \\x3a:stop-commands::x"),
        ("a::b", "a::b"),
        ("x ##[add-mask]y", "x #\\x23[add-mask]y"),
        ("##vso[task]", "#\\x23vso[task]"),
        ("## heading", "## heading"),
    ],
)
def test_a_ci_runner_finds_no_command_in_it(text: str, shown: str) -> None:
    assert for_terminal(text) == shown


def test_a_long_text_is_cut_at_its_limit() -> None:
    assert for_terminal("a" * 10, limit=10) == "a" * 10
    assert for_terminal("a" * 11, limit=10) == "a" * 9 + "…"


def test_an_escape_is_never_cut_in_half() -> None:
    assert for_terminal("abcd\x1bxyz", limit=8) == "abcd…"
    assert for_terminal("ab\x1b\x1b", limit=8) == "ab\\x1b…"


def test_a_limit_is_a_limit_also_when_escapes_make_the_text_longer() -> None:
    assert all(len(for_terminal(text * 50)) <= TEXT_LIMIT for text in HOSTILE)


@given(ANY_TEXT)
def test_any_text_becomes_one_short_line_of_printable_characters(text: str) -> None:
    shown = for_terminal(text)
    assert shown.isprintable()
    assert "\x1b" not in shown
    assert len(shown) <= TEXT_LIMIT
    shown.encode("utf-8")


@given(ANY_TEXT)
def test_what_is_inert_already_stays_as_it_is(text: str) -> None:
    shown = for_terminal(text)
    assert for_terminal(shown) == shown


@given(st.lists(st.sampled_from(["::", "##", "[", "a", " ", "\t", "\u200b", "]"])).map("".join))
def test_no_text_made_of_command_marks_is_a_command(text: str) -> None:
    shown = for_terminal(text)
    assert not shown.lstrip().startswith("::")
    assert "##[" not in shown
    assert "##a[" not in shown
