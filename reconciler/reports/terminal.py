"""Plans and outcomes as text for a terminal, read like a good diff: the gravest first, then field by field.

Texts end without a line break. ``width`` is that of a TTY, ``None`` where lines may be of any length.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import assert_never

from reconciler.model.diagnostic import Diagnostic
from reconciler.model.plan import Plan, Waiting
from reconciler.reports.changes import ChangeView, NewKey, ScopesChange, ValueChange
from reconciler.reports.columns import display_width, fit, join, pad, wrap
from reconciler.reports.escaping import COMMAND_LIMIT, MESSAGE_LIMIT, TEXT_LIMIT, for_terminal
from reconciler.reports.messages import diagnostics_text, error_text, finding_lines
from reconciler.reports.outcome_lines import outcome_text
from reconciler.reports.refusal_lines import refusal_lines
from reconciler.reports.status_table import status_text
from reconciler.reports.styles import Style
from reconciler.reports.view import AgentView, Gravity, moment_text, view_of

# The way in for everybody who writes to a terminal.
__all__ = ["diagnostics_text", "error_text", "outcome_text", "plan_text", "status_text"]

# Above this many changed agents, those that gain and lose nothing get one line each.
_LONG_PLAN = 200
# How many are named of agents that nothing happens to.
_FIRST_NAMES = 10
_LIST_WIDTH = 100
_NO_SCOPES = "none: may do nothing"
_PATH_WIDTH = 14
_NAME_WIDTH = 40
_NARROWEST_VALUE = 20


def plan_text(
    plan: Plan,
    *,
    style: Style,
    width: int | None,
    verbose: bool = False,
    command: str = "alter-sync apply",
    advise: bool = True,
) -> str:
    """The whole plan. Every revocation and every widening is named, however long the plan is.

    ``command`` is how this user would call apply: with ``-c``, ``--sandbox`` and so on. Without ``advise``
    the text does not end with what to do next: for apply, which is about to do it.
    """
    view = view_of(plan, command=command)
    page = _Page(style, width, verbose)
    sections = (
        [style.bold(view.counts)],
        _revocations(page, view.agents),
        _widenings(page, view.agents),
        _details(page, view.agents),
        _waiting(page, view.waiting),
        refusal_lines(view.refusals, style=style, width=width, verbose=verbose),
        _unmanaged(page, view.unmanaged),
        _warnings(page, plan.findings),
        [for_terminal(view.next_step, limit=COMMAND_LIMIT)] if advise or not plan.has_changes else [],
    )
    return "\n\n".join("\n".join(lines) for lines in sections if lines)


@dataclass(frozen=True, slots=True)
class _Page:
    """How to write: colours, the width of the TTY, and whether everything is wanted."""

    style: Style
    width: int | None
    verbose: bool

    def heading(self, title: str, count: int) -> str:
        return self.style.bold(f"{title} ({count})")

    def room(self, used: int) -> int:
        """Cells for one value behind ``used`` cells. A value that is wanted in full gets its full length."""
        if self.verbose:
            return MESSAGE_LIMIT
        return TEXT_LIMIT if self.width is None else max(self.width - used, _NARROWEST_VALUE)


def _revocations(page: _Page, agents: Iterable[AgentView]) -> list[str]:
    found = [(agent, operation) for agent in agents for operation in agent.revocations()]
    if not found:
        return []
    widest = _widest(agent.name for agent, _ in found)
    lines = [page.style.red(page.heading("Revocations, which cannot be undone", len(found)))]
    for agent, operation in found:
        name = pad(for_terminal(agent.name), widest)
        what = (
            f"key {for_terminal(operation.key_id)}"
            if operation.kind == "revoke_key"
            else "agent, all its keys"
        )
        reason = for_terminal(operation.reason, limit=MESSAGE_LIMIT)
        lines.append(f"  {page.style.red(f'- {name}')}  {what}: {reason}")
    return lines


def _widenings(page: _Page, agents: Iterable[AgentView]) -> list[str]:
    found = [(agent.name, gains) for agent in agents if (gains := agent.gains())]
    if not found:
        return []
    widest = _widest(name for name, _ in found)
    lines = [page.style.yellow(page.heading("Widenings: who may do more than before", len(found)))]
    for name, gains in found:
        shown = pad(for_terminal(name), widest)
        indent = display_width(shown) + 6
        first, *more = map(join, wrap([*map(for_terminal, gains)], indent=indent, width=page.width))
        lines.append(f"  {page.style.yellow(f'+ {shown}')}  {first}")
        lines += [" " * indent + line for line in more]
    return lines


def _details(page: _Page, agents: Sequence[AgentView]) -> list[str]:
    if not agents:
        return []
    is_long = len(agents) > _LONG_PLAN and not page.verbose
    lines = [page.heading("Changes, agent by agent", len(agents))]
    for agent in agents:
        lines += _one_line(page, agent) if is_long and agent.gravity is Gravity.OTHER else _block(page, agent)
    return lines


def _title(page: _Page, agent: AgentView) -> str:
    paint = {"+": page.style.green, "-": page.style.red, "±": page.style.red}.get(
        agent.sign, page.style.yellow
    )
    source = page.style.dim(f"  ({for_terminal(agent.source)})") if agent.source else ""
    return f"{paint(f'{agent.sign} {agent.title}')}  {page.style.bold(for_terminal(agent.name))}{source}"


def _one_line(page: _Page, agent: AgentView) -> list[str]:
    paths = [for_terminal(change.path) for operation in agent.operations for change in operation.changes]
    return [f"{_title(page, agent)}  {', '.join(paths)}".rstrip()]


def _block(page: _Page, agent: AgentView) -> list[str]:
    lines = [_title(page, agent)]
    # Why something is revoked stands in the list of revocations, above.
    for label, reason in agent.reasons():
        of = f" ({label})" if len(agent.labels) > 1 else ""
        lines.append(f"    reason{of}: {for_terminal(reason, limit=MESSAGE_LIMIT)}")
    changes = [change for operation in agent.operations for change in operation.changes]
    widest = max(_PATH_WIDTH, _widest(change.path for change in changes))
    for change in changes:
        path = pad(for_terminal(change.path), widest)
        indent = display_width(path) + 6
        cause = f"   {page.style.yellow(change.cause)}" if change.cause else ""
        used = indent + (len(change.cause) + 3 if change.cause else 0)
        first, *more = _change_lines(page, change, used)
        lines.append(f"    {path}  {first}{cause}")
        lines += [" " * indent + line for line in more]
    return lines


def _change_lines(page: _Page, change: ChangeView, used: int) -> list[str]:
    """What changes, without its path; ``used`` cells of a line are taken."""
    match change:
        case ScopesChange(gained=gained, lost=lost):
            items = [f"+ {for_terminal(name)}" for name in gained]
            items += [f"− {for_terminal(name)}" for name in lost]
            lines = wrap(items, indent=used, width=page.width)
            return [join([_painted(page.style, item) for item in line]) for line in lines] or [_NO_SCOPES]
        case NewKey(where=where):
            if not where:
                return ["mint a key"]
            return [f"mint a key and deliver it to {for_terminal(where, limit=MESSAGE_LIMIT)}"]
        case ValueChange(before=before, after=after):
            return [_value(page, before, after, room=page.room(used))]
    assert_never(change)


def _value(page: _Page, before: str | None, after: str | None, *, room: int) -> str:
    style = page.style
    if before is None:
        return "no value" if after is None else style.green(f"+ {_fitted(after, room - 2)}")
    if after is None:
        return style.red(f"− {_fitted(before, room - 2)}")
    if display_width(before) + display_width(after) + 3 > room:
        room = (room - 3) // 2
        before, after = _from_difference(before, after, room=room)
    return f"{style.red(_fitted(before, room))} → {style.green(_fitted(after, room))}"


def _fitted(text: str, room: int) -> str:
    return fit(for_terminal(text, limit=MESSAGE_LIMIT), room)


def _from_difference(before: str, after: str, *, room: int) -> tuple[str, str]:
    """Both texts without most of what they begin with in common: cut at the end they would look the same."""
    pairs = zip(before, after, strict=False)
    shared = next((at for at, (old, new) in enumerate(pairs) if old != new), min(len(before), len(after)))
    start = shared - room // 4
    return (f"…{before[start:]}", f"…{after[start:]}") if start > 0 else (before, after)


def _painted(style: Style, item: str) -> str:
    return style.green(item) if item.startswith("+") else style.red(item)


def _waiting(page: _Page, waiting: Sequence[Waiting]) -> list[str]:
    if not waiting:
        return []
    shown = waiting if page.verbose else waiting[:_LONG_PLAN]
    names, stages = _widest(entry.agent for entry in shown), _widest(entry.stage for entry in shown)
    lines = [
        f"  {pad(for_terminal(entry.agent), names)}  {pad(for_terminal(entry.stage), stages)}  "
        f"{_why_and_until(entry)}"
        for entry in shown
    ]
    return [page.heading("Waiting", len(waiting)), *lines, *_left_out(len(waiting) - len(shown))]


def _why_and_until(entry: Waiting) -> str:
    until = f", until {moment_text(entry.until)}" if entry.until else ""
    return for_terminal(entry.reason, limit=MESSAGE_LIMIT) + until


def _unmanaged(page: _Page, names: Sequence[str]) -> list[str]:
    if not names:
        return []
    shown = names if page.verbose else names[:_FIRST_NAMES]
    lines = wrap([*map(for_terminal, shown)], indent=2, width=page.width or _LIST_WIDTH)
    return [
        page.heading("Unmanaged: live, and left alone", len(names)),
        *(f"  {join(line)}" for line in lines),
        *_left_out(len(names) - len(shown)),
    ]


def _left_out(count: int) -> list[str]:
    return [f"  … and {count} more"] if count else []


def _warnings(page: _Page, findings: Sequence[Diagnostic]) -> list[str]:
    if not findings:
        return []
    lines = [line for finding in findings for line in finding_lines(finding, style=page.style)]
    return [page.heading("Warnings", len(findings)), *(f"  {line}" for line in lines)]


def _widest(texts: Iterable[str]) -> int:
    # One very long name shall not push everybody else's line to the right.
    widths = (display_width(for_terminal(text)) for text in texts)
    return max((width for width in widths if width <= _NAME_WIDTH), default=0)
