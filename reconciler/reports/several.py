"""Makes one subject out of those of several apps, so that every format can show them as one report.

An agent is called ``app/agent`` in it: a slash is in no agent's name. So is what tells operations apart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TypeVar

from reconciler.errors import AlterSyncError
from reconciler.model.access import Access
from reconciler.model.agent import AgentName
from reconciler.model.drift import Drift, DriftFinding
from reconciler.model.outcome import OperationOutcome, Outcome
from reconciler.model.plan import Blocked, Operation, Plan, Waiting
from reconciler.planning.drift import sorted_drift
from reconciler.planning.fingerprint import digest
from reconciler.reports.advice import RefusalView, apply_command
from reconciler.reports.drift_view import drift_view_of
from reconciler.reports.outcome_view import outcome_view_of
from reconciler.reports.subject import AppPart, Subject
from reconciler.reports.view import view_of

T = TypeVar("T")
P = TypeVar("P")

# How many apps are named where there is room for a line.
_NAMED = 5


class AppsFailed(AlterSyncError):
    """The runs of some apps came to no end; those of the others did."""

    code = "apps_failed"


def merged(subjects: Sequence[Subject], *, whole: Subject) -> Subject:
    """All of them as one. ``whole`` is what is known of the run as such: its command, its end, its limits."""
    owners = sorted({subject.owner for subject in subjects})
    return replace(
        whole,
        owner=owners[0] if len(owners) == 1 else f"{len(owners)} owners",
        app=f"{len(subjects)} apps",
        apps=tuple(
            AppPart(one.app, one.owner, one.exit_code, _counts(one), one.apply_command) for one in subjects
        ),
        plan=_plan([(one.app, one.plan) for one in subjects if one.plan]),
        outcome=_outcome([(one.app, one.outcome) for one in subjects if one.outcome], subjects, whole),
        drift=_drift([(one.app, one.drift) for one in subjects if one.drift]),
        access=_access([(one.app, one.access) for one in subjects if one.access]),
        findings=tuple(finding for one in subjects for finding in one.findings),
        failure=whole.failure or _failure(subjects, whole),
    )


def narrowed(found: Iterable[RefusalView], subject: Subject) -> tuple[RefusalView, ...]:
    """Refusals whose commands let something pass in the app that they are about, and in no other."""
    commands = {part.app: part.command for part in subject.apps}

    def command_of(view: RefusalView) -> str:
        apps = {agent.rpartition("/")[0] for agent in view.agents}
        own = commands.get(apps.pop(), "") if len(apps) == 1 else ""
        return (
            own + view.command.removeprefix(subject.apply_command) if own and view.command else view.command
        )

    return tuple(replace(view, command=command_of(view)) for view in found)


def _counts(subject: Subject) -> str:
    """How it went with one app, in a few words."""
    if subject.failure is not None:
        return f"failed: {subject.failure.message}"
    if subject.outcome is not None:
        return outcome_view_of(subject.outcome).counts
    if subject.drift is not None:
        return drift_view_of(subject.drift, command=subject.apply_command).counts
    return view_of(subject.plan).counts if subject.plan is not None else ""


def _failure(subjects: Sequence[Subject], whole: Subject) -> AlterSyncError | None:
    failed = [(one.app, one.failure) for one in subjects if one.failure]
    if not failed:
        return None
    told = [f"{app}: {failure.message}" for app, failure in failed[:_NAMED]]
    told += [f"and {len(failed) - _NAMED} more"] if len(failed) > _NAMED else []
    hints = {failure.hint for _, failure in failed}
    error = AppsFailed(
        f"{len(failed)} of {len(subjects)} apps failed: {'; '.join(told)}",
        hint=hints.pop() if len(hints) == 1 else "the report of each app says how to go on",
    )
    error.exit_code = whole.exit_code
    return error


def _plan(plans: Sequence[tuple[str, Plan]]) -> Plan | None:
    if not plans:
        return None
    first = plans[0][1]
    addresses = sorted({plan.base_url for _, plan in plans})
    return replace(
        first,
        app=f"{len(plans)} apps",
        base_url=", ".join(addresses[:_NAMED]),
        expires_at=min(plan.expires_at for _, plan in plans),
        config_digest=digest([plan.config_digest for _, plan in plans]),
        live_digest=digest([plan.live_digest for _, plan in plans]),
        plan_digest=digest([plan.plan_digest for _, plan in plans]),
        operations=_all(plans, lambda plan: plan.operations, _operation),
        waiting=_all(plans, lambda plan: plan.waiting, _waiting),
        blocked=_all(plans, lambda plan: plan.blocked, _blocked),
        unmanaged=_all(plans, lambda plan: plan.unmanaged, _named),
        replaced=_all(plans, lambda plan: plan.replaced, _named),
        findings=_all(plans, lambda plan: plan.findings, lambda _app, finding: finding),
        allowed=tuple(sorted({allowed for _, plan in plans for allowed in plan.allowed})),
        in_sync=sum(plan.in_sync for _, plan in plans),
    )


def _outcome(
    outcomes: Sequence[tuple[str, Outcome]], subjects: Sequence[Subject], whole: Subject
) -> Outcome | None:
    if not outcomes:
        return None
    unfinished = [one.plan for one in subjects if one.plan and one.outcome and one.outcome.resume]
    resume = (
        apply_command(
            whole.apply_command,
            targets=unfinished[0].targets,
            allowed=sorted({allowed for plan in unfinished for allowed in plan.allowed}),
            shard=unfinished[0].shard,
        )
        if unfinished
        else ""
    )
    return Outcome(
        run=outcomes[0][1].run,
        plan_digest=digest([outcome.plan_digest for _, outcome in outcomes]),
        operations=_all(outcomes, lambda outcome: outcome.operations, _operation_outcome),
        blocked=_all(outcomes, lambda outcome: outcome.blocked, _blocked),
        waiting=_all(outcomes, lambda outcome: outcome.waiting, _waiting),
        interrupted=next((one.interrupted for _, one in outcomes if one.interrupted is not None), None),
        resume=resume,
    )


def _drift(drifts: Sequence[tuple[str, Drift]]) -> Drift | None:
    if not drifts:
        return None
    first = drifts[0][1]
    return replace(
        first,
        app=f"{len(drifts)} apps",
        seen_at=min(drift.seen_at for _, drift in drifts),
        findings=sorted_drift(_all(drifts, lambda drift: drift.findings, _finding)),
        ignored=_all(
            drifts,
            lambda drift: drift.ignored,
            lambda app, entry: replace(entry, finding=_finding(app, entry.finding)),
        ),
        unmanaged=_all(drifts, lambda drift: drift.unmanaged, _named),
        in_sync=sum(drift.in_sync for _, drift in drifts),
        feed="; ".join(dict.fromkeys(drift.feed for _, drift in drifts if drift.feed)),
    )


def _access(found: Sequence[tuple[str, Access]]) -> Access | None:
    if not found:
        return None
    return Access(
        seen_at=min(access.seen_at for _, access in found),
        agents=_all(
            found,
            lambda access: access.agents,
            lambda app, agent: replace(agent, agent=_named(app, agent.agent)),
        ),
        unread="; ".join(dict.fromkeys(access.unread for _, access in found if access.unread)),
    )


def _all(
    parts: Iterable[tuple[str, P]], of: Callable[[P], Iterable[T]], rename: Callable[[str, T], T]
) -> tuple[T, ...]:
    return tuple(rename(app, entry) for app, part in parts for entry in of(part))


def _named(app: str, agent: AgentName) -> AgentName:
    return AgentName(f"{app}/{agent}")


def _operation(app: str, operation: Operation) -> Operation:
    return replace(
        operation,
        id=f"{app}/{operation.id}",
        agent=_named(app, operation.agent),
        depends_on=tuple(f"{app}/{other}" for other in operation.depends_on),
    )


def _operation_outcome(app: str, outcome: OperationOutcome) -> OperationOutcome:
    return replace(outcome, id=f"{app}/{outcome.id}", agent=_named(app, outcome.agent))


def _waiting(app: str, entry: Waiting) -> Waiting:
    return replace(entry, agent=_named(app, entry.agent))


def _blocked(app: str, entry: Blocked) -> Blocked:
    # What a guard refuses as a whole it refuses for an app.
    agent = _named(app, entry.agent or AgentName("*"))
    return replace(
        entry, agent=agent, operation=_operation(app, entry.operation) if entry.operation else None
    )


def _finding(app: str, finding: DriftFinding) -> DriftFinding:
    return replace(finding, agent=_named(app, finding.agent))
