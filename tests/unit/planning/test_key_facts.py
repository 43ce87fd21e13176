"""What is known of an agent's keys: which is delivered, which are the others, when the next one is due."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from reconciler.model.agent import AgentName
from reconciler.model.desired import DesiredAgent, RotationPolicy
from reconciler.model.mark import Mark
from reconciler.planning.facts import Facts
from reconciler.planning.key_facts import due_date, later, may_need_work, spread
from tests.support.builders import (
    NOW,
    aged_key,
    allowing,
    claim_of,
    configuration,
    declared,
    delivered_ago,
    live,
    mark_of,
    sink,
)
from tests.unit.planning.key_states import DAY, HOUR, NEWER, OLDER, SECOND, policy, state

MAX_AGE = 30 * DAY
# The place of ``alpha`` in the last tenth of an age: by its name, so it never changes.
ALPHA_DUE = timedelta(days=28, seconds=28_186, microseconds=667_492)


def test_the_delivered_key_is_the_live_one_of_the_mark() -> None:
    assert state(OLDER, NEWER).delivered is NEWER
    assert state(OLDER).delivered is None
    assert state(replace(NEWER, revoked_at=NOW)).delivered is None
    assert state(OLDER, NEWER, delivered=None).delivered is None


def test_the_others_are_the_other_live_keys_oldest_first() -> None:
    gone = aged_key("k-3", made=60 * DAY, revoked=DAY)
    twins = [aged_key("k-b", made=50 * DAY), aged_key("k-a", made=50 * DAY)]
    assert [key.key_id for key in state(NEWER, OLDER, gone, *twins).others] == ["k-a", "k-b", "k-0"]
    assert [key.key_id for key in state(NEWER, OLDER, delivered=None).others] == ["k-0", "k-1"]


def test_each_agent_has_its_own_place_in_the_last_tenth_of_the_age() -> None:
    assert spread(MAX_AGE, AgentName("alpha")) == ALPHA_DUE
    assert abs(spread(2 * MAX_AGE, AgentName("alpha")) - 2 * ALPHA_DUE) < timedelta(milliseconds=1)
    ages = [spread(MAX_AGE, AgentName(f"agent-{number}")) for number in range(1000)]
    assert 27 * DAY < min(ages) < 27 * DAY + HOUR
    assert 30 * DAY - HOUR < max(ages) <= MAX_AGE
    # A fleet of a thousand, made in one hour, does not rotate in one: there is some in each day.
    for start in (27 * DAY, 28 * DAY, 29 * DAY):
        assert 300 < sum(start < age <= start + DAY for age in ages) < 366


def test_the_due_date_counts_from_the_making_of_the_delivered_key() -> None:
    known = state(OLDER, NEWER, policy=policy(max_age=MAX_AGE))
    assert due_date(known) == NEWER.created_at + ALPHA_DUE
    assert due_date(state(OLDER, NEWER)) is None
    assert due_date(state(OLDER, policy=policy(max_age=MAX_AGE))) is None


@pytest.mark.parametrize("made", [datetime.max.replace(tzinfo=UTC), NOW + SECOND])
def test_a_key_from_the_future_is_as_young_as_can_be(made: datetime) -> None:
    known = state(replace(NEWER, created_at=made), policy=policy(max_age=MAX_AGE))
    assert due_date(known) == NOW + ALPHA_DUE


def test_a_key_from_the_year_one_is_due_since_then() -> None:
    long_ago = datetime.min.replace(tzinfo=UTC)
    known = state(replace(NEWER, created_at=long_ago), policy=policy(max_age=MAX_AGE))
    assert due_date(known) == long_ago + ALPHA_DUE


ROTATING = declared(deliver_to=("vault",), rotation=RotationPolicy(max_age=MAX_AGE))
FRESH = delivered_ago(age=DAY)


@pytest.mark.parametrize(
    ("agent", "mark", "needed"),
    [
        (declared(), mark_of(), False),
        (declared(), mark_of(delivered=delivered_ago(age=1000 * DAY)), False),
        (declared(), mark_of(claim=claim_of()), True),
        (declared(), mark_of(retiring=["k-0"]), True),
        (ROTATING, mark_of(), True),
        (ROTATING, mark_of(delivered=FRESH), False),
        (ROTATING, mark_of(delivered=FRESH, claim=claim_of()), True),
        (ROTATING, mark_of(delivered=FRESH, retiring=["k-0"]), True),
        (ROTATING, mark_of(delivered=delivered_ago(age=ALPHA_DUE)), True),
        (ROTATING, mark_of(delivered=delivered_ago(age=ALPHA_DUE - SECOND)), False),
        # The age is that of the key, where the mark tells it.
        (ROTATING, mark_of(delivered=delivered_ago(age=DAY, made=ALPHA_DUE)), True),
        (ROTATING, mark_of(delivered=delivered_ago(age=ALPHA_DUE, made=DAY)), False),
        (declared(deliver_to=("vault",)), mark_of(delivered=delivered_ago(age=1000 * DAY)), False),
        (declared(deliver_to=("vault", "file")), mark_of(delivered=FRESH), True),
        (declared(deliver_to=("vault",)), mark_of(delivered=delivered_ago(sinks=("vault", "x"))), False),
    ],
)
def test_keys_are_read_when_by_mark_and_policy_something_is_due(
    agent: DesiredAgent, mark: Mark, needed: bool
) -> None:
    assert may_need_work(agent, mark, NOW) is needed


@pytest.mark.parametrize(
    ("before", "needed"),
    [
        (NOW - DAY, False),
        (NOW - DAY + SECOND, True),
        (NOW, True),
        (NOW + SECOND, False),
    ],
)
def test_keys_are_read_when_older_ones_have_to_go(before: datetime, needed: bool) -> None:
    agent = declared(deliver_to=("vault",), rotation=RotationPolicy(rotate_keys_before=before))
    assert may_need_work(agent, mark_of(delivered=delivered_ago(age=DAY)), NOW) is needed
    made = mark_of(delivered=delivered_ago(age=timedelta(), made=DAY))
    assert may_need_work(agent, made, NOW) is needed


def facts(agent: DesiredAgent | None = None, **more: object) -> Facts:
    agent = agent or declared(deliver_to=("vault", "gh"), rotation=policy(max_age=MAX_AGE))
    found = live(mark=mark_of(delivered=FRESH))
    desired = configuration(
        agent, sinks=(sink("vault"), sink("gh", "github_actions"), sink("other", "command"))
    )
    return replace(Facts(desired, {found.name: found}, NOW, keys={found.id: (NEWER,)}), **more)  # type: ignore[arg-type]


ALPHA = AgentName("alpha")


def test_what_is_known_of_keys_comes_from_configuration_mark_and_command_line() -> None:
    known = facts().key_facts(ALPHA)
    assert known is not None
    assert (known.agent, known.keys, known.now, known.sinks) == ("alpha", (NEWER,), NOW, ("vault", "gh"))
    assert known.mark.delivered == FRESH
    assert known.policy == RotationPolicy(max_age=MAX_AGE)
    assert not known.sinks_are_readable
    flags = (known.is_suspended, known.is_requested, known.is_again, known.is_hurried)
    assert flags == (False, False, False, False)
    assert known.dead_runs == frozenset()


def test_sinks_are_readable_when_each_of_the_agents_is() -> None:
    for names, readable in (
        (("vault",), True),
        (("gh",), False),
        (("vault", "other"), False),
        ((), True),
        # Not declared, as in a target of another configuration: nothing is known against it.
        (("unknown",), True),
    ):
        known = facts(declared(deliver_to=names)).key_facts(ALPHA)
        assert known is not None
        assert (known.sinks_are_readable, known.sinks) == (readable, names)
        assert known.policy == RotationPolicy()


def test_an_agent_is_suspended_when_it_is_or_is_to_be() -> None:
    for status, declared_status, suspended in (
        ("active", "active", False),
        ("inactive", "active", True),
        ("active", "inactive", True),
    ):
        agent = declared(deliver_to=("vault",), status=declared_status)  # type: ignore[arg-type]
        found = live(mark=mark_of(), status=status)  # type: ignore[arg-type]
        known = Facts(configuration(agent), {found.name: found}, NOW, keys={found.id: ()}).key_facts(ALPHA)
        assert known is not None
        assert known.is_suspended is suspended


def test_requests_and_allowances_are_by_name() -> None:
    known = facts(rotate=frozenset({ALPHA}), again=True, allow=allowing("key-in-use=alpha")).key_facts(ALPHA)
    assert known is not None
    assert (known.is_requested, known.is_again, known.is_hurried) == (True, True, True)
    other = facts(rotate=frozenset({AgentName("beta")}), allow=allowing("key-in-use", "key-in-use=beta"))
    known = other.key_facts(ALPHA)
    assert known is not None
    assert (known.is_requested, known.is_again, known.is_hurried) == (False, False, False)


def test_of_keys_that_were_not_read_or_are_not_ours_nothing_is_known() -> None:
    assert facts(keys={}).key_facts(ALPHA) is None
    assert facts().key_facts(AgentName("beta")) is None
    assert facts(desired=configuration()).key_facts(ALPHA) is None
    assert facts(live={}).key_facts(ALPHA) is None
    foreign = live(mark=mark_of(owner="others"))
    assert facts(live={foreign.name: foreign}).key_facts(ALPHA) is None


def test_what_would_be_after_the_end_of_all_time_is_at_its_end() -> None:
    end = datetime.max.replace(tzinfo=UTC)
    assert later(end, timedelta(seconds=1)) == end
    assert later(NOW, timedelta(days=1)) == NOW + timedelta(days=1)
