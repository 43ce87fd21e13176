"""Makes text that users or the API wrote inert for the place where it is shown.

There is one function for each such place, named ``for_<place>``. Every report calls it on every text that is
not a literal of its own, as late as possible: the view keeps the original.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from hashlib import sha256
from itertools import groupby
from urllib.parse import quote

# What fits on a few lines of a terminal; longer texts pass their own limit.
TEXT_LIMIT = 200
MESSAGE_LIMIT = 4_000
# A command that is cut is a different command.
COMMAND_LIMIT = 1_000_000

# CI runners read commands out of a step's output: GitHub "::name::" at the start of a line (after blanks) and
# "##[name]" anywhere, Azure "##vso[…]", TeamCity "##teamcity[…]".
RUNNER_MARK = re.compile(r"##(?=\w*\[)")
_LINE_COMMAND = re.compile(r"(?<!\S)::")
_BACKTICKS = re.compile("`+")
_HTML = re.compile(r"""[&<>"']""")
_MENTION = re.compile(r"(?<!\w)@(?=\w)|#(?=\d)")
_LINK = re.compile(r"[\[\]]")
_HALF_BYTE = re.compile(r"(%.?|-)$")
_URL = re.compile(r"https?://[A-Za-z0-9._~:/?&=%+-]{1,500}")
# A word that Markdown leaves alone, and what GitHub and GitLab do after it: no markup, address, commit,
# ticket (GH-12), emoji (also none with a colon of ours behind it; a time of day is none), GitLab's !1 or %1.
_CALM = re.compile(
    r"(?!.*(?:://|www\.|:(?!\d\d(?!\d)|$)|\b[0-9a-fA-F]{7,40}\b|[A-Za-z]-\d|[!%]\w))"
    r"""(?:[^\W_]|(?<=[^\W_])_(?=[^\W_])|[-,.;:'"()?!%/+=…–—→−·×])*"""
)
# What could end a block of data in a page, begin a comment in it, or end a line of old scripts.
_MARKUP = re.compile(r"[<>&\u2028\u2029]")

# Printable by category, but drawn as nothing: fillers, joiners, variation selectors. Two names that differ
# only in these would look the same.
_INVISIBLE = frozenset(
    map(
        chr,
        (
            *(0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x180B, 0x180C, 0x180D, 0x180F, 0x2800, 0x3164, 0xFFA0),
            *range(0xFE00, 0xFE10),
            *range(0xE0100, 0xE01F0),
        ),
    )
)
# Marks piled on one letter run into the lines above and below. No living script needs more than these.
_MARKS_PER_LETTER = 3
_NAMED = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def for_terminal(text: str, *, limit: int = TEXT_LIMIT) -> str:
    """One line of printable characters, ``limit`` of them at most; what was cut off shows as ``…``.

    Control characters, bidirectional overrides, zero-width characters, separators, private and unassigned
    code points and lone surrogates become visible escapes: ``\\x1b``, ``\\u202e``. A backslash stays one, so
    this is for reading, not for decoding.
    """
    # A hostile text can be megabytes long: nothing behind the limit is ever looked at.
    head = text[: limit + 1]
    head = RUNNER_MARK.sub(r"#\\x23", head)
    head = _LINE_COMMAND.sub(r"\\x3a:", head)
    return _visibly(head, limit=limit)


def for_html(text: str, *, limit: int = TEXT_LIMIT) -> str:
    """The same for a page, where nothing reads commands. Markup stays: see ``html_report.py`` for that."""
    return _visibly(text[: limit + 1], limit=limit)


def for_data_block(json_text: str) -> str:
    """JSON that may stand in a ``<script>`` of data: nothing in it ends the element or begins a comment."""
    return _MARKUP.sub(lambda found: f"\\u{ord(found[0]):04x}", json_text)


def for_markdown(text: str, *, limit: int = TEXT_LIMIT) -> str:
    """A sentence behind something of ours in a line of Markdown; what could become more than text is code.

    Code is the only way. GitHub looks for mentions, references, links and emoji in what is rendered, so a
    backslash or an entity in front of ``@`` helps nothing, but it leaves code alone. Names that our own
    messages put into backticks become code, too.
    """
    parts = for_terminal(text, limit=limit).split("`")
    if len(parts) % 2 == 0:  # a backtick without its other half
        parts[-2:] = ["`".join(parts[-2:])]
    shown = ""
    for number, part in enumerate(parts):
        piece = (_code(part) if part else "") if number % 2 else _in_words(part)
        between = " " if shown.endswith("`") and piece.startswith("`") else ""
        shown += between + piece  # two fences side by side would be one
    return shown


def for_markdown_code(text: str, *, limit: int = TEXT_LIMIT) -> str:
    """A name or a value inside a line of Markdown, as a code span. No text at all shows as ``""``."""
    return _code(for_terminal(text, limit=limit) or '""')


def for_markdown_block(text: str) -> str:
    """A command to copy, as a block of its own."""
    shown = for_terminal(text, limit=COMMAND_LIMIT)
    fence = "`" * max(3, _longest_run(shown) + 1)
    return f"{fence}sh\n{shown}\n{fence}"


