"""What ``doctor`` found, check by check: as values, as a document for programs and as text for people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Literal, get_args

from reconciler.errors import AlterSyncError, ExitCode, gravest
from reconciler.model.secret import KEY_SHAPE
from reconciler.reports.columns import align, join
from reconciler.reports.escaping import MESSAGE_LIMIT, for_terminal
from reconciler.reports.styles import Style

_TRY_AGAIN = "try again; if it stays so, -v tells more"
DOCTOR_FORMAT = "alter-sync.doctor/1"

Status = Literal["ok", "warning", "failed", "skipped"]
STATUSES: tuple[Status, ...] = get_args(Status)


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at. ``exit_code`` is what a command that needs it would end with.

    ``fix`` is one line: what to do about it, a command where there is one. ``details`` are further lines.
    """

    name: str
    status: Status
    message: str
    fix: str = ""
    details: tuple[str, ...] = ()
    exit_code: ExitCode = ExitCode.OK


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """All checks of one run, in the order in which they are read."""

    tool: str
    checks: tuple[Check, ...]

    def exit_code(self) -> ExitCode:
        """That of the gravest failure. What was given wrongly comes first: the others may come of it."""
        causes = {check.exit_code for check in self.checks if check.status == "failed"}
        return ExitCode.USAGE if ExitCode.USAGE in causes else gravest(causes)

    def counts(self) -> dict[Status, int]:
        """How many checks ended how."""
        return {status: sum(check.status == status for check in self.checks) for status in STATUSES}


def ok(name: str, message: str, *, details: Iterable[str] = ()) -> Check:
    """All is well."""
    return Check(name, "ok", message, details=tuple(details))


def warning(name: str, message: str, *, fix: str, details: Iterable[str] = ()) -> Check:
    """It works, or what does not is not needed."""
    return Check(name, "warning", message, fix, tuple(details))


def failed(name: str, message: str, *, fix: str, exit_code: ExitCode, details: Iterable[str] = ()) -> Check:
    """It does not work."""
    return Check(name, "failed", message, fix, tuple(details), exit_code)


def skipped(name: str, why: str) -> Check:
    """It could not be looked at, or need not be."""
    return Check(name, "skipped", why)


def failed_by(name: str, error: AlterSyncError, *, is_needed: bool = True, otherwise: str = "") -> Check:
    """A command that needs this would end with that failure; ``otherwise`` is the fix if it names none."""
    fix = error.hint or otherwise or _TRY_AGAIN
    if is_needed:
        return failed(name, error.message, fix=fix, exit_code=error.exit_code)
    return warning(name, error.message, fix=fix)


def doctor_document(diagnosis: Diagnosis) -> dict[str, Any]:
    """The document that ``schemas/doctor.schema.json`` describes."""
    return {
        "format": DOCTOR_FORMAT,
        "tool": _without_keys(diagnosis.tool),
        "exit": int(diagnosis.exit_code()),
        "summary": diagnosis.counts(),
        "checks": [_check_document(check) for check in diagnosis.checks],
    }


def doctor_text(diagnosis: Diagnosis, *, style: Style) -> str:
    """A line for each check, its fix below it where something is to be done; last, how many."""
    shown = _merged(diagnosis.checks)
    rows = align([(check.status, _shown(check.name), _shown(check.message)) for check in shown])
    lines = [_shown(diagnosis.tool), ""]
    for check, (status, *cells) in zip(shown, rows, strict=True):
        lines.append(join([_paint(check.status, status, style), *cells]))
        lines += [f"    {_shown(detail)}" for detail in check.details]
        if check.fix and check.status != "ok":
            lines.append(f"    {style.cyan('fix:')} {_shown(check.fix)}")
    return "\n".join([*lines, "", style.bold(_summary(diagnosis))])


def _merged(checks: Iterable[Check]) -> list[Check]:
    """With one line for checks in a row that were skipped for the same reason."""
    found: list[Check] = []
    for (status, message), group in groupby(checks, key=lambda check: (check.status, check.message)):
        same = list(group)
        if status == "skipped" and len(same) > 1:
            names = ", ".join(check.name for check in same)
            same = [skipped(f"{len(same)} checks", f"{message}: {names}")]
        found += same
    return found


def _check_document(check: Check) -> dict[str, Any]:
    return {
        "name": _without_keys(check.name),
        "status": check.status,
        "message": _without_keys(check.message),
        "fix": _without_keys(check.fix),
        "details": [_without_keys(detail) for detail in check.details],
        "exit": int(check.exit_code),
    }


def _paint(status: Status, text: str, style: Style) -> str:
    match status:
        case "ok":
            return style.green(text)
        case "warning":
            return style.yellow(text)
        case "failed":
            return style.red(text)
        case "skipped":
            return style.dim(text)


def _summary(diagnosis: Diagnosis) -> str:
    counted: Sequence[str] = [f"{count} {status}" for status, count in diagnosis.counts().items() if count]
    total = len(diagnosis.checks)
    return f"{total} check{'' if total == 1 else 's'}: {', '.join(counted)}"


def _shown(text: str) -> str:
    return for_terminal(_without_keys(text), limit=MESSAGE_LIMIT)


def _without_keys(text: str) -> str:
    # Somebody may have put a key where an address, an id or a path belongs, and those are shown.
    return KEY_SHAPE.sub("(key)", text)
