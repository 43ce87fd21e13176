"""Findings and failures as messages for a terminal."""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.errors import AlterSyncError
from reconciler.model.diagnostic import Diagnostic
from reconciler.reports.columns import display_width
from reconciler.reports.escaping import MESSAGE_LIMIT, for_terminal
from reconciler.reports.styles import Style

# How much of a long source line is shown, and how much of that before the column in question.
_EXCERPT_LIMIT = 120
_EXCERPT_BEFORE = 60


def diagnostics_text(diagnostics: Iterable[Diagnostic], *, style: Style) -> str:
    """Every finding with its place, source line and way out, in the order of places; last, how many."""
    found = sorted(diagnostics, key=_place)
    if not found:
        return "No findings."
    lines = [line for finding in found for line in finding_lines(finding, style=style)]
    errors = sum(finding.severity == "error" for finding in found)
    warnings = len(found) - errors
    counts = [_counted(errors, "error")] * bool(errors) + [_counted(warnings, "warning")] * bool(warnings)
    return "\n".join([*lines, "", style.bold(", ".join(counts))])


def finding_lines(finding: Diagnostic, *, style: Style) -> list[str]:
    """One finding: ``file:line:column: severity: message [rule]``, the source line with a caret, the hint."""
    severity = (style.red if finding.severity == "error" else style.yellow)(finding.severity)
    message = for_terminal(finding.message, limit=MESSAGE_LIMIT)
    place = f"{for_terminal(str(finding.position))}: " if finding.position else ""
    lines = [f"{style.bold(place)}{severity}: {message} {style.dim(f'[{for_terminal(finding.rule)}]')}"]
    if finding.excerpt and finding.position:
        lines += _excerpt(finding.excerpt, finding.position.column, style=style)
    return lines + _hint(finding.hint, indent=4)


def error_text(error: AlterSyncError, *, style: Style) -> str:
    """A failure: what happened, its stable code, how to go on."""
    message = for_terminal(error.message, limit=MESSAGE_LIMIT)
    first = f"{style.red('error')}: {message} {style.dim(f'[{for_terminal(error.code)}]')}"
    return "\n".join([first, *_hint(error.hint, indent=2)])


def _place(finding: Diagnostic) -> tuple[str, int, int]:
    where = finding.position
    return (where.file, where.line, where.column) if where else ("", 0, 0)


def _excerpt(source: str, column: int, *, style: Style) -> list[str]:
    at = min(max(column - 1, 0), len(source))
    start = at - _EXCERPT_BEFORE if len(source) > _EXCERPT_LIMIT and at > _EXCERPT_BEFORE else 0
    end = start + _EXCERPT_LIMIT
    head, tail = "…" if start else "", "…" if end < len(source) else ""
    # Escapes make characters wider, so the caret counts what is shown, not what was written.
    offset = display_width(head + for_terminal(source[start:at], limit=MESSAGE_LIMIT))
    shown = head + for_terminal(source[start:end], limit=MESSAGE_LIMIT) + tail
    return [f"    | {shown}", f"    | {' ' * offset}{style.red('^')}"]


def _hint(hint: str, *, indent: int) -> list[str]:
    return [f"{' ' * indent}hint: {for_terminal(hint, limit=MESSAGE_LIMIT)}"] if hint else []


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
