"""What counts for a guard, and what does not."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from reconciler.model.agent import LiveAgent
from reconciler.model.desired import CountLimit, Desired, FreezeWindow
from reconciler.model.diagnostic import Position
from reconciler.model.plan import Operation
from reconciler.planning.facts import Allowances, Facts
from reconciler.planning.guards import refusals
from tests.support.builders import (
    NOW,
    allowing,
    configuration,
    declared,
    ids,
    live,
    mark_of,
    owned,
    planned,
    refused_ids,
)
from tests.unit.planning.guard_scenarios import (
    DAY,
    KEPT,
    SENSITIVE,
    UNCOUNTED,
    changing,
    names,
    narrowing,
    owned_fleet,
    revoking,
)


@pytest.mark.parametrize(
    ("make", "below"),
    [
        # Many agents, but a small part of them: the count alone refuses nothing.
        (revoking, (5, 50)),
        (changing, (30, 60)),
        (narrowing, (30, 100)),
        # A large part, but of few agents.
        (revoking, (3, 4)),
        (changing, (10, 10)),
        (narrowing, (10, 10)),
    ],
)
def test_a_counting_guard_needs_both_the_count_and_the_share(
    make: Callable[[int, int], tuple[Desired, tuple[LiveAgent, ...]]], below: tuple[int, int]
) -> None:
    desired, agents = make(*below)
    assert not planned(desired, *agents).blocked


def test_what_is_allowed_by_name_does_not_count_against_the_others() -> None:
    for make, affected in ((revoking, 4), (changing, 11)):
        desired, agents = make(affected, affected + 2)
        guard = "max-revocations" if make is revoking else "max-changes"
        assert planned(desired, *agents).blocked
        assert not planned(desired, *agents, allow=(f"{guard}=a00",)).blocked


def test_narrowings_allowed_by_name_do_not_count_against_the_others() -> None:
    settings = replace(UNCOUNTED, max_scope_removals=CountLimit(10, 30))
    desired = configuration(declared("one"), declared("two"), guards=settings)
    agents = [owned(name, scopes={"s": names(8, "s")}) for name in ("one", "two")]
    assert len(planned(desired, *agents).blocked) == 2
    assert not planned(desired, *agents, allow=("max-scope-removals=one",)).blocked


RETYPED = configuration(
    declared("one", type="service"),
    declared("two", type="service"),
    guards=replace(UNCOUNTED, max_revocations=CountLimit(1, 0)),
)
RETYPED_FLEET = (owned("one"), owned("two"), owned("gone"))


def test_replacements_that_are_refused_anyway_do_not_count_as_revocations() -> None:
    plan = planned(RETYPED, *RETYPED_FLEET)
    assert refused_ids(plan) == {("replace", "revoke_agent:one"), ("replace", "revoke_agent:two")}
    assert ids(plan) == ["revoke_agent:gone"]


def test_replacements_that_are_allowed_count_as_revocations() -> None:
    plan = planned(RETYPED, *RETYPED_FLEET, allow=("replace=one", "replace=two"))
    assert refused_ids(plan) == {
        ("max-revocations", f"revoke_agent:{name}") for name in ("one", "two", "gone")
    }
    through = ("replace=one", "replace=two", "max-revocations=one", "max-revocations=two")
    assert not planned(RETYPED, *RETYPED_FLEET, allow=through).blocked


def test_revocations_of_agents_that_are_not_owned_are_all_there_are() -> None:
    desired = configuration(KEPT, guards=replace(UNCOUNTED, max_revocations=CountLimit(0, 10)))
    renamed = live("gone", mark=mark_of(app="payments-test"))
    plan = planned(desired, renamed, allow=("wrong-app",))
    [refusal] = plan.blocked
    assert refusal.reason == (
        "1 of 0 owned agents would be revoked at once (100 %): more than 0 and more than 10 %"
    )


def test_a_new_protected_agent_does_not_hide_the_one_after_it() -> None:
    new = declared("a", status="inactive", protect=True)
    plan = planned(configuration(new, KEPT), owned("kept"), owned("z", protect=True))
    assert refused_ids(plan) == {("protected", "revoke_agent:z")}


def test_an_agent_that_is_not_live_is_not_in_use() -> None:
    revoke = Operation("x", "revoke_agent", declared().name, "made up")
    assert refusals(Facts(configuration(KEPT), {}, NOW), (revoke,)) == ()


def test_a_provider_may_have_a_dot_in_its_name() -> None:
    settings = replace(UNCOUNTED, sensitive_scopes=("google.eu:*",))
    plan = planned(configuration(declared(scopes={"google.eu": ["drive"]}), guards=settings))
    assert plan.blocked[0].reason == "would grant google.eu:drive (google.eu:*)"


def test_an_agent_with_several_changes_counts_once() -> None:
    agents = [declared(name, display_name="N", status="inactive") for name in names(10)]
    desired = configuration(*agents, guards=replace(UNCOUNTED, max_changes=CountLimit(10, 50)))
    assert not planned(desired, *owned_fleet(10)).blocked


def test_creations_and_adoptions_are_no_changes_of_owned_agents() -> None:
    settings = replace(UNCOUNTED, max_changes=CountLimit(1, 0))
    agents = [declared("new", status="inactive"), declared("found"), declared("kept", display_name="N")]
    plan = planned(configuration(*agents, guards=settings), live("found"), owned("kept"), allow=("unowned",))
    assert not plan.blocked


def test_too_many_changes_do_not_leave_a_new_agent_active_that_is_declared_inactive() -> None:
    settings = replace(UNCOUNTED, max_changes=CountLimit(0, 0))
    desired = configuration(
        declared("new", status="inactive"), declared("kept", display_name="N"), guards=settings
    )
    plan = planned(desired, owned("kept"))
    assert refused_ids(plan) == {("max-changes", "update_agent:kept")}
    assert ids(plan) == ["create_agent:new", "suspend_agent:new"]


def test_widening_and_pending_removals_are_no_removals() -> None:
    settings = replace(UNCOUNTED, max_scope_removals=CountLimit(0, 0))
    wider = declared("wider", scopes={"s": ["a", "b"]})
    pending = declared("pending", scopes={"s": ["a"]})
    desired = configuration(wider, pending, guards=settings)
    leaving = live("pending", scopes={"s": ["a", "b"]}, pending={"s": ["a"]}, mark=mark_of(pending))
    assert not planned(desired, owned("wider", scopes={"s": ["a"]}), leaving).blocked


@pytest.mark.parametrize(
    ("block", "remembered", "refused"),
    [
        (None, None, False),
        (None, True, True),
        (None, False, False),
        (True, None, True),
        (True, False, True),
        # To unprotect takes one apply by itself, so that one mistake cannot do both.
        (False, True, True),
        (False, None, False),
    ],
)
def test_the_block_or_the_live_mark_protects(
    block: bool | None, remembered: bool | None, refused: bool
) -> None:
    desired = configuration(declared(status="inactive", protect=block))
    plan = planned(desired, owned("alpha", protect=remembered))
    assert bool(plan.blocked) is refused


def test_deleting_the_block_of_a_protected_agent_does_not_unprotect_it() -> None:
    plan = planned(configuration(KEPT), owned("kept"), owned("gone", protect=True))
    assert refused_ids(plan) == {("protected", "revoke_agent:gone")}
    assert plan.blocked[0].reason.startswith("its live mark says protect")
    by_block = planned(configuration(declared(status="inactive", protect=True)), owned("alpha"))
    assert by_block.blocked[0].reason.startswith("its block says protect")


def test_never_used_agents_are_not_in_use() -> None:
    assert not planned(configuration(KEPT), owned("kept"), owned("gone")).blocked


def test_scopes_that_an_agent_has_already_are_not_granted() -> None:
    agent = declared(scopes={"google": ["drive", "mail"]})
    desired = configuration(agent, guards=SENSITIVE)
    assert not planned(desired, owned("alpha", scopes={"google": ["drive"]})).blocked
    taking_back = live(
        scopes={"google": ["drive", "mail"]}, pending={"google": ["mail"]}, mark=mark_of(agent)
    )
    assert refused_ids(planned(desired, taking_back)) == {("sensitive-scopes", "set_scopes:alpha")}


def test_every_sensitive_scope_is_named_with_its_pattern() -> None:
    settings = replace(UNCOUNTED, sensitive_scopes=("*:drive*", "google:*"))
    plan = planned(configuration(declared(scopes={"google": ["drive"], "slack": ["a"]}), guards=settings))
    assert plan.blocked[0].reason == "would grant google:drive (*:drive*), google:drive (google:*)"


def test_overlapping_freezes_refuse_once() -> None:
    window = FreezeWindow(NOW - DAY, NOW + DAY, "", Position("agents.yaml", 3, 3))
    plan = planned(configuration(declared(), freeze=(window, window)))
    [refusal] = plan.blocked
    assert refusal.reason == "frozen until 2026-11-25T12:00:00Z, see agents.yaml:3:3"


def test_an_empty_configuration_that_owns_nothing_is_no_mistake() -> None:
    assert not planned(configuration(), live(), live("beta", mark=mark_of(owner="others"))).blocked


def test_several_guards_may_refuse_one_operation() -> None:
    plan = planned(configuration(KEPT), owned("kept"), owned("gone", protect=True, last_used_at=NOW))
    assert refused_ids(plan) == {("protected", "revoke_agent:gone"), ("revoke-in-use", "revoke_agent:gone")}
    half = planned(
        configuration(KEPT),
        owned("kept"),
        owned("gone", protect=True, last_used_at=NOW),
        allow=("protected",),
    )
    assert not half.operations


def test_allowances_are_pairs_of_a_guard_and_an_agent() -> None:
    allow = allowing("freeze", "unowned=b", "unowned=a")
    assert allow.as_texts() == ("freeze", "unowned=a", "unowned=b")
    assert allow.permits("freeze", None)
    assert allow.permits("freeze", "x")
    assert allow.permits("unowned", "a")
    assert not allow.permits("unowned", "c")
    assert not allow.permits("unowned", None)
    assert not Allowances().permits("freeze", "x")


def test_facts_know_whose_an_agent_is() -> None:
    ours, theirs, nobodys = owned("ours"), live("theirs", mark=mark_of(owner="others")), live("nobodys")
    facts = Facts(configuration(), {agent.name: agent for agent in (ours, theirs, nobodys)}, NOW)
    assert facts.owned() == {ours.name: ours}
    assert facts.mark_of(ours.name) == ours.mark
    assert facts.mark_of(theirs.name) == theirs.mark
    assert facts.mark_of(nobodys.name) is None
    assert facts.mark_of(declared("missing").name) is None
