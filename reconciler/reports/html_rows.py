"""One row for each agent that a run has anything to do with, gravest first: the data behind the HTML report.

Every text is a number into ``strings``, every time is in seconds since 1970, and empty parts are left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from reconciler.model.access import AgentAccess
from reconciler.model.agent import AgentName
from reconciler.model.drift import SEVERITIES, DriftFinding
from reconciler.model.outcome import OperationOutcome
from reconciler.model.plan import Waiting
from reconciler.model.scopes import Scopes
from reconciler.reports.advice import RefusalView, refusals
from reconciler.reports.changes import losses_of
from reconciler.reports.html_access import Moves, access_data, cells, drifted, moves_of
from reconciler.reports.html_steps import finding_data, outcome_data, step_data, waiting_data
from reconciler.reports.html_strings import Lengths, Strings, compact, seconds, unique
from reconciler.reports.several import narrowed
from reconciler.reports.subject import Subject
from reconciler.reports.view import AgentView, Gravity, PlanView

Data = dict[str, Any]
# What rows are filtered by, in groups, in the order of the list.
KINDS: Mapping[str, tuple[str, ...]] = {
    "Risk": ("revocation", "widening", "narrowing"),
    "Severity": (*SEVERITIES, "notice"),
    "Result": ("failed", "not tried", "done"),
    "State": ("blocked", "waiting"),
    "Step": (
        *("create", "adopt", "update", "replace", "suspend", "resume", "revoke"),
        *("mint key", "deprecate key", "undeprecate key", "revoke key"),
    ),
}
_RISK = {"destructive": "revocation", "widening": "widening", "narrowing": "narrowing"}
# Behind everything that happens.
_REFUSED, _WAITING, _QUIET = 6, 7, 9


@dataclass(slots=True)
class _Agent:
    """What is known of one agent, from all parts of the subject."""

    view: AgentView | None = None
    outcomes: dict[str, OperationOutcome] = field(default_factory=dict)
    refused: list[int] = field(default_factory=list)
    waiting: list[Waiting] = field(default_factory=list)
    findings: list[DriftFinding] = field(default_factory=list)
    access: AgentAccess | None = None

    def tags(self) -> Iterator[str]:
        """What a reader may filter by."""
        for operation in self.view.operations if self.view else ():
            yield operation.label
            if operation.risk in _RISK:
                yield _RISK[operation.risk]
            if operation.kind == "revoke_key":
                yield "revocation"
            # A step that gives and takes has the risk of what it gives.
            if operation.kind != "revoke_agent" and any(map(losses_of, operation.changes)):
                yield "narrowing"
        yield from (outcome.status.replace("_", " ") for outcome in self.outcomes.values())
        yield from (found.severity if found.is_drift else "notice" for found in self.findings)
        yield from ["blocked"] * bool(self.refused) + ["waiting"] * bool(self.waiting)

    def rank(self) -> int:
        """Where it stands: what failed first, then by gravity."""
        statuses = {outcome.status for outcome in self.outcomes.values()}
        if statuses - {"done"}:
            return -2 if "failed" in statuses else -1
        if self.view is not None:
            return self.view.gravity
        if self.findings:
            # They come gravest first; a notice stands behind all drift.
            first = self.findings[0]
            return SEVERITIES.index(first.severity) if first.is_drift else len(SEVERITIES)
        if self.outcomes:
            return Gravity.OTHER
        return _REFUSED if self.refused else _WAITING if self.waiting else _QUIET

    def stage(self) -> str:
        """The stage of its keys."""
        known = self.access.stage if self.access else ""
        return known or next((entry.stage for entry in self.waiting), "")


@dataclass(frozen=True, slots=True)
class Rows:
    """The data for the script, and what the filters are made of: ``(number, text, count)``."""

    data: Data
    kinds: tuple[tuple[str, tuple[tuple[int, str, int], ...]], ...]
    providers: tuple[tuple[int, str, int], ...]
    stages: tuple[tuple[int, str, int], ...]


def rows_of(subject: Subject, plan: PlanView | None, lengths: Lengths) -> Rows:
    """All rows of a subject; ``plan`` is the view of its plan."""
    strings = Strings(lengths)
    # An outcome repeats the refusals of its plan, which knows the better command.
    blocked = subject.outcome.blocked if subject.outcome else ()
    refused = plan.refusals if plan else refusals(blocked, command=subject.apply_command)
    refused = narrowed(refused, subject)
    agents = _agents(subject, plan, refused)
    # Equal ranks in the order of their names, whatever order the API had.
    ordered = sorted(agents.items(), key=lambda item: (item[1].rank(), item[0]))
    is_ahead = subject.outcome is None and subject.drift is None
    rows = [_row(strings, name, agent, is_ahead=is_ahead) for name, agent in ordered]
    tags = Counter(tag for _, agent in ordered for tag in set(agent.tags()))
    stages = Counter(stage for _, agent in ordered if (stage := agent.stage()))
    providers = Counter(cell["provider"] for row in rows for cell in row.get("access", ()))
    data = {
        "seen": seconds(subject.access.seen_at if subject.access else subject.written_at),
        "refusals": [
            compact(
                guard=strings.name(refusal.guard),
                kinds=[strings.name(kind) for kind in refusal.kinds],
                reason=strings.message(refusal.reason),
                command=strings.command(refusal.command) if refusal.command else None,
            )
            for refusal in refused
        ],
        "providers": [number for number, _ in providers.most_common()],
        "agents": rows,
    }
    kinds = tuple(
        (group, found)
        for group, names in KINDS.items()
        if (found := tuple((strings.name(name), name, tags[name]) for name in names if tags[name]))
    )
    return Rows(
        data=data | {"strings": strings.texts},
        kinds=kinds,
        providers=tuple((number, strings.texts[number], count) for number, count in providers.most_common()),
        stages=tuple((strings.name(stage), stage, count) for stage, count in sorted(stages.items())),
    )


def _agents(
    subject: Subject, plan: PlanView | None, refused: Sequence[RefusalView]
) -> dict[AgentName, _Agent]:
    found: dict[AgentName, _Agent] = {}

    def of(name: AgentName) -> _Agent:
        return found.setdefault(name, _Agent())

    for view in plan.agents if plan else ():
        of(view.name).view = view
    if subject.outcome is not None:
        for outcome in subject.outcome.operations:
            of(outcome.agent).outcomes[outcome.id] = outcome
    source = subject.outcome or subject.plan
    for entry in source.waiting if source else ():
        of(entry.agent).waiting.append(entry)
    for number, refusal in enumerate(refused):
        for name in refusal.agents:
            of(name).refused.append(number)
    for finding in subject.drift.findings if subject.drift else ():
        of(finding.agent).findings.append(finding)
    for access in subject.access.agents if subject.access else ():
        of(access.agent).access = access
    return found


def _row(strings: Strings, name: AgentName, agent: _Agent, *, is_ahead: bool) -> Data:
    view, access = agent.view, agent.access
    operations = view.operations if view else ()
    planned = {operation.id for operation in operations}
    rest = [outcome for outcome in agent.outcomes.values() if outcome.id not in planned]
    source = view.source if view else next((str(f.source) for f in agent.findings if f.source), "")
    held = access.scopes if access else Scopes()
    return {
        "name": strings.name(name),
        **compact(
            rank=agent.rank(),
            sign=strings.name(view.sign) if view else None,
            title=strings.name(view.title if view else ", ".join(unique(_kinds(agent)))),
            source=strings.name(source) if source else None,
            tags=[strings.name(tag) for tag in unique(agent.tags())],
            steps=[
                *(step_data(strings, step, agent.outcomes.get(step.id)) for step in operations),
                *(outcome_data(strings, outcome) for outcome in rest),
            ],
            refused=agent.refused,
            waiting=[waiting_data(strings, entry) for entry in agent.waiting],
            findings=[finding_data(strings, finding) for finding in agent.findings],
            access=cells(strings, held, _moves(agent), is_ahead=is_ahead),
            **(access_data(strings, access) if access else {}),
            stage=strings.name(stage) if (stage := agent.stage()) else None,
        ),
    }


def _kinds(agent: _Agent) -> Iterator[str]:
    yield from (outcome.kind.replace("_", " ") for outcome in agent.outcomes.values())
    yield from (finding.kind.replace("_", " ") for finding in agent.findings)


def _moves(agent: _Agent) -> Moves:
    if agent.findings:
        return drifted(agent.findings)
    operations = agent.view.operations if agent.view else ()
    if agent.outcomes:  # what was not done gave nothing and took nothing
        done = {found.id for found in agent.outcomes.values() if found.status == "done"}
        operations = tuple(operation for operation in operations if operation.id in done)
    return moves_of(operations)
