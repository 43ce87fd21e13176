"""Only what carries this owner's mark is touched; everything else needs a word of the user."""

import pytest

from reconciler.model.agent import AgentName
from reconciler.model.mark import MARK_KEY
from reconciler.model.plan import Change
from tests.support.builders import (
    APP,
    OWNER,
    configuration,
    declared,
    ids,
    live,
    mark_of,
    owned,
    planned,
    refused_ids,
)

OURS = {"owner": OWNER, "app": APP}


def test_an_agent_of_nobody_is_not_adopted_without_a_word() -> None:
    plan = planned(configuration(declared(display_name="A")), live())
    assert not plan.operations
    [refusal] = plan.blocked
    assert (refusal.guard, refusal.allow) == ("unowned", "--allow unowned=alpha")
    assert refusal.reason.endswith("(and 1 more of this agent's operations with it)")


def test_an_adopted_agent_becomes_as_declared() -> None:
    agent = declared(display_name="A", scopes={"slack": ["a"]}, status="inactive")
    plan = planned(configuration(agent), live(), allow=("unowned=alpha",))
    adopt, *rest = plan.operations
    assert adopt.changes == (Change("mark", None, OURS, cause="new"),)
    assert adopt.version == 3
    assert [operation.kind for operation in rest] == ["set_scopes", "suspend_agent", "update_agent"]
    assert {operation.depends_on for operation in rest} == {(adopt.id,)}


def test_a_narrowing_on_its_way_waits_while_the_agent_is_adopted() -> None:
    found = live(scopes={"slack": ["a", "b"]}, pending={"slack": ["a"]})
    plan = planned(configuration(declared(scopes={"slack": ["a"]})), found, allow=("unowned",))
    assert ids(plan) == ["adopt_agent:alpha"]
    assert [waiting.stage for waiting in plan.waiting] == ["narrowing"]


def test_an_agent_of_nobody_that_is_as_declared_is_left_alone_and_told_of() -> None:
    desired = configuration(*(declared(name, display_name="A") for name in ("a", "b", "c", "d", "e")))
    found = [live(name, display_name="A") for name in ("a", "b", "c", "d")]
    plan = planned(desired, *found, live("e", display_name="A", mark=mark_of(desired.agents[AgentName("e")])))
    assert (plan.operations, plan.blocked, plan.in_sync) == ((), (), 5)
    [finding] = plan.findings
    assert (finding.severity, finding.rule) == ("warning", "unowned")
    assert finding.message == (
        "4 declared agents are live without an owner (a, b, c and 1 more): nothing differs, "
        "but changes made here will be refused"
    )
    assert "`alter-sync adopt`" in finding.hint
    one = planned(desired, *found, targets=("b",))
    assert one.findings[0].message.startswith("1 declared agent is live without an owner (b): ")


def test_an_agent_of_nobody_that_is_as_declared_is_adopted_when_that_is_allowed() -> None:
    plan = planned(configuration(declared()), live(), allow=("unowned=alpha",))
    assert ids(plan) == ["adopt_agent:alpha"]
    assert not plan.findings


def test_a_narrowing_on_its_way_does_not_make_an_agent_of_nobody_differ() -> None:
    found = live(scopes={"slack": ["a", "b"]}, pending={"slack": ["a"]})
    plan = planned(configuration(declared(scopes={"slack": ["a"]})), found)
    assert (plan.operations, plan.blocked) == ((), ())
    assert [waiting.stage for waiting in plan.waiting] == ["narrowing"]


@pytest.mark.parametrize("broken", ["text", 1, {}, {"owner": ""}, {"owner": 1, "app": "x"}, {"owner": "x"}])
def test_a_broken_mark_is_no_mark(broken: object) -> None:
    plan = planned(configuration(declared(display_name="A")), live(metadata={MARK_KEY: broken}))
    assert refused_ids(plan) == {("unowned", "adopt_agent:alpha")}


def test_an_agent_of_a_former_owner_is_taken_over() -> None:
    before, after = declared(metadata={"team": "x"}), declared(metadata={"team": "y"})
    found = live(metadata={"team": "x"}, mark=mark_of(before, owner="payments"))
    plan = planned(configuration(after, former_owners=("payments",)), found)
    adopt, update = plan.operations
    assert adopt.reason == "taken over from owner 'payments'"
    assert adopt.changes == (Change("mark", {"owner": "payments", "app": APP}, OURS),)
    assert update.changes == (Change("metadata.team", "x", "y", cause="config"),)