def for_markdown_cell(markdown: str) -> str:
    """Markdown of ours inside a cell of a table: a ``|``, which can only stand in code here, ends no cell.

    The usual ``\\|`` is read differently by different parsers when another backslash stands before it.
    """
    return markdown.replace("|", "\\x7c")


def for_markdown_summary(text: str, *, limit: int = TEXT_LIMIT) -> str:
    """A name inside ``<summary>``, where no Markdown is read: as the HTML of a piece of code."""
    return f"<code>{_HTML.sub(_entity, for_terminal(text, limit=limit))}</code>"


def for_html_comment(text: str, *, limit: int = TEXT_LIMIT) -> str:
    """A value inside an HTML comment, percent-encoded: letters, digits, ``._~/:`` and single ``-`` stay.

    Different texts stay different, also those that are cut, so that a marker finds only its own comment.
    """
    data = text.encode("utf-8", "surrogatepass")
    shown = quote(data, safe="/:").replace("--", "-%2D")
    if len(shown) <= limit:
        return shown
    return f"{_HALF_BYTE.sub('', shown[: limit - 20])}~{sha256(data).hexdigest()[:16]}"


def for_link(url: str) -> str:
    """An address of our surroundings inside ``[…](…)``; empty when it is none that may be linked."""
    return url if _URL.fullmatch(url) else ""


def for_workflow_message(text: str, *, limit: int = MESSAGE_LIMIT) -> str:
    """A line of the message of a GitHub workflow command: ``::error::<here>``. ``%0A`` joins lines."""
    return for_terminal(text, limit=limit).replace("%", "%25")


def for_workflow_property(text: str, *, limit: int = TEXT_LIMIT) -> str:
    """A property of a GitHub workflow command: ``::error title=<here>::``."""
    return for_workflow_message(text, limit=limit).replace(":", "%3A").replace(",", "%2C")


def for_sarif_message(text: str, *, limit: int = MESSAGE_LIMIT) -> str:
    """A line of a SARIF message, where ``[…](…)`` is a link and ``{0}`` a place for an argument.

    Code scanning writes messages into comments of a pull request, as text that may mention somebody.
    """
    shown = _MENTION.sub(lambda found: f"\\x{ord(found[0]):02x}", for_terminal(text, limit=limit))
    return _LINK.sub(r"\\\g<0>", shown).replace("{", "{{").replace("}", "}}")


def for_xml(text: str, *, limit: int = MESSAGE_LIMIT) -> str:
    """One line of text or of an attribute of XML, which knows no control characters in any form."""
    return _HTML.sub(_entity, for_terminal(text, limit=limit))


def _in_words(text: str) -> str:
    """Words that nothing can be made of as they are; the others, and what stands between two, as code."""
    pieces: list[str] = []
    for is_calm, words in groupby(text.split(" "), key=lambda word: bool(_CALM.fullmatch(word))):
        joined = " ".join(words)
        pieces.append(joined if is_calm else _code(joined))
    return " ".join(pieces)


def _code(shown: str) -> str:
    fence = "`" * (_longest_run(shown) + 1)
    # One blank on each side is taken away again; without, a backtick would join the fence.
    pad = " " if {shown[0], shown[-1]} & {"`", " "} and shown.strip(" ") else ""
    return f"{fence}{pad}{shown}{pad}{fence}"


def _longest_run(text: str) -> int:
    return max(map(len, _BACKTICKS.findall(text)), default=0)


def _entity(found: re.Match[str]) -> str:
    return f"&#{ord(found[0])};"


def _visibly(head: str, *, limit: int) -> str:
    if len(head) <= limit and head.isascii() and head.isprintable():
        return head
    pieces: list[str] = []
    room = limit
    for piece in _visible(head):
        if len(piece) > room:
            return _cut(pieces, limit=limit)
        pieces.append(piece)
        room -= len(piece)
    return "".join(pieces)


def _visible(text: str) -> Iterator[str]:
    """Each character as itself or as its escape."""
    # A mark at the very start would sit on a character of ours, so it finds no letter with room.
    marks = _MARKS_PER_LETTER
    for character in text:
        marks = marks + 1 if unicodedata.category(character) in {"Mn", "Me"} else 0
        inert = character.isprintable() and character not in _INVISIBLE and marks <= _MARKS_PER_LETTER
        yield character if inert else _escape(character)


def _escape(character: str) -> str:
    code = ord(character)
    if code < 0x100:
        return _NAMED.get(character, f"\\x{code:02x}")
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _cut(pieces: list[str], *, limit: int) -> str:
    # Whole pieces only: half an escape would be a different text.
    while pieces and sum(map(len, pieces)) > limit - 1:
        pieces.pop()
    return "".join(pieces) + "…"


def for_slack(text: str, *, limit: int = TEXT_LIMIT) -> str:
    """One line for a chat. Slack reads commands only out of ``<…>``, others mentions out of plain text.

    Source: docs.slack.dev/messaging/formatting-message-text.
    """
    shown = _visibly(text[: limit + 1], limit=limit)
    shown = shown.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    # A word joiner is not seen, and @channel with one in it names nobody.
    return shown.replace("@", "@\u2060")
