"""Remote text is inert in Markdown, HTML comments, workflow commands, SARIF and XML."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.reports.escaping import (
    for_html_comment,
    for_link,
    for_markdown,
    for_markdown_block,
    for_markdown_cell,
    for_markdown_code,
    for_markdown_summary,
    for_sarif_message,
    for_terminal,
    for_workflow_message,
    for_workflow_property,
    for_xml,
)
from tests.unit.reports.inert import cells_in, code_in, foreign_in
from tests.unit.reports.subjects import OF_MARKDOWN

ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=60)
# Short texts of what Markdown and GitHub are looking for meet each other often.
OF_PARSERS = re.compile(r"\S+|\s").findall(
    "` `` @x #1 a [a] (u) ![ <b> | \\ * _ ~~ :a: :: -- > http://a.b www.a.b &#64; 0123456789a GH-1\n"
    "- 1. </details> !1 $x$"
)
MARKS = st.lists(st.sampled_from(OF_PARSERS), max_size=12).map("".join)
HOSTILE_TEXT = st.one_of(ANY_TEXT, MARKS, st.sampled_from(OF_MARKDOWN))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (
            "owned by this configuration and no longer declared",
            "owned by this configuration and no longer declared",
        ),
        (
            "last used at 2026-11-24T08:10:00Z (30 %), Grüße",
            "last used at 2026-11-24T08:10:00Z (30 %), Grüße",
        ),
        ("template `writer` is never used", "template `writer` is never used"),
        ("ask @octocat or see #12 now", "ask `@octocat` or see `#12` now"),
        ("[a](b) c", "`[a](b)` c"),
        ("`a`x`@b", "`a` ``x`@b``"),
        ("a  b", "a  b"),
        ("``", ""),
        ("", ""),
        ("two\nlines", "`two\\nlines`"),
    ],
)
def test_a_sentence_stays_one_and_what_could_become_more_is_code(text: str, shown: str) -> None:
    assert for_markdown(text) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("nightly-sync", "`nightly-sync`"),
        ("a`b", "``a`b``"),
        ("`a", "`` `a ``"),
        (" a", "`  a `"),
        ("", '`""`'),
        ("@octocat", "`@octocat`"),
        ("\u202ex", "`\\u202ex`"),
    ],
)
def test_a_name_is_a_piece_of_code(text: str, shown: str) -> None:
    assert for_markdown_code(text) == shown


@given(HOSTILE_TEXT)
def test_nothing_can_be_made_of_a_sentence(text: str) -> None:
    assert foreign_in(f"# x\n\n- so: {for_markdown(text)}") == []


@given(HOSTILE_TEXT)
def test_nothing_can_be_made_of_a_name_and_it_reads_as_on_a_terminal(text: str) -> None:
    line = f"# x\n\n- so: {for_markdown_code(text)}"
    assert foreign_in(line) == []
    assert code_in(line) == [for_terminal(text) or '""']


@given(st.lists(HOSTILE_TEXT, min_size=2, max_size=3))
def test_no_text_ends_a_cell_of_a_table(texts: list[str]) -> None:
    cells = [for_markdown_cell(form(text)) for text in texts for form in (for_markdown, for_markdown_code)]
    line = f"# x\n\n|{' a |' * len(cells)}\n|{' --- |' * len(cells)}\n| {' | '.join(cells)} |"
    assert cells_in(line) == [len(cells)] * 2
    assert foreign_in(line) == []


@given(HOSTILE_TEXT)
def test_a_block_ends_where_we_end_it(text: str) -> None:
    assert foreign_in(f"# x\n\n{for_markdown_block(text)}\n\n- end") == []


@given(HOSTILE_TEXT)
def test_a_fold_is_opened_by_ours_alone(text: str) -> None:
    assert (
        foreign_in(f"# x\n\n<details><summary>{for_markdown_summary(text)}</summary>\n\n- a\n\n</details>")
        == []
    )


@given(st.one_of(HOSTILE_TEXT, st.text("-> %", max_size=20)))
def test_a_comment_ends_where_we_end_it_and_names_one_thing(text: str) -> None:
    shown = for_html_comment(text)
    assert re.fullmatch(r"[A-Za-z0-9._~/:%-]*", shown)
    assert "--" not in shown
    assert len(shown) <= 200
    assert shown != for_html_comment(text + "-")


def test_a_long_name_in_a_comment_is_cut_and_stays_different() -> None:
    assert len(for_html_comment("x" * 500)) < 200
    assert for_html_comment("x" * 500) != for_html_comment("x" * 501)
    assert "%2~" not in for_html_comment("é" * 500)


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "https://a.b/)x", "https://a.b/ x", "https://a.b/`", "", "a"]
)
def test_only_plain_addresses_are_linked(url: str) -> None:
    assert for_link(url) == ""
    assert for_link("https://github.test/o/r/actions/runs/7") == "https://github.test/o/r/actions/runs/7"


@given(ANY_TEXT)
def test_a_workflow_command_is_one_line_with_its_own_properties(text: str) -> None:
    message, value = for_workflow_message(text), for_workflow_property(text)
    assert (message + value).isprintable()
    assert not re.search(r"%(?!25|3A|2C)", message + value)
    assert "%" not in re.sub("%25", "", message)
    assert not set(":,") & set(value)


@given(ANY_TEXT)
def test_any_text_is_xml(text: str) -> None:
    element = ElementTree.fromstring(f'<a b="{for_xml(text)}">{for_xml(text)}</a>')
    assert (element.text or "") == element.get("b") == for_terminal(text, limit=4_000)


@given(st.one_of(HOSTILE_TEXT, st.text("[](){}@#1a\\", max_size=12)))
def test_a_sarif_message_has_no_links_no_arguments_and_mentions_nobody(text: str) -> None:
    shown = for_sarif_message(text)
    assert not re.search(r"(?<!\\)[\[\]]", shown)
    assert "{" not in shown.replace("{{", "")
    assert "}" not in shown.replace("}}", "")
    assert not re.search(r"(?<!\w)@\w|#\d", shown)
