"""An adoption writes the mark on a live agent and changes nothing else; it needs no other word."""

import re
from dataclasses import replace
from datetime import timedelta

import pytest

from reconciler.errors import Refused
from reconciler.model.agent import AgentPatch, LiveAgent
from reconciler.model.desired import CountLimit, Desired, FreezeWindow, GuardSettings
from reconciler.model.mark import MARK_KEY, Mark
from reconciler.model.plan import Change
from reconciler.planning.request import patch_request
from tests.support.builders import (
    AGENTS_KEY,
    APP,
    NOW,
    OWNER,
    configuration,
    declared,
    delivery_of,
    ids,
    live,
    mark_of,
    owned,
    planned,
    refused_ids,
)

OURS = {"owner": OWNER, "app": APP}
DAY = timedelta(days=1)


def after_adoption(desired: Desired, found: LiveAgent) -> AgentPatch:
    plan = planned(desired, found, adopt=())
    return patch_request(desired, desired.agents[found.name], found, plan.operations, claim=None).body


def test_only_the_mark_is_planned_however_much_the_agent_differs() -> None:
    agent = declared(
        display_name="A", scopes={"slack": ["a"]}, status="inactive", type="service", protect=True
    )
    plan = planned(configuration(agent), live(), adopt=())
    [adopt] = plan.operations
    assert (adopt.id, adopt.version, adopt.risk) == ("adopt_agent:alpha", 3, "neutral")
    assert adopt.changes == (Change("mark", None, OURS, cause="new"),)
    assert (plan.blocked, plan.findings, plan.in_sync) == ((), (), 0)


def test_what_is_ours_or_not_live_or_not_declared_is_no_part_of_it() -> None:
    desired = configuration(declared("ours", display_name="A"), declared("new"), declared("found"))
    plan = planned(desired, owned("ours"), owned("undeclared"), live("stranger"), live("found"), adopt=())
    assert ids(plan) == ["adopt_agent:found"]
    assert plan.unmanaged == ("stranger",)


def test_an_adopted_agent_is_never_adopted_again() -> None:
    desired = configuration(declared())
    body = after_adoption(desired, live())
    assert planned(desired, live(metadata=dict(body.metadata or {})), adopt=("alpha",)).operations == ()


@pytest.mark.parametrize(
    ("patterns", "adopted"),
    [((), ["a-1", "a-2", "b"]), (("b",), ["b"]), (("a-*",), ["a-1", "a-2"]), (("a-1", "b"), ["a-1", "b"])],
)
def test_names_and_globs_choose(patterns: tuple[str, ...], adopted: list[str]) -> None:
    names = ("a-1", "a-2", "b")
    plan = planned(configuration(*map(declared, names)), *map(live, names), adopt=patterns)
    assert ids(plan) == [f"adopt_agent:{name}" for name in adopted]


def test_an_agent_that_is_not_live_is_refused_when_it_is_named_and_passed_over_otherwise() -> None:
    desired = configuration(declared("found"), declared("new"))
    with pytest.raises(Refused, match=re.escape("agent 'new' is not live: there is nothing to adopt")):
        planned(desired, live("found"), adopt=("found", "new"))
    assert ids(planned(desired, live("found"), adopt=("*",))) == ["adopt_agent:found"]


@pytest.mark.parametrize("status", ["active", "inactive"])
def test_an_expired_agent_is_not_adopted_because_it_would_be_revoked_next(status: str) -> None:
    desired = configuration(declared(expires_at=NOW - 9 * DAY), declared("other"))
    found = live(status="active" if status == "active" else "inactive")
    plan = planned(desired, found, live("other"), adopt=())
    assert ids(plan) == ["adopt_agent:other"]
    [finding] = plan.findings
    assert (finding.rule, finding.hint) == (
        "expired",
        "move its expires_at, or take it out, if the agent is to live",
    )
    with pytest.raises(Refused, match="would suspend and then revoke it"):
        planned(desired, found, adopt=("alpha",))
    assert ids(planned(configuration(declared(expires_at=NOW + DAY)), found, adopt=("alpha",)))


def test_an_expired_agent_of_nobody_is_not_offered_for_adoption() -> None:
    plan = planned(configuration(declared(expires_at=NOW - DAY)), live(status="inactive"))
    assert (plan.operations, plan.blocked, plan.findings) == ((), (), ())


