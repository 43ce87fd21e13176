"""Outcomes, findings, failures and states as JSON documents for programs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

from reconciler.errors import AlterSyncError, UsageError
from reconciler.model.diagnostic import Diagnostic
from reconciler.model.key import AgentKey
from reconciler.model.mark import format_time
from reconciler.model.nearest import did_you_mean
from reconciler.model.outcome import OUTCOME_FORMAT, Failure, OperationOutcome, Outcome
from reconciler.model.secret import concealed
from reconciler.planning.plan_document import blocked_document, waiting_document
from reconciler.reports.escaping import RUNNER_MARK
from reconciler.reports.view import StatusRow

FINDINGS_FORMAT = "alter-sync.findings/1"
STATUS_FORMAT = "alter-sync.status/1"

Document = Mapping[str, Any]
Output = Literal["json", "jsonl"]

# What is a row, in the documents that have rows: one line each in jsonl, and what fields are chosen from.
_ROWS = ("operations", "agents", "findings", "items", "checks")


def outcome_document(outcome: Outcome) -> dict[str, Any]:
    """The document that ``schemas/outcome.schema.json`` describes."""
    return {
        "format": OUTCOME_FORMAT,
        "run": outcome.run,
        "plan_digest": outcome.plan_digest,
        "summary": {**outcome.counts(), "blocked": len(outcome.blocked)},
        "operations": [_operation(operation) for operation in outcome.operations],
        "blocked": [blocked_document(entry) for entry in outcome.blocked],
        "waiting": [waiting_document(entry) for entry in outcome.waiting],
        "interrupted": None if outcome.interrupted is None else int(outcome.interrupted),
        "resume": outcome.resume,
    }


def diagnostics_document(diagnostics: Iterable[Diagnostic]) -> dict[str, Any]:
    """Findings in the order given."""
    findings = [finding.as_json() for finding in diagnostics]
    errors = sum(finding["severity"] == "error" for finding in findings)
    return {
        "format": FINDINGS_FORMAT,
        "summary": {"errors": errors, "warnings": len(findings) - errors},
        "findings": findings,
    }


def error_document(error: AlterSyncError) -> dict[str, Any]:
    """What a failure prints instead of its data."""
    return {
        "exit": int(error.exit_code),
        "code": error.code,
        "message": error.message,
        "hint": error.hint,
        "retryable": error.retryable,
    }


def status_document(rows: Iterable[StatusRow]) -> dict[str, Any]:
    """Agents in the order given. Times are RFC 3339 in UTC."""
    return {"format": STATUS_FORMAT, "agents": [_agent(row) for row in rows]}


def select_fields(document: Document, fields: Sequence[str]) -> dict[str, Any]:
    """The document with only these fields: of itself, and of each of its rows; no fields means all.

    Raises ``UsageError`` for a name that neither has. A document whose rows are empty has no names of rows,
    so there every name is accepted: the answer must not depend on whether there was anything to list.
    """
    if not fields:
        return dict(document)
    wanted = dict.fromkeys(fields)
    key = _rows_key(document)
    rows = document[key] if key else []
    of_rows = list(dict.fromkeys(name for row in rows for name in row))
    if rows or not key:
        _refuse_unknown(wanted, allowed=[*document, *of_rows])
    chosen = {name: value for name, value in document.items() if name in wanted}
    if key and key not in wanted and any(name not in document for name in wanted):
        chosen[key] = [{name: row[name] for name in wanted if name in row} for row in rows]
    return chosen


def dump(document: Document, output: Output) -> str:
    """The text of a document: indented JSON, or one compact line for each row.

    It is pure ASCII, so a terminal or a log finds no control character in it, whatever an agent is called.
    """
    if output == "json":
        return _inert(json.dumps(document, indent=2))
    return "\n".join(_inert(json.dumps(row, separators=(",", ":"))) for row in rows_of(document))


def rows_of(document: Document) -> Sequence[Document]:
    """The rows of a document; one that has none is a row itself."""
    key = _rows_key(document)
    rows: Sequence[Document] = document[key] if key else [document]
    return rows


def _inert(text: str) -> str:
    # A CI runner would take "##[…]" as a command even in the middle of a line. JSON reads this the same.
    return RUNNER_MARK.sub(r"#\\u0023", text)


def _rows_key(document: Document) -> str | None:
    return next((key for key in _ROWS if isinstance(document.get(key), list)), None)


def _refuse_unknown(wanted: Iterable[str], *, allowed: Sequence[str]) -> None:
    for name in wanted:
        if name not in allowed:
            guess = did_you_mean(name, allowed)
            raise UsageError(f"no field {name!r} here", hint=f"{guess} fields: {', '.join(allowed)}".strip())


def _operation(operation: OperationOutcome) -> dict[str, Any]:
    return {
        "id": operation.id,
        "kind": operation.kind,
        "agent": operation.agent,
        "status": operation.status,
        "detail": operation.detail,
        "error": _failure(operation.failure) if operation.failure else None,
    }


def _failure(failure: Failure) -> dict[str, Any]:
    return {
        "exit": int(failure.exit_code),
        "code": failure.code,
        "message": failure.message,
        "hint": failure.hint,
        "retryable": failure.retryable,
    }


def _agent(row: StatusRow) -> dict[str, Any]:
    delivered = row.delivered
    return {
        "name": concealed(row.name),
        "declared": row.declared,
        "owned": row.owned,
        "owner": concealed(row.owner),
        "type": row.type,
        "status": row.status,
        "version": row.version,
        "scopes": row.scopes,
        "pending_until": _time(row.pending_until),
        "stage": row.rotation.stage if row.rotation else None,
        "reason": row.rotation.reason if row.rotation else None,
        "due_at": _time(row.due_at),
        "waiting_until": _time(row.rotation.until) if row.rotation else None,
        "keys": None if row.keys is None else [_key(key, row) for key in row.keys],
        "delivered": {
            "key_id": delivered.key_id,
            "at": format_time(delivered.at),
            "sinks": concealed(delivered.sinks),
        }
        if delivered
        else None,
        "last_used_at": _time(row.last_used_at),
        "note": concealed(row.note),
    }


def _key(key: AgentKey, row: StatusRow) -> dict[str, Any]:
    steps = row.rotation.steps if row.rotation else ()
    step = next((step for step in steps if step.key.key_id == key.key_id), None)
    return {
        "key_id": key.key_id,
        "key_prefix": concealed(key.key_prefix),
        "name": concealed(key.name),
        "created_at": format_time(key.created_at),
        "deprecated_at": _time(key.deprecated_at),
        "revoked_at": _time(key.revoked_at),
        "last_used_at": _time(key.last_used_at),
        "next": step.action if step else None,
        "explanation": step.reason if step else "revoked" if key.revoked_at else row.note,
    }


def _time(moment: datetime | None) -> str | None:
    return format_time(moment) if moment else None
