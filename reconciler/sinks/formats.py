"""How a key stands in the text of a file: alone (raw), as a variable (dotenv) or as a field (json).

Whole texts travel as ``Secret``, and what fails is told by a return value up to a frame that holds no plain
text: a traceback keeps the local variables of its frames, and ``JSONDecodeError`` keeps the whole document.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from math import isfinite
from typing import Any, Protocol

from reconciler.model.secret import Secret
from reconciler.model.values import Json
from reconciler.sinks.facts import FACTS_KEY, Facts

_FACTS_LINE = f"# {FACTS_KEY}: "
_JSON_DEPTH_LIMIT = 100

# One entry of a dotenv file. A quoted value may span lines, as it may for a shell: what looks like a variable
# inside of a multi-line value is none. Anything else is a line that we keep as it is.
_ENTRY = re.compile(
    r"""(?P<lead>[ \t]*(?:export[ \t]+)?)(?P<name>[\w.-]+)[ \t]*=[ \t]*"""
    r"""(?P<value>"(?:[^"\\]|\\.)*"[^\n]*|'[^']*'[^\n]*|[^\n]*)(?:\n|\Z)"""
    r"""|(?P<other>[^\n]*\n|[^\n]+\Z)""",
    re.DOTALL | re.ASCII,
)
_NO_VALUE = re.compile(r"""\s*(?:""|'')?\s*(?:(?<=\s)#.*)?""", re.DOTALL)
_VALUE = re.compile(r"""\s*(?:"(?P<double>[^"]*)"|'(?P<single>[^']*)'|(?P<bare>[^\s#'"][^\s'"]*))""")
# What means itself in every shell and parser. Docker's --env-file takes quotes literally: none is portable.
_BARE_WORD = re.compile(r"[A-Za-z0-9_@%+=:,./-]+")


class Malformed(Exception):
    """A text that cannot be read, or a key that cannot be written, in this format; the message says why."""


@dataclass(frozen=True, slots=True)
class Held:
    """What was found in a text: the key, and the facts about it if the format has room for them."""

    key: Secret | None = None
    facts: Facts | None = None


class Format(Protocol):
    """One way to keep a key in a file. All methods raise ``Malformed`` and nothing else."""

    @property
    def keeps_facts(self) -> bool:
        """Whether the facts stand in the file itself; if not, they need a file of their own."""

    @property
    def setting(self) -> str:
        """The setting of the sink that chooses the place."""

    @property
    def part(self) -> str:
        """The place in words, to be followed by the path."""

    def find(self, text: Secret) -> Held:
        """Reads key and facts out of a file's text."""

    def is_free(self, text: Secret) -> bool:
        """Whether ``put`` would overwrite no value."""

    def put(self, text: Secret | None, key: Secret, facts: Facts) -> Secret:
        """The file's text with this key and these facts in it, and all else as it was."""


@dataclass(frozen=True, slots=True)
class Raw:
    """The file is the key, to the byte: there is no newline at its end."""

    keeps_facts: bool = False
    setting: str = "path"
    part: str = "the content of"

    def find(self, text: Secret) -> Held:
        return Held(key=text)

    def is_free(self, text: Secret) -> bool:
        return not text.reveal()

    def put(self, text: Secret | None, key: Secret, facts: Facts) -> Secret:  # noqa: ARG002
        return key


@dataclass(frozen=True, slots=True)
class Dotenv:
    """``VARIABLE=key`` below a comment line with the facts; all other lines are the user's and stay."""

    variable: str
    keeps_facts: bool = True
    setting: str = "variable"

    @property
    def part(self) -> str:
        return f"the value of {self.variable} in"

    def find(self, text: Secret) -> Held:
        lines = [entry["other"] for entry in _entries(text) if _is_facts_line(entry)]
        if len(lines) > 1:
            raise Malformed(f"there are several lines that begin with {_FACTS_LINE.strip()!r}")
        facts = read_facts(lines[0][len(_FACTS_LINE) :]) if lines else None
        return Held(key=self._last_value(text), facts=facts)

    def is_free(self, text: Secret) -> bool:
        """Also a value that nothing but a shell understands, and one without effect, is a value to lose."""
        ours = (entry for entry in _entries(text) if entry["name"] == self.variable)
        return all(_NO_VALUE.fullmatch(entry.string, *entry.span("value")) for entry in ours)

    def put(self, text: Secret | None, key: Secret, facts: Facts) -> Secret:
        if not _BARE_WORD.fullmatch(key.reveal()):
            raise Malformed("the key has characters that dotenv parsers and shells read differently")
        return Secret("".join(self._lines(text, key, facts)))

    def _lines(self, text: Secret | None, key: Secret, facts: Facts) -> list[str]:
        entries = [entry for entry in _entries(text) if not _is_facts_line(entry)]
        ours = [index for index, entry in enumerate(entries) if entry["name"] == self.variable]
        ours_lines = [_FACTS_LINE + json.dumps(facts.as_json()) + "\n", f"{self.variable}={key.reveal()}\n"]
        lines: list[str] = []
        for index, entry in enumerate(entries):
            if index not in ours:
                lines.append(entry[0])
            elif index == ours[-1]:  # earlier ones were without effect, and must not keep an old key alive
                lines += [ours_lines[0], entry["lead"] + ours_lines[1]]
        if not ours:
            if lines and not lines[-1].endswith("\n"):
                lines.append("\n")
            lines += ours_lines
        return lines

    def _last_value(self, text: Secret) -> Secret | None:
        values = [entry["value"] for entry in _entries(text) if entry["name"] == self.variable]
        match = _VALUE.match(values[-1]) if values else None
        value = (match["double"] or match["single"] or match["bare"]) if match else None
        return Secret(value) if value else None


