"""Policies: the user's own rules over each operation of a plan, and what they say."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from reconciler.model.diagnostic import Position

PolicySeverity = Literal["deny", "warn"]


@dataclass(frozen=True, slots=True)
class PolicyRule:
    """One rule. Its expressions are CEL: ``when`` says whom it concerns, ``require`` what has to be true.

    Exactly one of ``require`` and ``deny`` is given; the other one is empty. ``message`` alternates between
    text and expressions, beginning with text. ``exempt`` are globs of agents that it does not look at.
    """

    name: str
    position: Position
    when: str = "true"
    require: str = ""
    deny: str = ""
    message: tuple[str, ...] = ("",)
    severity: PolicySeverity = "deny"
    exempt: tuple[str, ...] = ()

    @property
    def condition(self) -> str:
        """What is evaluated: ``require`` or ``deny``."""
        return self.require or self.deny


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked about one operation: these rules, by their index, with these variables as JSON."""

    rules: tuple[int, ...]
    variables: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Verdict:
    """A rule that an operation violates, and why; with ``is_failure`` it could not be evaluated at all."""

    rule: int
    message: str
    is_failure: bool = False


# For each question its verdicts: none when no rule is violated. The same questions get the same answers.
Judge = Callable[[Sequence[Question]], Sequence[Sequence[Verdict]]]


@dataclass(frozen=True, slots=True)
class Policies:
    """Rules together with what evaluates them."""

    rules: tuple[PolicyRule, ...]
    judge: Judge
