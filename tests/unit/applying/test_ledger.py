"""The account of one agent's operations."""

from __future__ import annotations

import pytest

from reconciler.applying.ledger import Ledger, failure_of, not_tried
from reconciler.errors import BadAnswer, ConcurrentUpdate, ExitCode, RateLimited, SinkError
from reconciler.model.agent import AgentName
from reconciler.model.outcome import Failure, OperationOutcome
from reconciler.model.plan import Operation, OperationKind

_FAILURE = Failure(ExitCode.SINK, "sink_failed", "no luck")


def _operation(kind: OperationKind, suffix: str = "") -> Operation:
    return Operation(id=f"{kind}:a{suffix}", kind=kind, agent=AgentName("a"), reason="")


_CREATE, _MINT, _SUSPEND = _operation("create_agent"), _operation("mint_key"), _operation("suspend_agent")


def _statuses(outcomes: tuple[OperationOutcome, ...]) -> list[str]:
    return [outcome.status for outcome in outcomes]


def test_steps_that_end_well_are_done_with_what_they_noted() -> None:
    ledger = Ledger([_CREATE, _MINT])
    with ledger.step([_CREATE]):
        ledger.note("created")
    with ledger.step([_MINT]):
        pass
    assert [(one.status, one.detail) for one in ledger.outcomes()] == [("done", "created"), ("done", "")]


def test_a_step_that_an_error_leaves_has_failed_and_the_rest_is_not_tried() -> None:
    ledger = Ledger([_CREATE, _MINT, _SUSPEND])
    with ledger.step([_CREATE]):
        pass
    with pytest.raises(SinkError), ledger.step([_MINT]):
        raise SinkError("no luck")
    outcomes = ledger.outcomes(_FAILURE)
    assert _statuses(outcomes) == ["done", "failed", "not_tried"]
    assert [one.failure for one in outcomes] == [None, _FAILURE, None]
    assert outcomes[2].detail == "an earlier step of this agent failed"


def test_operations_of_one_step_fail_together() -> None:
    ledger = Ledger([_CREATE, _MINT])
    with pytest.raises(SinkError), ledger.step([_CREATE, _MINT]):
        raise SinkError("no luck")
    assert _statuses(ledger.outcomes(_FAILURE)) == ["failed", "failed"]


def test_a_step_that_completes_nothing_leaves_its_operations_to_a_later_one() -> None:
    ledger = Ledger([_MINT])
    with ledger.step([_MINT], completes=False):
        pass
    assert _statuses(ledger.outcomes()) == ["not_tried"]


def test_a_failure_outside_every_step_is_that_of_the_first_operation_that_is_not_done() -> None:
    ledger = Ledger([_CREATE, _MINT, _SUSPEND])
    with ledger.step([_CREATE]):
        pass
    assert _statuses(ledger.outcomes(_FAILURE)) == ["done", "failed", "not_tried"]


def test_an_operation_that_is_done_may_fail_in_a_later_step_and_keeps_what_it_noted() -> None:
    ledger = Ledger([_MINT])
    with ledger.step([_MINT]):
        ledger.note("delivered")
    with pytest.raises(BadAnswer), ledger.step([_MINT]):
        raise BadAnswer("the claim stays")
    [outcome] = ledger.outcomes(_FAILURE)
    assert (outcome.status, outcome.detail) == ("failed", "delivered")


def test_a_step_inside_another_does_not_make_it_forget_its_operations() -> None:
    ledger = Ledger([_CREATE, _MINT])
    with ledger.step([_CREATE]):
        with ledger.step([_MINT]):
            ledger.note("delivered")
        ledger.note("created")
    assert [(one.status, one.detail) for one in ledger.outcomes()] == [
        ("done", "created"),
        ("done", "delivered"),
    ]


def test_an_error_in_a_step_inside_another_is_the_inner_one_s() -> None:
    ledger = Ledger([_CREATE, _MINT, _SUSPEND])
    with pytest.raises(SinkError), ledger.step([_CREATE]), ledger.step([_MINT]):
        raise SinkError("no luck")
    assert _statuses(ledger.outcomes(_FAILURE)) == ["not_tried", "failed", "not_tried"]


def test_an_error_after_a_step_inside_another_is_the_outer_one_s() -> None:
    ledger = Ledger([_CREATE, _MINT, _SUSPEND])

    def work() -> None:
        with ledger.step([_CREATE]):
            with ledger.step([_MINT]):
                pass
            raise SinkError("no luck")

    with pytest.raises(SinkError):
        work()
    assert _statuses(ledger.outcomes(_FAILURE)) == ["failed", "done", "not_tried"]


def test_after_a_step_with_another_inside_nothing_is_under_way() -> None:
    ledger = Ledger([_CREATE, _MINT, _SUSPEND])
    with ledger.step([_CREATE]), ledger.step([_MINT]):
        pass
    ledger.note("of nobody")
    assert _statuses(ledger.outcomes(_FAILURE)) == ["done", "done", "failed"]
    assert [one.detail for one in ledger.outcomes()] == ["", "", ""]


def test_operations_are_found_by_kind_in_their_order() -> None:
    second = _operation("mint_key", "2")
    ledger = Ledger([_CREATE, _MINT, second])
    assert ledger.of("mint_key", "suspend_agent") == (_MINT, second)
    assert ledger.of("revoke_key") == ()


def test_our_errors_keep_code_hint_and_whether_a_repetition_helps() -> None:
    failure = failure_of(ConcurrentUpdate("moved", hint="plan again"))
    assert failure == Failure(
        ExitCode.CONFLICT, "agent_concurrent_update", "moved", "plan again", retryable=True
    )
    assert failure_of(RateLimited("slow down")).exit_code is ExitCode.RATE_LIMIT


def test_a_defect_is_named_by_its_type_and_never_by_its_text() -> None:
    failure = failure_of(KeyError("alter_ak_of_somebody"))
    assert (failure.exit_code, failure.code) == (ExitCode.ERROR, "internal")
    assert "KeyError" in failure.message
    assert "alter_ak" not in failure.message + failure.hint


def test_what_was_not_tried_says_why() -> None:
    [outcome] = not_tried([_CREATE], "interrupted before it was begun", None)
    assert (outcome.status, outcome.detail, outcome.failure) == (
        "not_tried",
        "interrupted before it was begun",
        None,
    )
