"""Everything in a report that somebody has to look at, in one shape, for annotations, SARIF and JUnit.

Its texts are as the API and the configuration gave them. Whoever shows one escapes it for the place.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from reconciler.model.diagnostic import Diagnostic, Position
from reconciler.model.drift import DriftFinding, Severity
from reconciler.model.outcome import OperationOutcome
from reconciler.model.plan import Blocked
from reconciler.reports.outcome_view import kind_text
from reconciler.reports.subject import RunFacts, Subject

Level = Literal["error", "warning", "note"]
Kind = Literal["finding", "guard", "drift", "operation", "failure"]

_LEVELS: Mapping[Severity, Level] = {"high": "error", "medium": "warning", "low": "note"}
# The failure that says only how many errors the findings are.
_SAID_BY_FINDINGS = "invalid_configuration"


@dataclass(frozen=True, slots=True)
class Problem:
    """One of them. ``rule`` is a stable name, ``title`` a few words, ``hint`` the way out.

    ``message`` does not repeat the ``agent``; ``text`` does. ``identity`` is what stays the same as long as
    it is the same problem, wherever its line moves to.
    """

    kind: Kind
    rule: str
    level: Level
    title: str
    message: str
    hint: str = ""
    agent: str = ""
    position: Position | None = None
    identity: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """Whom it is about, and what."""
        return f"{self.agent}: {self.message}" if self.agent else self.message


def problems_of(subject: Subject) -> tuple[Problem, ...]:
    """All of them: what ended the run first, then what a guard or the API refused, drift, findings."""
    drift = subject.drift.findings if subject.drift else ()
    return (
        *_failure(subject),
        *map(_refusal, _once(blocked_of(subject))),
        *_operations(subject),
        *(_drift(finding) for finding in drift if finding.is_drift),
        *map(_finding, subject.findings),
    )


def blocked_of(subject: Subject) -> tuple[Blocked, ...]:
    """What guards refused: an outcome knows more of it than its plan."""
    if subject.outcome is not None:
        return subject.outcome.blocked
    return subject.plan.blocked if subject.plan is not None else ()


def path_in_repository(file: str, run: RunFacts) -> str:
    """The file as the repository knows it; one that lies outside stays as it was named."""
    path = posixpath.normpath(posixpath.join(run.folder, file))
    inside = f"{run.workspace.rstrip('/')}/"
    return (
        path.removeprefix(inside) if run.workspace and path.startswith(inside) else posixpath.normpath(file)
    )


def _once(blocked: Iterable[Blocked]) -> Iterable[Blocked]:
    """One for each guard and agent: scopes and fields of one agent are two operations."""
    return {(entry.guard, entry.agent, entry.reason): entry for entry in blocked}.values()


def _failure(subject: Subject) -> Iterator[Problem]:
    error = subject.failure
    if error is not None and not (error.code == _SAID_BY_FINDINGS and subject.findings):
        hint = error.hint
        yield Problem("failure", error.code, "error", f"{subject.command} failed", error.message, hint)


def _refusal(entry: Blocked) -> Problem:
    agent = entry.agent or ""
    what = f" {entry.operation.kind.replace('_', ' ')}" if entry.operation else ""
    return Problem(
        kind="guard",
        rule=entry.guard,
        level="error",
        title=f"{entry.guard} refuses{what}",
        message=entry.reason,
        hint=f"to let this through: {entry.allow}" if entry.allow else "nothing lets this through",
        agent=agent,
        position=entry.operation.source if entry.operation else None,
        identity=(agent,),
    )


def _operations(subject: Subject) -> Iterator[Problem]:
    if subject.outcome is None:
        return
    planned = subject.plan.operations if subject.plan else ()
    places = {operation.id: operation.source for operation in planned}
    for operation in subject.outcome.operations:
        if operation.failure is not None:
            yield _failed(operation, places.get(operation.id))


def _failed(operation: OperationOutcome, position: Position | None) -> Problem:
    failure = operation.failure
    if failure is None:
        raise AssertionError("only what failed is a problem")
    return Problem(
        kind="operation",
        rule=failure.code,
        level="error",
        title=f"{kind_text(operation)} failed",
        message=failure.message,
        hint=failure.hint,
        agent=operation.agent,
        position=position,
        identity=(operation.agent, operation.kind),
    )


def _drift(finding: DriftFinding) -> Problem:
    who = f", by {finding.event.actor}" if finding.event and finding.event.actor else ""
    return Problem(
        kind="drift",
        rule=finding.kind.replace("_", "-"),
        level=_LEVELS[finding.severity],
        title=finding.kind.replace("_", " "),
        message=f"{finding.path}: {finding.message}{who}",
        agent=finding.agent,
        position=finding.source,
        identity=(finding.id,),
    )


def _finding(finding: Diagnostic) -> Problem:
    place = finding.position.file if finding.position else ""
    return Problem(
        kind="finding",
        rule=finding.rule,
        level=finding.severity,
        title=finding.rule,
        message=finding.message,
        hint=finding.hint,
        position=finding.position,
        # A message may name other lines; the line that it is about says what it is about.
        identity=(place, finding.excerpt.strip() or finding.message),
    )
