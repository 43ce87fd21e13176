"""What the HTML report says before any script runs: how the run ended and how much there is of what."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from reconciler.errors import ExitCode
from reconciler.model.drift import SEVERITIES
from reconciler.model.plan import Plan
from reconciler.reports.drift_view import drift_view_of
from reconciler.reports.escaping import for_link
from reconciler.reports.html_rows import Rows
from reconciler.reports.html_sections import Section, sections_of
from reconciler.reports.outcome_view import outcome_view_of
from reconciler.reports.subject import Subject
from reconciler.reports.view import PlanView, moment_text

_TONES = {ExitCode.OK: "good", ExitCode.CHANGES: "calm", ExitCode.REFUSED: "blocked", ExitCode.PARTIAL: "bad"}


@dataclass(frozen=True, slots=True)
class Tile:
    """One count. ``kind`` is the filter that shows what is counted; ``link`` a place on the page instead."""

    label: str
    count: int
    tone: str
    kind: int | None = None
    link: str = ""


@dataclass(frozen=True, slots=True)
class Fact:
    """Something about the run. ``is_code``: to be copied rather than read."""

    label: str
    text: str
    link: str = ""
    is_code: bool = False


@dataclass(frozen=True, slots=True)
class Advice:
    """What to do next: a sentence around a command."""

    before: str
    command: str
    after: str


@dataclass(frozen=True, slots=True)
class Headline:
    """Everything but the list of agents."""

    title: str
    summary: str
    verdict: str
    tone: str
    tiles: tuple[Tile, ...]
    facts: tuple[Fact, ...]
    sections: tuple[Section, ...]
    advice: Advice | None
    moves: str
    written: str


def headline_of(subject: Subject, plan: PlanView | None, rows: Rows) -> Headline:
    """The headline of a subject, whose rows tell how many agents are concerned."""
    summary, advice = _summary(subject, plan)
    return Headline(
        title=subject.command.capitalize(),
        summary=summary.removeprefix(f"{subject.command.capitalize()}: "),
        verdict=f"exit {int(subject.exit_code)} · {subject.exit_code.name.lower().replace('_', ' ')}",
        tone=_TONES.get(subject.exit_code, "bad"),
        tiles=tuple(_tiles(subject, rows)),
        facts=tuple(_facts(subject)),
        sections=tuple(section for section in sections_of(subject, plan) if section.items),
        advice=_advice(advice) if advice else None,
        moves="compared with what is declared" if subject.drift else "by this run",
        written=moment_text(subject.written_at),
    )


def _summary(subject: Subject, plan: PlanView | None) -> tuple[str, str]:
    if subject.outcome is not None:
        outcome = outcome_view_of(subject.outcome)
        return outcome.counts, outcome.next_step
    if subject.drift is not None:
        drift = drift_view_of(subject.drift, command=subject.apply_command)
        return drift.counts, drift.next_step
    if plan is not None:
        # What ended a run after its plan says how to go on better than the plan does.
        return plan.counts, "" if subject.failure else plan.next_step
    ended = "The run ended before there was anything to tell"
    return ended if subject.failure else "The configuration is valid", ""


def _advice(text: str) -> Advice:
    # Between the outermost backticks, because a name in the command may contain more of them.
    before, _, rest = text.partition("`")
    command, _, after = rest.rpartition("`")
    return Advice(before, command, after)


def _tiles(subject: Subject, rows: Rows) -> Iterator[Tile]:
    found = {name: (number, count) for _, group in rows.kinds for number, name, count in group}

    def of(kind: str, label: str, tone: str) -> Tile:
        number, count = found.get(kind, (None, 0))
        return Tile(label, count, tone, number)

    if subject.outcome is not None:
        yield from (of("failed", "Failed", "bad"), of("not tried", "Not tried", "warn"))
        yield of("done", "Done", "good")
    if subject.plan is not None:
        yield of("revocation", "Revocations", "bad")
        yield of("widening", "Widenings", "warn")
        yield of("narrowing", "Narrowings", "calm")
        yield of("blocked", "Blocked", "blocked")
        yield of("waiting", "Waiting", "calm")
    if subject.drift is not None:
        tones = ("bad", "warn", "calm")
        yield from (of(name, name.capitalize(), tone) for name, tone in zip(SEVERITIES, tones, strict=True))
        yield of("notice", "Notices", "quiet")
        yield Tile("Ignored", len(subject.drift.ignored), "quiet", link="ignored")
    source = subject.drift or subject.plan
    if source is not None:
        yield Tile("In sync", source.in_sync, "good")
        yield Tile("Unmanaged", len(source.unmanaged), "quiet", link="unmanaged")
    if subject.findings or (source is None and subject.failure is None):
        errors = sum(finding.severity == "error" for finding in subject.findings)
        yield Tile("Errors", errors, "bad", link="findings")
        yield Tile("Warnings", len(subject.findings) - errors, "warn", link="findings")


def _facts(subject: Subject) -> Iterator[Fact]:
    run, access = subject.run, subject.access
    if subject.targets:
        yield Fact("Only", ", ".join(subject.targets))
    if not subject.shard.is_whole:
        yield Fact("Part", str(subject.shard))
    if subject.owner:
        yield Fact("Owner", subject.owner)
    if subject.plan is not None:
        yield Fact("Server", subject.plan.base_url)
    if run.head_sha:
        yield Fact("Commit", run.head_sha, is_code=True)
    if run.run_url:
        yield Fact("CI run", run.run_url, link=for_link(run.run_url))
    if subject.plan is not None:
        yield from _plan_facts(subject, subject.plan)
    if access is not None and access.unread:
        yield Fact("Keys not read", access.unread)
    if subject.outcome is not None:
        yield Fact("Run", subject.outcome.run, is_code=True)
    if subject.drift is not None:
        yield Fact("Seen", moment_text(subject.drift.seen_at))
        if subject.drift.feed:
            yield Fact("Not told", subject.drift.feed)


def _plan_facts(subject: Subject, plan: Plan) -> Iterator[Fact]:
    yield Fact("Planned", moment_text(plan.created_at))
    if subject.outcome is None and subject.run.plan_path:
        yield Fact("Saved to", f"{subject.run.plan_path}, good until {moment_text(plan.expires_at)}")
    yield Fact("Plan digest", plan.plan_digest, is_code=True)
    yield Fact("Configuration digest", plan.config_digest, is_code=True)
    if plan.allowed:
        yield Fact("Let through", ", ".join(plan.allowed))
