"""What happens to an agent, as data for the page's script: steps of a plan, their outcome, drift, waiting."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, assert_never

from reconciler.model.drift import DriftFinding
from reconciler.model.outcome import Failure, OperationOutcome
from reconciler.model.plan import Waiting
from reconciler.reports.changes import ChangeView, NewKey, ScopesChange, ValueChange
from reconciler.reports.drift_view import finding_view
from reconciler.reports.html_strings import Strings, compact, seconds
from reconciler.reports.view import OperationView

Data = dict[str, Any]


def step_data(strings: Strings, operation: OperationView, outcome: OperationOutcome | None) -> Data:
    """One operation of the plan, with what became of it."""
    return compact(
        label=strings.name(operation.label),
        reason=strings.message(operation.reason) if operation.reason else None,
        risk=None if operation.risk == "neutral" else strings.name(operation.risk),
        key=strings.name(operation.key_id) if operation.key_id else None,
        changes=[_change(strings, change) for change in operation.changes],
        **(_outcome(strings, outcome) if outcome else {}),
    )


def outcome_data(strings: Strings, outcome: OperationOutcome) -> Data:
    """An operation of which nothing but its outcome is known."""
    return compact(label=strings.name(outcome.kind.replace("_", " ")), **_outcome(strings, outcome))


def waiting_data(strings: Strings, entry: Waiting) -> Data:
    """Something that needs time."""
    return compact(
        stage=strings.name(entry.stage),
        reason=strings.message(entry.reason),
        until=seconds(entry.until),
    )


def finding_data(strings: Strings, finding: DriftFinding) -> Data:
    """One difference that somebody made, and who it was as far as that is known."""
    view = finding_view(finding)
    return compact(
        severity=strings.name(finding.severity if finding.is_drift else "notice"),
        kind=strings.name(finding.kind.replace("_", " ")),
        message=strings.message(view.message) if view.message else None,
        key=strings.name(finding.key_id) if finding.key_id else None,
        changes=[_change(strings, view.change)] if view.change else None,
        who=strings.name(view.doing.actor) if view.doing else None,
        at=seconds(finding.event.at) if finding.event else None,
        action=strings.name(view.doing.action) if view.doing else None,
    )


def _change(strings: Strings, change: ChangeView) -> Data:
    cause = compact(cause=strings.name(change.cause) if change.cause else None)
    match change:
        case ScopesChange(gained=gained, lost=lost):
            return {
                "path": strings.name(change.path),
                "gained": strings.names(gained),
                "lost": strings.names(lost),
                **compact(more=strings.left_out(gained, lost)),
            } | cause
        case NewKey(where=where):
            return {"path": strings.name("key"), "where": strings.message(where)} | cause
        case ValueChange(before=before, after=after):
            return _value(strings, change.path, before, after) | cause
    assert_never(change)


def _value(strings: Strings, path: str, before: str | None, after: str | None) -> Data:
    return {"path": strings.name(path), "before": strings.value(before), "after": strings.value(after)}


def _outcome(strings: Strings, outcome: OperationOutcome) -> Mapping[str, Any]:
    return compact(
        status=strings.name(outcome.status.replace("_", " ")),
        detail=strings.message(outcome.detail) if outcome.detail else None,
        failure=_failure(strings, outcome.failure) if outcome.failure else None,
    )


def _failure(strings: Strings, failure: Failure) -> Data:
    return compact(
        message=strings.message(failure.message),
        code=strings.name(failure.code),
        hint=strings.message(failure.hint) if failure.hint else None,
        retryable=failure.retryable,
    )
