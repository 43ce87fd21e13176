"""An expired agent is suspended first and revoked a day later, and never made anew."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from reconciler.model.agent import AgentStatus, LiveAgent
from reconciler.model.diagnostic import Position
from reconciler.planning.expiry import as_of, expired_at
from tests.support.builders import NOW, configuration, declared, ids, live, mark_of, planned, refused_ids

END = datetime(2026, 11, 24, tzinfo=UTC)
AGENT = declared(expires_at=END, display_name="A", deliver_to=("vault",))
DESIRED = configuration(AGENT)
SECOND = timedelta(seconds=1)


def found(status: AgentStatus = "active") -> LiveAgent:
    return live(mark=mark_of(AGENT), display_name="moved", status=status)


def test_before_its_end_an_agent_is_like_any_other() -> None:
    assert ids(planned(DESIRED, found(), now=END - SECOND)) == ["update_agent:alpha"]
    assert ids(planned(DESIRED, now=END - SECOND)) == ["create_agent:alpha", "mint_key:alpha"]


def test_at_its_end_an_agent_is_suspended_and_gets_nothing_new() -> None:
    plan = planned(DESIRED, found(), now=END)
    assert ids(plan) == ["suspend_agent:alpha"]
    assert plan.operations[0].reason == "expired at 2026-11-24T00:00:00Z"
    assert plan.operations[0].risk == "narrowing"


def test_an_expired_agent_is_suspended_however_late_that_is() -> None:
    assert ids(planned(DESIRED, found(), now=END + timedelta(days=9))) == ["suspend_agent:alpha"]


def test_a_suspended_agent_waits_a_day_for_its_revocation() -> None:
    for now in (END, END + timedelta(days=1) - SECOND):
        plan = planned(DESIRED, found("inactive"), now=now)
        assert not plan.operations
        [waiting] = plan.waiting
        assert (waiting.stage, waiting.until) == ("expired", END + timedelta(days=1))


def test_a_day_after_its_end_a_suspended_agent_is_revoked() -> None:
    plan = planned(DESIRED, found("inactive"), now=END + timedelta(days=1))
    assert ids(plan) == ["revoke_agent:alpha"]
    assert plan.operations[0].risk == "destructive"


def test_an_expired_agent_that_is_gone_is_told_of_and_not_created() -> None:
    where = Position("agents.yaml", 12, 5)
    agent = replace(AGENT, positions={"expires_at": where})
    plan = planned(configuration(agent), now=END)
    assert not plan.operations
    assert plan.in_sync == 0
    [finding] = plan.findings
    assert (finding.rule, finding.severity, finding.position) == ("expired", "warning", where)


def test_moving_the_date_resumes_the_agent() -> None:
    later = configuration(replace(AGENT, expires_at=END + timedelta(days=30)))
    assert "resume_agent:alpha" in ids(planned(later, found("inactive"), now=END))


def test_leaving_the_status_to_the_dashboard_does_not_stop_the_end() -> None:
    agent = replace(AGENT, ignore=frozenset({"status", "display_name"}))
    plan = planned(configuration(agent), found(), now=END)
    assert ids(plan) == ["suspend_agent:alpha"]


def test_a_protected_agent_expires_only_when_that_is_allowed() -> None:
    desired = configuration(replace(AGENT, protect=True))
    assert refused_ids(planned(desired, found(), now=END)) == {("protected", "suspend_agent:alpha")}
    assert ids(planned(desired, found(), now=END, allow=("protected=alpha",))) == ["suspend_agent:alpha"]


def test_an_expired_agent_of_nobody_is_suspended_by_its_adoption_and_not_revoked() -> None:
    unowned = live(display_name="A")
    plan = planned(DESIRED, unowned, now=END + timedelta(days=9), allow=("unowned",))
    assert ids(plan) == ["adopt_agent:alpha", "suspend_agent:alpha"]


def test_the_configuration_as_of_a_moment_declares_expired_agents_inactive() -> None:
    other = declared("beta", ignore=["status"])
    desired = configuration(replace(AGENT, ignore=frozenset({"status", "policy"})), other)
    timely = as_of(desired, END)
    assert timely.agents[AGENT.name] == replace(AGENT, status="inactive", ignore=frozenset({"policy"}))
    assert timely.agents[other.name] == other
    assert as_of(desired, END - SECOND) == desired


def test_an_agent_without_an_end_never_expires() -> None:
    assert expired_at(declared(), NOW) is None
    assert expired_at(AGENT, END - SECOND) is None
    assert expired_at(AGENT, END) == expired_at(AGENT, NOW) == END
