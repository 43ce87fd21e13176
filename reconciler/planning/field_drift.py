"""Drift of one agent's fields: who moved each that differs, and what whoever moved it has done."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from reconciler.model.agent import LiveAgent
from reconciler.model.desired import DesiredAgent
from reconciler.model.drift import DriftFinding, Severity
from reconciler.model.mark import Mark
from reconciler.model.plan import Change, Effect
from reconciler.model.values import Json
from reconciler.planning.agent_diff import diff_agent
from reconciler.planning.fingerprint import fingerprint

_SEVERITY_OF: Mapping[Effect, Severity] = {"widening": "high", "narrowing": "medium", "neutral": "low"}


def field_drift(agent: DesiredAgent, live: LiveAgent, mark: Mark) -> Iterator[DriftFinding]:
    """Field by field: changed outside, or not applied yet."""
    diff = diff_agent(agent, live, mark)
    changes = (*diff.update, *diff.scopes, *filter(None, (diff.status, diff.type)))
    for change in changes:
        finding = DriftFinding(
            kind="not_applied",
            severity="low",
            agent=live.name,
            path=change.path,
            message="the configuration is ahead",
            agent_id=live.id,
            live=change.before,
            declared=change.after,
            source=agent.position_of(change.path),
        )
        yield _outside(finding, change) if change.cause in {"outside", "both"} else finding


def _outside(finding: DriftFinding, change: Change) -> DriftFinding:
    # What apply does about it has the opposite effect of what was done.
    opposite: Mapping[Effect, Effect] = {"widening": "narrowing", "narrowing": "widening"}
    effect = opposite.get(change.effect, change.effect)
    if change.path.startswith("scopes.") and set(change.before or ()) - set(change.after or ()):
        effect = "widening"  # some were granted, whatever else was taken away
    is_both = change.cause == "both"
    # A policy is what an agent may not do; whether less or more of it is left cannot be told.
    severity = "high" if _head(change.path) == "policy" else _SEVERITY_OF[effect]
    message = "changed outside" + (", and the configuration changed as well" if is_both else "")
    return replace(
        finding,
        kind="changed_outside",
        severity=severity,
        message=message,
        effect=effect,
        is_both=is_both,
    )


def _head(path: str) -> str:
    return path.partition(".")[0].partition("[")[0]


def differences(agent: DesiredAgent, live: LiveAgent) -> Iterator[DriftFinding]:
    """How an agent without a mark of ours is not as declared: whoever did it, apply may not touch it."""
    whose = f"it carries the mark of owner {live.mark.owner!r}" if live.mark else "it carries no mark"
    diff = diff_agent(agent, live, None)
    for change in (*diff.update, *diff.scopes, *filter(None, (diff.status, diff.type))):
        finding = DriftFinding(
            kind="unmarked_agent",
            severity="low",
            agent=live.name,
            path=change.path,
            message=f"is not as declared, and {whose}, so that apply leaves it alone",
            agent_id=live.id,
            live=change.before,
            declared=change.after,
            source=agent.position_of(change.path),
        )
        seen = _outside(finding, change)
        yield replace(finding, severity=seen.severity, effect=seen.effect)


def changes_since(live: LiveAgent, mark: Mark) -> Iterator[DriftFinding]:
    """Outside changes of an agent that is declared no more, by its mark alone."""
    values: dict[str, Json] = {"display_name": live.display_name, "status": live.status}
    values |= {f"metadata.{key}": value for key, value in live.own_metadata.items()}
    scopes = {f"scopes.{provider}": list(names) for provider, names in live.target_scopes.by_provider}
    values |= scopes
    for path in sorted({*mark.spec, *scopes}):
        if path == "policy" or (path in mark.spec and fingerprint(values.get(path)) == mark.spec[path]):
            continue  # a policy is shown with the server's own parts in it
        effect = _effect_since(path, values.get(path))
        yield DriftFinding(
            kind="changed_outside",
            severity=_SEVERITY_OF[effect],
            agent=live.name,
            path=path,
            message="changed outside; the agent is declared no more",
            agent_id=live.id,
            live=values.get(path),
            effect=effect,
        )


def _effect_since(path: str, value: Json) -> Effect:
    """What a change may have done, without the value from before: where it cannot be told, the graver."""
    if path == "status":
        return "widening" if value == "active" else "narrowing"
    if path.startswith("scopes."):
        return "widening" if value else "narrowing"
    return "neutral"
