"""Whether a saved plan still fits, as a document for programs and as text for people."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any

from reconciler.errors import ExitCode
from reconciler.model.plan import Blocked, Plan
from reconciler.planning.freshness import PLAN_AGAIN, Staleness
from reconciler.reports.escaping import COMMAND_LIMIT, MESSAGE_LIMIT, for_terminal
from reconciler.reports.styles import Style

CHECK_FORMAT = "alter-sync.check/1"
_FIRST_REASONS = 50


def check_document(
    saved: Plan | None, *, stale: Sequence[Staleness], refused: Sequence[Blocked], exit_code: ExitCode
) -> dict[str, Any]:
    """The document that ``schemas/check.schema.json`` describes. It fits when nothing speaks against it."""
    reasons = [
        *(_reason(reason.kind, reason.agent, "", reason.message) for reason in stale),
        *(_reason("guard", entry.agent, entry.guard, entry.reason) for entry in refused),
    ]
    return {
        "format": CHECK_FORMAT,
        "fits": not reasons,
        "exit": int(exit_code),
        "plan_digest": saved.plan_digest if saved else None,
        "reasons": reasons,
    }


def check_text(
    path: str,
    saved: Plan | None,
    *,
    stale: Sequence[Staleness],
    refused: Sequence[Blocked],
    command: str,
    style: Style,
) -> str:
    """One line when it fits; otherwise every reason, and what next. ``command`` is this user's apply."""
    name = for_terminal(path)
    count = len(saved.operations) if saved else 0
    operations = f"{count} operation{'' if count == 1 else 's'}"
    if stale:
        lines = [f"{name} {style.red('does not fit any more')}: apply would carry out nothing of it"]
        lines += [f"  {reason.kind}  {_shown(reason.message)}" for reason in stale[:_FIRST_REASONS]]
        lines += _rest(len(stale))
        return "\n".join([*lines, f"hint: {PLAN_AGAIN}"])
    if refused:
        lines = [f"{name} {style.yellow('fits only in part')}: guards refuse what follows"]
        lines += [
            f"  {entry.guard}  {for_terminal(entry.agent or '')}: {_shown(entry.reason)}"
            for entry in refused[:_FIRST_REASONS]
        ]
        return "\n".join([*lines, *_rest(len(refused))])
    how = for_terminal(f"{command} {shlex.quote(path)}", limit=COMMAND_LIMIT)
    return f"{name} {style.green('fits')}: `{how}` would carry out its {operations}"


def _reason(kind: str, agent: str | None, guard: str, message: str) -> dict[str, Any]:
    return {"kind": kind, "agent": agent, "guard": guard or None, "message": message}


def _shown(message: str) -> str:
    return for_terminal(message, limit=MESSAGE_LIMIT)


def _rest(count: int) -> list[str]:
    return [f"  … and {count - _FIRST_REASONS} more"] if count > _FIRST_REASONS else []
