"""One answer of the API as a value: its JSON, and the parts of it that a server wrote and we may show."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from reconciler import errors
from reconciler.model.secret import KEY_SHAPE
from reconciler.model.values import Json

MAX_RETRY_AFTER_SECONDS = 3600
_MAX_REMOTE_CHARACTERS = 500
_MAX_READ_CHARACTERS = 65_536
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:/=+-]{1,128}")
_DIGITS = re.compile(r"[0-9]+")
_MEDIA_TYPE = re.compile(r"[a-z0-9.+-]{1,40}/[a-z0-9.+-]{1,60}")


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer, read to its end. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def is_success(self) -> bool:
        """Whether the request was carried out."""
        return 200 <= self.status < 300

    @property
    def body_kind(self) -> str:
        """What the body claims to be, for people."""
        if not self.body:
            return "empty body"
        kind = self.headers.get("content-type", "").partition(";")[0].strip().lower()
        return kind if _MEDIA_TYPE.fullmatch(kind) else "unknown type"


def parse_json(body: bytes) -> Json:
    """The value of a JSON text; ``ValueError`` when it is none, or is nested too deeply to be one of ours."""
    try:
        return json.loads(body)
    except RecursionError as exc:
        raise ValueError("nested too deeply") from exc


def read_json(answer: Answer, *, route: str) -> Json:
    """The body of a success; ``errors.BadAnswer`` when it is not JSON."""
    try:
        return parse_json(answer.body)
    except ValueError as exc:
        raise errors.BadAnswer(
            f"{route}: the answer is not JSON ({answer.body_kind})",
            status=answer.status,
            code="not_json",
            hint="something between here and Alter may have answered in its place; check the base URL",
        ) from exc


def retry_after_seconds(header: str | None, body_value: Json) -> int | None:
    """How long the server asks us to wait: header before body, digits only, an hour at most."""
    text = (header or "").strip()
    if not _DIGITS.fullmatch(text):
        seconds = count_of(body_value)
        return None if seconds is None else min(seconds, MAX_RETRY_AFTER_SECONDS)
    significant = text.lstrip("0") or "0"
    # Measured before it is converted: int() refuses a text of thousands of digits.
    too_long = len(significant) > len(str(MAX_RETRY_AFTER_SECONDS))
    return MAX_RETRY_AFTER_SECONDS if too_long else min(int(significant), MAX_RETRY_AFTER_SECONDS)


def count_of(value: Json) -> int | None:
    """A whole number that is not negative, however it was written; ``None`` for anything else."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def request_id(answer: Answer, *, conceal: Callable[[str], str]) -> str:
    """What the server calls the request, for its log; nothing when it does not say, or says something odd."""
    text = answer.headers.get("x-request-id", "")
    is_fit = _REQUEST_ID.fullmatch(text) and not KEY_SHAPE.search(text) and conceal(text) == text
    return text if is_fit else ""


def clean_text(text: str, *, conceal: Callable[[str], str]) -> str:
    """Remote text as one short line: nothing that moves a cursor, and nothing that looks like a key."""
    shown = "".join(map(_visible, text[:_MAX_READ_CHARACTERS]))
    safe = KEY_SHAPE.sub("(key)", conceal(" ".join(shown.split())))
    return safe if len(safe) <= _MAX_REMOTE_CHARACTERS else safe[: _MAX_REMOTE_CHARACTERS - 1] + "…"


def _visible(character: str) -> str:
    if character.isspace():
        return " "
    # Control, format (also those that turn the writing direction), private, unassigned, surrogate.
    return "" if unicodedata.category(character).startswith("C") else character
