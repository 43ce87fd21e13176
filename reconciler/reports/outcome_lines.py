"""What became of a plan, for a terminal: failures first, each with its cause and the way on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import assert_never

from reconciler.model.agent import AgentName
from reconciler.model.outcome import Failure, OperationOutcome, Outcome, Status
from reconciler.reports.advice import refusals
from reconciler.reports.escaping import COMMAND_LIMIT, MESSAGE_LIMIT, for_terminal
from reconciler.reports.refusal_lines import refusal_lines
from reconciler.reports.styles import Style

# In the order of reading. An agent stands where the worst of its operations is.
_WORST_FIRST: Mapping[Status, str] = {"failed": "Failed", "not_tried": "Not tried", "done": "Done"}
_SIGNS: Mapping[Status, str] = {"failed": "✗", "not_tried": "·", "done": "✓"}


def outcome_text(
    outcome: Outcome, *, style: Style, verbose: bool = False, command: str = "alter-sync apply"
) -> str:
    """Every agent of the plan under failed, not tried or done; then what was refused and how to go on.

    ``command`` is how this user would call apply.
    """
    agents: dict[AgentName, list[OperationOutcome]] = {}
    for operation in outcome.operations:
        agents.setdefault(operation.agent, []).append(operation)
    sections = [[style.bold(_counts(outcome))]]
    if outcome.interrupted is not None:
        sections[0].append(style.yellow("Interrupted: everything that was begun is finished or undone."))
    for status, title in _WORST_FIRST.items():
        members = {name: found for name, found in agents.items() if _worst(found) == status}
        if members:
            heading = _paint(style, status, f"{title} ({len(members)})")
            blocks = (
                line
                for name, found in sorted(members.items())
                for line in _agent(name, found, style=style, verbose=verbose)
            )
            sections.append([heading, *blocks])
    views = refusals(outcome.blocked, command=command)
    sections.append(refusal_lines(views, style=style, width=None, verbose=verbose))
    sections.append([_next_step(outcome)])
    return "\n\n".join("\n".join(lines) for lines in sections if lines)


def _counts(outcome: Outcome) -> str:
    counts = outcome.counts()
    parts = [f"{count} {status.replace('_', ' ')}" for status, count in counts.items() if count]
    blocked = f"; {len(outcome.blocked)} blocked" if outcome.blocked else ""
    return f"Apply: {', '.join(parts) or 'nothing to do'}{blocked}"


def _worst(operations: Sequence[OperationOutcome]) -> Status:
    present = {operation.status for operation in operations}
    return next(status for status in _WORST_FIRST if status in present)


def _agent(
    name: AgentName, operations: Sequence[OperationOutcome], *, style: Style, verbose: bool
) -> list[str]:
    """One line for an agent of which all became the same without failing, else a line for each operation."""
    status = _worst(operations)
    shown = style.bold(for_terminal(name))
    if status != "failed" and not verbose and len({operation.status for operation in operations}) == 1:
        what = ", ".join(map(_brief if status == "done" else _what, operations))
        return [f"  {_paint(style, status, _SIGNS[status])} {shown}  {what}"]
    lines = [f"  {shown}"]
    for operation in operations:
        sign = _paint(style, operation.status, _SIGNS[operation.status])
        lines.append(f"    {sign} {_what(operation)}")
        if operation.failure:
            lines += _failure(operation.failure, style)
    return lines


def _brief(operation: OperationOutcome) -> str:
    """Where a key went is what people look for; ids are in the verbose text and in the JSON."""
    return (
        _what(operation)
        if operation.kind in {"mint_key", "undeprecate_key", "revoke_key"}
        else _kind(operation)
    )


def _kind(operation: OperationOutcome) -> str:
    return operation.kind.replace("_", " ")


def _what(operation: OperationOutcome) -> str:
    kind = _kind(operation)
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


def _next_step(outcome: Outcome) -> str:
    if outcome.resume:
        return f"Go on with `{for_terminal(outcome.resume, limit=COMMAND_LIMIT)}`."
    if outcome.blocked:
        return "Everything else is done; what is blocked stays as it is."
    if any(operation.status != "done" for operation in outcome.operations):
        return "Run `alter-sync plan` to see what is left."
    if outcome.waiting:
        agents = len({entry.agent for entry in outcome.waiting})
        who = "1 agent still waits" if agents == 1 else f"{agents} agents still wait"
        return f"Everything else is done; {who}, see the plan."
    return "Everything is done." if outcome.operations else "Nothing was to be done."
