"""Display name, status, type and protection: what differs, and who moved."""

import pytest

from reconciler.model.agent import LiveAgent
from reconciler.model.desired import DesiredAgent
from reconciler.model.plan import Cause, Change
from reconciler.planning.agent_diff import AgentDiff, diff_agent
from tests.support.builders import declared, live, mark_of


def diff(agent: DesiredAgent, found: LiveAgent) -> AgentDiff:
    return diff_agent(agent, found, found.mark)


def test_equal_agents_do_not_differ() -> None:
    agent = declared(
        display_name="A", type="service", metadata={"team": "x"}, policy={"hours": 9}, protect=True
    )
    found = live(
        display_name="A",
        type="service",
        metadata={"team": "x"},
        policy={"hours": 9},
        mark=mark_of(agent, protect=True),
    )
    assert not diff(agent, found)


def test_what_is_not_declared_is_not_compared() -> None:
    found = live(display_name="Whatever", type="service", policy={"a": 1}, metadata={"x": 1}, mark=mark_of())
    assert not diff(declared(), found)


@pytest.mark.parametrize(
    ("applied", "current", "wanted", "cause"),
    [
        ("Old", "Old", "New", "config"),
        ("Old", "Moved", "Old", "outside"),
        ("Old", None, "Old", "outside"),
        ("Old", "Moved", "New", "both"),
        (None, "Theirs", "New", "config"),
        (None, None, "New", "config"),
    ],
)
def test_the_mark_tells_who_moved_the_display_name(
    applied: str | None, current: str | None, wanted: str, cause: Cause
) -> None:
    found = live(display_name=current, mark=mark_of(declared(display_name=applied)))
    assert diff(declared(display_name=wanted), found).update == (
        Change("display_name", current, wanted, cause=cause),
    )


def test_without_a_mark_every_difference_is_new() -> None:
    agent = declared(
        display_name="A",
        status="inactive",
        scopes={"slack": ["a"]},
        metadata={"team": "x"},
        policy={"a": 1},
        protect=True,
    )
    found = diff_agent(agent, live(), None)
    assert found.status is not None
    everything = (*found.update, *found.scopes, found.status)
    assert {change.path for change in everything} == {
        "display_name",
        "metadata.team",
        "policy",
        "protect",
        "scopes.slack",
        "status",
    }
    assert {change.cause for change in everything} == {"new"}


def test_resuming_widens_and_suspending_narrows() -> None:
    agent = declared()
    resumed = diff(agent, live(status="inactive", mark=mark_of(agent))).status
    assert resumed == Change("status", "inactive", "active", "widening", "outside")
    suspended = diff(declared(status="inactive"), live(mark=mark_of(agent))).status
    assert suspended == Change("status", "active", "inactive", "narrowing", "config")


def test_a_status_that_was_not_managed_before_is_the_configurations_doing() -> None:
    found = live(mark=mark_of(declared(ignore=["status"])))
    change = diff(declared(status="inactive"), found).status
    assert change is not None
    assert change.cause == "config"


def test_another_type_is_reported_by_itself() -> None:
    found = diff(declared(type="service"), live(type="agent", mark=mark_of()))
    assert found == AgentDiff(type=Change("type", "agent", "service"))
    assert found


@pytest.mark.parametrize(
    ("block", "remembered", "after"),
    [
        (None, None, None),
        (None, True, None),
        (None, False, None),
        (True, True, None),
        (False, False, None),
        (False, None, None),
        (True, None, True),
        (True, False, True),
        (False, True, False),
    ],
)
def test_only_an_explicit_word_changes_the_protection(
    block: bool | None, remembered: bool | None, after: bool | None
) -> None:
    found = live(mark=mark_of(declared(), protect=remembered))
    expected = () if after is None else (Change("protect", not after, after),)
    assert diff(declared(protect=block), found).update == expected


@pytest.mark.parametrize(
    ("field", "agent", "found"),
    [
        ("display_name", declared(display_name="A"), live(display_name="B")),
        ("status", declared(status="inactive"), live()),
        ("type", declared(type="service"), live(type="agent")),
        ("policy", declared(policy={"a": 1}), live(policy={"a": 2})),
        ("scopes", declared(scopes={"s": ["a"]}), live(scopes={"s": ["b"]})),
        ("metadata", declared(metadata={"team": "x"}), live(metadata={"team": "y"})),
        ("metadata.team", declared(metadata={"team": "x"}), live(metadata={"team": "y"})),
    ],
)
def test_a_field_left_to_the_dashboard_is_not_compared(
    field: str, agent: DesiredAgent, found: LiveAgent
) -> None:
    left = declared(
        scopes=agent.scopes.as_json(),
        type=agent.type,
        display_name=agent.display_name,
        status=agent.status,
        metadata=agent.metadata,
        policy=agent.policy,
        ignore=[field],
    )
    assert diff(agent, found)
    assert not diff(left, found)
