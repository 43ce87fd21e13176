"""The exit code of a run follows from what became of its operations."""

import pytest

from reconciler.errors import ExitCode, gravest
from reconciler.model.agent import AgentName
from reconciler.model.outcome import Failure, OperationOutcome, Outcome, Status
from reconciler.model.plan import Blocked

NAME = AgentName("alpha")
REFUSAL = Blocked("freeze", NAME, "frozen", "--allow freeze=alpha")


def result(status: Status, exit_code: ExitCode | None = None) -> OperationOutcome:
    failure = None if exit_code is None else Failure(exit_code, "code", "message")
    return OperationOutcome("update_agent:alpha", "update_agent", NAME, status, failure=failure)


def outcome(
    *operations: OperationOutcome, refused: bool = False, interrupted: ExitCode | None = None
) -> Outcome:
    return Outcome("run-1", "sha256:0", operations, (REFUSAL,) if refused else (), interrupted=interrupted)


DONE = result("done")
CONFLICT = result("failed", ExitCode.CONFLICT)
NOT_TRIED = result("not_tried")


@pytest.mark.parametrize(
    ("run", "code"),
    [
        (outcome(), ExitCode.OK),
        (outcome(DONE), ExitCode.OK),
        (outcome(DONE, refused=True), ExitCode.REFUSED),
        (outcome(refused=True), ExitCode.REFUSED),
        (outcome(CONFLICT), ExitCode.CONFLICT),
        (outcome(CONFLICT, result("failed", ExitCode.AUTH)), ExitCode.AUTH),
        (outcome(CONFLICT, NOT_TRIED), ExitCode.CONFLICT),
        (outcome(DONE, CONFLICT), ExitCode.PARTIAL),
        (outcome(DONE, NOT_TRIED), ExitCode.PARTIAL),
        (outcome(DONE, CONFLICT, refused=True), ExitCode.PARTIAL),
        (outcome(CONFLICT, refused=True), ExitCode.REFUSED),
        (outcome(DONE, result("failed", ExitCode.SINK)), ExitCode.SINK),
        (outcome(DONE, CONFLICT, interrupted=ExitCode.TERMINATED), ExitCode.TERMINATED),
    ],
)
def test_the_gravest_cause_decides(run: Outcome, code: ExitCode) -> None:
    assert run.exit_code() is code


def test_each_status_is_counted() -> None:
    assert outcome(DONE, DONE, CONFLICT).counts() == {"done": 2, "failed": 1, "not_tried": 0}
    assert outcome().counts() == {"done": 0, "failed": 0, "not_tried": 0}


def test_of_several_codes_the_one_that_needs_a_human_soonest_wins() -> None:
    order = (14, 11, 12, 13, 3, 6, 5, 4, 1)
    for index, code in enumerate(order):
        assert gravest(ExitCode(other) for other in order[index:]) == code
    assert gravest([]) is ExitCode.OK
