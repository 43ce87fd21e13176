"""Drift of keys: minted, revoked or deprecated by somebody else, or left behind by a run that died."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from reconciler.model.desired import DesiredAgent
from reconciler.model.drift import DriftFinding
from reconciler.model.key import AgentKey
from tests.support.builders import (
    NOW,
    aged_key,
    claim_of,
    configuration,
    declared,
    delivered_ago,
    live,
    mark_of,
    sink,
)
from tests.support.drift import drift_in

HELD = aged_key("k-1")
AGENT = declared(deliver_to=("vault",))


def keys_found(
    *keys: AgentKey, agent: DesiredAgent = AGENT, delivered: str | None = "k-1", dead: str = "", **mark: Any
) -> list[DriftFinding]:
    """What these keys show of one agent with that mark."""
    recorded = None if delivered is None else delivered_ago(delivered)
    found = live(mark=mark_of(agent, delivered=recorded, **mark), last_used_at=NOW)
    drift = drift_in(
        configuration(agent, sinks=(sink(),)), found, keys={"alpha": keys}, dead_runs=[dead] if dead else []
    )
    assert all(one.path == "keys" and one.agent_id == found.id and one.is_drift for one in drift)
    return list(drift)


def told(found: list[DriftFinding]) -> list[tuple[str, str, str | None]]:
    return [(one.kind, one.severity, one.key_id) for one in found]


def test_the_delivered_key_alone_is_no_drift() -> None:
    assert keys_found(HELD) == []


def test_keys_that_the_mark_knows_are_no_drift_however_old_they_are() -> None:
    older = aged_key("k-0", made=timedelta(days=300), deprecated=timedelta(days=200))
    assert keys_found(HELD, older, retiring=("k-0",)) == []


def test_a_live_key_that_nobody_knows_lets_somebody_act_as_the_agent() -> None:
    [found] = keys_found(HELD, aged_key("k-9"))
    assert told([found]) == [("key_minted_outside", "high", "k-9")]
    assert found.effect == "widening"
    assert found.message.startswith("alter_ak_k-9… is live, in no sink and not in the mark")


@pytest.mark.parametrize("deprecated", [None, timedelta(hours=1)])
def test_a_strange_key_counts_also_when_it_is_deprecated_and_not_when_it_is_revoked(
    deprecated: timedelta | None,
) -> None:
    strange = aged_key("k-9", deprecated=deprecated)
    assert told(keys_found(HELD, strange)) == [("key_minted_outside", "high", "k-9")]
    assert keys_found(HELD, aged_key("k-9", revoked=timedelta(hours=1))) == []


def test_a_delivered_key_that_is_revoked_leaves_the_workload_without_one() -> None:
    [found] = keys_found(aged_key("k-1", revoked=timedelta(hours=1)))
    assert told([found]) == [("key_revoked_outside", "high", "k-1")]
    assert "`apply --only-drift` delivers a new one" in found.message


def test_a_delivered_key_that_is_not_listed_may_be_there_so_nothing_is_promised() -> None:
    [found] = keys_found(aged_key("k-0", revoked=timedelta(hours=1)))
    assert told([found]) == [("key_revoked_outside", "high", "k-1")]
    assert "`rotate --again alpha`" in found.message
    assert "apply delivers" not in found.message


@pytest.mark.parametrize("retiring", [(), ("k-0",)])
def test_a_delivered_key_that_is_deprecated_works_on(retiring: tuple[str, ...]) -> None:
    older = aged_key("k-0", deprecated=timedelta(days=1))
    found = keys_found(
        aged_key("k-1", deprecated=timedelta(hours=1)), *([older] if retiring else []), retiring=retiring
    )
    assert told(found) == [("key_deprecated_outside", "low", "k-1")]


def test_an_older_key_that_somebody_revoked_first_is_told_under_no_claim() -> None:
    gone = aged_key("k-0", revoked=timedelta(hours=1))
    assert told(keys_found(HELD, gone, retiring=("k-0",))) == [("key_revoked_outside", "low", "k-0")]
    # The run itself may have revoked it, and died before it could say so.
    claim = claim_of("run-1", keys=("k-0", "k-1"), age=timedelta(hours=1))
    assert keys_found(HELD, gone, retiring=("k-0",), claim=claim) == []
    assert keys_found(HELD, retiring=("k-0",)) == []


@pytest.mark.parametrize(("minutes", "kind"), [(30, "orphaned_key"), (61, "key_minted_outside")])
def test_a_key_from_inside_the_claim_of_a_dead_run_is_an_orphan(minutes: int, kind: str) -> None:
    claim = claim_of("run-1", keys=("k-1",), age=timedelta(minutes=45))
    [found] = keys_found(HELD, aged_key("k-9", made=timedelta(minutes=minutes)), claim=claim)
    assert (found.kind, found.key_id) == (kind, "k-9")


def test_nothing_is_said_while_a_run_is_at_work_and_everything_once_it_is_known_to_be_dead() -> None:
    claim = claim_of("run-1", keys=("k-1",), age=timedelta(minutes=2))
    new = aged_key("k-9", made=timedelta(minutes=1))
    assert keys_found(HELD, new, claim=claim) == []
    assert told(keys_found(HELD, new, claim=claim, dead="run-1")) == [("orphaned_key", "medium", "k-9")]


def test_nothing_is_said_of_keys_that_are_their_owners_or_that_nobody_was_given_yet() -> None:
    strange = aged_key("k-9")
    assert keys_found(HELD, strange, agent=declared()) == []
    assert keys_found(strange, delivered=None) == []


def test_keys_that_were_not_read_tell_nothing() -> None:
    found = live(mark=mark_of(AGENT, delivered=delivered_ago("k-1")), last_used_at=NOW)
    assert drift_in(configuration(AGENT, sinks=(sink(),)), found) == ()


def test_a_key_that_is_listed_twice_is_one() -> None:
    strange = aged_key("k-9")
    assert len(keys_found(HELD, strange, strange)) == 1
