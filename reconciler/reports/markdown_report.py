"""The report ``markdown``: one comment on a pull request, and the same text for a step summary."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from reconciler.errors import ExitCode
from reconciler.model.diagnostic import Diagnostic
from reconciler.reports import markdown_drift, markdown_outcome, markdown_plan
from reconciler.reports.advice import RefusalView, refusals
from reconciler.reports.drift_view import DriftView, drift_view_of
from reconciler.reports.escaping import (
    COMMAND_LIMIT,
    MESSAGE_LIMIT,
    for_html_comment,
    for_link,
    for_markdown,
    for_markdown_block,
    for_markdown_code,
)
from reconciler.reports.markdown_page import Paper, Rung, counted, first, on_paper, section
from reconciler.reports.outcome_view import INTERRUPTED, OutcomeView, outcome_view_of
from reconciler.reports.several import narrowed
from reconciler.reports.subject import Command, Subject
from reconciler.reports.view import PlanView, view_of

_FINDINGS = (200, 50, 10, 5)
# How many patterns of agents are named in the line of facts, and how much of each.
_TARGETS = (20, 10, 10, 5, 5, 3, 3)
_TARGET_LIMIT = 80
# A command that goes on is as long as the names of the agents in it.
_LONGEST_COMMAND = 2_000
_NAMES: Mapping[Command, str] = {"validate": "Validation", "drift": "Drift check"}


@dataclass(frozen=True, slots=True)
class _Views:
    """The subject as it is read; made once, however many tries it takes until a text fits."""

    subject: Subject
    plan: PlanView | None
    outcome: OutcomeView | None
    drift: DriftView | None


def markdown_report(subject: Subject) -> str:
    """The comment. Its first line is how a later run finds it (``*`` is no app), its second what it is of."""
    run, digest = subject.run, subject.plan.plan_digest if subject.plan else ""
    app, owner = ("*", "*") if subject.apps else map(for_html_comment, (subject.app, subject.owner))
    marker = f"app={app} owner={owner}{_only(subject)}"
    data = f"command={subject.command} head={for_html_comment(run.head_sha)} plan={for_html_comment(digest)}"
    hidden = f"<!-- alter-sync:comment {marker} -->\n<!-- alter-sync:data {data} -->\n"
    # The line break at the end counts, too.
    return hidden + _body(subject, room=subject.limits.comment_chars - len(hidden) - 1, measure=_utf16_units)


def _only(subject: Subject) -> str:
    """What the comment of a part has in its marker and that of the whole has not.

    Different parts are different texts: the shard is one word, and behind ``agents`` every word is a pattern.
    """
    shard = [] if subject.shard.is_whole else [str(subject.shard)]
    words = [*shard, *(["agents", *sorted(set(subject.targets))] if subject.targets else [])]
    return f" only={for_html_comment(shlex.join(words))}" if words else ""


def step_summary(subject: Subject) -> str:
    """The same for the summary of a step, which is counted in bytes."""
    return _body(subject, room=subject.limits.summary_bytes - 1, measure=lambda text: len(text.encode()))


def _utf16_units(text: str) -> int:
    # Whether GitHub counts an emoji as one or as two is not written anywhere; two is safe.
    return len(text.encode("utf-16-le")) // 2


def _body(subject: Subject, *, room: int, measure: Callable[[str], int]) -> str:
    views = _Views(
        subject,
        view_of(subject.plan, command=subject.apply_command) if subject.plan else None,
        outcome_view_of(subject.outcome) if subject.outcome else None,
        drift_view_of(subject.drift, command=subject.apply_command) if subject.drift else None,
    )
    return on_paper(lambda paper: _written(paper, views), room=room, measure=measure)


def _written(paper: Paper, views: _Views) -> str:
    subject = views.subject
    sections = [f"### {_headline(views)}", _facts(paper, subject), *_failure(paper, subject)]
    if subject.plan:
        sections.append(markdown_plan.let_through(paper, subject.plan.allowed))
    if views.outcome:
        sections += _outcome(paper, views.outcome, subject)
    if views.plan:
        fates = markdown_outcome.fates_of(views.outcome) if views.outcome else lambda _name, _steps: ""
        sections.append(markdown_plan.revocations(paper, views.plan, fates))
        sections.append(markdown_plan.widenings(paper, views.plan, fates))
    if paper.rung < Rung.CUT:
        sections.append(markdown_plan.refusals(paper, _refusals(views)))
    if views.drift and subject.drift:
        sections += markdown_drift.drift_sections(paper, views.drift)
        sections.append(markdown_drift.not_told(paper, subject.drift))
    if views.plan:
        sections.append(markdown_plan.waiting(paper, views.plan.waiting))
    sections.append(_findings(paper, subject.findings))
    sections += _next_step(paper, views)
    sections += _folded(paper, views)
    sections.append(_shortened(paper, subject))
    return "\n\n".join(part for part in sections if part)


def _refusals(views: _Views) -> Sequence[RefusalView]:
    """What guards refused: an outcome knows more of it than its plan."""
    found = views.plan.refusals if views.plan else ()
    if views.subject.outcome:
        found = refusals(views.subject.outcome.blocked, command=views.subject.apply_command)
    return narrowed(found, views.subject)


def _headline(views: _Views) -> str:
    subject = views.subject
    name = _NAMES.get(subject.command, subject.command.capitalize())
    if subject.failure is not None:
        return f"{name} failed: {for_markdown(subject.failure.message)}"
    if views.outcome:
        return views.outcome.counts
    if views.drift:
        return views.drift.counts
    if views.plan:
        return views.plan.counts
    return f"{name}: {_counts(subject.findings) or 'valid'}"


def _counts(findings: Sequence[Diagnostic]) -> str:
    errors = sum(finding.severity == "error" for finding in findings)
    counts = {"error": errors, "warning": len(findings) - errors}
    return ", ".join(counted(count, what) for what, count in counts.items() if count)


def _facts(paper: Paper, subject: Subject) -> str:
    """What it is limited to, whose, which commit, which run, and how it ended, in one line."""
    run, url = subject.run, for_link(subject.run.run_url)
    parts = [
        "" if subject.shard.is_whole else f"**only part {subject.shard}**",
        f"**only agents matching** {_targets(paper, subject.targets)}" if subject.targets else "",
        f"**{subject.app}**" if subject.apps else "",
        f"app {for_markdown_code(subject.app)}" if subject.app and not subject.apps else "",
        f"owner {for_markdown_code(subject.owner)}" if subject.owner else "",
        f"commit {for_markdown_code(run.head_sha[:7])}" if run.head_sha else "",
        f"[run]({url})" if url else "",
        f"exit code {int(subject.exit_code)}" if subject.exit_code is not ExitCode.OK else "",
    ]
    return " · ".join(part for part in parts if part)


def _targets(paper: Paper, targets: Sequence[str]) -> str:
    shown = [for_markdown_code(target, limit=_TARGET_LIMIT) for target in targets[: paper.few(_TARGETS)]]
    left_out = len(targets) - len(shown)
    return ", ".join([*shown, *([f"{left_out} more"] if left_out else [])])


def _failure(paper: Paper, subject: Subject) -> list[str]:
    """What happened, where, and what next. Where exactly stands in the findings, when it is in a file."""
    error = subject.failure
    if error is None:
        return []
    limit = MESSAGE_LIMIT if paper.rung < Rung.NAMES else 300
    lines = [
        f"what: {for_markdown(error.message, limit=limit)} [{for_markdown_code(error.code)}]",
        f"where: {for_markdown_code(f'alter-sync {subject.command}')}"
        + ", see the findings" * bool(subject.findings),
    ]
    if error.hint:
        lines.append(f"what next: {for_markdown(error.hint, limit=limit)}")
    if error.retryable:
        lines.append("the same command may succeed later, without any change")
    return ["\n".join(f"- {line}" for line in lines)]


def _outcome(paper: Paper, view: OutcomeView, subject: Subject) -> list[str]:
    is_interrupted = subject.outcome is not None and subject.outcome.interrupted is not None
    return [
        INTERRUPTED if is_interrupted else "",
        markdown_outcome.failed(paper, view),
        markdown_outcome.not_tried(paper, view),
    ]


def _folded(paper: Paper, views: _Views) -> list[str]:
    """What nobody needs in the first ten seconds."""
    done = markdown_outcome.done(paper, views.outcome) if views.outcome else ""
    sections = [markdown_outcome.apps(paper, views.subject.apps), done]
    if views.plan:
        is_carried_out = views.outcome is not None
        sections.append(markdown_plan.details(paper, views.plan.agents, is_carried_out=is_carried_out))
        sections.append(markdown_plan.unmanaged(paper, views.plan.unmanaged))
    if views.subject.drift:
        sections.append(markdown_drift.ignored(paper, views.subject.drift))
        sections.append(markdown_plan.unmanaged(paper, views.subject.drift.unmanaged))
    return sections


def _findings(paper: Paper, findings: Sequence[Diagnostic]) -> str:
    """What is wrong or odd about the configuration; errors first."""
    ordered = sorted(findings, key=lambda finding: finding.severity != "error")
    lines = [_finding(finding) for finding in ordered]
    return section(f"Configuration: {_counts(findings)}", first(lines, paper.few(_FINDINGS)))


def _finding(finding: Diagnostic) -> str:
    place = f" {for_markdown_code(str(finding.position))}" if finding.position else ""
    hint = f"; {for_markdown(finding.hint)}" if finding.hint else ""
    message = for_markdown(finding.message, limit=MESSAGE_LIMIT)
    return f"{finding.severity}{place}: {message} [{for_markdown_code(finding.rule)}]{hint}"


def _next_step(paper: Paper, views: _Views) -> list[str]:
    """What to do next; a command to copy stands in a block of its own."""
    outcome, drift = views.subject.outcome, views.drift
    if outcome and outcome.resume:
        return _to_copy(paper, "Go on with:", outcome.resume)
    if drift and drift.repair:
        return _to_copy(paper, "To put back what was changed outside, and nothing else:", drift.repair)
    step = next((view.next_step for view in (views.outcome, drift, views.plan) if view), "")
    if not step or len(step) > _longest(paper):
        return []
    return [f"**Next:** {for_markdown(step, limit=COMMAND_LIMIT)}"]


def _to_copy(paper: Paper, title: str, command: str) -> list[str]:
    if len(command) > _longest(paper):
        return [f"{title} the command at the end of the log; it is too long for here."]
    return [f"**{title}**", for_markdown_block(command)]


def _longest(paper: Paper) -> int:
    """How long a command may be: one that is cut would be another one."""
    return COMMAND_LIMIT if paper.rung < Rung.COUNTS else _LONGEST_COMMAND if paper.rung < Rung.CUT else 300


def _shortened(paper: Paper, subject: Subject) -> str:
    if paper.rung is Rung.FULL:
        return ""
    url = for_link(subject.run.run_url)
    where = f"[the run]({url})" if url else "the log of the run"
    return f"Shortened to what there is room for; everything is in {where}."
