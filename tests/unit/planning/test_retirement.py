"""What stands in the way of revoking an older key, each obstacle with its date and its boundary."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from reconciler.model.key import AgentKey
from reconciler.planning.key_facts import KeyFacts
from reconciler.planning.retirement import LAZINESS, Obstacle, is_overdue, may_revoke, obstacles
from tests.support.builders import NOW, aged_key, delivered_ago
from tests.unit.planning.key_states import DAY, HOUR, NEWER, OLDER, SECOND, older, policy, state

NEVER_USED = replace(NEWER, last_used_at=None)


def found(key: AgentKey, newer: AgentKey = NEWER, **fields: object) -> tuple[Obstacle, ...]:
    return obstacles(state(key, newer, policy=policy(**fields)), key)


def test_nothing_stands_in_the_way_of_a_quiet_key_that_was_replaced_by_one_in_use() -> None:
    assert found(OLDER) == ()


def test_the_server_is_lazy_for_an_hour() -> None:
    assert timedelta(hours=1) == LAZINESS


def test_a_key_that_is_not_deprecated_stays() -> None:
    assert found(older(deprecated_at=None)) == (Obstacle("overlap", "is not deprecated yet"),)


@pytest.mark.parametrize(
    ("deprecated", "used", "min_overlap", "until"),
    [
        (DAY, 3 * DAY, DAY, None),
        (DAY - SECOND, 3 * DAY, DAY, NOW + SECOND),
        (timedelta(), 3 * DAY, DAY, NOW + DAY),
        # Used long ago: no overlap is asked for, so none is kept.
        (timedelta(), 3 * DAY, timedelta(), None),
        # Never used: long enough for a use to show, whatever the policy says.
        (HOUR, None, timedelta(), None),
        (HOUR - SECOND, None, timedelta(), NOW + SECOND),
        (DAY - SECOND, None, DAY, NOW + SECOND),
        (DAY, None, DAY, None),
        # Somebody's clock is ahead: the overlap begins now at the latest.
        (-9 * DAY, 3 * DAY, DAY, NOW + DAY),
        (-9 * DAY, None, timedelta(), NOW + HOUR),
    ],
)
def test_a_key_is_kept_for_the_overlap(
    deprecated: timedelta, used: timedelta | None, min_overlap: timedelta, until: datetime | None
) -> None:
    key = aged_key("k-0", made=40 * DAY, deprecated=deprecated, used=used)
    expected: tuple[Obstacle, ...] = ()
    if until:
        text = until.strftime("%Y-%m-%dT%H:%M:%SZ")
        expected = (Obstacle("overlap", f"is kept until {text} (min_overlap)", until),)
    assert found(key, min_overlap=min_overlap) == expected


WAITS = Obstacle("unproven", "waits for key k-1 to be used (require_use)")


@pytest.mark.parametrize(
    ("used", "expected"),
    [
        (None, (WAITS,)),
        # Delivered a day ago: a use before that, or at that very moment, is no proof.
        (DAY + SECOND, (WAITS,)),
        (DAY, (WAITS,)),
        (DAY - SECOND, ()),
        (timedelta(), ()),
        (
            -SECOND,
            (Obstacle("unproven", "waits: key k-1 shows a use in the future", NOW + SECOND),),
        ),
    ],
)
def test_the_newer_key_has_to_be_used_after_its_delivery(
    used: timedelta | None, expected: tuple[Obstacle, ...]
) -> None:
    newer = replace(NEWER, last_used_at=None if used is None else NOW - used)
    assert found(OLDER, newer) == expected
    assert found(OLDER, newer, require_use=False) == ()


def test_without_a_delivered_key_every_key_is_the_only_one() -> None:
    alone = (Obstacle("unproven", "is the only one: no key is delivered"),)
    gone = replace(NEWER, revoked_at=NOW)
    assert obstacles(state(OLDER, delivered=None), OLDER) == alone
    assert obstacles(state(OLDER, gone, policy=policy(require_use=False)), OLDER) == alone


@pytest.mark.parametrize(
    ("used", "quiet_for", "until"),
    [
        # An hour more than the policy says: the last use of all may not show yet.
        (DAY + HOUR, DAY, None),
        (DAY + HOUR - SECOND, DAY, NOW + SECOND),
        (timedelta(), DAY, NOW + DAY + HOUR),
        # Nothing below an hour tells that a key is not used.
        (2 * HOUR, timedelta(), None),
        (2 * HOUR - SECOND, timedelta(), NOW + SECOND),
        (2 * HOUR - SECOND, HOUR, NOW + SECOND),
        (2 * HOUR, HOUR + SECOND, NOW + SECOND),
        (2 * DAY, 3 * DAY, NOW + DAY + HOUR),
    ],
)
def test_a_key_has_to_be_quiet(used: timedelta, quiet_for: timedelta, until: datetime | None) -> None:
    key = older(last_used_at=NOW - used)
    expected: tuple[Obstacle, ...] = ()
    if until:
        texts = [time.strftime("%Y-%m-%dT%H:%M:%SZ") for time in (NOW - used, until)]
        reason = f"was used at {texts[0]}; quiet until {texts[1]} at the earliest (quiet_for)"
        expected = (Obstacle("used", reason, until),)
    assert found(key, quiet_for=quiet_for) == expected


def impossible(time: str) -> Obstacle:
    return Obstacle("unknown", f"shows an impossible last use ({time}), so it may be in use")


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (older(last_used_at=NOW), "used"),
        (older(last_used_at=NOW + SECOND), impossible("2026-11-24T12:00:01Z")),
        (older(last_used_at=OLDER.created_at), ()),
        (older(last_used_at=OLDER.created_at - SECOND), impossible("2026-10-15T11:59:59Z")),
        (older(last_used_at=datetime.max.replace(tzinfo=UTC)), impossible("9999-12-31T23:59:59Z")),
        (
            older(last_used_at=None, tells_use=False),
            Obstacle("unknown", "does not tell whether it was used, so it may be in use"),
        ),
        (older(last_used_at=None), ()),
        # What it tells is believed although another answer did not tell.
        (older(tells_use=False), ()),
    ],
)
def test_unknown_is_not_quiet(key: AgentKey, expected: object) -> None:
    result = found(key)
    if expected == "used":
        assert [obstacle.kind for obstacle in result] == ["used"]
    else:
        assert result == (expected if expected == () else (expected,))
    assert may_revoke(state(key, NEWER), key) is (expected == ())


def test_a_key_stays_that_a_sink_may_hold_which_a_rollback_could_not_bring_back() -> None:
    reason = "may be held by a, b, which the last rollback could not bring back (see rotate --again)"
    held = Obstacle("held", reason)
    for key, more in ((OLDER, ()), (older(last_used_at=NOW), ("used",))):
        known = state(key, NEWER, delivered=replace(delivered_ago(), left=("a", "b")))
        assert obstacles(known, key)[-1] == held
        assert [obstacle.kind for obstacle in obstacles(known, key)] == [*more, "held"]
        assert not may_revoke(known, key)
    known = replace(overdue(), mark=replace(overdue().mark, delivered=replace(delivered_ago(), left=("a",))))
    assert not may_revoke(known, OVERDUE)


def test_everything_that_stands_in_the_way_is_told_in_order() -> None:
    key = older(deprecated_at=NOW, last_used_at=NOW)
    assert [obstacle.kind for obstacle in found(key, NEVER_USED)] == ["overlap", "unproven", "used"]


@pytest.mark.parametrize(
    ("deprecated", "overdue"),
    [(14 * DAY, False), (14 * DAY + SECOND, True), (timedelta(), False), (-DAY, False)],
)
def test_a_key_is_overdue_when_deprecated_for_longer_than_the_longest_overlap(
    deprecated: timedelta, overdue: bool
) -> None:
    key = older(deprecated_at=NOW - deprecated)
    assert is_overdue(state(key, NEWER), key) is overdue


def test_a_key_that_is_not_deprecated_is_never_overdue() -> None:
    assert not is_overdue(state(OLDER, NEWER), older(deprecated_at=None))
    day = older(deprecated_at=NOW - DAY - SECOND)
    assert is_overdue(state(day, NEWER, policy=policy(max_overlap=DAY)), day)


def test_the_delivered_key_and_one_not_deprecated_may_not_be_revoked() -> None:
    deprecated = replace(
        NEWER, created_at=NOW - 30 * DAY, deprecated_at=NOW - 20 * DAY, last_used_at=NOW - 9 * DAY
    )
    known = state(deprecated, policy=policy(require_use=False))
    assert obstacles(known, deprecated) == ()
    assert not may_revoke(known, deprecated)
    fresh = older(deprecated_at=None)
    assert not may_revoke(state(fresh, NEWER), fresh)
    assert may_revoke(state(OLDER, NEWER), OLDER)
    assert not may_revoke(state(OLDER, delivered=None), OLDER)


OVERDUE = older(deprecated_at=NOW - 15 * DAY, last_used_at=NOW - 3 * DAY)


def overdue(key: AgentKey = OVERDUE, *, on_overdue: str = "revoke") -> KeyFacts:
    return state(key, NEVER_USED, policy=policy(on_overdue=on_overdue))


def test_when_overdue_the_policy_may_spare_the_proof_of_use_and_nothing_else() -> None:
    assert may_revoke(overdue(), OVERDUE)
    assert not may_revoke(overdue(on_overdue="warn"), OVERDUE)
    assert not may_revoke(overdue(on_overdue="block"), OVERDUE)
    for spoilt in (
        replace(OVERDUE, deprecated_at=NOW - 14 * DAY),  # not overdue
        replace(OVERDUE, last_used_at=NOW - DAY - HOUR + SECOND),
        replace(OVERDUE, last_used_at=NOW + SECOND),
        replace(OVERDUE, last_used_at=None, tells_use=False),
    ):
        assert not may_revoke(overdue(spoilt), spoilt)


def test_proof_of_use_is_never_spared_while_no_key_is_delivered() -> None:
    known = replace(overdue(), keys=(OVERDUE,))
    assert not may_revoke(known, OVERDUE)
    assert not may_revoke(replace(known, mark=replace(known.mark, delivered=delivered_ago("k-9"))), OVERDUE)
