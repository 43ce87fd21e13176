"""What is wrong with an input, and exactly where: file, line, column."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place in a configuration file. Lines and columns count from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One finding. ``rule`` is a stable identifier, ``excerpt`` the source line, ``hint`` the way out."""

    severity: Severity
    rule: str
    message: str
    position: Position | None = None
    hint: str = ""
    excerpt: str = ""

    def as_json(self) -> dict[str, object]:
        """The machine-readable form."""
        where = self.position
        return {
            "severity": self.severity,
            "rule": self.rule,
            "message": self.message,
            "hint": self.hint,
            "file": where.file if where else None,
            "line": where.line if where else None,
            "column": where.column if where else None,
        }
