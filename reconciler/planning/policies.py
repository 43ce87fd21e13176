"""Asks the user's policies about every operation, and turns what they say into refusals and findings.

How a rule is evaluated is not known here: ``Policies.judge`` is a plain callable. Whatever cannot be
evaluated is refused, because a rule that says nothing must not let anything pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from typing import Any

from reconciler.model.agent import AgentName, LiveAgent
from reconciler.model.desired import DesiredAgent, RotationPolicy
from reconciler.model.diagnostic import Diagnostic
from reconciler.model.mark import format_time
from reconciler.model.plan import Blocked, Operation
from reconciler.model.policy import Policies, PolicyRule, Question, Verdict
from reconciler.planning.facts import POLICY_GUARD, Facts
from reconciler.planning.fingerprint import plain
from reconciler.planning.plan_document import operation_document
from reconciler.planning.refusal import refuse

# The variables of an expression, each with the fields that it always has. `now` is a time.
VARIABLES = {
    "operation": (
        "id",
        "kind",
        "agent",
        "agent_id",
        "precondition",
        "depends_on",
        "risk",
        "reason",
        "changes",
        "source",
        "key_id",
    ),
    "agent": ("name", "declared", "live"),
    "plan": ("owner", "app", "base_url", "plane"),
    "now": (),
}


@dataclass(frozen=True, slots=True)
class Judgement:
    """What all policies say of all operations."""

    blocked: tuple[Blocked, ...] = ()
    findings: tuple[Diagnostic, ...] = ()


def judged(
    facts: Facts, operations: Sequence[Operation], policies: Policies | None, *, base_url: str
) -> Judgement:
    """Denials become refusals that ``--allow policy=AGENT`` lets through, warnings become findings."""
    if policies is None or not operations:
        return Judgement()
    questions = [_question(facts, operation, policies, base_url=base_url) for operation in operations]
    blocked: list[Blocked] = []
    findings: list[Diagnostic] = []
    for operation, verdicts in zip(operations, policies.judge(questions), strict=True):
        for verdict in verdicts:
            rule = policies.rules[verdict.rule]
            if rule.severity == "warn" and not verdict.is_failure:
                findings.append(_finding(rule, verdict, operation))
            elif not facts.allow.permits(POLICY_GUARD, operation.agent):
                blocked.append(refuse(POLICY_GUARD, operation, _reason(rule, verdict)))
    return Judgement(tuple(blocked), tuple(dict.fromkeys(findings)))


def _question(facts: Facts, operation: Operation, policies: Policies, *, base_url: str) -> Question:
    asked = tuple(
        index
        for index, rule in enumerate(policies.rules)
        if not any(fnmatchcase(operation.agent, pattern) for pattern in rule.exempt)
    )
    desired = facts.desired
    return Question(
        asked,
        {
            "operation": operation_document(operation),
            "agent": _agent_document(facts, operation.agent),
            "plan": {
                "owner": desired.owner,
                "app": desired.app.name,
                "base_url": base_url,
                "plane": facts.plane,
            },
            "now": format_time(facts.now),
        },
    )


def _agent_document(facts: Facts, name: AgentName) -> dict[str, Any]:
    declared, live = facts.desired.agents.get(name), facts.live.get(name)
    return {
        "name": name,
        "declared": _declared_document(declared, live) if declared else None,
        "live": _live_document(live) if live else None,
    }


def _declared_document(agent: DesiredAgent, live: LiveAgent | None) -> dict[str, Any]:
    return {
        # A type that is not declared stays as it is; a new agent is an `agent`.
        "type": agent.type or (live.type if live else "agent"),
        "display_name": agent.display_name,
        "status": agent.status,
        "scopes": agent.scopes.as_json(),
        "metadata": plain(agent.metadata),
        "policy": plain(agent.policy),
        "protect": agent.protect is True,
        "expires_at": _time(agent.expires_at),
        "deliver_to": list(agent.deliver_to),
        "rotation": _rotation_document(agent.rotation) if agent.rotation else None,
        "source": str(agent.position),
    }


def _rotation_document(policy: RotationPolicy) -> dict[str, Any]:
    """Durations in seconds."""
    return {
        "max_age": _seconds(policy.max_age),
        "min_overlap": _seconds(policy.min_overlap),
        "max_overlap": _seconds(policy.max_overlap),
        "quiet_for": _seconds(policy.quiet_for),
        "require_use": policy.require_use,
        "on_overdue": policy.on_overdue,
    }


def _live_document(agent: LiveAgent) -> dict[str, Any]:
    mark = agent.mark
    return {
        "id": agent.id,
        "type": agent.type,
        "display_name": agent.display_name,
        "status": agent.status,
        "version": agent.version,
        "scopes": agent.target_scopes.as_json(),
        "metadata": plain(agent.own_metadata),
        "policy": plain(agent.policy),
        "created_at": format_time(agent.created_at),
        "last_used_at": _time(agent.last_used_at),
        "owner": mark.owner if mark else None,
        "protect": bool(mark and mark.protect),
    }


def _reason(rule: PolicyRule, verdict: Verdict) -> str:
    what = f"cannot be evaluated, so it denies: {verdict.message}" if verdict.is_failure else verdict.message
    return f"{rule.name}: {what} ({rule.position})"


def _finding(rule: PolicyRule, verdict: Verdict, operation: Operation) -> Diagnostic:
    """At the block that asks for the operation, where its author looks; at the rule when there is none."""
    return Diagnostic(
        "warning",
        f"policy:{rule.name}",
        f"{operation.agent}: {verdict.message}",
        operation.source or rule.position,
        hint=f"the rule is at {rule.position}",
    )


def _time(moment: datetime | None) -> str | None:
    return format_time(moment) if moment else None


def _seconds(duration: timedelta | None) -> int | None:
    return None if duration is None else int(duration.total_seconds())
