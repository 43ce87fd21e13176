"""The lists of the HTML report that are there without any script: what failed, what is grave, what is odd."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from reconciler.errors import ExitCode
from reconciler.model.agent import AgentName
from reconciler.model.diagnostic import Diagnostic
from reconciler.model.drift import SEVERITIES, Drift
from reconciler.model.outcome import Outcome
from reconciler.model.plan import Plan
from reconciler.reports.advice import RefusalView
from reconciler.reports.drift_view import DriftFindingView, drift_view_of
from reconciler.reports.outcome_view import kind_text
from reconciler.reports.several import narrowed
from reconciler.reports.subject import AppPart, Subject
from reconciler.reports.view import AgentView, PlanView, moment_text

# How many are shown at once, how many more behind a fold; the rest is there for pages without a script.
_OPEN, _FOLDED = 6, 100
_TONES = {"done": "good", "failed": "bad", "not tried": "warn", "error": "bad", "warning": "warn"}


@dataclass(frozen=True, slots=True)
class Item:
    """A line of a section: who, what, why; what was gained; a command that helps; what became of it."""

    names: tuple[str, ...]
    what: str = ""
    text: str = ""
    gained: tuple[str, ...] = ()
    code: str = ""
    status: str = ""
    hint: str = ""
    excerpt: str = ""

    @property
    def tone(self) -> str:
        """The colour of the status."""
        return _TONES.get(self.status, "quiet")


@dataclass(frozen=True, slots=True)
class Section:
    """A list under one heading. ``tone`` is the colour of its edge."""

    id: str
    title: str
    tone: str
    items: tuple[Item, ...]
    is_note: bool = False

    @property
    def open(self) -> Sequence[Item]:
        """What everybody sees."""
        return self.items[:_OPEN]

    @property
    def folded(self) -> Sequence[Item]:
        """What a click shows."""
        return self.items[_OPEN:_FOLDED]

    @property
    def rest(self) -> Sequence[Item]:
        """What the list of agents shows, and a page without a script at once."""
        return self.items[_FOLDED:]


def sections_of(subject: Subject, plan: PlanView | None) -> Iterator[Section]:
    """All lists in the order of the page; some have nothing in them."""
    yield from _failures(subject)
    yield from _grave(subject, plan)
    apps = sorted(subject.apps, key=lambda part: part.exit_code is ExitCode.OK)
    yield Section("apps", "Apps", "quiet", tuple(map(_app, apps)), is_note=True)
    yield from _notes(subject)


def _app(part: AppPart) -> Item:
    ended = "" if part.exit_code is ExitCode.OK else f"exit {int(part.exit_code)}"
    return Item((AgentName(part.app),), part.owner, part.counts, status=ended)


def _failures(subject: Subject) -> Iterator[Section]:
    failure = subject.failure
    if failure is not None:
        item = Item((), failure.code, failure.message, hint=failure.hint)
        yield Section("failure", "What ended the run", "bad", (item,))
    if subject.outcome is not None:
        yield Section("failed", "Failed", "bad", tuple(_failed(subject.outcome)))


def _failed(outcome: Outcome) -> Iterator[Item]:
    for operation in outcome.operations:
        if found := operation.failure:
            text = f"{found.message} [{found.code}]"
            yield Item((operation.agent,), kind_text(operation), text, hint=found.hint)


def _grave(subject: Subject, plan: PlanView | None) -> Iterator[Section]:
    if plan is not None:
        statuses = _statuses(subject.outcome) if subject.outcome else {}
        yield Section(
            "revocations",
            "Revocations, which cannot be undone",
            "bad",
            tuple(
                Item(
                    (agent.name,),
                    f"key {operation.key_id}" if operation.kind == "revoke_key" else "agent, all its keys",
                    operation.reason,
                    status=statuses.get(operation.id, ""),
                )
                for agent in plan.agents
                for operation in agent.revocations()
            ),
        )
        yield Section(
            "widenings",
            "Widenings: who may do more than before",
            "warn",
            tuple(_widenings(plan.agents, statuses)),
        )
        yield Section(
            "blocked", "Blocked by guards", "blocked", tuple(map(_refusal, narrowed(plan.refusals, subject)))
        )
    if subject.drift is not None:
        yield from _drift_sections(subject)


def _widenings(agents: Iterable[AgentView], statuses: Mapping[str, str]) -> Iterator[Item]:
    for agent in agents:
        if gains := agent.gains():
            became = {statuses.get(one.id, "") for one in agent.operations if one.risk == "widening"}
            status = became.pop() if len(became) == 1 else ""
            yield Item((agent.name,), gained=gains, status=status)


def _statuses(outcome: Outcome) -> Mapping[str, str]:
    return {one.id: one.status.replace("_", " ") for one in outcome.operations}


def _refusal(refusal: RefusalView) -> Item:
    kinds = f": {', '.join(refusal.kinds)}" if refusal.kinds else ""
    return Item(
        refusal.agents,
        refusal.guard + kinds,
        refusal.reason,
        code=refusal.command,
        status="" if refusal.command else "nothing lets this through",
    )


def _drift_sections(subject: Subject) -> Iterator[Section]:
    if subject.drift is None:
        return
    view = drift_view_of(subject.drift, command=subject.apply_command)
    tones = dict(zip(SEVERITIES, ("bad", "warn", "calm"), strict=True))
    for section in view.sections:
        if section.is_drift:
            severity = section.findings[0].finding.severity
            items = tuple(map(_difference, section.findings))
            yield Section(f"drift-{severity}", section.title, tones[severity], items)


def _difference(view: DriftFindingView) -> Item:
    doing = view.doing
    who = f"by {doing.actor} at {doing.at} ({doing.action})" if doing else ""
    what = f"{view.path} {view.finding.key_id or ''}".rstrip()
    return Item((view.finding.agent,), what, view.finding.message, status=who)


def _notes(subject: Subject) -> Iterator[Section]:
    source: Drift | Plan | None = subject.drift or subject.plan
    findings = tuple(map(_finding, subject.findings))
    yield Section("findings", "Findings about the configuration", "warn", findings, is_note=True)
    if subject.drift is not None:
        ignored = tuple(
            Item(
                (entry.finding.agent,),
                entry.finding.path,
                entry.reason,
                status=f"until {moment_text(entry.rule.until)}" if entry.rule and entry.rule.until else "",
            )
            for entry in subject.drift.ignored
        )
        yield Section("ignored", "Ignored drift", "quiet", ignored, is_note=True)
    if source is not None:
        names = tuple(Item((name,)) for name in source.unmanaged)
        yield Section("unmanaged", "Unmanaged: live, and left alone", "quiet", names, is_note=True)


def _finding(finding: Diagnostic) -> Item:
    return Item(
        (),
        str(finding.position or ""),
        f"{finding.message} [{finding.rule}]",
        status=finding.severity,
        hint=finding.hint,
        excerpt=finding.excerpt,
    )
