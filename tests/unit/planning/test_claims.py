"""Claims: for how long a run may be at work, and which keys are of its making."""

from datetime import timedelta

import pytest

from reconciler.model.mark import Claim, RunId
from reconciler.planning.claims import CLAIM_LIFETIME, appeared_inside, is_active, is_made_by
from tests.support.builders import NOW, aged_key, claim_of

MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)


def test_a_claim_lives_for_a_quarter_of_an_hour() -> None:
    assert timedelta(minutes=15) == CLAIM_LIFETIME


@pytest.mark.parametrize(
    ("claim", "dead", "active"),
    [
        (claim_of("r", age=timedelta()), [], True),
        (claim_of("r", age=CLAIM_LIFETIME - SECOND), [], True),
        (claim_of("r", age=CLAIM_LIFETIME), [], False),
        (claim_of("r", age=timedelta(days=90)), [], False),
        # A clock that runs ahead a little is a clock; one that is far ahead is no reason to wait for days.
        (claim_of("r", age=SECOND - CLAIM_LIFETIME), [], True),
        (claim_of("r", age=-CLAIM_LIFETIME), [], False),
        (claim_of("r", age=timedelta(days=-2)), [], False),
        (claim_of("r"), ["r"], False),
        (claim_of("r"), ["other"], True),
        (claim_of(""), [], False),
    ],
)
def test_a_claim_is_active_while_its_run_may_be_at_work(claim: Claim, dead: list[str], active: bool) -> None:
    assert is_active(claim, NOW, [RunId(run) for run in dead]) is active


@pytest.mark.parametrize(
    ("after_claim", "inside"),
    [
        (timedelta(), True),
        (CLAIM_LIFETIME, True),
        (CLAIM_LIFETIME + SECOND, False),
        # The clock of the server may be behind that of the run.
        (-CLAIM_LIFETIME, True),
        (-CLAIM_LIFETIME - SECOND, False),
    ],
)
def test_a_key_that_the_claim_does_not_list_and_of_its_time_appeared_inside(
    after_claim: timedelta, inside: bool
) -> None:
    claim = claim_of(age=timedelta(days=1), keys=["k-0"])
    made = timedelta(days=1) - after_claim
    assert appeared_inside(claim, aged_key("k-1", made=made)) is inside
    assert not appeared_inside(claim, aged_key("k-0", made=made))


def test_a_dead_run_made_what_appeared_inside_its_claim() -> None:
    claim = claim_of("run-1", age=timedelta(days=1), keys=["k-0"], lost=["k-9"])
    assert is_made_by(claim, aged_key("k-1", made=timedelta(days=1)))
    assert not is_made_by(claim, aged_key("k-1", made=timedelta(days=2)))
    assert not is_made_by(claim, aged_key("k-0", made=timedelta(days=1)))
    assert is_made_by(claim, aged_key("k-9", made=timedelta(days=9)))


def test_a_run_that_gave_its_work_back_said_which_keys_it_made() -> None:
    claim = claim_of("", age=timedelta(days=1), lost=["k-9"])
    assert not is_made_by(claim, aged_key("k-1", made=timedelta(days=1)))
    assert is_made_by(claim, aged_key("k-9", made=timedelta(days=1)))
