"""A baseline: today's drift, accepted, so that only what is new is reported."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from reconciler.errors import UsageError
from reconciler.model.drift import Drift, DriftFinding, IgnoredDrift
from reconciler.model.values import Json
from reconciler.planning.fingerprint import fingerprint

BASELINE_FORMAT = "alter-sync.drift-baseline/1"
_ACCEPTED = "accepted by the baseline"


def fingerprint_of(finding: DriftFinding) -> str:
    """Changes with the live value, so that what was accepted is not more than was seen.

    And with the agent: what was accepted of one is not accepted of its successor of the same name.
    """
    # How busy a shadow agent is changes by the hour.
    value = finding.live["actor_id"] if finding.kind == "shadow_agent" else finding.live
    return fingerprint([finding.id, finding.agent_id, value])


def baseline_document(drift: Drift) -> dict[str, Any]:
    """Today's drift as accepted: the ids and fingerprints of its findings, and no value."""
    return {
        "format": BASELINE_FORMAT,
        "owner": drift.owner,
        "app": drift.app,
        "accepted": {finding.id: fingerprint_of(finding) for finding in drift.findings if finding.is_drift},
    }


def accepted_by(document: Json, *, owner: str, app: str, where: str) -> Mapping[str, str]:
    """What a baseline accepts: id → fingerprint. ``UsageError`` when it is none, or another app's."""
    again = "name another file, or remove this one and run again to accept today's drift"
    entries = document.get("accepted") if isinstance(document, dict) else None
    if not isinstance(entries, dict) or document.get("format") != BASELINE_FORMAT:
        raise UsageError(f"{where} is no baseline of drift", hint=again)
    if (document.get("owner"), document.get("app")) != (owner, app):
        theirs = f"{document.get('owner')} in {document.get('app')}"
        raise UsageError(f"the baseline {where} is of {theirs}, not of {owner} in {app}", hint=again)
    return {str(name): str(value) for name, value in entries.items()}


def without_accepted(
    findings: Iterable[DriftFinding], accepted: Mapping[str, str]
) -> tuple[tuple[DriftFinding, ...], tuple[IgnoredDrift, ...]]:
    """What is new, and what the baseline accepts: the same difference with the same live value."""
    kept, ignored = list[DriftFinding](), list[IgnoredDrift]()
    for finding in findings:
        if finding.is_drift and accepted.get(finding.id) == fingerprint_of(finding):
            ignored.append(IgnoredDrift(finding, _ACCEPTED))
        else:
            kept.append(finding)
    return tuple(kept), tuple(ignored)
