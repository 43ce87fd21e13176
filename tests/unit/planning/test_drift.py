"""What counts as drift: fields, whole agents, agents nobody uses, and actors that nobody declared."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from reconciler.model.agent import AgentId, LiveAgent
from reconciler.model.desired import DesiredAgent, DriftIgnore
from reconciler.model.diagnostic import Position
from reconciler.model.drift import DRIFT_KINDS, SEVERITIES, DriftFinding
from reconciler.model.mark import Mark
from reconciler.planning.drift import Seen, shadow_agents, sorted_drift, without_ignored
from tests.support.builders import (
    NOW,
    OWNER,
    aged_key,
    configuration,
    declared,
    delivered_ago,
    live,
    mark_of,
    owned,
    sink,
)
from tests.support.drift import actor, drift_in, drift_of, facts_of, finding, rule


def told(found: Iterable[DriftFinding]) -> list[tuple[str, str, str]]:
    return [(one.kind, one.severity, one.path) for one in found]


def in_one(agent: DesiredAgent, found: LiveAgent, **more: Any) -> list[tuple[str, str, str]]:
    """What is found in one agent."""
    return told(drift_in(configuration(agent), found, **more))


def revoked(name: str = "alpha", *, owner: str = OWNER, days_ago: int = 100) -> LiveAgent:
    agent = live(name, mark=mark_of(declared(name), owner=owner), status="revoked")
    return replace(agent, id=AgentId(f"gone-{owner}-{days_ago}"), created_at=NOW - timedelta(days=days_ago))


# Fields.


def test_an_agent_as_it_was_applied_has_no_drift() -> None:
    agent = declared(scopes={"google": ["a"]}, display_name="One", metadata={"team": "x"}, policy={"n": 1})
    found = live(
        mark=mark_of(agent),
        scopes={"google": ["a"]},
        display_name="One",
        metadata={"team": "x", "theirs": 1},
        policy={"n": 1},
        last_used_at=NOW,
    )
    assert in_one(agent, found) == []


@pytest.mark.parametrize(
    ("changed", "severity", "path"),
    [
        ({"scopes": {"google": ["a", "b"]}}, "high", "scopes.google"),
        ({"scopes": {"google": ["b"]}}, "high", "scopes.google"),
        ({"scopes": {"google": ["a"], "slack": ["x"]}}, "high", "scopes.slack"),
        ({"scopes": {}}, "medium", "scopes.google"),
        ({"status": "inactive"}, "medium", "status"),
        ({"policy": {"hours": "any"}}, "high", "policy.hours"),
        ({"display_name": "Mine"}, "low", "display_name"),
        ({"metadata": {"team": "y"}}, "low", "metadata.team"),
        ({"metadata": {}}, "low", "metadata.team"),
    ],
)
def test_what_somebody_changed_is_as_grave_as_what_it_lets_the_agent_do(
    changed: dict[str, Any], severity: str, path: str
) -> None:
    values: dict[str, Any] = {
        "scopes": {"google": ["a"]},
        "display_name": "One",
        "metadata": {"team": "x"},
        "policy": {"hours": "day"},
    }
    agent = declared(**values)
    found = live(mark=mark_of(agent), last_used_at=NOW, **{**values, **changed})
    assert in_one(agent, found) == [("changed_outside", severity, path)]


def test_an_agent_that_somebody_resumed_may_do_more_than_declared() -> None:
    agent = declared(status="inactive")
    [found] = drift_in(configuration(agent), live(mark=mark_of(agent), last_used_at=NOW))
    assert (found.severity, found.effect, found.live, found.declared) == (
        "high",
        "widening",
        "active",
        "inactive",
    )


def test_values_go_from_live_to_declared_and_point_at_the_place_in_the_configuration() -> None:
    place = Position("agents.yaml", 12, 7)
    agent = declared(scopes={"google": ["a"]}, positions={"scopes.google": place})
    [found] = drift_in(
        configuration(agent), live(mark=mark_of(agent), scopes={"google": ["a", "b"]}, last_used_at=NOW)
    )
    assert (found.live, found.declared, found.effect) == (["a", "b"], ["a"], "widening")
    assert (found.agent_id, found.source, found.is_drift) == ("id-alpha", place, True)


def test_what_only_the_configuration_moved_is_not_applied_and_no_drift() -> None:
    before = declared(scopes={"google": ["a"]}, display_name="One", metadata={"team": "x"}, status="active")
    now = declared(
        scopes={"google": ["a", "b"]}, display_name="Two", metadata={"team": "y"}, status="inactive"
    )
    found = live(
        mark=mark_of(before),
        scopes={"google": ["a"]},
        display_name="One",
        metadata={"team": "x"},
        last_used_at=NOW,
    )
    pending = drift_in(configuration(now), found)
    assert {one.kind for one in pending} == {"not_applied"}
    assert {one.path for one in pending} == {"display_name", "metadata.team", "scopes.google", "status"}
    assert not any(one.is_drift for one in pending)
    assert not drift_of(*pending).has_drift


def test_one_field_is_told_from_the_other_and_what_both_moved_is_drift() -> None:
    before = declared(scopes={"google": ["a"], "slack": ["x"]}, display_name="One")
    now = declared(scopes={"google": ["a"], "slack": ["x", "y"]}, display_name="Two")
    found = live(
        mark=mark_of(before),
        scopes={"google": ["a", "admin"], "slack": ["x"]},
        display_name="Hers",
        last_used_at=NOW,
    )
    by_path = {one.path: one for one in drift_in(configuration(now), found)}
    assert {path: (one.kind, one.is_both) for path, one in by_path.items()} == {
        "display_name": ("changed_outside", True),
        "scopes.google": ("changed_outside", False),
        "scopes.slack": ("not_applied", False),
    }
    assert by_path["display_name"].message == "changed outside, and the configuration changed as well"


def test_a_staged_narrowing_of_ours_is_no_drift_and_one_of_somebody_else_is() -> None:
    agent = declared(scopes={"google": ["a"]})
    ours = live(mark=mark_of(agent), scopes={"google": ["a", "b"]}, pending={"google": ["a"]})
    theirs = live(mark=mark_of(agent), scopes={"google": ["a"]}, pending={})
    assert in_one(agent, replace(ours, last_used_at=NOW)) == []
    assert in_one(agent, replace(theirs, last_used_at=NOW)) == [
        ("changed_outside", "medium", "scopes.google")
    ]


@pytest.mark.parametrize("field", ["scopes", "status", "display_name", "metadata", "metadata.team", "policy"])
def test_a_field_that_the_dashboard_owns_never_drifts(field: str) -> None:
    everything: dict[str, Any] = {
        "scopes": {"google": ["a"]},
        "display_name": "One",
        "metadata": {"team": "x"},
        "policy": {"n": 1},
    }
    agent = declared(**everything, ignore=[field])
    other: dict[str, Any] = {
        "scopes": {"google": ["b"]},
        "display_name": "Two",
        "metadata": {"team": "y"},
        "policy": {"n": 2},
        "status": "inactive",
    }
    head = field.partition(".")[0]
    moved = {**everything, head: other[head]}
    assert in_one(agent, live(mark=mark_of(agent), last_used_at=NOW, **moved)) == []


# Agents that are declared no more.


def test_an_agent_that_is_declared_no_more_is_compared_with_its_mark() -> None:
    applied = declared(
        scopes={"google": ["a"], "slack": ["x"]}, display_name="One", metadata={"team": "x"}, policy={"n": 1}
    )
    found = live(
        mark=mark_of(applied),
        scopes={"google": ["a", "b"], "github": ["repo"]},
        display_name="Hers",
        metadata={"team": "x", "theirs": 1},
        status="inactive",
        policy={"n": 2},
    )
    drift = [one for one in drift_in(configuration(declared("other")), found) if one.is_drift]
    assert {(one.path, one.severity, one.effect) for one in drift} == {
        ("display_name", "low", "neutral"),
        ("scopes.github", "high", "widening"),
        ("scopes.google", "high", "widening"),
        ("scopes.slack", "medium", "narrowing"),
        ("status", "medium", "narrowing"),
    }
    assert {one.message for one in drift} == {"changed outside; the agent is declared no more"}
    assert {one.source for one in drift} == {None}


def test_an_agent_that_is_declared_no_more_and_untouched_only_waits_for_its_revocation() -> None:
    [found] = drift_in(configuration(declared("other", ignore=["status"])), owned("alpha", last_used_at=NOW))[
        :1
    ]
    assert (found.kind, found.path) == ("not_applied", "agent")
    assert found.message == "revoke agent: owned by this configuration and no longer declared"


def test_a_key_that_somebody_minted_for_an_agent_that_is_declared_no_more_is_found() -> None:
    found = live(mark=mark_of(declared(), delivered=delivered_ago("k-1")), last_used_at=NOW)
    keys = {"alpha": [aged_key("k-1", revoked=timedelta(hours=1)), aged_key("k-9")]}
    kinds = [
        (one.kind, one.key_id, one.source)
        for one in drift_in(configuration(declared("other")), found, keys=keys)
    ]
    assert ("key_minted_outside", "k-9", None) in kinds
    assert not any(kind == "key_revoked_outside" for kind, _, _ in kinds)


# Agents that are not there, or not ours.


def test_a_declared_agent_that_was_never_there_is_not_applied() -> None:
    [found] = drift_in(configuration(declared()))
    assert (found.kind, found.message, found.agent_id) == (
        "not_applied",
        "create agent: declared, not live; the plaintext of its first key is discarded",
        None,
    )


def test_a_declared_agent_that_was_ours_and_is_revoked_was_revoked_outside() -> None:
    seen = Seen(revoked=[revoked(days_ago=90), revoked(days_ago=20), revoked(owner="other", days_ago=1)])
    [found] = drift_in(configuration(declared()), seen=seen)
    assert (found.kind, found.severity, found.agent_id) == (
        "agent_revoked_outside",
        "high",
        f"gone-{OWNER}-20",
    )


def test_one_of_somebody_else_that_is_revoked_says_nothing_of_ours() -> None:
    seen = Seen(revoked=[revoked(owner="other"), revoked("beta")])
    [found] = drift_in(configuration(declared()), seen=seen)
    assert found.kind == "not_applied"


def test_a_live_successor_ends_the_story_of_the_revoked_one() -> None:
    agent = declared()
    found = drift_in(configuration(agent), owned(last_used_at=NOW), seen=Seen(revoked=[revoked()]))
    assert found == ()


@pytest.mark.parametrize(("expires_in", "kinds"), [(-1, []), (1, ["agent_revoked_outside"])])
def test_an_agent_that_expired_and_is_gone_is_as_it_should_be(expires_in: int, kinds: list[str]) -> None:
    agent = declared(expires_at=NOW + timedelta(days=expires_in))
    found = drift_in(configuration(agent), seen=Seen(revoked=[revoked()]))
    assert [one.kind for one in found] == kinds


def test_an_expired_agent_that_somebody_resumed_may_do_more_than_declared() -> None:
    agent = declared(expires_at=NOW - timedelta(hours=1))
    suspended = mark_of(replace(agent, status="inactive"))
    assert in_one(agent, live(mark=suspended, last_used_at=NOW)) == [("changed_outside", "high", "status")]


@pytest.mark.parametrize("owner", ["other", None])
def test_a_declared_agent_that_differs_and_is_not_marked_as_ours_is_drift_field_by_field(
    owner: str | None,
) -> None:
    # Whoever wipes or changes a mark must not hide by that what they did.
    agent = declared(display_name="A", scopes={"google": ["a"]})
    mark = mark_of(agent, owner=owner) if owner else None
    theirs = live(mark=mark, scopes={"google": ["everything"]}, status="inactive")
    found = drift_in(configuration(agent), theirs)
    assert [one for one in told(found) if one[0] == "unmarked_agent"] == [
        ("unmarked_agent", "low", "display_name"),
        ("unmarked_agent", "high", "scopes.google"),
        ("unmarked_agent", "medium", "status"),
    ]
    whose = f"it carries the mark of owner {owner!r}" if owner else "it carries no mark"
    assert all(whose in one.message for one in found if one.kind == "unmarked_agent")
    assert [one for one in told(found) if one[0] == "not_applied"] != []


def test_an_agent_of_a_former_owner_is_taken_over_and_no_drift() -> None:
    agent = declared(scopes={"google": ["a"]})
    theirs = live(mark=mark_of(agent, owner="other"), scopes={"google": ["everything"]})
    found = drift_in(configuration(agent, former_owners=("other",)), theirs)
    assert told(found) == [("not_applied", "low", "agent")]
    assert found[0].message.startswith("adopt agent: taken over from owner 'other'")


def test_a_live_agent_without_a_mark_that_is_as_declared_is_noticed_and_no_drift() -> None:
    agent = declared(scopes={"google": ["a"]})
    [found] = drift_in(configuration(agent), live(scopes={"google": ["a"]}))
    assert (found.kind, found.path, found.agent_id) == ("not_applied", "mark", "id-alpha")
    assert found.message.startswith("adopt agent: ")


def test_who_ignores_a_field_ignores_what_is_in_it() -> None:
    agent = declared(policy={"a": {"b": 1}}, metadata={"team": {"x": 1}})
    mark = mark_of(agent)
    changed = live(mark=mark, policy={"a": {"b": 2}}, metadata={"team": {"x": 2}})
    for path, left in (
        ("policy", 1),
        ("metadata", 1),
        ("metadata.team", 1),
        ("polic", 2),
        ("metadata.tea", 2),
    ):
        known = DriftIgnore("alpha", path, "known", None, Position("agents.yaml", 1, 1))
        desired = replace(configuration(agent), ignore_drift=(known,))
        kept, _ = without_ignored(desired, drift_in(configuration(agent), changed), now=NOW)
        assert len([one for one in kept if one.is_drift]) == left, path


def test_agents_that_nobody_owns_or_declares_are_left_out() -> None:
    assert drift_in(configuration(declared("other", ignore=["status"])), live("clicked"))[1:] == ()


# Agents that nobody uses.


@pytest.mark.parametrize(
    ("last_used", "age", "is_unused"),
    [
        (timedelta(days=29, hours=23), 100, False),
        (timedelta(days=30), 100, True),
        (None, 100, True),
        (None, 29, False),
        (timedelta(days=-1), 100, False),
    ],
)
def test_an_agent_is_unused_after_thirty_days(last_used: timedelta | None, age: int, is_unused: bool) -> None:
    found = replace(
        owned(last_used_at=None if last_used is None else NOW - last_used),
        created_at=NOW - timedelta(days=age),
    )
    kinds = [one.kind for one in drift_in(configuration(declared()), found)]
    assert kinds == (["unused_agent"] if is_unused else [])


def test_what_is_said_of_an_unused_agent_is_when_it_was_used_last() -> None:
    [found] = drift_in(configuration(declared()), owned(last_used_at=datetime(2026, 9, 3, tzinfo=NOW.tzinfo)))
    assert found.message == "no activity in 30 days; last used 2026-09-03"
    [never] = drift_in(configuration(declared()), owned())
    assert never.message == "no activity in 30 days; never used"
    assert not never.is_drift


@pytest.mark.parametrize(
    ("entry", "is_unused"),
    [
        (actor("ID-alpha", count=3, days_ago=40), False),
        (actor("ID-alpha", count=0, days_ago=2), False),
        (actor("ID-alpha", count=0, days_ago=31), True),
        (actor("ID-alpha", count=None, days_ago=31), True),
        (actor("id-beta", count=3, days_ago=1), True),
    ],
)
def test_the_registry_is_believed_when_it_saw_an_agent_at_work(entry: Any, is_unused: bool) -> None:
    found = drift_in(configuration(declared()), owned(), seen=Seen(registry=[entry]))
    assert [one.kind for one in found] == (["unused_agent"] if is_unused else [])


def test_a_key_that_was_used_is_a_use_of_its_agent() -> None:
    keys = {"alpha": [aged_key(used=timedelta(days=2)), aged_key("k-2")]}
    assert drift_in(configuration(declared()), owned(), keys=keys) == ()


def test_a_suspended_agent_is_not_expected_to_be_used() -> None:
    agent = declared(status="inactive")
    assert drift_in(configuration(agent), live(mark=mark_of(agent), status="inactive")) == ()


# Shadow agents.


def test_who_is_at_work_and_neither_declared_nor_known_is_a_shadow_agent() -> None:
    facts = facts_of(
        configuration(declared("alpha"), former_owners=("payments",)),
        live("clicked"),
        live("theirs", mark=Mark("other team", "payments-prod")),
    )
    known = [
        actor("ID-CLICKED"),
        actor("x1", "alpha"),
        actor("x2", "alter-sync/payments/agents"),
        actor("x3", "alter-sync/payments"),
        actor("x4", "alter-sync/other%20team"),
        actor("gone-1", "was-here"),
    ]
    seen = Seen(
        revoked=[replace(live("was-here"), id=AgentId("gone-1"), status="revoked")],
        registry=[*known, actor("x5", "cron on mars"), actor("x6")],
    )
    found = shadow_agents(facts, seen)
    assert [(one.agent, one.severity, one.path, one.agent_id) for one in found] == [
        ("cron on mars", "high", "agent", None),
        ("x6", "high", "agent", None),
    ]
    assert "(agent x5, 4 actions in 30 days); last seen 2026-11-23 12:00 UTC" in found[0].message


def test_without_a_registry_there_are_no_shadow_agents() -> None:
    assert shadow_agents(facts_of(configuration(declared())), Seen()) == ()


def test_two_shadow_agents_of_one_name_are_two() -> None:
    facts = facts_of(configuration(declared()))
    found = shadow_agents(facts, Seen(registry=[actor("x1", "bot"), actor("x2", "bot")]))
    assert len({one.id for one in found}) == 2


# What is shown, and what is not counted.


def test_drift_comes_before_notices_the_gravest_and_the_widening_first() -> None:
    shuffled = [
        finding("unused_agent", agent="a"),
        finding("changed_outside", agent="b", severity="low"),
        finding("key_revoked_outside", agent="a", severity="high", key_id="k-1"),
        finding("changed_outside", agent="z", severity="high", effect="widening"),
        finding("changed_outside", agent="c", severity="medium"),
    ]
    shown = sorted_drift(shuffled)
    assert [(one.agent, one.severity) for one in shown] == [
        ("z", "high"),
        ("a", "high"),
        ("c", "medium"),
        ("b", "low"),
        ("a", "low"),
    ]
    assert sorted_drift(reversed(shown)) == shown


def test_the_summary_counts_every_kind_and_severities_of_drift_alone() -> None:
    drift = drift_of(finding(), finding(severity="high", agent="b"), finding("unused_agent"))
    summary = drift.summary()
    assert set(summary) == {*DRIFT_KINDS, *SEVERITIES, "drift", "ignored", "unmanaged", "in_sync"}
    assert (summary["drift"], summary["high"], summary["low"]) == (2, 1, 1)
    assert (summary["changed_outside"], summary["unused_agent"]) == (2, 1)
    assert drift.has_drift


@pytest.mark.parametrize(
    ("agent", "path", "matches"),
    [
        ("alpha", "display_name", True),
        ("al*", "display*", True),
        ("*", "*", True),
        ("Alpha", "*", False),
        ("beta", "*", False),
        ("alpha", "scopes*", False),
    ],
)
def test_a_rule_takes_out_what_its_globs_match(agent: str, path: str, matches: bool) -> None:
    found = finding()
    desired = replace(configuration(), ignore_drift=(rule(agent, path),))
    kept, ignored = without_ignored(desired, [found], now=NOW)
    assert (kept == ()) is matches
    assert [(one.finding, one.reason) for one in ignored] == (
        [(found, "the migration team edits it")] if matches else []
    )


def test_a_rule_names_a_shadow_agent_by_its_name_or_its_id() -> None:
    found = shadow_agents(facts_of(configuration()), Seen(registry=[actor("x1", "bot")]))
    for name in ("bot", "x1"):
        desired = replace(configuration(), ignore_drift=(rule(name),))
        assert without_ignored(desired, found, now=NOW)[0] == ()


@pytest.mark.parametrize(("until", "counts"), [(timedelta(0), True), (timedelta(seconds=1), False)])
def test_a_rule_that_has_ended_takes_nothing_out(until: timedelta, counts: bool) -> None:
    desired = replace(configuration(), ignore_drift=(rule(until=NOW + until),))
    assert bool(without_ignored(desired, [finding()], now=NOW)[0]) is counts


def test_keys_are_a_path_of_their_own_for_rules() -> None:
    agent = declared(deliver_to=("vault",))
    found = live(mark=mark_of(agent, delivered=delivered_ago("k-1")), display_name="x", last_used_at=NOW)
    keys = {"alpha": [aged_key("k-1"), aged_key("k-9")]}
    desired = replace(configuration(agent, sinks=(sink(),)), ignore_drift=(rule(path="keys"),))
    kept, ignored = without_ignored(desired, drift_in(desired, found, keys=keys), now=NOW)
    assert ([one.kind for one in kept], [one.finding.kind for one in ignored]) == ([], ["key_minted_outside"])
