"""What the dashboard plane cannot do is refused when the plan is made, and nothing lets it through."""

from dataclasses import replace
from datetime import timedelta

import pytest

from reconciler.model.agent import LiveAgent
from reconciler.model.desired import DesiredAgent
from reconciler.planning.guards import GUARDS
from tests.support.builders import NOW, configuration, declared, ids, owned, planned, refused_ids

EVERY_GUARD = tuple(GUARDS)

BEYOND = [
    (declared("a", scopes={"s": ["x"]}), owned("a"), "set_scopes:a", "change the scopes of a live agent"),
    (declared("a", status="inactive"), owned("a"), "suspend_agent:a", "suspend or resume an agent"),
    (declared("a"), replace(owned("a"), status="inactive"), "resume_agent:a", "suspend or resume an agent"),
    (declared("a", policy={"x": 1}), owned("a"), "update_agent:a", "set a policy"),
    (declared("a", policy={"x": 1}), None, "create_agent:a", "set a policy"),
    (declared("a", status="inactive"), None, "create_agent:a", "create an agent that is declared inactive"),
    (
        declared("a", expires_at=NOW - timedelta(hours=1)),
        owned("a"),
        "suspend_agent:a",
        "suspend or resume an agent",
    ),
]


@pytest.mark.parametrize(("agent", "live", "operation", "what"), BEYOND)
def test_what_the_executable_has_no_command_for_is_refused_by_name(
    agent: DesiredAgent, live: LiveAgent | None, operation: str, what: str
) -> None:
    plan = planned(configuration(agent), *filter(None, (live,)), plane="dashboard", allow=EVERY_GUARD)
    assert ("plane", operation) in refused_ids(plan)
    assert plan.operations == ()
    entry = next(entry for entry in plan.blocked if entry.operation and entry.operation.id == operation)
    assert entry.allow == ""
    assert entry.reason.startswith(f"the dashboard plane (ALTER_PAT) cannot {what}")
    assert "ALTER_API_KEY" in entry.reason


@pytest.mark.parametrize(("agent", "live", "operation", "what"), BEYOND)
def test_the_sdk_plane_can_do_it(
    agent: DesiredAgent, live: LiveAgent | None, operation: str, what: str
) -> None:
    plan = planned(configuration(agent), *filter(None, (live,)))
    assert operation in ids(plan)
    assert not plan.blocked


def test_what_the_executable_can_do_is_planned() -> None:
    desired = configuration(
        declared("new", deliver_to=("vault",), scopes={"s": ["x"]}),
        declared("renamed", display_name="New"),
    )
    plan = planned(desired, owned("renamed"), owned("gone"), plane="dashboard")
    assert ids(plan) == ["revoke_agent:gone", "create_agent:new", "mint_key:new", "update_agent:renamed"]
    assert not plan.blocked
    assert plan.plane == "dashboard"


def test_what_falls_with_a_create_is_not_refused_once_more() -> None:
    plan = planned(configuration(declared("a", status="inactive")), plane="dashboard")
    assert refused_ids(plan) == {("plane", "create_agent:a")}


def test_an_agent_is_not_revoked_for_a_successor_that_cannot_be_made() -> None:
    desired = configuration(declared("a", type="service", policy={"x": 1}))
    plan = planned(desired, owned("a"), plane="dashboard", allow=("replace",))
    assert plan.operations == ()
