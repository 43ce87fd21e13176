"""The expressions of GitHub Actions, as far as our workflows use them; anything else is refused loudly."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

_TOKEN = re.compile(r"\s*(?:(\|\||&&|==|!=|[()!.])|'((?:[^']|'')*)'|([A-Za-z_][\w-]*)|(\d+))")
_PLACE = re.compile(r"\$\{\{(.*?)\}\}", re.DOTALL)
STATUS_FUNCTIONS = ("success", "failure", "cancelled", "always")

Contexts = Mapping[str, Any]


def filled(text: str, contexts: Contexts) -> str:
    """A text with every ``${{ … }}`` replaced."""
    return _PLACE.sub(lambda found: as_text(evaluate(found[1], contexts)), text)


def condition(text: str, contexts: Contexts, *, succeeded: bool) -> bool:
    """An ``if``. Without a status function it holds only while nothing has failed."""
    found = _PLACE.fullmatch(text.strip())
    inner = found[1] if found else text
    states = {"success": succeeded, "failure": not succeeded, "cancelled": False, "always": True}
    value = bool(evaluate(inner, contexts, states))
    return value if any(f"{name}(" in inner for name in STATUS_FUNCTIONS) else succeeded and value


def evaluate(text: str, contexts: Contexts, states: Mapping[str, bool] | None = None) -> Any:
    """The value of an expression. A context that is not available there is a mistake, as at GitHub."""
    tokens = _tokens(text)
    value = _Parser(tokens, contexts, states or {}).either()
    assert not tokens, f"not understood in {text!r}: {tokens}"
    return value


def as_text(value: Any) -> str:
    """How a value stands in a text."""
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _tokens(text: str) -> list[tuple[str, str]]:
    tokens, place = list[tuple[str, str]](), 0
    text = text.strip()
    while place < len(text):
        found = _TOKEN.match(text, place)
        assert found, f"not understood: {text[place:]!r}"
        kinds = ("sign", "text", "name", "number")
        tokens += [(kind, part) for kind, part in zip(kinds, found.groups(), strict=True) if part is not None]
        place = found.end()
    return tokens


class _Parser:
    def __init__(self, tokens: list[tuple[str, str]], contexts: Contexts, states: Mapping[str, bool]) -> None:
        self.tokens, self.contexts, self.states = tokens, contexts, states

    def either(self) -> Any:
        value = self.both()
        while self.takes("||"):
            other = self.both()
            value = value or other
        return value

    def both(self) -> Any:
        value = self.compared()
        while self.takes("&&"):
            other = self.compared()
            value = value and other
        return value

    def compared(self) -> Any:
        value = self.single()
        for sign, same in (("==", True), ("!=", False)):
            if self.takes(sign):
                return (_comparable(value) == _comparable(self.single())) is same
        return value

    def single(self) -> Any:
        if self.takes("!"):
            return not self.single()
        if self.takes("("):
            value = self.either()
            assert self.takes(")")
            return value
        kind, part = self.tokens.pop(0)
        if kind == "text":
            return part.replace("''", "'")
        if kind == "number":
            return int(part)
        assert kind == "name", f"not understood: {part}"
        if part in ("true", "false"):
            return part == "true"
        if self.takes("("):
            assert self.takes(")")
            return self.states[part]
        return self.looked_up(part)

    def looked_up(self, name: str) -> Any:
        assert name in self.contexts, f"there is no context {name} here"
        value = self.contexts[name]
        while self.takes("."):
            key = self.tokens.pop(0)[1]
            value = value.get(key) if isinstance(value, Mapping) else None
        return value

    def takes(self, sign: str) -> bool:
        if self.tokens and self.tokens[0] == ("sign", sign):
            self.tokens.pop(0)
            return True
        return False


def _comparable(value: Any) -> Any:
    # Texts are compared without regard to case, and what is not there is as good as empty.
    fold: Callable[[str], str] = str.casefold
    return fold(value) if isinstance(value, str) else "" if value is None else value
