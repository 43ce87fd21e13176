"""What an agent may do and the life of its keys, derived from what was read of it."""

from __future__ import annotations

from datetime import timedelta

from reconciler.model.access import AgentAccess
from reconciler.model.agent import AgentId
from reconciler.model.desired import RotationPolicy
from reconciler.model.key import AgentKey
from reconciler.planning.access import access_of, concerned
from reconciler.planning.facts import Facts
from tests.support.builders import (
    NOW,
    aged_key,
    configuration,
    declared,
    delivered_ago,
    live,
    mark_of,
    owned,
    sink,
)

ROTATING = declared(
    deliver_to=("vault",), rotation=RotationPolicy(max_age=timedelta(days=30)), scopes={"google": ["drive"]}
)


def facts_of(*keys: AgentKey, retiring: tuple[str, ...] = (), **state: object) -> Facts:
    """One agent with a delivered key ``k-2`` and whatever else there is."""
    mark = mark_of(ROTATING, delivered=delivered_ago("k-2", age=timedelta(days=3)), retiring=retiring)
    agent = live(mark=mark, **state)  # type: ignore[arg-type]
    return Facts(
        configuration(ROTATING, sinks=[sink()]), {agent.name: agent}, NOW, keys={AgentId("id-alpha"): keys}
    )


def the_agent(facts: Facts) -> AgentAccess:
    (agent,) = access_of(facts, concerned(facts))
    return agent


def test_the_agents_are_those_that_are_declared_or_owned() -> None:
    agents = [live("alpha"), owned("left-over"), live("somebody-elses")]
    facts = Facts(configuration(declared("alpha"), declared("new")), {one.name: one for one in agents}, NOW)
    assert concerned(facts) == ("alpha", "left-over")


def test_each_key_has_its_place_in_time_and_its_next_step() -> None:
    older = aged_key("k-1", made=timedelta(days=40), deprecated=timedelta(days=3), used=timedelta(hours=5))
    newer = aged_key("k-2", made=timedelta(days=3), used=timedelta(hours=1))
    agent = the_agent(facts_of(newer, older, retiring=("k-1",)))
    first, second = agent.keys or ()
    assert (first.key_id, first.is_delivered, first.next) == ("k-1", False, "wait")
    assert "quiet until" in first.reason
    assert first.until is not None
    assert first.until > NOW
    assert (second.key_id, second.is_delivered, second.next) == ("k-2", True, "keep")
    assert agent.stage == "observing"
    assert agent.due_at is not None
    assert timedelta(days=24) <= agent.due_at - NOW <= timedelta(days=27)
    assert agent.sinks == ("vault",)


def test_a_key_is_quiet_since_its_last_use_or_its_mint_and_unknown_is_not_quiet() -> None:
    used = aged_key("k-2", made=timedelta(days=3), used=timedelta(hours=1))
    unused = aged_key("k-3", made=timedelta(days=2))
    silent = aged_key("k-4", made=timedelta(days=1), tells_use=False)
    keys = the_agent(facts_of(used, unused, silent)).keys or ()
    assert [key.quiet_since for key in keys] == [NOW - timedelta(hours=1), NOW - timedelta(days=2), None]


def test_keys_that_were_not_read_are_not_the_same_as_none() -> None:
    agent = owned()
    facts = Facts(configuration(declared()), {agent.name: agent}, NOW)
    assert the_agent(facts).keys is None
    assert the_agent(Facts(facts.desired, facts.live, NOW, keys={agent.id: ()})).keys == ()


def test_an_agent_that_is_declared_no_more_has_keys_and_no_stage() -> None:
    agent = live("left-over", mark=mark_of(delivered=delivered_ago("k-1")))
    facts = Facts(configuration(), {agent.name: agent}, NOW, keys={agent.id: (aged_key("k-1"),)})
    found = the_agent(facts)
    assert (found.stage, found.due_at) == ("", None)
    assert [(key.is_delivered, key.next) for key in found.keys or ()] == [(True, "")]


def test_scopes_are_what_they_will_be_when_a_narrowing_is_over() -> None:
    facts = facts_of(scopes={"google": ["drive", "calendar"]}, pending={"google": ["drive"]})
    assert the_agent(facts).scopes.as_json() == {"google": ["drive"]}
