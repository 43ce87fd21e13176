"""The stage of an agent's keys: each row of the table, each way from one to the next, each boundary."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import pytest

from reconciler.model.key import AgentKey, KeyId
from reconciler.model.mark import Claim, Delivered, RunId, format_time
from reconciler.planning.key_facts import KeyFacts
from reconciler.planning.rotation import Action, KeyStep, Rotation, Stage, rotation_of
from tests.support.builders import NOW, aged_key, claim_of, delivered_ago
from tests.unit.planning.key_states import (
    DAY,
    DELIVERED,
    HOUR,
    NEWER,
    OLDER,
    SECOND,
    actions,
    older,
    policy,
    state,
    step_of,
)

MINUTE = timedelta(minutes=1)
MAX_AGE = 30 * DAY
# The age at which ``alpha``'s key is due, see test_key_facts.
ALPHA_DUE = timedelta(days=28, seconds=28_186, microseconds=667_492)
HELD = "delivered to vault at 2026-11-23T12:00:00Z"
QUIET = "is deprecated, quiet, and replaced by a key in use"
REPLACED = "was replaced"
ORPHANED = "is in no sink and not in the mark: minted outside, or lost"
LOST = "minted by a run that was cut off, and never used"
TAKEN = "a newer key takes its place"
LATER = "is revoked in a later run: one at a time"
COMING = "deprecated; a newer key is about to come"
IN_USE = "was used at 2026-11-24T11:00:00Z; quiet until 2026-11-25T12:00:00Z at the earliest (quiet_for)"
BUSY = f"is overdue: {IN_USE}"
UNPROVEN = "waits for key k-1 to be used (require_use)"

FIRST_MINUTE = datetime.min.replace(tzinfo=UTC)
LAST_MINUTE = datetime.max.replace(tzinfo=UTC)
# An older key in use, and such a one that is deprecated for too long.
USED = older(last_used_at=NOW - HOUR)
OVERDUE = replace(USED, deprecated_at=NOW - 15 * DAY)
NOT_YET_USED = replace(NEWER, last_used_at=None)
# Due by its age at this very moment, and a second later.
AT_AGE = replace(NEWER, created_at=NOW - ALPHA_DUE)
ALMOST = replace(NEWER, created_at=NOW - ALPHA_DUE + SECOND)


def another(key: AgentKey, **changes: Any) -> AgentKey:
    """A key like this one, called ``k-x``."""
    return replace(key, key_id=KeyId("k-x"), **changes)


def stage_of(*keys: AgentKey, **more: Any) -> str:
    return rotation_of(state(*keys, **more)).stage


def due_by_age(*keys: AgentKey, on_overdue: str = "warn", **more: Any) -> Rotation:
    rules = policy(max_age=MAX_AGE, on_overdue=on_overdue)
    return rotation_of(state(*keys, policy=rules, **more))


# steady


def test_the_only_live_key_is_delivered_and_steady_until_its_due_date() -> None:
    due = NEWER.created_at + ALPHA_DUE
    assert due_by_age(NEWER, retiring=()) == Rotation(
        "steady", HELD, due, steps=(KeyStep(NEWER, "keep", HELD, due),)
    )


def test_without_a_longest_age_a_steady_key_is_due_at_no_date() -> None:
    gone = older(revoked_at=NOW)
    assert rotation_of(state(gone, NEWER)) == Rotation("steady", HELD, steps=(KeyStep(NEWER, "keep", HELD),))


def test_a_delivered_key_that_somebody_deprecated_is_taken_back() -> None:
    for at in (NOW - DAY, NOW + DAY):
        key = replace(NEWER, deprecated_at=at)
        rotation = rotation_of(state(key))
        assert (rotation.stage, rotation.steps) == ("steady", (KeyStep(key, "undeprecate", HELD),))


def test_every_sink_of_the_delivery_is_named() -> None:
    delivered = delivered_ago("k-1", sinks=("vault", "file"))
    rotation = rotation_of(state(NEWER, delivered=delivered))
    assert rotation.reason == "delivered to vault, file at 2026-11-23T12:00:00Z"


# undelivered


def test_the_keys_of_an_agent_without_a_sink_are_its_owners() -> None:
    reason = "no sink is declared for it (deliver_to), so its keys are not rotated"
    for keys, delivered in (((OLDER, NEWER), DELIVERED), ((OLDER, NEWER), None)):
        rotation = due_by_age(*keys, delivered=delivered, sinks=(), is_requested=True, is_again=True)
        assert (rotation.stage, rotation.reason, rotation.until) == ("undelivered", reason, None)
        assert not rotation.mints
        assert {step.reason for step in rotation.steps} == {reason}
        assert actions(rotation) == {"k-0": "keep", "k-1": "keep"}
    assert stage_of(sinks=(), claim=claim_of(age=DAY)) == "undelivered"


# claimed


def test_keys_that_a_run_is_working_on_wait_for_it() -> None:
    claim = claim_of("run-7", age=5 * MINUTE)
    reason = "run run-7 is working on this agent's keys"
    for sinks in ((), ("vault",)):
        rotation = rotation_of(state(OLDER, NEWER, claim=claim, sinks=sinks))
        steps = (KeyStep(NEWER, "wait", reason), KeyStep(OLDER, "wait", reason))
        assert rotation == Rotation("claimed", reason, NOW + 10 * MINUTE, steps=steps)


@pytest.mark.parametrize(
    ("claim", "dead", "stage"),
    [
        (claim_of(age=15 * MINUTE - SECOND), [], "claimed"),
        (claim_of(age=15 * MINUTE), [], "due"),
        (claim_of(age=SECOND - 15 * MINUTE), [], "claimed"),
        (claim_of(age=-15 * MINUTE), [], "due"),
        (claim_of("run-7"), ["run-7"], "due"),
        (claim_of("run-7"), ["run-8"], "claimed"),
        (claim_of(""), [], "due"),
        (replace(claim_of(), at=FIRST_MINUTE), [], "due"),
        (replace(claim_of(), at=LAST_MINUTE), [], "due"),
    ],
)
def test_a_claim_holds_for_as_long_as_its_run_may_be_at_work(
    claim: Claim, dead: list[str], stage: str
) -> None:
    known = state(delivered=None, claim=claim, dead_runs=[RunId(run) for run in dead])
    assert rotation_of(known).stage == stage


# due, after a run that was cut off


def inside(key_id: str, *, used: timedelta | None = None, deprecated: timedelta | None = None) -> AgentKey:
    """A key that was made inside of ``CUT``."""
    return aged_key(key_id, made=HOUR, used=used, deprecated=deprecated)


CUT = claim_of("run-7", age=HOUR, keys=["k-0", "k-1"])
CUT_OFF = "run run-7 was cut off before it recorded a delivered key"


def test_a_run_that_was_cut_off_while_it_delivered_is_finished_with_a_new_key() -> None:
    lost, held = inside("k-2"), inside("k-3", used=MINUTE)
    assert rotation_of(state(lost, OLDER, held, NEWER, claim=CUT)) == Rotation(
        "due",
        CUT_OFF,
        mints=True,
        steps=(
            KeyStep(NEWER, "deprecate", TAKEN),
            KeyStep(OLDER, "wait", COMING),
            KeyStep(lost, "finish", LOST),
            KeyStep(held, "deprecate", TAKEN),
        ),
    )


def test_a_run_that_gave_its_work_back_is_said_to_have() -> None:
    rotation = rotation_of(state(delivered=None, claim=claim_of("")))
    assert rotation.reason == "run (given back) was cut off before it recorded a delivered key"


@pytest.mark.parametrize(
    ("keys", "delivered", "cut_off"),
    [
        # Nothing is delivered, be there keys or not.
        ((), None, True),
        ((OLDER,), None, True),
        ((inside("k-2"),), None, True),
        ((replace(NEWER, revoked_at=NOW),), DELIVERED, True),
        # Died before its mint: the delivered key is that of before, and nothing new is there.
        ((NEWER,), DELIVERED, False),
        ((USED, NEWER), DELIVERED, False),
        # Died between mint and record.
        ((NEWER, inside("k-2")), DELIVERED, True),
        ((USED, NEWER, inside("k-2", used=MINUTE)), DELIVERED, True),
        ((NEWER, replace(inside("k-2"), revoked_at=NOW)), DELIVERED, False),
        # Its own key is recorded: it got that far, whatever else is there.
        ((NEWER, inside("k-2")), delivered_ago("k-2", age=HOUR), False),
        ((NEWER, inside("k-2"), inside("k-3")), delivered_ago("k-2", age=HOUR), False),
    ],
)
def test_a_run_was_cut_off_when_no_key_from_inside_its_claim_is_recorded(
    keys: tuple[AgentKey, ...], delivered: Delivered | None, cut_off: bool
) -> None:
    rotation = rotation_of(state(*keys, delivered=delivered, claim=CUT))
    assert rotation.mints is cut_off
    assert (rotation.reason == CUT_OFF) is cut_off


@pytest.mark.parametrize(
    ("key", "readable", "action"),
    [
        (inside("k-2"), True, "finish"),
        (inside("k-2", deprecated=MINUTE), True, "finish"),
        # Used, or perhaps used: somebody holds it.
        (inside("k-2", used=MINUTE), True, "deprecate"),
        (replace(inside("k-2"), tells_use=False), True, "deprecate"),
        (inside("k-2", used=MINUTE, deprecated=MINUTE), True, "wait"),
        # It may be in a sink that cannot tell.
        (inside("k-2"), False, "deprecate"),
        # Not of the claim: there before, or long before or after.
        (inside("k-0"), True, "deprecate"),
        (aged_key("k-2", made=HOUR + 15 * MINUTE), True, "finish"),
        (aged_key("k-2", made=HOUR + 15 * MINUTE + SECOND), True, "deprecate"),
        (aged_key("k-2", made=HOUR - 15 * MINUTE), True, "finish"),
        (aged_key("k-2", made=HOUR - 15 * MINUTE - SECOND), True, "deprecate"),
    ],
)
def test_a_key_is_lost_when_it_is_of_the_run_unused_and_every_sink_can_tell(
    key: AgentKey, readable: bool, action: str
) -> None:
    rotation = rotation_of(state(key, delivered=None, claim=CUT, sinks_are_readable=readable))
    assert rotation.mints
    assert actions(rotation) == {key.key_id: action}


@pytest.mark.parametrize(
    ("claim", "sinks", "action"),
    [
        # A sink that the agent has no more may hold it, and nobody looks there.
        (claim_of(age=HOUR, sinks=("vault",)), ("vault",), "finish"),
        (claim_of(age=HOUR, sinks=("vault",)), ("vault", "file"), "finish"),
        (claim_of(age=HOUR, sinks=("vault", "file")), ("vault",), "deprecate"),
        (claim_of(age=HOUR, sinks=("file",)), ("vault",), "deprecate"),
        # Who gave the work back said which keys are lost; others may be anybody's.
        (claim_of("", age=HOUR), ("vault",), "deprecate"),
        (claim_of("", age=HOUR, lost=["k-9"]), ("vault",), "deprecate"),
        (claim_of("", age=9 * DAY, keys=["k-2"], lost=["k-2"]), ("vault",), "finish"),
        (claim_of("", age=HOUR, lost=["k-2"], sinks=("file",)), ("vault",), "deprecate"),
    ],
)
def test_a_key_is_lost_only_where_its_run_says_so_or_died_and_where_all_its_sinks_are_asked(
    claim: Claim, sinks: tuple[str, ...], action: str
) -> None:
    rotation = rotation_of(state(inside("k-2"), delivered=None, claim=claim, sinks=sinks))
    assert actions(rotation) == {"k-2": action}
    used = state(inside("k-2", used=MINUTE), delivered=None, claim=claim, sinks=sinks)
    assert actions(rotation_of(used)) == {"k-2": "deprecate"}


def test_a_lost_key_beside_the_one_that_the_same_run_recorded_is_finished_without_a_mint() -> None:
    delivered = delivered_ago("k-2", age=HOUR)
    rotation = rotation_of(state(inside("k-2"), inside("k-3"), delivered=delivered, claim=CUT))
    assert not rotation.mints
    assert step_of(rotation, "k-3") == KeyStep(inside("k-3"), "finish", LOST)
    assert step_of(rotation, "k-2").action == "keep"
    unreadable = state(inside("k-2"), inside("k-3"), delivered=delivered, claim=CUT, sinks_are_readable=False)
    assert step_of(rotation_of(unreadable), "k-3") == KeyStep(inside("k-3"), "deprecate", ORPHANED)


def test_the_delivered_key_is_never_lost_although_it_is_of_the_claim_and_unused() -> None:
    known = state(inside("k-2"), delivered=delivered_ago("k-2", age=HOUR), claim=CUT)
    leaked = replace(known, policy=policy(rotate_keys_before=NOW))
    assert rotation_of(leaked).steps == (KeyStep(inside("k-2"), "deprecate", TAKEN),)
    assert rotation_of(known).steps[0].action == "keep"


def test_without_a_claim_no_key_is_lost() -> None:
    assert actions(rotation_of(state(inside("k-2"), delivered=None))) == {"k-2": "deprecate"}
    assert actions(rotation_of(state(inside("k-2"), NEWER))) == {"k-1": "keep", "k-2": "deprecate"}


# due


def test_an_agent_without_a_delivered_key_is_due() -> None:
    assert rotation_of(state(delivered=None)) == Rotation("due", "no key is delivered", mints=True)
    rotation = rotation_of(state(OLDER, NEWER, delivered=None))
    assert (rotation.stage, rotation.mints) == ("due", True)
    # None of them is the delivered one: in the order of their age.
    assert rotation.steps == (KeyStep(OLDER, "wait", COMING), KeyStep(NEWER, "deprecate", TAKEN))


UNSEEN = (
    "the list of keys does not show k-1, which was delivered: it may be an old list; if that key is really "
    "gone, rotate --again delivers another"
)


@pytest.mark.parametrize("keys", [(), (OLDER,), (USED, another(OVERDUE))])
@pytest.mark.parametrize(
    "fields",
    [{}, {"is_requested": True}, {"is_suspended": True}, {"is_hurried": True}, {"claim": claim_of(age=DAY)}],
)
def test_a_list_of_keys_without_the_delivered_one_is_not_believed(
    keys: tuple[AgentKey, ...], fields: dict[str, Any]
) -> None:
    known = state(*keys, **fields)
    steps = tuple(KeyStep(key, "wait", UNSEEN) for key in known.others)
    assert rotation_of(known) == Rotation("due", UNSEEN, steps=steps)


def test_who_asks_again_gets_a_key_in_place_of_one_that_no_list_shows() -> None:
    rotation = rotation_of(state(OLDER, is_requested=True, is_again=True))
    assert (rotation.mints, rotation.reason) == (True, "the delivered key k-1 is revoked")


@pytest.mark.parametrize("others", [(), (OLDER,)])
def test_a_delivered_key_that_is_revoked_is_replaced(others: tuple[AgentKey, ...]) -> None:
    rotation = rotation_of(state(*others, replace(NEWER, revoked_at=NOW)))
    assert (rotation.stage, rotation.reason) == ("due", "the delivered key k-1 is revoked")
    assert rotation.mints


@pytest.mark.parametrize(
    ("sinks", "reason"),
    [
        (("vault", "file"), "nothing is delivered to file yet"),
        (("b", "vault", "a"), "nothing is delivered to b, a yet"),
        (("vault",), HELD),
    ],
)
def test_a_sink_that_holds_no_key_yet_gets_one(sinks: tuple[str, ...], reason: str) -> None:
    rotation = rotation_of(state(NEWER, sinks=sinks))
    assert (rotation.reason, rotation.mints) == (reason, reason != HELD)


LEFT = replace(DELIVERED, left=("file", "hub"))


def test_sinks_that_a_rollback_could_not_bring_back_get_a_new_key_with_the_next_rotation() -> None:
    reason = "the last rollback could not bring file, hub back"
    rotation = rotation_of(state(NEWER, delivered=LEFT))
    assert (rotation.stage, rotation.reason, rotation.mints) == ("due", reason, True)
    # While the key from before the rollback is observed it waits, unless it is asked for again.
    for requested, again, mints in ((False, False, False), (True, False, False), (True, True, True)):
        known = state(USED, NEWER, delivered=LEFT, is_requested=requested, is_again=again)
        assert rotation_of(known).mints is mints
    waiting = rotation_of(state(USED, NEWER, delivered=LEFT))
    assert (waiting.stage, waiting.until) == ("observing", None)
    assert waiting.reason == (
        f"key k-0 {IN_USE}; may be held by file, hub, which the last rollback could not bring back"
        " (see rotate --again)"
        f"; the next rotation waits for that: {reason}"
    )


def test_a_sink_that_is_not_declared_any_more_is_no_reason() -> None:
    delivered = delivered_ago("k-1", sinks=("vault", "file"))
    assert stage_of(NEWER, delivered=delivered) == "steady"


def test_a_key_is_due_at_its_age_and_not_a_second_before() -> None:
    assert due_by_age(AT_AGE) == Rotation(
        "due",
        f"key k-1 is of {format_time(NOW - ALPHA_DUE)} and was due at 2026-11-24T12:00:00Z (max_age)",
        mints=True,
        steps=(KeyStep(AT_AGE, "deprecate", TAKEN),),
    )
    assert (due_by_age(ALMOST).stage, due_by_age(ALMOST).until) == ("steady", NOW + SECOND)
    assert rotation_of(state(replace(NEWER, created_at=FIRST_MINUTE))).stage == "steady"


@pytest.mark.parametrize(
    ("before", "due"),
    [
        (NEWER.created_at, False),
        (NEWER.created_at + SECOND, True),
        (NOW, True),
        # Not yet: that moment is still to come.
        (NOW + SECOND, False),
        (FIRST_MINUTE, False),
        (LAST_MINUTE, False),
    ],
)
def test_keys_from_before_an_incident_are_due_once_it_is_past(before: datetime, due: bool) -> None:
    for keys in ((NEWER,), (USED, NEWER)):
        rotation = rotation_of(state(*keys, policy=policy(rotate_keys_before=before)))
        assert rotation.mints is due
        if due:
            assert rotation.reason == f"key k-1 is from before {format_time(before)} (rotate_keys_before)"


@pytest.mark.parametrize(
    ("created", "made", "due"),
    [
        (DAY, None, True),
        (DAY, DAY, True),
        # Of two clocks the later: one that is behind would find every new key too old again.
        (DAY, HOUR, False),
        (HOUR, DAY, False),
        (HOUR, None, False),
    ],
)
def test_a_key_is_from_before_an_incident_when_both_clocks_say_so(
    created: timedelta, made: timedelta | None, due: bool
) -> None:
    known = state(
        replace(NEWER, created_at=NOW - created),
        delivered=delivered_ago("k-1", made=made),
        policy=policy(rotate_keys_before=NOW - 2 * HOUR),
    )
    assert rotation_of(known).mints is due


def test_a_rotation_by_name_needs_no_reason() -> None:
    assert rotation_of(state(NEWER, is_requested=True)) == Rotation(
        "due", "asked for by name", mints=True, steps=(KeyStep(NEWER, "deprecate", TAKEN),)
    )
    # ``--again`` of what nobody asked for is nothing.
    assert stage_of(NEWER, is_again=True) == "steady"


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({}, "key k-1 is from before 2026-11-24T12:00:00Z (rotate_keys_before)"),
        ({"policy": policy(max_age=DAY)}, "nothing is delivered to file yet"),
        (
            {
                "policy": policy(max_age=DAY),
                "sinks": ("vault",),
                "delivered": replace(DELIVERED, left=("a",)),
            },
            "the last rollback could not bring a back",
        ),
        ({"policy": policy(max_age=DAY), "sinks": ("vault",)}, "asked for by name"),
    ],
)
def test_of_several_reasons_the_gravest_is_told(more: dict[str, Any], reason: str) -> None:
    fields = {"policy": policy(max_age=DAY, rotate_keys_before=NOW), "sinks": ("vault", "file"), **more}
    assert rotation_of(state(NEWER, is_requested=True, **fields)).reason == reason


# due, while older keys are on their way out


@pytest.mark.parametrize(
    ("fields", "mints"),
    [
        # By its age or by name: after the rotation before, else keys pile up.
        ({"policy": policy(max_age=MAX_AGE)}, False),
        ({"is_requested": True}, False),
        ({"is_requested": True, "policy": policy(max_age=MAX_AGE)}, False),
        # What cannot wait.
        ({"is_requested": True, "is_again": True}, True),
        ({"policy": policy(rotate_keys_before=NOW)}, True),
        ({"sinks": ("vault", "file")}, True),
        ({"delivered": delivered_ago("k-9")}, True),
        ({"delivered": None}, True),
    ],
)
def test_a_rotation_that_can_wait_waits_for_the_one_before(fields: dict[str, Any], mints: bool) -> None:
    revoked = aged_key("k-9", revoked=DAY)
    rotation = rotation_of(state(USED, AT_AGE, revoked, **fields))
    assert (rotation.mints, rotation.stage) == (mints, "due" if mints else "observing")


@pytest.mark.parametrize(
    ("others", "on_overdue", "by_age", "by_name"),
    [
        ((OVERDUE,), "warn", True, True),
        ((OVERDUE,), "revoke", True, True),
        # Whoever says block wants a person to look first, and one who asks by name has looked.
        ((OVERDUE,), "block", False, True),
        ((USED,), "warn", False, False),
        ((older(deprecated_at=NOW - 14 * DAY, last_used_at=NOW),), "warn", False, False),
        ((older(deprecated_at=NOW - 14 * DAY - SECOND, last_used_at=NOW),), "warn", True, True),
        ((older(deprecated_at=None),), "warn", False, False),
        # One of them is not overdue yet; the mark does not know it, so it is from no rotation.
        ((OVERDUE, another(USED)), "warn", False, True),
        ((another(USED), OVERDUE), "revoke", False, True),
        # Nothing stands in its way: by age it goes first, and who asks by name gets the new key at once.
        ((OLDER,), "warn", False, True),
    ],
)
def test_an_overdue_key_does_not_hold_back_the_next_rotation_unless_it_is_to_block(
    others: tuple[AgentKey, ...], on_overdue: str, by_age: bool, by_name: bool
) -> None:
    assert due_by_age(*others, AT_AGE, on_overdue=on_overdue).mints is by_age
    requested = state(*others, NEWER, policy=policy(on_overdue=on_overdue), is_requested=True)
    assert rotation_of(requested).mints is by_name


def test_without_older_keys_block_holds_nothing_back() -> None:
    assert due_by_age(AT_AGE, on_overdue="block").mints


def test_what_is_held_back_is_told_after_what_it_waits_for() -> None:
    until = NOW + DAY
    waits = f"key k-0 {IN_USE}"
    rotation = due_by_age(USED, AT_AGE)
    age = f"key k-1 is of {format_time(NOW - ALPHA_DUE)} and was due at 2026-11-24T12:00:00Z (max_age)"
    assert rotation.reason == f"{waits}; the next rotation waits for that: {age}"
    assert rotation.until == until
    asked = due_by_age(USED, AT_AGE, is_requested=True)
    assert (
        asked.reason == f"{waits}; the rotation that was asked for waits for that (with --again it does not)"
    )
    assert due_by_age(USED, ALMOST).reason == waits


# suspended


SUSPENDED = "the agent is suspended: its keys wait until it is active again"


@pytest.mark.parametrize(
    ("keys", "fields", "stage"),
    [
        ((NEWER,), {}, "steady"),
        ((OLDER, NEWER), {}, "observing"),
        ((OVERDUE, NEWER), {"policy": policy(on_overdue="revoke")}, "observing"),
        ((OLDER, NEWER), {"is_hurried": True}, "observing"),
        ((AT_AGE,), {"policy": policy(max_age=MAX_AGE)}, "due"),
        ((NEWER,), {"is_requested": True, "is_again": True}, "due"),
        ((NEWER,), {"policy": policy(rotate_keys_before=NOW)}, "due"),
        ((OLDER,), {"delivered": None}, "due"),
        ((), {"delivered": None}, "due"),
    ],
)
def test_the_keys_of_a_suspended_agent_wait(
    keys: tuple[AgentKey, ...], fields: dict[str, Any], stage: Stage
) -> None:
    known = state(*keys, is_suspended=True, **fields)
    rotation = rotation_of(known)
    first = [known.delivered] if known.delivered else []
    steps = tuple(KeyStep(key, "wait", SUSPENDED) for key in (*first, *known.others))
    assert rotation == Rotation(stage, SUSPENDED, steps=steps)


def test_what_a_run_began_is_finished_for_a_suspended_agent_too() -> None:
    known = state(inside("k-2"), NEWER, claim=CUT, is_suspended=True)
    assert rotation_of(known).mints
    assert rotation_of(replace(known, sinks=())).stage == "undelivered"


# observing and retiring


def test_an_older_key_is_deprecated_before_anything_else() -> None:
    fresh = older(deprecated_at=None)
    for fields in ({}, {"is_hurried": True}, {"policy": policy(on_overdue="revoke")}):
        rotation = rotation_of(state(fresh, NEWER, **fields))
        assert rotation == Rotation(
            "observing",
            f"key k-0 {REPLACED}",
            steps=(KeyStep(NEWER, "keep", HELD), KeyStep(fresh, "deprecate", REPLACED)),
        )


def test_an_older_key_that_nothing_needs_is_revoked() -> None:
    assert rotation_of(state(OLDER, NEWER)) == Rotation(
        "retiring", QUIET, steps=(KeyStep(NEWER, "keep", HELD), KeyStep(OLDER, "revoke", QUIET))
    )


def test_an_older_key_in_use_is_observed_until_it_is_quiet_at_the_earliest() -> None:
    key = older(deprecated_at=NOW - HOUR, last_used_at=NOW - HOUR)
    reason = f"is kept until 2026-11-25T11:00:00Z (min_overlap); {IN_USE}"
    until = NOW + DAY
    steps = (KeyStep(NEWER, "keep", HELD), KeyStep(key, "wait", reason, until))
    assert rotation_of(state(key, NEWER)) == Rotation("observing", f"key k-0 {reason}", until, steps=steps)


def test_what_waits_for_somebody_has_no_date() -> None:
    reason = f"{UNPROVEN}; {IN_USE}"
    rotation = rotation_of(state(USED, NOT_YET_USED))
    assert rotation.steps[1] == KeyStep(USED, "wait", reason)
    assert (rotation.stage, rotation.until) == ("observing", None)


def test_the_agent_waits_for_the_last_of_its_keys() -> None:
    sooner = another(USED, last_used_at=NOW - 2 * HOUR)
    rotation = rotation_of(state(sooner, USED, NEWER, retiring=["k-0", "k-x"]))
    assert rotation.reason == (
        f"key k-0 {IN_USE}; "
        "key k-x was used at 2026-11-24T10:00:00Z; "
        "quiet until 2026-11-25T11:00:00Z at the earliest (quiet_for)"
    )
    assert rotation.until == NOW + DAY
    assert [step.until for step in rotation.steps[1:]] == [NOW + DAY, NOW + 23 * HOUR]
    undated = older(key_id="k-y", deprecated_at=None)
    assert rotation_of(state(undated, USED, NEWER, retiring=["k-0", "k-y"])).until is None


def test_of_several_keys_that_may_go_the_oldest_goes_and_one_only() -> None:
    oldest = older(key_id="k-x", created_at=NOW - 90 * DAY)
    rotation = rotation_of(state(OLDER, NEWER, oldest))
    assert rotation == Rotation(
        "retiring",
        QUIET,
        steps=(
            KeyStep(NEWER, "keep", HELD),
            KeyStep(oldest, "revoke", QUIET),
            KeyStep(OLDER, "wait", LATER),
        ),
    )


def test_a_key_that_may_go_does_not_wait_for_one_in_use() -> None:
    oldest = another(USED, created_at=NOW - 90 * DAY)
    rotation = rotation_of(state(OLDER, NEWER, oldest))
    assert rotation.stage == "retiring"
    assert actions(rotation) == {"k-1": "keep", "k-x": "wait", "k-0": "revoke"}


def test_a_revocation_goes_on_beside_a_rotation_that_waits() -> None:
    rotation = due_by_age(OLDER, AT_AGE)
    assert (rotation.stage, rotation.mints, rotation.reason) == ("retiring", False, QUIET)
    assert step_of(rotation, "k-0").action == "revoke"


@pytest.mark.parametrize(
    "key",
    [
        older(last_used_at=NOW + SECOND),
        older(last_used_at=OLDER.created_at - SECOND),
        older(last_used_at=None, tells_use=False),
        older(last_used_at=FIRST_MINUTE),
        older(last_used_at=LAST_MINUTE),
        older(last_used_at=None, deprecated_at=LAST_MINUTE),
        older(created_at=LAST_MINUTE),
    ],
)
def test_times_that_make_no_sense_or_are_missing_keep_a_key(key: AgentKey) -> None:
    rotation = rotation_of(state(key, NEWER))
    assert (rotation.stage, actions(rotation)) == ("observing", {"k-1": "keep", "k-0": "wait"})
    assert step_of(rotation, "k-0").reason


@pytest.mark.parametrize("now", [FIRST_MINUTE, NOW, datetime(9890, 1, 1, tzinfo=UTC)])
def test_no_time_however_extreme_breaks_it(now: datetime) -> None:
    moments = (None, FIRST_MINUTE, now, LAST_MINUTE)
    rules = policy(max_age=36_500 * DAY, quiet_for=36_500 * DAY, min_overlap=36_500 * DAY)
    for made, deprecated, used, at in product((FIRST_MINUTE, now, LAST_MINUTE), moments, moments, moments):
        key = replace(OLDER, created_at=made, deprecated_at=deprecated, last_used_at=used)
        newer = replace(NEWER, created_at=made, last_used_at=used)
        known = state(
            key,
            newer,
            delivered=replace(DELIVERED, at=at) if at else None,
            claim=Claim(RunId("run-7"), at) if at else None,
            policy=replace(rules, rotate_keys_before=at),
            now=now,
        )
        assert len(rotation_of(known).steps) == 2
        assert len(rotation_of(replace(known, mark=replace(known.mark, claim=None))).steps) == 2


# orphaned


def test_a_key_that_the_mark_does_not_know_is_deprecated_and_named() -> None:
    stray = older(deprecated_at=None, key_id="k-x")
    assert rotation_of(state(stray, NEWER)) == Rotation(
        "orphaned",
        f"key k-x {ORPHANED}",
        steps=(KeyStep(NEWER, "keep", HELD), KeyStep(stray, "deprecate", ORPHANED)),
    )


def test_a_deprecated_stray_goes_the_way_of_all_older_keys() -> None:
    assert stage_of(OLDER, NEWER, retiring=()) == "retiring"
    assert stage_of(USED, NEWER, retiring=()) == "orphaned"
    assert stage_of(OVERDUE, NEWER, retiring=()) == "overdue"


def test_a_stray_beside_keys_that_are_known_is_observed_with_them() -> None:
    stray = older(deprecated_at=None, key_id="k-x")
    rotation = rotation_of(state(USED, stray, NEWER))
    assert rotation.stage == "observing"
    assert [step.reason for step in rotation.steps[2:]] == [ORPHANED]


# overdue


def test_an_overdue_key_waits_and_is_told_of() -> None:
    until = NOW + DAY
    assert rotation_of(state(OVERDUE, NEWER)) == Rotation(
        "overdue",
        f"key k-0 {BUSY}",
        until,
        steps=(KeyStep(NEWER, "keep", HELD), KeyStep(OVERDUE, "wait", BUSY, until)),
    )


@pytest.mark.parametrize("on_overdue", ["block", "revoke"])
def test_an_overdue_key_in_use_is_put_before_the_guard_that_refuses_it(on_overdue: str) -> None:
    until = NOW + DAY
    rotation = rotation_of(state(OVERDUE, NEWER, policy=policy(on_overdue=on_overdue)))
    assert (rotation.stage, rotation.reason, rotation.until) == ("overdue", f"key k-0 {BUSY}", until)
    assert rotation.steps[1] == KeyStep(OVERDUE, "revoke", BUSY, until)


@pytest.mark.parametrize(("late", "stage"), [(timedelta(), "observing"), (SECOND, "overdue")])
def test_a_key_is_overdue_after_the_longest_overlap_and_not_at_it(late: timedelta, stage: str) -> None:
    key = replace(USED, deprecated_at=NOW - 14 * DAY - late)
    for on_overdue in ("warn", "block", "revoke"):
        rotation = rotation_of(state(key, NEWER, policy=policy(on_overdue=on_overdue)))
        assert rotation.stage == stage
        revokes = stage == "overdue" and on_overdue != "warn"
        assert step_of(rotation, "k-0").action == ("revoke" if revokes else "wait")
        assert step_of(rotation, "k-0").reason.startswith("is overdue: ") is (stage == "overdue")


QUIET_OVERDUE = replace(OVERDUE, last_used_at=NOW - DAY - HOUR)


@pytest.mark.parametrize(
    ("on_overdue", "stage", "reason"),
    [
        ("warn", "overdue", f"is overdue: {UNPROVEN}"),
        ("block", "overdue", f"is overdue: {UNPROVEN}"),
        (
            "revoke",
            "retiring",
            f"overdue, and the policy says revoke, although it {UNPROVEN}",
        ),
    ],
)
def test_the_policy_may_spare_an_overdue_key_the_proof_of_use(
    on_overdue: str, stage: str, reason: str
) -> None:
    rotation = rotation_of(state(QUIET_OVERDUE, NOT_YET_USED, policy=policy(on_overdue=on_overdue)))
    assert rotation.stage == stage
    assert rotation.reason == (reason if stage == "retiring" else f"key k-0 {reason}")
    action: Action = "wait" if on_overdue == "warn" else "revoke"
    assert rotation.steps[1] == KeyStep(QUIET_OVERDUE, action, reason)


def test_the_policy_spares_no_key_that_is_in_use() -> None:
    almost = replace(QUIET_OVERDUE, last_used_at=NOW - DAY - HOUR + SECOND)
    rotation = rotation_of(state(almost, NOT_YET_USED, policy=policy(on_overdue="revoke")))
    assert (rotation.stage, rotation.until) == ("overdue", None)


def test_one_overdue_key_makes_the_agent_overdue() -> None:
    stray = older(key_id="k-x", created_at=NOW - DAY, deprecated_at=None)
    assert stage_of(OVERDUE, stray, NEWER) == "overdue"
    assert stage_of(USED, stray, NEWER) == "observing"


def test_a_key_that_may_go_goes_before_an_overdue_one_that_may_not() -> None:
    oldest = another(OVERDUE, created_at=NOW - 90 * DAY)
    rotation = rotation_of(state(oldest, OLDER, NEWER, policy=policy(on_overdue="block")))
    assert (rotation.stage, rotation.reason) == ("retiring", QUIET)
    assert rotation.steps == (
        KeyStep(NEWER, "keep", HELD),
        KeyStep(oldest, "wait", BUSY, NOW + DAY),
        KeyStep(OLDER, "revoke", QUIET),
    )


def test_of_several_overdue_keys_the_oldest_is_put_before_the_guard() -> None:
    oldest = another(OVERDUE, created_at=NOW - 90 * DAY)
    rotation = rotation_of(state(OVERDUE, oldest, NEWER, policy=policy(on_overdue="block")))
    assert (rotation.stage, rotation.until) == ("overdue", NOW + DAY)
    assert actions(rotation) == {"k-1": "keep", "k-x": "revoke", "k-0": "wait"}
    assert rotation.reason == f"key k-x {BUSY}; key k-0 {BUSY}"


# A person takes the responsibility


def test_who_is_named_may_lose_a_key_that_is_in_use() -> None:
    rotation = rotation_of(state(USED, NOT_YET_USED, is_hurried=True))
    reason = f"allowed by name, although it {UNPROVEN}; {IN_USE}"
    assert rotation == Rotation(
        "retiring",
        reason,
        steps=(KeyStep(NOT_YET_USED, "keep", HELD), KeyStep(USED, "revoke", reason)),
    )


@pytest.mark.parametrize(
    "key",
    [
        OVERDUE,
        older(deprecated_at=NOW, last_used_at=NOW),
        older(last_used_at=NOW + DAY),
        older(last_used_at=None, tells_use=False),
    ],
)
def test_who_is_in_a_hurry_waits_for_no_obstacle_but_one_key_goes_at_a_time(key: AgentKey) -> None:
    second = another(USED, created_at=NOW - 3 * DAY)
    rotation = rotation_of(state(second, key, NEWER, is_hurried=True))
    assert rotation.stage == "retiring"
    assert actions(rotation) == {"k-1": "keep", "k-0": "revoke", "k-x": "wait"}
    assert step_of(rotation, "k-x").reason == LATER


def test_in_a_hurry_the_key_that_may_go_anyway_goes_first() -> None:
    oldest = another(USED, created_at=NOW - 90 * DAY)
    rotation = rotation_of(state(oldest, OLDER, NEWER, is_hurried=True))
    assert actions(rotation) == {"k-1": "keep", "k-x": "wait", "k-0": "revoke"}
    assert rotation.reason == QUIET


def test_a_hurry_revokes_nothing_while_a_new_key_is_to_come_or_none_is_held() -> None:
    for known in (
        state(OLDER, delivered=None, is_hurried=True),
        state(OLDER, NEWER, is_hurried=True, is_requested=True, is_again=True),
        state(NEWER, is_hurried=True),
    ):
        assert "revoke" not in actions(rotation_of(known)).values()


# From stage to stage


def walk(known: KeyFacts, *moments: tuple[timedelta, Iterable[AgentKey]]) -> list[str]:
    """The stages that the keys of these times after ``NOW`` are in."""
    return [rotation_of(replace(known, now=NOW + after, keys=tuple(keys))).stage for after, keys in moments]


def test_a_key_goes_through_all_stages_from_its_replacement_to_its_end() -> None:
    old = aged_key("k-0", made=9 * DAY, used=HOUR)
    deprecated = replace(old, deprecated_at=NOW)
    new = AgentKey(NEWER.key_id, "alter_ak_k-1", "k-1", NOW)
    used = replace(new, last_used_at=NOW + SECOND)
    known = state(delivered=delivered_ago("k-1", age=timedelta()))
    assert walk(
        known,
        (timedelta(), (old, new)),  # recorded, and not yet deprecated
        (timedelta(), (deprecated, new)),
        (DAY - SECOND, (deprecated, used)),
        (DAY, (deprecated, new)),  # the newer one was never used
        (DAY, (deprecated, used)),
        (14 * DAY, (deprecated, new)),
        (14 * DAY + SECOND, (deprecated, new)),
        (14 * DAY + SECOND, (deprecated, used)),
        (DAY, (used,)),
    ) == [
        "observing",
        "observing",
        "observing",
        "observing",
        "retiring",
        "observing",
        "overdue",
        "retiring",
        "steady",
    ]
