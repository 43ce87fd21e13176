"""The sections of drift in Markdown: what was done outside and by whom, the gravest first."""

from __future__ import annotations

from collections.abc import Sequence

from reconciler.model.drift import Drift
from reconciler.reports.changes import ValueChange
from reconciler.reports.drift_view import Doing, DriftFindingView, DriftSection, DriftView, path_of
from reconciler.reports.escaping import MESSAGE_LIMIT, for_markdown, for_markdown_code
from reconciler.reports.markdown_page import Paper, Rung, first, fold, grouped, section
from reconciler.reports.markdown_plan import change_text
from reconciler.reports.view import moment_text

_NOTICES = (200, 50, 10)
_FEW_NOTICES = 20
_IGNORED = (200, 20)


def drift_sections(paper: Paper, view: DriftView) -> list[str]:
    """Every section with findings. What is no drift is folded when there is much of it."""
    shown = []
    for one in view.sections:
        title = f"{one.title} ({len(one.findings)})"
        if one.is_drift:
            shown.append(_findings(paper, title, one))
            continue
        lines = first([_finding(finding) for finding in one.findings], paper.few(_NOTICES))
        is_long = len(lines) > _FEW_NOTICES
        shown.append(fold(title, _bullets(lines)) if is_long else section(title, lines) or f"**{title}**")
    return shown


def ignored(paper: Paper, drift: Drift) -> str:
    """What a rule or a baseline takes out, and why."""
    lines = [
        f"{for_markdown_code(entry.finding.agent)} {for_markdown_code(path_of(entry.finding))}: "
        f"{for_markdown(entry.reason, limit=MESSAGE_LIMIT)}"
        + (f", until {moment_text(entry.rule.until)}" if entry.rule and entry.rule.until else "")
        for entry in drift.ignored
    ]
    return fold(f"Ignored ({len(drift.ignored)})", _bullets(first(lines, paper.few(_IGNORED))))


def not_told(paper: Paper, drift: Drift) -> str:
    """What could not be read: without it, silence is no proof."""
    limit = MESSAGE_LIMIT if paper.rung < Rung.NAMES else 300
    return f"**Not told:** {for_markdown(drift.feed, limit=limit)}" if drift.feed else ""


def _findings(paper: Paper, title: str, found: DriftSection) -> str:
    if paper.rung < Rung.COUNTS:
        tell = _finding if paper.rung is Rung.FULL else _short
        return section(title, [tell(finding) for finding in found.findings])
    grave = [finding for finding in found.findings if finding.is_grave]
    if not grave:
        return f"**{title}**"
    if paper.rung is Rung.COUNTS:
        lines = [_short(finding) for finding in grave]
    elif paper.rung < Rung.BARE:
        groups = grouped((_what(finding), finding.finding.agent) for finding in grave)
        lines = [f"{what}: {paper.names(names)}" for what, names in groups.items()]
    else:
        lines = [paper.names(finding.finding.agent for finding in grave)]
    rest = len(found.findings) - len(grave)
    return section(title, [*lines, *([f"{rest} more, with less than that"] if rest else [])])


def _short(view: DriftFindingView) -> str:
    return f"{for_markdown_code(view.finding.agent)}: {_what(view)}{_by(view.doing)}"


def _what(view: DriftFindingView) -> str:
    kind = view.finding.kind.replace("_", " ")
    return kind if view.change is None else f"{kind}: {for_markdown_code(view.path)}"


def _finding(view: DriftFindingView) -> str:
    parts = [f"{for_markdown_code(view.finding.agent)} {for_markdown_code(view.path)}:"]
    if view.finding.key_id:
        parts.append(f"key {for_markdown_code(view.finding.key_id)}:")
    match view.change:
        case None:
            pass
        case ValueChange(after=after) if view.is_undeclared:
            parts.append(f"now {for_markdown_code(after) if after is not None else 'no value'};")
        case change:
            parts.append(change_text(change) + (";" if view.message else ""))
    if view.message:
        parts.append(for_markdown(view.message, limit=MESSAGE_LIMIT))
    return f"{' '.join(parts)}{_by(view.doing)}"


def _by(doing: Doing | None) -> str:
    if doing is None:
        return ""
    return f", by {for_markdown(doing.actor)} at {doing.at} ({for_markdown(doing.action)})"


def _bullets(lines: Sequence[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)
