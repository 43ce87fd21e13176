"""What guards refused, for a terminal: which guard, whom, why, and exactly how to let this through."""

from __future__ import annotations

from collections.abc import Sequence

from reconciler.reports.advice import RefusalView
from reconciler.reports.columns import display_width, join, wrap
from reconciler.reports.escaping import COMMAND_LIMIT, MESSAGE_LIMIT, for_terminal
from reconciler.reports.styles import Style

_FIRST_NAMES = 10
_FIRST_REFUSALS = 200
_LIST_WIDTH = 100


def refusal_lines(
    refusals: Sequence[RefusalView], *, style: Style, width: int | None, verbose: bool
) -> list[str]:
    """The section ``Blocked``; nothing when nothing was refused."""
    if not refusals:
        return []
    count = sum(refusal.count for refusal in refusals)
    shown = refusals if verbose else refusals[:_FIRST_REFUSALS]
    lines = [style.yellow(style.bold(f"Blocked ({count})"))]
    for refusal in shown:
        lines += _refusal(refusal, style=style, width=width, verbose=verbose)
    left_out = count - sum(refusal.count for refusal in shown)
    return [*lines, f"  … and {left_out} more"] if left_out else lines


def _refusal(refusal: RefusalView, *, style: Style, width: int | None, verbose: bool) -> list[str]:
    shown = refusal.agents if verbose else refusal.agents[:_FIRST_NAMES]
    left_out = len(refusal.agents) - len(shown)
    names = [*map(for_terminal, shown), *([f"… and {left_out} more"] if left_out else [])]
    kinds = f" ({', '.join(refusal.kinds)})" if refusal.kinds else ""
    guard = for_terminal(refusal.guard) + kinds
    indent = display_width(guard) + 4
    first, *more = wrap(names or ["the whole plan"], indent=indent, width=width or _LIST_WIDTH)
    way = "nothing lets this through"
    if refusal.command:
        way = f"to let this through: {style.cyan(f'`{for_terminal(refusal.command, limit=COMMAND_LIMIT)}`')}"
    return [
        f"  {style.yellow(guard)}  {join(first)}",
        *(" " * indent + join(line) for line in more),
        f"      {for_terminal(refusal.reason, limit=MESSAGE_LIMIT)}",
        f"      {way}",
    ]
