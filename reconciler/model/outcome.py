"""What became of a plan: done, failed or not tried, for each operation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from reconciler.errors import ExitCode, gravest
from reconciler.model.agent import AgentName
from reconciler.model.plan import Blocked, OperationKind, Waiting

OUTCOME_FORMAT = "alter-sync.outcome/1"
# What holds a document for each of several apps.
RUNS_FORMAT = "alter-sync.runs/1"

Status = Literal["done", "failed", "not_tried"]


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an operation is not done, in the terms of ``errors.py``."""

    exit_code: ExitCode
    code: str
    message: str
    hint: str = ""
    retryable: bool = False


@dataclass(frozen=True, slots=True)
class OperationOutcome:
    """What became of one operation. ``detail`` says in a few words what was done, e.g. where a key went."""

    id: str
    kind: OperationKind
    agent: AgentName
    status: Status
    detail: str = ""
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a whole plan."""

    run: str
    plan_digest: str
    operations: tuple[OperationOutcome, ...]
    blocked: tuple[Blocked, ...] = ()
    waiting: tuple[Waiting, ...] = ()
    interrupted: ExitCode | None = None
    # The command that goes on where this run stopped; empty when nothing is left to do.
    resume: str = ""

    def counts(self) -> Mapping[Status, int]:
        """How many operations are done, failed and not tried."""
        found = Counter(operation.status for operation in self.operations)
        return {"done": found["done"], "failed": found["failed"], "not_tried": found["not_tried"]}

    def exit_code(self) -> ExitCode:
        """The exit code of the run.

        Partial means that something *was* done; when nothing was, the cause itself says more.
        """
        if self.interrupted is not None:
            return self.interrupted
        causes = {operation.failure.exit_code for operation in self.operations if operation.failure}
        if self.blocked:
            causes.add(ExitCode.REFUSED)
        if any(entry.stage == "claimed" for entry in self.waiting):
            # Another run has these agents; whether it finishes them is not known here.
            causes.add(ExitCode.PARTIAL)
        unfinished = any(operation.status != "done" for operation in self.operations)
        if unfinished and any(operation.status == "done" for operation in self.operations):
            causes.add(ExitCode.PARTIAL)
        return gravest(causes)
