"""Reads the fields of one object of an answer, and says exactly which one is not as promised."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from reconciler import errors
from reconciler.alter.answers import count_of
from reconciler.model.mark import parse_time
from reconciler.model.scopes import Scopes
from reconciler.model.secret import KEY_SHAPE
from reconciler.model.values import Json

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,80}")


@dataclass(frozen=True, slots=True)
class Fields:
    """One JSON object. Every reader raises ``errors.BadAnswer`` when the field is not what it has to be."""

    """Reads the fields of one object of an answer, and says exactly which one is not as promised."""

    raw: Json
    what: str
    route: str

    def __post_init__(self) -> None:
        if not isinstance(self.raw, dict):
            raise self._bad("is not an object")

    def has(self, name: str) -> bool:
        return self.raw.get(name) is not None

    def require(self, name: str) -> Json:
        if name not in self.raw:
            raise self._bad(f'has no field "{name}"')
        return self.raw[name]

    def text(self, name: str) -> str:
        value = self.require(name)
        if not isinstance(value, str) or not value:
            raise self._wrong(name, "text")
        return value

    def identifier(self, name: str) -> str:
        """A text that goes into addresses, plans and messages: never one that looks like a key."""
        value = self.text(name)
        if KEY_SHAPE.search(value):
            raise self._wrong(name, "an id")
        return value

    def optional_text(self, name: str) -> str | None:
        value = self.raw.get(name)
        if not isinstance(value, str | None):
            raise self._wrong(name, "text")
        return value

    def one_of(self, name: str, choices: tuple[str, ...]) -> str:
        value = self.text(name)
        if value not in choices:
            raise self._wrong(name, "one of " + ", ".join(choices))
        return value

    def count(self, name: str) -> int:
        value = count_of(self.require(name))
        if value is None:
            raise self._wrong(name, "a whole number")
        return value

    def flag(self, name: str) -> bool:
        value = self.require(name)
        if not isinstance(value, bool):
            raise self._wrong(name, "true or false")
        return value

    def time(self, name: str) -> datetime:
        text = self.text(name)
        try:
            return parse_time(text)
        except (ValueError, OverflowError) as exc:
            raise self._wrong(name, "a time") from exc

    def optional_time(self, name: str) -> datetime | None:
        return self.time(name) if self.has(name) else None

    def mapping(self, name: str) -> dict[str, Json]:
        value = self.require(name)
        if not isinstance(value, dict):
            raise self._wrong(name, "an object")
        return value

    def items(self, name: str) -> list[Json]:
        value = self.require(name)
        if not isinstance(value, list):
            raise self._wrong(name, "a list")
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        values = self.items(name) if self.has(name) else []
        if not all(isinstance(value, str) for value in values):
            raise self._wrong(name, "a list of texts")
        return tuple(values)

    def scopes(self, name: str) -> Scopes:
        granted = self.mapping(name)
        for names in granted.values():
            if not isinstance(names, list) or not all(isinstance(scope, str) for scope in names):
                raise self._wrong(name, "an object of lists of texts")
        return Scopes.of(granted)

    def _wrong(self, name: str, expected: str) -> errors.BadAnswer:
        return self._bad(f'has a field "{name}" that is not {expected}')

    def _bad(self, fault: str) -> errors.BadAnswer:
        name = self.raw.get("name") if isinstance(self.raw, dict) else None
        which = f" {name}" if isinstance(name, str) and _NAME.fullmatch(name) else ""
        return errors.BadAnswer(
            f"{self.route}: an answer that does not fit: the {self.what}{which} {fault}",
            hint="this server may be newer or older than this program understands",
        )
