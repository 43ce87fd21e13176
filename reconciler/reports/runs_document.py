"""What a run for several apps has to tell programs: the document of each app, and how it ended there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from reconciler.errors import ExitCode, gravest_run
from reconciler.model.outcome import RUNS_FORMAT
from reconciler.reports.escaping import for_terminal
from reconciler.reports.json_document import rows_of
from reconciler.reports.subject import Subject

_NAMED = 10


@dataclass(frozen=True, slots=True)
class AppResult:
    """One app's document, as the command prints it for that app alone; ``None`` when there was none."""

    app: str
    owner: str
    exit_code: ExitCode
    document: Mapping[str, Any] | None

    @classmethod
    def of(cls, subject: Subject, document: Mapping[str, Any]) -> Self:
        """The result that a subject and its document are."""
        return cls(subject.app, subject.owner, subject.exit_code, document)


def runs_document(results: Iterable[AppResult]) -> dict[str, Any]:
    """All of them, in the order given. ``exit`` is what the run ends with."""
    runs = list(results)
    return {
        "format": RUNS_FORMAT,
        "exit": int(gravest_run(run.exit_code for run in runs)),
        "runs": [
            {"app": run.app, "owner": run.owner, "exit": int(run.exit_code), "result": run.document}
            for run in runs
        ],
    }


def runs_rows(results: Iterable[AppResult]) -> list[dict[str, Any]]:
    """The rows of all documents, each with the app that it is of."""
    return [
        {"app": run.app, "owner": run.owner, **row}
        for run in results
        if run.document is not None
        for row in rows_of(run.document)
    ]


def runs_summary(results: Sequence[AppResult]) -> str:
    """One line for people: how many apps ended how, and which not well."""
    counts = Counter(run.exit_code for run in results)
    parts = [f"{counts.pop(ExitCode.OK, 0)} ok"]
    for code, count in counts.most_common():
        names = [for_terminal(run.app) for run in results if run.exit_code is code][:_NAMED]
        more = f" and {count - _NAMED} more" if count > _NAMED else ""
        parts.append(f"exit {int(code)} ({code.name.lower().replace('_', ' ')}): {', '.join(names)}{more}")
    return f"{len(results)} apps: {'; '.join(parts)}"
