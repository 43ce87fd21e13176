"""Emphasis that is either ANSI or nothing at all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Style:
    """Wraps text that is inert already; padding comes before it, because ANSI codes have no width."""

    enabled: bool

    @classmethod
    def plain(cls) -> Self:
        """Changes nothing."""
        return cls(enabled=False)

    @classmethod
    def ansi(cls) -> Self:
        """Uses the sixteen colours that every terminal theme defines."""
        return cls(enabled=True)

    def bold(self, text: str) -> str:
        """For headings."""
        return self._wrap(text, 1)

    def dim(self, text: str) -> str:
        """For what may be skipped."""
        return self._wrap(text, 2)

    def red(self, text: str) -> str:
        """For what takes something away or went wrong."""
        return self._wrap(text, 31)

    def green(self, text: str) -> str:
        """For what adds something or went well."""
        return self._wrap(text, 32)

    def yellow(self, text: str) -> str:
        """For what wants a second look."""
        return self._wrap(text, 33)

    def cyan(self, text: str) -> str:
        """For commands to copy."""
        return self._wrap(text, 36)

    def _wrap(self, text: str, code: int) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self.enabled and text else text
