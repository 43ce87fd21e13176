"""Makes text that users or the API wrote inert for the place where it is shown.

There is one function for each such place, named ``for_<place>``. Every report calls it on every text that is
not a literal of its own, as late as possible: the view keeps the original.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

# What fits on a few lines of a terminal; longer texts pass their own limit.
TEXT_LIMIT = 200
MESSAGE_LIMIT = 4_000
# A command that is cut is a different command.
COMMAND_LIMIT = 1_000_000

# CI runners read commands out of a step's output: GitHub "::name::" at the start of a line (after blanks) and
# "##[name]" anywhere, Azure "##vso[…]", TeamCity "##teamcity[…]".
RUNNER_MARK = re.compile(r"##(?=\w*\[)")
_LINE_COMMAND = re.compile(r"(?<!\S)::")

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