@dataclass(frozen=True, slots=True)
class JsonField:
    """One field of a JSON object, with the facts in a field next to it.

    All other fields keep their values and their order; the layout becomes one field on each line.
    """

    field: str
    keeps_facts: bool = True
    setting: str = "field"

    @property
    def part(self) -> str:
        return f"the field {self.field!r} of"

    def find(self, text: Secret) -> Held:
        found = self._find(text)
        if isinstance(found, str):
            raise Malformed(found)
        return found

    def is_free(self, text: Secret) -> bool:
        return self.find(text).key is None

    def put(self, text: Secret | None, key: Secret, facts: Facts) -> Secret:
        document = _document(text) or {}
        document[FACTS_KEY] = facts.as_json()
        document[self.field] = key.reveal()
        # What was written in plain ASCII stays so; and only escapes can carry a lone surrogate.
        written = json.dumps(document, indent=2, ensure_ascii=text is None or text.reveal().isascii())
        if not _is_encodable(written):
            written = json.dumps(document, indent=2)
        return Secret(written + "\n")

    def _find(self, text: Secret) -> Held | str:
        document = _document(text)
        if document is None:
            return (
                "it is not a JSON object that can be rewritten without loss (duplicate fields, NaN, numbers "
                f"of too many digits and more than {_JSON_DEPTH_LIMIT} levels cannot)"
            )
        value, facts = document.get(self.field), Facts.from_json(document.get(FACTS_KEY))
        if facts is None and FACTS_KEY in document:
            return f"its field {FACTS_KEY!r} is not what alter-sync writes"
        if not isinstance(value, str | None):
            return f"its field {self.field!r} is not text"
        return Held(key=Secret(value) if value else None, facts=facts)


def read_facts(text: str) -> Facts:
    """Reads facts that were written as JSON, which is never a text with a key in it."""
    facts: Facts | None = None
    try:
        facts = Facts.from_json(json.loads(text))
    except (ValueError, RecursionError) as exc:
        raise Malformed("the facts in it are not JSON") from exc
    if facts is None:
        raise Malformed("the facts in it are incomplete")
    return facts


def _entries(text: Secret | None) -> Iterator[re.Match[str]]:
    return iter(()) if text is None else _ENTRY.finditer(text.reveal())


def _is_facts_line(entry: re.Match[str]) -> bool:
    return entry["other"] is not None and entry["other"].startswith(_FACTS_LINE)


def _document(text: Secret | None) -> dict[str, Any] | None:
    """The object in a text; ``None`` when there is none that could be written again without loss."""
    try:
        document = json.loads(
            "null" if text is None else text.reveal(),
            object_pairs_hook=_distinct,
            parse_float=_lossless,
            parse_constant=_lossless,
        )
    except (ValueError, ArithmeticError, RecursionError):  # arithmetic: an exponent beyond all bounds
        return None
    return document if isinstance(document, dict) and _is_shallow(document, _JSON_DEPTH_LIMIT) else None


def _distinct(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    if len(dict(pairs)) != len(pairs):
        raise ValueError("duplicate field")
    return dict(pairs)


def _lossless(text: str) -> float:
    number = float(text)
    if not isfinite(number) or Decimal(text) != Decimal(repr(number)):
        raise ValueError("not a number that survives")
    return number


def _is_shallow(value: Json, levels: int) -> bool:
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return levels > 0 and all(_is_shallow(child, levels - 1) for child in children)


def _is_encodable(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)
