"""Names who did it: joins what drifted with what the audit feed tells of the same agents."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from reconciler.model.activity import ActionKind, AuditEvent
from reconciler.model.agent import AgentId
from reconciler.model.caller import caller_of
from reconciler.model.desired import Desired
from reconciler.model.drift import MARK_PATH, DriftFinding, DriftKind

# Which action leaves which drift behind. What is not here was not done to an agent of this app.
_ACTIONS: Mapping[DriftKind, ActionKind] = {
    "agent_revoked_outside": "revoke_agent",
    "changed_outside": "update_agent",
    "unmarked_agent": "update_agent",
    "key_minted_outside": "mint_key",
    "key_revoked_outside": "revoke_key",
    "key_deprecated_outside": "deprecate_key",
}


def asked_about(findings: Iterable[DriftFinding]) -> tuple[AgentId, ...]:
    """The agents whose audit feed would tell something, each once."""
    wanted = (f for f in findings if f.kind in _ACTIONS or f.path == MARK_PATH)
    return tuple(dict.fromkeys(f.agent_id for f in wanted if f.agent_id))


def callers_of(desired: Desired) -> frozenset[str]:
    """What this configuration's own runs are called in the feed."""
    return frozenset(map(caller_of, (desired.owner, *desired.former_owners)))


def attributed(
    findings: Iterable[DriftFinding], events: Mapping[AgentId, Sequence[AuditEvent]], *, ours: frozenset[str]
) -> Iterator[DriftFinding]:
    """The findings with the newest event that explains each. ``events`` are newest first.

    What turns out to be our own doing is no drift: a key of a run that was cut off, an agent that was
    revoked while it was declared no more.
    """
    for finding in findings:
        told = events.get(finding.agent_id, ()) if finding.agent_id else ()
        if finding.path == MARK_PATH:
            yield _unmarked(finding, told, ours)
            continue
        fitting = [event for event in told if _explains(event, finding)]
        since = _since_put_right(fitting, finding, ours)
        by_others = next((event for event in since if event.actor not in ours), None)
        if by_others is None and fitting:
            yield from _our_own(finding, fitting[0])
        else:
            yield replace(finding, event=by_others)


def _unmarked(finding: DriftFinding, told: Sequence[AuditEvent], ours: frozenset[str]) -> DriftFinding:
    """An agent without a mark was never ours, or somebody replaced its metadata, the mark with it."""
    if not any(event.actor in ours for event in told):
        return finding
    changed = replace(
        finding,
        kind="changed_outside",
        severity="high",
        path="metadata",
        message="somebody replaced its metadata, and our mark with it: nothing of it is compared or put back "
        "until `alter-sync adopt` marks it again",
    )
    by = next((event for event in told if event.actor not in ours and _explains(event, changed)), None)
    return replace(changed, path=MARK_PATH, event=by)


def _our_own(finding: DriftFinding, event: AuditEvent) -> Iterator[DriftFinding]:
    """What a finding is when no event but our own explains it."""
    match finding.kind:
        case "agent_revoked_outside":
            message = "create agent: declared, not live; this tool revoked it while it was declared no more"
            yield replace(finding, kind="not_applied", severity="low", message=message, event=event)
        case "key_minted_outside":
            message = "is live, in no sink and not in the mark: a run of this tool lost it"
            yield replace(
                finding,
                kind="orphaned_key",
                severity="medium",
                effect="neutral",
                message=message,
                event=event,
            )
        case "key_revoked_outside" if finding.severity == "low":
            return
        case _:
            # The feed may be shorter than the past, so nobody is named rather than ourselves.
            yield finding


def _since_put_right(
    events: Sequence[AuditEvent], finding: DriftFinding, ours: frozenset[str]
) -> Sequence[AuditEvent]:
    """The events since a run of ours set this very field: what others did before is not what is seen now.

    Of an update of the metadata that cannot be told, for every record in the mark is one.
    """
    if finding.kind not in {"changed_outside", "unmarked_agent"} or _head(finding.path) == "metadata":
        return events
    is_ours = [event.actor in ours and event.fields is not None for event in events]
    return events[: is_ours.index(True)] if any(is_ours) else events


def _explains(event: AuditEvent, finding: DriftFinding) -> bool:
    if event.kind != _ACTIONS.get(finding.kind):
        return False
    if finding.key_id is not None:
        return event.key_id == finding.key_id
    if finding.kind not in {"changed_outside", "unmarked_agent"} or event.fields is None:
        return True
    # A staged narrowing is a change of "scopes_pending".
    return any(field.partition(".")[0].startswith(_head(finding.path)) for field in event.fields)


def _head(path: str) -> str:
    return path.partition(".")[0].partition("[")[0]
