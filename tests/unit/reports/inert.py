"""Reads Markdown as GitHub would, and finds everything in it that is not ours."""

from __future__ import annotations

import re
from collections.abc import Iterator

from markdown_it import MarkdownIt
from markdown_it.token import Token

_PARSER = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
_CODE = "<code>[^<>]*</code>"
_OURS = re.compile(
    rf"<details><summary>[^<>]*(?:{_CODE}[^<>]*)*</summary>\n?"
    r"|</details>\n?"
    r"|(?:<!-- alter-sync:(?:comment|data) (?:(?!--)[^<>\s]|(?<!-) )* -->\n)+"
)
# What is made of text after it was rendered: mentions, references, addresses, commits, emoji.
_AUTOMATIC = re.compile(
    r"@\w|#\d|\bGH-\d|://|\bwww\.|\b[0-9a-f]{7,40}\b|:(?!\d\d(?!\d))[\w+-]+:|^\s*::|##\w*\[", re.IGNORECASE
)
_BLOCKS = frozenset(
    {"heading", "bullet_list", "list_item", "paragraph", "blockquote", "inline", "fence", "html_block"}
)
_TABLES = frozenset({"table", "thead", "tbody", "tr", "th", "td"})


def foreign_in(text: str, *, url: str = "") -> list[str]:
    """What a reader would see or click that is neither text nor of ours; the only link may be ``url``."""
    found = [repr(line) for line in text.split("\n") if not line.isprintable()]
    tokens = _PARSER.parse(text)
    found += [one for token in tokens for one in _foreign(token, url)]
    found += [f"headings: {n}" for n in [sum(token.type == "heading_open" for token in tokens)] if n != 1]
    html = "".join(token.content for token in tokens if token.type == "html_block")
    opened, closed = html.count("<details>"), html.count("</details>")
    return [*found, *([f"{opened} folds opened, {closed} closed"] if opened != closed else [])]


def cells_in(text: str) -> list[int]:
    """How many cells each row of every table has."""
    rows: list[int] = []
    for token in _PARSER.parse(text):
        if token.type == "tr_open":
            rows.append(0)
        elif token.type in {"td_open", "th_open"}:
            rows[-1] += 1
    return rows


def code_in(text: str) -> list[str]:
    """The pieces of code in a line."""
    return [
        child.content
        for token in _PARSER.parse(text)
        for child in token.children or ()
        if child.type == "code_inline"
    ]


def _foreign(token: Token, url: str) -> Iterator[str]:
    kind = token.type.removesuffix("_open").removesuffix("_close")
    if kind not in _BLOCKS | _TABLES:
        yield token.type
    if token.type == "html_block" and not _OURS.fullmatch(token.content):
        yield token.content
    for child in token.children or ():
        match child.type:
            case "text":
                if _AUTOMATIC.search(child.content):
                    yield child.content
            case "link_open":
                if child.attrs.get("href") != url:
                    yield str(child.attrs)
            case "code_inline" | "softbreak" | "link_close" | "strong_open" | "strong_close":
                pass
            case other:
                yield f"{other}: {child.content}"
