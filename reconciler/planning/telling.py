"""Hides keys that somebody pasted into live fields from a finished plan and from drift.

Last of all, because everything before has to compare what really is there. Nothing that is sent to the API
comes from here: what to send is made anew from the configuration and the live agent.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from reconciler.model.agent import AgentName
from reconciler.model.diagnostic import Diagnostic
from reconciler.model.drift import Drift, DriftFinding
from reconciler.model.plan import Blocked, Change, Operation, Plan, Waiting
from reconciler.model.secret import concealed


def plan_without_keys(plan: Plan) -> Plan:
    """The plan as it may be shown, saved and compared with a saved one."""
    return replace(
        plan,
        operations=tuple(map(_operation, plan.operations)),
        waiting=tuple(map(_waiting, plan.waiting)),
        blocked=tuple(map(_blocked, plan.blocked)),
        unmanaged=_names(plan.unmanaged),
        replaced=_names(plan.replaced),
        findings=tuple(map(_diagnostic, plan.findings)),
    )


def drift_without_keys(drift: Drift) -> Drift:
    """Drift as it may be shown, and put into a baseline."""
    return replace(
        drift,
        findings=tuple(map(_finding, drift.findings)),
        unmanaged=_names(drift.unmanaged),
        feed=concealed(drift.feed),
    )


def _operation(operation: Operation) -> Operation:
    return replace(
        operation,
        id=concealed(operation.id),
        agent=concealed(operation.agent),
        reason=concealed(operation.reason),
        depends_on=tuple(concealed(operation.depends_on)),
        changes=tuple(map(_change, operation.changes)),
    )


def _change(change: Change) -> Change:
    return replace(
        change,
        path=concealed(change.path),
        before=concealed(change.before),
        after=concealed(change.after),
    )


def _waiting(entry: Waiting) -> Waiting:
    return replace(entry, agent=concealed(entry.agent), reason=concealed(entry.reason))


def _blocked(entry: Blocked) -> Blocked:
    return replace(
        entry,
        agent=concealed(entry.agent),
        reason=concealed(entry.reason),
        allow=concealed(entry.allow),
        operation=entry.operation and _operation(entry.operation),
    )


def _diagnostic(finding: Diagnostic) -> Diagnostic:
    return replace(finding, message=concealed(finding.message), hint=concealed(finding.hint))


def _finding(finding: DriftFinding) -> DriftFinding:
    event = finding.event
    return replace(
        finding,
        agent=concealed(finding.agent),
        path=concealed(finding.path),
        message=concealed(finding.message),
        live=concealed(finding.live),
        declared=concealed(finding.declared),
        event=event and replace(event, action=concealed(event.action), actor=concealed(event.actor)),
    )


def _names(names: Iterable[AgentName]) -> tuple[AgentName, ...]:
    return tuple(AgentName(concealed(name)) for name in names)
