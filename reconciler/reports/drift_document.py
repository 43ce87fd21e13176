"""Drift as a JSON document for programs."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from reconciler.model.drift import DRIFT_FORMAT, Drift, DriftFinding
from reconciler.model.mark import format_time
from reconciler.planning.baseline import fingerprint_of
from reconciler.planning.fingerprint import plain


def drift_document(drift: Drift) -> dict[str, Any]:
    """The document that ``schemas/drift.schema.json`` describes."""
    document = {
        "format": DRIFT_FORMAT,
        "seen_at": format_time(drift.seen_at),
        "owner": drift.owner,
        "app": drift.app,
        "summary": dict(drift.summary()),
        "attribution": {"available": not drift.feed, "reason": drift.feed},
        "findings": [_finding(finding) for finding in drift.findings],
        "ignored": [
            {
                "finding": _finding(entry.finding),
                "reason": entry.reason,
                "until": _time(entry.rule.until) if entry.rule else None,
            }
            for entry in drift.ignored
        ],
        "unmanaged": list(drift.unmanaged),
    }
    if not drift.targets and drift.shard.is_whole:
        return document
    shard = None if drift.shard.is_whole else str(drift.shard)
    return {**document, "limited_to": {"targets": list(drift.targets), "shard": shard}}


def _finding(finding: DriftFinding) -> dict[str, Any]:
    event, where = finding.event, finding.source
    return {
        "id": finding.id,
        "kind": finding.kind,
        "severity": finding.severity,
        "agent": finding.agent,
        "agent_id": finding.agent_id,
        "path": finding.path,
        "message": finding.message,
        "live": plain(finding.live),
        "declared": plain(finding.declared),
        "effect": finding.effect,
        "key_id": finding.key_id,
        "fingerprint": fingerprint_of(finding),
        "event": {"at": format_time(event.at), "actor": event.actor, "action": event.action}
        if event
        else None,
        "source": {"file": where.file, "line": where.line, "column": where.column} if where else None,
    }


def _time(moment: datetime | None) -> str | None:
    return format_time(moment) if moment else None
