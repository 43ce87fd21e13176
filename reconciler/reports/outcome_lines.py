"""What became of a plan, for a terminal: failures first, each with its cause and the way on."""

from __future__ import annotations

from typing import assert_never

from reconciler.model.outcome import Failure, OperationOutcome, Outcome, Status
from reconciler.reports.advice import refusals
from reconciler.reports.escaping import COMMAND_LIMIT, MESSAGE_LIMIT, for_terminal
from reconciler.reports.outcome_view import (
    INTERRUPTED,
    SIGNS,
    WORST_FIRST,
    AgentOutcome,
    is_worth_a_detail,
    kind_text,
    outcome_view_of,
)
from reconciler.reports.refusal_lines import refusal_lines
from reconciler.reports.styles import Style


def outcome_text(
    outcome: Outcome, *, style: Style, verbose: bool = False, command: str = "alter-sync apply"
) -> str:
    """Every agent of the plan under failed, not tried or done; then what was refused and how to go on.

    ``command`` is how this user would call apply.
    """
    view = outcome_view_of(outcome)
    sections = [[style.bold(view.counts)]]
    if outcome.interrupted is not None:
        sections[0].append(style.yellow(INTERRUPTED))
    for status, title in WORST_FIRST.items():
        members = view.of_status(status)
        if members:
            heading = _paint(style, status, f"{title} ({len(members)})")
            blocks = (line for agent in members for line in _agent(agent, style=style, verbose=verbose))
            sections.append([heading, *blocks])
    views = refusals(outcome.blocked, command=command)
    sections.append(refusal_lines(views, style=style, width=None, verbose=verbose))
    sections.append([for_terminal(view.next_step, limit=COMMAND_LIMIT)])
    return "\n\n".join("\n".join(lines) for lines in sections if lines)


def _agent(agent: AgentOutcome, *, style: Style, verbose: bool) -> list[str]:
    """One line for an agent of which all became the same without failing, else a line for each operation."""
    shown = style.bold(for_terminal(agent.name))
    if agent.status != "failed" and not verbose and agent.is_uniform:
        what = ", ".join(map(_brief if agent.status == "done" else _what, agent.operations))
        return [f"  {_paint(style, agent.status, SIGNS[agent.status])} {shown}  {what}"]
    lines = [f"  {shown}"]
    for operation in agent.operations:
        sign = _paint(style, operation.status, SIGNS[operation.status])
        lines.append(f"    {sign} {_what(operation)}")
        if operation.failure:
            lines += _failure(operation.failure, style)
    return lines


def _brief(operation: OperationOutcome) -> str:
    return _what(operation) if is_worth_a_detail(operation) else kind_text(operation)


def _what(operation: OperationOutcome) -> str:
    kind = kind_text(operation)
    return f"{kind} ({for_terminal(operation.detail, limit=MESSAGE_LIMIT)})" if operation.detail else kind


def _failure(failure: Failure, style: Style) -> list[str]:
    message = for_terminal(failure.message, limit=MESSAGE_LIMIT)
    lines = [f"{message} {style.dim(f'[{for_terminal(failure.code)}]')}"]
    if failure.hint:
        lines.append(f"hint: {for_terminal(failure.hint, limit=MESSAGE_LIMIT)}")
    if failure.retryable:
        lines.append("the same command may succeed later, without any change")
    return [f"        {line}" for line in lines]


def _paint(style: Style, status: Status, text: str) -> str:
    match status:
        case "failed":
            return style.red(text)
        case "not_tried":
            return style.yellow(text)
        case "done":
            return style.green(text)
    assert_never(status)
