"""Drift that the tests of the reports show."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from reconciler.model.activity import AuditEvent
from reconciler.model.agent import AgentId, AgentName
from reconciler.model.desired import DriftIgnore
from reconciler.model.diagnostic import Position
from reconciler.model.drift import (
    DRIFT_KINDS,
    SEVERITIES,
    Drift,
    DriftFinding,
    DriftKind,
    IgnoredDrift,
    Severity,
)
from reconciler.model.key import KeyId
from tests.unit.reports.samples import HOSTILE, NOW, at

NO_FEED = "who did it, shadow agents: there is no token for the dashboard plane (ALTER_PAT)"
CLEAN = Drift("payments/agents", "payments-prod", NOW, in_sync=12)


def event(action: str, *, actor: str = "jane@corp.example", minutes_ago: int = 5) -> AuditEvent:
    return AuditEvent(NOW - timedelta(minutes=minutes_ago), "update_agent", action, actor)


def found(
    kind: DriftKind,
    severity: Severity,
    agent: str,
    path: str,
    message: str = "changed outside",
    **more: object,
) -> DriftFinding:
    given: dict[str, object] = {"agent_id": AgentId(f"id-{agent}"), "source": at(31), **more}
    return DriftFinding(kind, severity, AgentName(agent), path, message, **given)  # type: ignore[arg-type]


SCOPES = found(
    "changed_outside",
    "high",
    "nightly-sync",
    "scopes.google",
    live=["drive", "gmail.readonly"],
    declared=["gmail.readonly", "calendar"],
    effect="widening",
    event=event("agent.update"),
)
KEY = found(
    "key_minted_outside",
    "high",
    "nightly-sync",
    "keys",
    "alter_ak_9f… is live, in no sink and not in the mark: somebody else can act as this agent",
    key_id=KeyId("key-9"),
    effect="widening",
    event=event("key.mint", actor=""),
)
SHADOW = found(
    "shadow_agent",
    "high",
    "cron on mars",
    "agent",
    "is at work in this app and is no agent of it, declared or live (agent x5, 4 actions in 30 days)",
    agent_id=None,
    source=None,
    live={"actor_id": "x5", "type": "agent", "recent_count": 4},
)
REVOKED = found(
    "agent_revoked_outside",
    "high",
    "mailer",
    "agent",
    "was revoked with all its keys; apply creates it again, with a new key",
    live="revoked",
    declared="active",
)
NAME = found(
    "changed_outside",
    "low",
    "東京-ボット",
    "display_name",
    "changed outside, and the configuration changed as well",
    live="大阪",
    declared="東京",
    is_both=True,
    event=event("agent.update"),
)
UNDECLARED = found(
    "changed_outside",
    "high",
    "left-over",
    "scopes.google",
    "changed outside; the agent is declared no more",
    live=["drive"],
    source=None,
    effect="widening",
)
ORPHAN = found(
    "orphaned_key",
    "medium",
    "billing-bot",
    "keys",
    "alter_ak_7a… was minted by a run of this tool that was cut off; the next apply sees to it",
    key_id=KeyId("key-7"),
)
PENDING = found(
    "not_applied", "low", "billing-bot", "metadata.team", "the configuration is ahead", declared={"a": [1]}
)
UNUSED = found(
    "unused_agent",
    "low",
    "sleeper",
    "agent",
    "no activity in 30 days; never used",
    live="active",
    source=None,
)
RULE = DriftIgnore(
    "legacy-*", "metadata.*", "the migration team edits it", datetime(2027, 1, 31, tzinfo=NOW.tzinfo), at(70)
)
RICH = Drift(
    owner="payments/agents",
    app="payments-prod",
    seen_at=NOW,
    findings=(SCOPES, KEY, UNDECLARED, SHADOW, REVOKED, ORPHAN, NAME, PENDING, UNUSED),
    ignored=(
        IgnoredDrift(
            found("changed_outside", "low", "legacy-1", "metadata.team", live="x"), RULE.reason, RULE
        ),
        IgnoredDrift(replace(KEY, agent=AgentName("known")), "accepted by the baseline"),
    ),
    unmanaged=tuple(AgentName(f"dashboard-{n:02}") for n in range(14)),
    in_sync=12,
    feed="shadow agents: alter agents registry-list: not allowed (exit code 3)",
)


def hostile_drift() -> Drift:
    """Every text that can come from outside, hostile, in every kind of finding."""
    findings = tuple(
        DriftFinding(
            kind=kind,
            severity=SEVERITIES[number % 3],
            agent=AgentName(text),
            path="agent" if kind == "shadow_agent" else f"metadata.{text}",
            message=text,
            agent_id=AgentId(text),
            live={"actor_id": text, "type": text} if kind == "shadow_agent" else {text: [text]},
            declared=text,
            key_id=KeyId(text) if "key" in kind else None,
            event=AuditEvent(NOW, "other", text, text),
            source=None if number % 2 else Position(text, 1, 1),
            is_both=number % 2 == 0,
        )
        for text in HOSTILE
        for number, kind in enumerate(DRIFT_KINDS)
    )
    scopes = tuple(
        found("changed_outside", "high", text, f"scopes.{text}", text, live=[text], declared=[text + "2"])
        for text in HOSTILE
    )
    rule = replace(RULE, agent=HOSTILE[0], reason=HOSTILE[3])
    return Drift(
        owner=HOSTILE[0],
        app=HOSTILE[3],
        seen_at=NOW,
        findings=(*findings, *scopes),
        ignored=tuple(IgnoredDrift(one, one.message, rule) for one in findings[: len(HOSTILE)]),
        unmanaged=tuple(map(AgentName, HOSTILE)),
        feed="; ".join(HOSTILE),
    )