def test_agents_of_a_former_owner_are_adopted_too() -> None:
    former = mark_of(declared(), owner="payments", protect=True, delivered=delivery_of())
    desired = configuration(declared(), former_owners=("payments",))
    found = live(mark=former)
    [adopt] = planned(desired, found, adopt=()).operations
    assert adopt.reason == "taken over from owner 'payments'"
    mark = Mark.from_json((after_adoption(desired, found).metadata or {})[MARK_KEY])
    assert mark == mark_of(declared(), protect=True, delivered=former.delivered)


def test_to_ask_for_an_adoption_lets_no_other_guard_pass() -> None:
    foreign = live(mark=mark_of(owner="others"))
    plan = planned(configuration(declared()), foreign, adopt=("alpha",))
    assert refused_ids(plan) == {("foreign-owner", "adopt_agent:alpha")}
    allowed = planned(configuration(declared()), foreign, adopt=("alpha",), allow=("foreign-owner=alpha",))
    assert ids(allowed) == ["adopt_agent:alpha"]
    assert allowed.allowed == ("foreign-owner=alpha",)

    renamed = live(mark=mark_of(app="old-name"))
    plan = planned(configuration(declared(), declared("beta")), renamed, live("beta"), adopt=())
    assert refused_ids(plan) == {("wrong-app", "adopt_agent:alpha"), ("wrong-app", "adopt_agent:beta")}

    window = FreezeWindow(NOW - DAY, NOW + DAY, "year end", AGENTS_KEY)
    plan = planned(configuration(declared(), freeze=(window,)), live(), adopt=())
    assert refused_ids(plan) == {("freeze", "adopt_agent:alpha")}


def test_any_number_of_agents_may_be_adopted_at_once() -> None:
    names = [f"a{index:02}" for index in range(40)]
    none = CountLimit(0, 0)
    settings = GuardSettings(max_changes=none, max_revocations=none, max_scope_removals=none)
    agents = [declared(name, scopes={"slack": ["a"]}) for name in names]
    plan = planned(configuration(*agents, guards=settings), *map(live, names), owned("kept"), adopt=())
    assert len(plan.operations) == 40
    assert not plan.blocked


def test_the_mark_takes_what_is_live_for_what_was_applied() -> None:
    agent = declared(display_name="A", scopes={"slack": ["a"]}, metadata={"team": "x"}, protect=True)
    found = live(scopes={"slack": ["a"]}, metadata={"team": "x", "theirs": 1})
    body = after_adoption(configuration(agent), found)
    known = mark_of(agent).spec
    spec = {path: known[path] for path in ("metadata.team", "scopes.slack", "status")}
    assert body == AgentPatch(metadata={**found.metadata, MARK_KEY: mark_of(spec=spec).as_json()})


def test_what_differs_after_an_adoption_is_the_configuration_being_ahead() -> None:
    desired = configuration(
        declared(
            display_name="A",
            scopes={"slack": ["a"]},
            metadata={"team": "x"},
            policy={"p": 1},
            status="inactive",
        )
    )
    found = live(display_name="B", scopes={"google": ["b"]}, metadata={"team": "y"})
    body = after_adoption(desired, found)
    plan = planned(desired, replace(found, metadata=dict(body.metadata or {})))
    causes = {change.path: change.cause for operation in plan.operations for change in operation.changes}
    assert set(causes.values()) == {"config"}
    assert set(causes) >= {"display_name", "scopes.google", "scopes.slack", "metadata.team", "status"}


def test_what_differs_is_left_to_the_next_plan() -> None:
    desired = configuration(declared(display_name="A", scopes={"slack": ["a"]}, status="inactive"))
    body = after_adoption(desired, live())
    plan = planned(desired, live(metadata=dict(body.metadata or {})))
    assert ids(plan) == ["set_scopes:alpha", "suspend_agent:alpha", "update_agent:alpha"]


def test_an_agent_that_differed_in_nothing_has_nothing_to_do_once_it_is_adopted() -> None:
    agent = declared(display_name="A", scopes={"slack": ["a"]}, metadata={"team": "x"})
    found = live(display_name="A", scopes={"slack": ["a"]}, metadata={"team": "x"})
    body = after_adoption(configuration(agent), found)
    plan = planned(
        configuration(agent),
        live(display_name="A", scopes={"slack": ["a"]}, metadata=dict(body.metadata or {})),
    )
    assert (plan.operations, plan.findings, plan.in_sync) == ((), (), 1)
