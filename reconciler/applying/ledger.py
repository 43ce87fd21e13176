"""Keeps account of one agent's operations while they are carried out: done, failed, not tried."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from reconciler.errors import AlterSyncError, ExitCode
from reconciler.model.outcome import Failure, OperationOutcome, Status
from reconciler.model.plan import Operation, OperationKind


class Ledger:
    """The account: a step that an error leaves has failed, and what would have come after is not tried."""

    def __init__(self, operations: Sequence[Operation]) -> None:
        self.operations = operations
        self._details: dict[str, str] = {}
        self._failed: frozenset[str] = frozenset()

    def of(self, *kinds: OperationKind) -> tuple[Operation, ...]:
        """The operations of these kinds, in their order."""
        return tuple(operation for operation in self.operations if operation.kind in kinds)

    @contextmanager
    def step(self, operations: Sequence[Operation], *, completes: bool = True) -> Iterator[None]:
        """Operations that succeed or fail together. Unless it ``completes`` them, more has to follow.

        An error belongs to the innermost step that it leaves.
        """
        around, current = self._failed, frozenset(operation.id for operation in operations)
        self._failed = current
        yield
        if completes:
            self._details |= {id_: self._details.get(id_, "") for id_ in current}
        self._failed = around

    def note(self, detail: str) -> None:
        """Says in a few words what the current step has done."""
        self._details |= dict.fromkeys(self._failed, detail)

    def outcomes(self, failure: Failure | None = None) -> tuple[OperationOutcome, ...]:
        """The account. A failure outside every step is that of the first operation that is not done."""
        failed = self._failed
        if failure and not failed:
            failed = frozenset([op.id for op in self.operations if op.id not in self._details][:1])
        return tuple(self._outcome(operation, failed, failure) for operation in self.operations)

    def _outcome(
        self, operation: Operation, failed: frozenset[str], failure: Failure | None
    ) -> OperationOutcome:
        status: Status = "not_tried"
        detail = "an earlier step of this agent failed" if failure else ""
        if operation.id in failed:
            status, detail = "failed", self._details.get(operation.id, "")
        elif operation.id in self._details:
            status, detail = "done", self._details[operation.id]
        return OperationOutcome(
            id=operation.id,
            kind=operation.kind,
            agent=operation.agent,
            status=status,
            detail=detail,
            failure=failure if status == "failed" else None,
        )


def failure_of(error: Exception) -> Failure:
    """The failure in an error. One that is none of ours is a defect, and is named without its text.

    Its text could hold anything, a plaintext too; the type is enough to report it.
    """
    if isinstance(error, AlterSyncError):
        return Failure(error.exit_code, error.code, error.message, error.hint, error.retryable)
    message = f"internal error ({type(error).__name__}): this is a defect of alter-sync"
    return Failure(ExitCode.ERROR, "internal", message, "run again with -vv and report what it prints")


def not_tried(
    operations: Sequence[Operation], why: str, failure: Failure | None
) -> tuple[OperationOutcome, ...]:
    """The account of an agent that nothing was done for."""
    return tuple(
        OperationOutcome(op.id, op.kind, op.agent, "not_tried", detail=why, failure=failure)
        for op in operations
    )
