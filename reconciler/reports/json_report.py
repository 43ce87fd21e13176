"""The report ``json``: the document that the command would print with ``--output json``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reconciler.planning.plan_document import plan_document
from reconciler.reports.drift_document import drift_document
from reconciler.reports.json_document import diagnostics_document, dump, error_document, outcome_document
from reconciler.reports.runs_document import AppResult, runs_document
from reconciler.reports.subject import Subject


def json_report(*subjects: Subject) -> str:
    """The gravest thing that there is: an outcome before its plan, and a failure where there is neither.

    Of several apps, that of each in the document of all runs.
    """
    if len(subjects) == 1:
        return dump(_document(subjects[0]), "json")
    return dump(runs_document(AppResult.of(one, _document(one)) for one in subjects), "json")


def _document(subject: Subject) -> Mapping[str, Any]:
    if subject.outcome is not None:
        return outcome_document(subject.outcome)
    if subject.drift is not None:
        return drift_document(subject.drift)
    if subject.plan is not None:
        return plan_document(subject.plan)
    findings = diagnostics_document(subject.findings)
    return error_document(subject.failure) | findings if subject.failure else findings
