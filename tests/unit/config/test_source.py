"""What a file may hold before anybody asks what it means."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.config.findings import Findings
from reconciler.config.source import MAX_NODES, parse
from tests.unit.config.documents import HEAD, desired, loaded, of_agent, of_agents, only, place, rules

KEY = "alter_rk_" + "a" * 22 + "_" + "b" * 6


@pytest.mark.parametrize(
    ("text", "rule", "where", "part"),
    [
        ("", "empty-file", (1, 1), "holds nothing"),
        ("# only a comment\n", "empty-file", (1, 1), "holds nothing"),
        ("a: [b\n", "yaml-syntax", (2, 1), "did not find expected"),
        ("a:\n\tb: c\n", "yaml-syntax", (2, 1), "cannot start any token"),
        ("a: b: c\n", "yaml-syntax", (1, 5), "mapping values are not allowed"),
        ('a: "\\ud800"\n', "yaml-syntax", (1, 7), "Unicode"),
        ("version: 1\n---\nb: c\n", "several-documents", (2, 1), "second document"),
        ("a: *b\n", "unknown-alias", (1, 4), "&b"),
        ("a: &b [*b]\n", "recursive-alias", (1, 8), "inside the very thing"),
        ("a: \x00\n", "control-character", (1, 4), "U+0000"),
        ("a: b # \u202e\n", "control-character", (1, 8), "U+202E"),
        ("a: b\u2028\n", "control-character", (1, 5), "U+2028"),
        ("a: \ufeff\n", "control-character", (1, 4), "U+FEFF"),
    ],
)
def test_a_file_that_cannot_be_read_as_yaml_is_one_finding(
    tmp_path: Path, text: str, rule: str, where: tuple[int, int], part: str
) -> None:
    found = only(tmp_path, text)
    assert (found.rule, place(found)) == (rule, where)
    assert part in found.message


@pytest.mark.parametrize(
    ("line", "rule", "column", "part"),
    [
        ("metadata: {a: 1, a: 2}", "duplicate-key", 22, "agents.yaml:7:16"),
        ("metadata: {a: 1, 'a': 2}", "duplicate-key", 22, "agents.yaml:7:16"),
        ("metadata: {[a]: 1}", "bad-key", 16, "a list cannot be a key"),
        ("metadata: {{a: b}: 1}", "bad-key", 16, "a mapping cannot be a key"),
        ("metadata: {~: 1}", "bad-key", 16, "nothing (null) cannot be a key"),
        ("metadata: {<<: {a: 1}}", "merge-key", 16, "merge keys"),
        ("metadata: {a: !!python/name:os.system x}", "tag", 19, "!!python/name:os.system"),
        ("metadata: {a: !!str 1}", "tag", 19, "!!str"),
        ("metadata: {a: !mine [1]}", "tag", 19, "!mine"),
        ("metadata: {a: ! b}", "tag", 19, '"!"'),
        ('metadata: {a: "\\u202e"}', "control-character", 19, "U+202E"),
        ('metadata: {a: "\\0"}', "control-character", 19, "U+0000"),
        ("metadata: {k: &k v, *k : 1}", "bad-key", 25, "an alias cannot be a key"),
    ],
)
def test_what_yaml_allows_but_we_do_not_is_refused_at_its_place(
    tmp_path: Path, line: str, rule: str, column: int, part: str
) -> None:
    found = only(tmp_path, of_agent(line))
    assert (found.rule, place(found)) == (rule, (7, column))
    assert part in found.message


def test_a_quoted_merge_key_is_an_ordinary_key(tmp_path: Path) -> None:
    text = of_agent('metadata: {"<<": 1}')
    assert desired(tmp_path, text).agents.popitem()[1].metadata == {"<<": 1}  # type: ignore[attr-defined]


def test_a_duplicate_key_is_refused_even_with_equal_values(tmp_path: Path) -> None:
    assert rules(tmp_path, HEAD + "owner: o\nagents: {}\n") == ["duplicate-key"]


def test_every_bad_key_of_a_file_is_found_at_once(tmp_path: Path) -> None:
    text = of_agents("x: {scopes: {}, deliver_to: [], metadata: {a: 1, a: 2, [b]: {c: 1, c: 2}, ~: x}}")
    assert rules(tmp_path, text) == ["duplicate-key", "bad-key", "duplicate-key", "bad-key"]


def test_aliases_stand_for_what_they_name(tmp_path: Path) -> None:
    text = of_agents(
        """
        x: {scopes: &s {google: [a]}, deliver_to: &d [], metadata: {n: &n v, m: [*n]}}
        y: {scopes: *s, deliver_to: *d}
        """
    )
    agents = list(desired(tmp_path, text).agents.values())
    assert agents[0].scopes == agents[1].scopes
    assert agents[0].metadata == {"n": "v", "m": ["v"]}


def test_nesting_ends_at_64_levels(tmp_path: Path) -> None:
    fits = "metadata: {a: " + "[" * 59 + "]" * 59 + "}"
    assert rules(tmp_path, of_agent(fits)) == []
    found = only(tmp_path, of_agent("metadata: {a: " + "[" * 61 + "]" * 61 + "}"))
    assert found.rule == "too-deep"


def test_nesting_counts_what_aliases_stand_for(tmp_path: Path) -> None:
    deep = "[" * 40 + "]" * 40
    found = only(tmp_path, of_agent(f"metadata: {{a: &a {deep}, b: {'[' * 30}*a{']' * 30}}}"))
    assert (found.rule, found.position and found.position.line) == ("too-deep", 7)
    # And again through an alias of something that holds an alias.
    text = f"metadata: {{a: &a {deep}, b: &b [[*a]], c: {'[' * 20}*b{']' * 20}}}"
    assert only(tmp_path, of_agent(text)).rule == "too-deep"


def test_a_billion_laughs_are_counted_and_not_laughed(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]" for level in range(1, 9)]
    found = only(tmp_path, "\n".join(lines))
    assert found.rule == "too-many-nodes"
    assert f"{MAX_NODES:,}" in found.message


def test_a_file_of_more_than_16_mib_is_refused(tmp_path: Path) -> None:
    found = only(tmp_path, b"# " + b"x" * 16 * 1024 * 1024)
    assert (found.rule, place(found)) == ("too-large", (1, 1))


@pytest.mark.parametrize(
    ("raw", "where"), [(b"a: \xff", (1, 4)), (b"version: 1\r\nowner: \xc3\xa9\xe9\n", (2, 9))]
)
def test_the_first_byte_that_is_not_utf8_is_shown(tmp_path: Path, raw: bytes, where: tuple[int, int]) -> None:
    found = only(tmp_path, raw)
    assert (found.rule, place(found)) == ("not-utf8", where)


def test_utf16_is_named_as_such(tmp_path: Path) -> None:
    assert "UTF-16" in only(tmp_path, HEAD.encode("utf-16")).message


def test_a_byte_order_mark_and_windows_line_ends_change_nothing(tmp_path: Path) -> None:
    text = of_agent("display_name: X\nprotect: yes")
    plain = only(tmp_path, text)
    windows = only(tmp_path, b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    assert plain == windows
    assert place(plain) == (8, 14)


def test_columns_count_characters(tmp_path: Path) -> None:
    found = only(tmp_path, of_agent("metadata: {é𝔸: 1, é𝔸: 2}"))
    assert place(found) == (7, 23)


def test_an_api_key_in_a_file_is_found_and_never_shown(tmp_path: Path) -> None:
    found = loaded(tmp_path, of_agent(f"display_name: {KEY}\nprotect: {KEY}")).diagnostics
    assert [one.rule for one in found] == ["secret-in-config", "secret-in-config", "wrong-type"]
    assert not any(KEY[9:20] in one.message + one.excerpt + one.hint for one in found)
    assert len(loaded(tmp_path, f"# {KEY}\n" * 50).diagnostics) == 21


def test_only_the_first_hidden_characters_are_listed(tmp_path: Path) -> None:
    assert len(loaded(tmp_path, "a: \x01\n" * 50).diagnostics) == 20


def test_an_unnamed_problem_of_the_parser_is_still_a_finding() -> None:
    findings = Findings()
    assert parse("a: \x01", file="f", findings=findings) is None
    (found,) = findings.sorted()
    assert (found.rule, str(found.position)) == ("yaml-syntax", "f:1:1")