def test_an_undeclared_agent_of_a_former_owner_is_left_alone_and_told_of() -> None:
    plan = planned(configuration(former_owners=("payments",)), live(mark=mark_of(owner="payments")))
    assert not plan.operations
    assert not plan.unmanaged
    assert [finding.rule for finding in plan.findings] == ["former-owner-left"]


def test_an_agent_of_another_owner_is_refused() -> None:
    plan = planned(configuration(declared(display_name="A")), live(mark=mark_of(owner="others")))
    assert not plan.operations
    assert refused_ids(plan) == {("foreign-owner", "adopt_agent:alpha")}
    assert "'others'" in plan.blocked[0].reason
    assert not plan.unmanaged


def test_an_agent_of_another_owner_is_taken_over_when_that_is_allowed() -> None:
    found = live(mark=mark_of(owner="others", app="elsewhere"))
    plan = planned(configuration(declared()), found, allow=("foreign-owner=alpha",))
    assert ids(plan) == ["adopt_agent:alpha"]


def test_an_undeclared_agent_of_another_owner_is_none_of_our_business() -> None:
    plan = planned(configuration(declared()), owned(), live("beta", mark=mark_of(owner="others")))
    assert not plan.operations
    assert not plan.unmanaged
    assert not plan.findings


def test_in_the_wrong_app_nothing_at_all_is_done() -> None:
    stranger = live("stranger", mark=mark_of(app="payments-test"))
    desired = configuration(declared("new"), declared("ours", display_name="A"), declared("stranger"))
    plan = planned(desired, stranger, owned("ours"), owned("undeclared"))
    assert not plan.operations
    assert {guard for guard, _ in refused_ids(plan)} == {"wrong-app"}
    assert {id_ for _, id_ in refused_ids(plan)} == {
        "adopt_agent:stranger",
        "create_agent:new",
        "revoke_agent:undeclared",
        "update_agent:ours",
    }
    assert {entry.allow for entry in plan.blocked} == {"--allow wrong-app"}
    assert "1 live agents of this owner, e.g. stranger, are marked for app 'payments-test'" in (
        plan.blocked[0].reason
    )


def test_strangers_allowed_by_name_stop_nobody_else() -> None:
    strangers = [live(name, mark=mark_of(app="payments-test")) for name in ("one", "two")]
    desired = configuration(declared("new"), declared("one"))
    assert ids(planned(desired, *strangers, allow=("wrong-app=two",))) == ["revoke_agent:two"]
    both = planned(desired, *strangers, allow=("wrong-app=one", "wrong-app=two"))
    assert ids(both) == ["create_agent:new", "adopt_agent:one", "revoke_agent:two"]


def test_after_a_rename_of_the_app_what_is_not_declared_is_revoked_and_blocks_no_later_plan() -> None:
    leftover = live("leftover", mark=mark_of(app="the-old-name"))
    plan = planned(configuration(declared("new")), leftover, allow=("wrong-app",))
    assert ids(plan) == ["revoke_agent:leftover", "create_agent:new"]


@pytest.mark.parametrize("owner", [OWNER, "payments"])
def test_an_undeclared_agent_of_the_wrong_app_stops_everything_too(owner: str) -> None:
    stranger = live("stranger", mark=mark_of(owner=owner, app="payments-test"))
    desired = configuration(declared("new"), former_owners=("payments",))
    plan = planned(desired, stranger)
    assert not plan.operations
    assert [(entry.guard, entry.agent, entry.operation is None) for entry in plan.blocked] == [
        ("wrong-app", "new", False),
        ("wrong-app", "stranger", True),
    ]


def test_after_a_renaming_of_the_app_its_agents_are_taken_over_when_that_is_allowed() -> None:
    found = [live(name, mark=mark_of(declared(name), app="old-name")) for name in ("alpha", "beta")]
    desired = configuration(declared("alpha"), declared("beta"))
    assert ids(planned(desired, *found, allow=("wrong-app=alpha",))) == ["adopt_agent:alpha"]
    plan = planned(desired, *found, allow=("wrong-app",))
    assert ids(plan) == ["adopt_agent:alpha", "adopt_agent:beta"]
    assert plan.operations[0].reason == "marked for app 'old-name'"


def test_only_our_mark_lets_an_undeclared_agent_be_revoked() -> None:
    agents = [owned("ours"), live("unowned"), live("foreign", mark=mark_of(owner="others"))]
    plan = planned(configuration(declared("kept")), *agents, owned("kept"))
    assert ids(plan) == ["revoke_agent:ours"]
    [revoke] = plan.operations
    assert (revoke.agent_id, revoke.version, revoke.risk) == ("id-ours", 3, "destructive")
    assert plan.unmanaged == ("unowned",)
