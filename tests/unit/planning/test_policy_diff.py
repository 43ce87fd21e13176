"""A policy is compared through what the server redacts from it and adds to it."""

import pytest

from reconciler.model.agent import LiveAgent
from reconciler.model.desired import DesiredAgent
from reconciler.model.plan import Change
from reconciler.model.values import Json
from reconciler.planning.agent_diff import diff_agent, policy_fingerprint, policy_in_sync
from reconciler.planning.fingerprint import fingerprint
from tests.support.builders import declared, live, mark_of

DECLARED = {"approvers": ["ann", "bob"], "hours": {"from": 9}}


def changes(agent: DesiredAgent, found: LiveAgent) -> tuple[Change, ...]:
    return diff_agent(agent, found, found.mark).update


@pytest.mark.parametrize(
    "answer",
    [
        DECLARED,
        {"approvers_count": 2, "hours": {"from": 9}},
        {**DECLARED, "networks": [], "note": None, "strict": False, "label": "", "nested": {"a": {"b": []}}},
        {"approvers": ["ann", "bob"], "hours": {"from": 9.0, "zones": []}},
    ],
)
def test_redactions_and_empty_defaults_are_no_difference(answer: Json) -> None:
    assert policy_in_sync(DECLARED, answer, None)
    assert policy_in_sync(DECLARED, answer, fingerprint(DECLARED))


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"approvers_count": 3, "hours": {"from": 9}},
        {"approvers_count": 0, "hours": {"from": 9}},
        {"approvers_count": 2, "hours": {"from": 10}},
        {"approvers_count": 2, "hours": {"from": 9, "to": 17}},
        {"approvers_count": 2, "hours": {"from": 9}, "strict": True},
        {"approvers_count": 2, "hours": {"from": 9}, "limit": 0},
        {"approvers": ["ann"], "hours": {"from": 9}},
        {"approvers": ["ann", "bob"], "hours": 9},
    ],
)
def test_anything_else_is_a_difference(answer: Json) -> None:
    assert not policy_in_sync(DECLARED, answer, None)
    assert not policy_in_sync(DECLARED, answer, fingerprint(DECLARED))


@pytest.mark.parametrize("answer", [{}, {"approvers": []}, {"approvers_count": 0}])
def test_declared_empties_need_not_be_answered(answer: Json) -> None:
    assert policy_in_sync({"approvers": []}, answer, None)


def test_declaring_no_approvers_differs_from_having_some() -> None:
    assert not policy_in_sync({"approvers": []}, {"approvers_count": 3}, None)
    assert not policy_in_sync({"approvers": []}, {"approvers": ["eve"]}, None)


def test_a_declared_count_is_a_field_like_any_other() -> None:
    assert policy_in_sync({"approvers_count": 2}, {"approvers_count": 2}, None)
    assert not policy_in_sync({"approvers_count": 2}, {"approvers_count": 3}, None)
    assert not policy_in_sync({"retry": 1}, {"retry": 1, "retry_count": 5}, None)


def test_what_the_server_added_to_our_policy_is_remembered() -> None:
    answer = {**DECLARED, "review_days": 30}
    note = policy_fingerprint(DECLARED, answer)
    assert not policy_in_sync(DECLARED, answer, None)
    assert policy_in_sync(DECLARED, answer, note)
    assert not policy_in_sync(DECLARED, {**answer, "review_days": 31}, note)


def test_after_a_change_of_the_configuration_no_redaction_is_forgiven() -> None:
    # As many approvers as before, but others: the count alone cannot tell.
    changed = {"approvers": ["ann", "eve"], "hours": {"from": 9}}
    answer = {"approvers_count": 2, "hours": {"from": 9}}
    assert not policy_in_sync(changed, answer, fingerprint(DECLARED))
    assert not policy_in_sync(changed, answer, policy_fingerprint(DECLARED, answer))
    assert policy_in_sync(changed, changed, fingerprint(DECLARED))


def test_the_single_places_of_a_policy_are_shown() -> None:
    found = live(policy={"hours": {"from": 9, "to": 17}, "a": 1})
    assert changes(declared(policy={"hours": {"from": 8, "to": 17}, "a": 1}), found) == (
        Change("policy.hours.from", 9, 8, cause="new"),
    )


def test_the_mark_tells_who_moved_the_policy() -> None:
    before, after = declared(policy={"a": 1}), declared(policy={"a": 2})
    [config] = changes(after, live(policy={"a": 1}, mark=mark_of(before)))
    [outside] = changes(before, live(policy={"a": 3}, mark=mark_of(before)))
    noted = mark_of(spec={"policy": policy_fingerprint({"a": 1}, {"a": 1, "b": 1})})
    [past_note] = changes(before, live(policy={"a": 3}, mark=noted))
    [undeclared] = changes(after, live(policy={"a": 1}, mark=mark_of(declared())))
    causes = [change.cause for change in (config, outside, past_note, undeclared)]
    assert causes == ["config", "outside", "outside", "config"]


def test_an_empty_declared_policy_takes_the_live_one_away() -> None:
    agent = declared(policy={})
    assert changes(agent, live(policy={"a": 1})) == (Change("policy", {"a": 1}, {}, cause="new"),)
    assert changes(agent, live()) == ()


def test_a_policy_that_is_not_declared_or_left_to_the_dashboard_is_not_compared() -> None:
    assert changes(declared(), live(policy={"a": 1})) == ()
    assert changes(declared(policy={"a": 2}, ignore=["policy"]), live(policy={"a": 1})) == ()
