"""Drift as text for a terminal: what somebody did, the gravest first, and who; then the notices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import assert_never

from reconciler.model.drift import Drift
from reconciler.reports.changes import ChangeView, NewKey, ScopesChange, ValueChange
from reconciler.reports.columns import display_width, fit, join, pad, wrap
from reconciler.reports.drift_view import Doing, DriftFindingView, drift_view_of, path_of
from reconciler.reports.escaping import COMMAND_LIMIT, MESSAGE_LIMIT, TEXT_LIMIT, for_terminal
from reconciler.reports.styles import Style
from reconciler.reports.view import moment_text

_FIRST_NAMES = 10
_FIRST_FINDINGS = 200
_LIST_WIDTH = 100
_WIDEST_NAME = 40
_WIDEST_PATH = 40


def drift_text(drift: Drift, *, style: Style, width: int | None, verbose: bool, command: str) -> str:
    """The whole report. ``command`` is how this user would call apply."""
    page = _Page(style, width, verbose)
    view = drift_view_of(drift, command=command)
    sections = [[style.bold(view.counts)]]
    sections += [page.findings(section.title, section.findings) for section in view.sections]
    sections += [
        _ignored(page, drift),
        _unmanaged(page, drift),
        [f"Not told: {for_terminal(drift.feed, limit=MESSAGE_LIMIT)}"] if drift.feed else [],
        [for_terminal(view.next_step, limit=COMMAND_LIMIT)],
    ]
    return "\n\n".join("\n".join(lines) for lines in sections if lines)


@dataclass(frozen=True, slots=True)
class _Page:
    style: Style
    width: int | None
    verbose: bool

    def findings(self, heading: str, findings: Sequence[DriftFindingView]) -> list[str]:
        """One section."""
        shown = findings if self.verbose else findings[:_FIRST_FINDINGS]
        names = min(max(display_width(for_terminal(f.finding.agent)) for f in shown), _WIDEST_NAME)
        paths = min(max(display_width(for_terminal(f.path)) for f in shown), _WIDEST_PATH)
        lines = [self.heading(heading, len(findings))]
        for view in shown:
            start = f"  {pad(for_terminal(view.finding.agent), names)}  {pad(for_terminal(view.path), paths)}"
            room = None if self.width is None or self.verbose else self.width - display_width(start) - 2
            first, *more = _told(view, self.style, room=room)
            lines.append(join([start, first]))
            lines += [" " * 6 + line for line in more]
        return [*lines, *_left_out(len(findings) - len(shown))]

    def heading(self, title: str, count: int) -> str:
        return self.style.bold(f"{title} ({count})")


def _told(view: DriftFindingView, style: Style, *, room: int | None) -> list[str]:
    """What was done, and below it by whom. Values go from what is declared to what is live."""
    more = [style.dim(_who(view.doing))] if view.doing else []
    message = for_terminal(view.message, limit=MESSAGE_LIMIT)
    key_id = view.finding.key_id
    if key_id:
        return [f"{for_terminal(key_id)}: {message}", *more]
    if view.change is None:
        return [message, *more]
    if message:
        more.insert(0, message)
    return [_change(view, view.change, style, room=room), *more]


def _who(doing: Doing) -> str:
    return f"by {for_terminal(doing.actor)} at {doing.at} ({for_terminal(doing.action)})"


def _change(view: DriftFindingView, change: ChangeView, style: Style, *, room: int | None) -> str:
    match change:
        case ScopesChange(gained=gained, lost=lost):
            signed = [style.green(f"+ {for_terminal(name)}") for name in gained]
            return join([*signed, *(style.red(f"− {for_terminal(name)}") for name in lost)])
        case ValueChange(after=after) if view.is_undeclared:
            return f"now {_fitted(after, max((room or TEXT_LIMIT) - 4, 10))}"
        case ValueChange(before=before, after=after):
            half = max((room or TEXT_LIMIT) // 2 - 2, 10)
            return f"{style.red(_fitted(before, half))} → {style.green(_fitted(after, half))}"
        case NewKey():
            raise AssertionError("drift never mints a key")
    assert_never(change)


def _fitted(value: str | None, room: int) -> str:
    return "no value" if value is None else fit(for_terminal(value, limit=MESSAGE_LIMIT), room)


def _ignored(page: _Page, drift: Drift) -> list[str]:
    if not drift.ignored:
        return []
    shown = drift.ignored if page.verbose else drift.ignored[:_FIRST_NAMES]
    lines = [page.heading("Ignored", len(drift.ignored))]
    for entry in shown:
        until = f", until {moment_text(entry.rule.until)}" if entry.rule and entry.rule.until else ""
        what = f"{for_terminal(entry.finding.agent)}  {for_terminal(path_of(entry.finding))}"
        lines.append(f"  {what}  {for_terminal(entry.reason)}{until}")
    return [*lines, *_left_out(len(drift.ignored) - len(shown))]


def _unmanaged(page: _Page, drift: Drift) -> list[str]:
    if not drift.unmanaged:
        return []
    shown = drift.unmanaged if page.verbose else drift.unmanaged[:_FIRST_NAMES]
    lines = wrap([*map(for_terminal, shown)], indent=2, width=page.width or _LIST_WIDTH)
    heading = page.heading("Unmanaged: live, and left alone", len(drift.unmanaged))
    return [heading, *(f"  {join(line)}" for line in lines), *_left_out(len(drift.unmanaged) - len(shown))]


def _left_out(count: int) -> list[str]:
    return [f"  … and {count} more"] if count else []
