"""One PATCH carries everything that is planned for an agent, and a mark that is true afterwards."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from reconciler.model.agent import AgentPatch, AgentStatus, LiveAgent
from reconciler.model.desired import Desired, DesiredAgent
from reconciler.model.mark import MARK_KEY, Claim, Mark
from reconciler.model.plan import OperationKind
from reconciler.model.scopes import Scopes
from reconciler.model.values import Json, JsonObject
from reconciler.planning.agent_diff import policy_fingerprint
from reconciler.planning.fingerprint import fingerprint
from reconciler.planning.ownership import inherited_mark, our_mark
from reconciler.planning.request import (
    PatchRequest,
    applied_spec,
    clearing_nulls,
    mark_patch,
    new_agent,
    patch_request,
    policy_note,
    unmet,
)
from tests.support.builders import (
    claim_of,
    configuration,
    declared,
    delivery_of,
    key,
    live,
    mark_of,
    planned,
)

BEFORE = declared(
    display_name="Old", scopes={"slack": ["a"]}, metadata={"team": "x", "gone": 1}, policy={"a": 1}
)
AFTER = declared(
    display_name="New",
    scopes={"slack": ["a", "b"]},
    metadata={"team": "y"},
    policy={"a": 2},
    status="inactive",
    protect=True,
)


def live_as_before(*, mark: Mark | None = None) -> LiveAgent:
    return live(
        display_name="Old",
        scopes={"slack": ["a"]},
        metadata={"team": "x", "gone": 1, "theirs": {"k": 1}},
        policy={"a": 1},
        mark=mark or mark_of(BEFORE),
    )


def request(
    agent: DesiredAgent,
    found: LiveAgent,
    *,
    without: Sequence[OperationKind] = (),
    claim: Claim | None = None,
    desired: Desired | None = None,
) -> PatchRequest:
    """The request for the plan of one agent, ``without`` what a guard would refuse."""
    desired = desired or configuration(agent)
    plan = planned(desired, found, allow=("unowned", "foreign-owner", "wrong-app", "protected"))
    assert not plan.blocked
    kept = [operation for operation in plan.operations if operation.kind not in without]
    return patch_request(desired, agent, found, kept, claim=claim)


def mark_in(body: AgentPatch) -> Mark:
    assert body.metadata is not None
    mark = Mark.from_json(body.metadata[MARK_KEY])
    assert mark is not None
    return mark


def test_one_patch_carries_all_changes_and_the_mark() -> None:
    body = request(AFTER, live_as_before()).body
    assert body == AgentPatch(
        display_name="New",
        metadata={
            "team": "y",
            "theirs": {"k": 1},
            MARK_KEY: mark_of(AFTER, protect=True).as_json(),
        },
        scopes=AFTER.scopes,
        policy={"a": 2},
        status="inactive",
    )


def test_what_does_not_change_is_not_sent() -> None:
    body = request(replace(BEFORE, status="inactive"), live_as_before()).body
    assert (body.display_name, body.scopes, body.policy, body.status) == (None, None, None, "inactive")
    assert body.metadata is not None
    assert {key: value for key, value in body.metadata.items() if key != MARK_KEY} == {
        "team": "x",
        "gone": 1,
        "theirs": {"k": 1},
    }


def test_resuming_sends_active() -> None:
    found = replace(live_as_before(), status="inactive")
    assert request(BEFORE, found).body.status == "active"


def test_refused_operations_leave_their_fields_and_what_the_mark_says_of_them() -> None:
    old, new = applied_spec(BEFORE), applied_spec(AFTER)
    found = live_as_before()
    body = request(AFTER, found, without=["update_agent"]).body
    assert (body.display_name, body.policy, body.scopes) == (None, None, AFTER.scopes)
    mark = mark_in(body)
    assert mark.protect is None
    assert mark.spec == {
        path: (new if path.startswith(("scopes.", "status")) else old)[path]
        for path in {*old, *new}
        if path in old
    }


@pytest.mark.parametrize(("refused", "path"), [("set_scopes", "scopes.slack"), ("suspend_agent", "status")])
def test_a_refused_group_alone_keeps_its_old_memory(refused: OperationKind, path: str) -> None:
    body = request(AFTER, live_as_before(), without=[refused]).body
    expected = {**applied_spec(AFTER), path: applied_spec(BEFORE)[path]}
    assert mark_in(body).spec == expected


def test_what_is_left_to_the_dashboard_is_neither_sent_nor_remembered() -> None:
    agent = replace(AFTER, ignore=frozenset({"metadata.team", "scopes", "policy", "display_name"}))
    body = request(agent, live_as_before()).body
    assert body.metadata is not None
    assert body.metadata["team"] == "x"
    assert (body.display_name, body.scopes, body.policy) == (None, None, None)
    assert set(mark_in(body).spec) == {"status"}


def test_the_mark_keeps_the_delivery_and_carries_the_claim() -> None:
    mark = mark_of(BEFORE, delivered=delivery_of(), protect=False)
    claim = claim_of("run-9", keys=["k-1"])
    after = mark_in(request(replace(BEFORE, status="inactive"), live_as_before(mark=mark), claim=claim).body)
    assert (after.delivered, after.claim, after.protect) == (mark.delivered, claim, False)
    dropped = mark_in(request(replace(BEFORE, status="inactive"), live_as_before(mark=mark)).body)
    assert dropped.claim is None


def test_the_mark_keeps_the_keys_on_their_way_out_until_they_are_gone() -> None:
    agent = declared(display_name="New", deliver_to=("vault",))
    found = live(mark=mark_of(declared(), delivered=delivery_of("k-2"), retiring=["k-1"]))
    for keys, kept in (({}, ("k-1",)), ({"alpha": [key("k-2")]}, ())):
        desired = configuration(agent)
        plan = planned(desired, found, keys=keys)
        request = patch_request(desired, agent, found, plan.operations, claim=None)
        assert mark_in(request.body).retiring == kept
        assert mark_in(request.body).delivered == delivery_of("k-2")


def test_what_was_learned_of_an_unchanged_policy_stays_in_the_mark() -> None:
    note = policy_fingerprint({"a": 1}, {"a": 1, "added": 2})
    mark = mark_of(spec={**applied_spec(BEFORE), "policy": note})
    found = replace(live_as_before(mark=mark), policy={"a": 1, "added": 2})
    kept = mark_in(request(replace(BEFORE, display_name="New"), found).body)
    assert kept.spec["policy"] == note
    changed = mark_in(request(replace(BEFORE, policy={"a": 2}), found).body)
    assert changed.spec["policy"] == fingerprint({"a": 2})


def test_grace_goes_only_with_a_narrowing() -> None:
    agent = declared(scopes={"slack": ["a", "b"]}, narrowing_grace=timedelta(hours=2))
    graces = [
        request(agent, live(scopes={"slack": scopes}, mark=mark_of(agent))).grace_seconds
        for scopes in (["a"], ["a", "b", "c"], ["a", "c"])
    ]
    assert graces == [None, 7200, 7200]


def test_without_a_declared_grace_the_server_decides() -> None:
    agent = declared(scopes={})
    assert request(agent, live(scopes={"slack": ["a"]}, mark=mark_of(agent))).grace_seconds is None


def test_a_narrowing_to_be_at_once_is_sent_as_zero() -> None:
    agent = declared(scopes={}, narrowing_grace=timedelta())
    assert request(agent, live(scopes={"slack": ["a"]}, mark=mark_of(agent))).grace_seconds == 0


def test_taking_part_of_a_pending_narrowing_back_is_a_narrowing_still() -> None:
    # "c" works until its time is over; the declared grace holds for it, not the server's default.
    agent = declared(scopes={"slack": ["a", "b"]}, narrowing_grace=timedelta())
    found = live(scopes={"slack": ["a", "b", "c"]}, pending={"slack": ["a"]}, mark=mark_of(agent))
    assert request(agent, found).grace_seconds == 0


def test_adoption_alone_writes_the_mark_beside_what_is_there() -> None:
    agent = declared(scopes={"slack": ["a"]})
    body = request(agent, live(scopes={"slack": ["a"]}, metadata={"theirs": 1})).body
    assert body == AgentPatch(metadata={"theirs": 1, MARK_KEY: mark_of(agent).as_json()})


def test_taking_over_goes_on_with_the_memory_of_the_former_owner() -> None:
    agent = declared(display_name="New", metadata={"team": "x"})
    former = mark_of(
        declared(display_name="Old", metadata={"team": "x", "gone": 1}),
        owner="payments",
        protect=True,
        delivered=delivery_of(),
    )
    found = live(display_name="Old", metadata={"team": "x", "gone": 1}, mark=former)
    desired = configuration(agent, former_owners=("payments",))
    body = request(agent, found, desired=desired).body
    after = mark_in(body)
    assert after == mark_of(agent, protect=True, delivered=former.delivered)
    assert body.metadata is not None
    assert "gone" not in body.metadata


def test_adopting_a_foreign_agent_forgets_what_its_owner_remembered() -> None:
    foreign = mark_of(declared(metadata={"team": "x"}), owner="others", protect=True, delivered=delivery_of())
    body = request(declared(), live(metadata={"team": "x"}, mark=foreign)).body
    assert mark_in(body) == mark_of(declared())
    assert body.metadata is not None
    assert body.metadata["team"] == "x"


def test_a_mark_is_ours_by_owner_and_app() -> None:
    desired = configuration(former_owners=("payments",))
    ours, renamed = mark_of(), mark_of(app="old-name")
    former, foreign = mark_of(owner="payments"), mark_of(owner="others")
    marks = (ours, renamed, former, foreign, None)
    assert [our_mark(desired, live(mark=mark)) for mark in marks] == [ours, None, None, None, None]
    assert [inherited_mark(desired, live(mark=mark)) for mark in marks] == [ours, renamed, former, None, None]


def test_a_new_agent_is_created_with_its_mark() -> None:
    agent = replace(AFTER, type="service")
    body = new_agent(configuration(agent), agent, claim=claim_of())
    remembered = {**applied_spec(agent), "status": fingerprint("active")}
    assert body.metadata == {
        "team": "y",
        MARK_KEY: mark_of(spec=remembered, protect=True, claim=claim_of()).as_json(),
    }
    assert (body.name, body.type, body.scopes) == ("alpha", "service", AFTER.scopes)
    assert (body.display_name, body.policy) == ("New", {"a": 2})


def test_a_new_agent_of_no_declared_type_is_an_agent() -> None:
    body = new_agent(configuration(), declared(ignore=["status"]), claim=None)
    assert (body.type, body.display_name, body.policy) == ("agent", None, None)
    assert body.metadata == {MARK_KEY: mark_of(spec={}).as_json()}


def test_the_memory_holds_each_declared_field_by_its_path() -> None:
    assert set(applied_spec(AFTER)) == {"display_name", "policy", "status", "scopes.slack", "metadata.team"}
    assert applied_spec(replace(AFTER, ignore=frozenset({"metadata", "policy", "status", "scopes"}))) == {
        "display_name": fingerprint("New")
    }


def test_a_mark_patch_replaces_the_mark_and_nothing_else() -> None:
    found = live_as_before()
    after = mark_of(BEFORE, delivered=delivery_of("k-2"), retiring=["k-1"])
    assert mark_patch(found, after) == AgentPatch(metadata={**found.metadata, MARK_KEY: after.as_json()})


def test_an_answer_that_shows_everything_leaves_nothing_unmet() -> None:
    sent = AgentPatch(
        "N", {"a": {"b": None, "c": 1}, "x": None}, Scopes.of({"s": ["b", "a"]}), {}, "inactive"
    )
    answer = live(display_name="N", metadata={"a": {"c": 1.0}}, scopes={"s": ["a", "b"]}, status="inactive")
    assert unmet(sent, answer) == ()
    staged = replace(answer, scopes=Scopes.of({"s": ["a", "b", "c"]}), scopes_pending=sent.scopes)
    assert unmet(sent, staged) == ()
    assert unmet(AgentPatch(), live(display_name="other")) == ()


@pytest.mark.parametrize(
    ("sent", "field"),
    [
        (AgentPatch(display_name="N"), "display_name"),
        (AgentPatch(metadata={"a": True}), "metadata"),
        (AgentPatch(metadata={}), "metadata"),
        (AgentPatch(scopes=Scopes.of({"s": ["a"]})), "scopes"),
        (AgentPatch(status="inactive"), "status"),
    ],
)
def test_a_field_that_the_answer_does_not_show_is_unmet(sent: AgentPatch, field: str) -> None:
    status: AgentStatus = "active"
    assert unmet(sent, live(metadata={"a": 1}, scopes={"s": ["b"]}, status=status)) == (field,)


@pytest.mark.parametrize(
    ("sent", "answered", "cleared"),
    [
        ({"a": 1}, {"a": 1}, {"a": 1}),
        ({"a": 1}, {"a": 2, "b": 3}, {"a": 1, "b": None}),
        ({"a": {"x": 1}}, {"a": {"x": 1, "y": {"z": 2}}}, {"a": {"x": 1, "y": None}}),
        ({"a": 1}, {"a": {"x": 1}}, {"a": 1}),
        ({"a": {"x": 1}}, {"a": 1}, {"a": {"x": 1}}),
        ({}, {"a": None}, {"a": None}),
    ],
)
def test_keys_that_a_merging_server_kept_are_cleared_with_nulls(
    sent: JsonObject, answered: JsonObject, cleared: Json
) -> None:
    assert clearing_nulls(sent, answered) == cleared


def test_the_servers_additions_to_a_policy_are_noted() -> None:
    agent = declared(policy={"a": 1})
    mark = mark_of(agent)
    noted = policy_note(agent, live(policy={"a": 1, "added": 2}), mark)
    assert noted is not None
    assert noted.spec == {**mark.spec, "policy": policy_fingerprint({"a": 1}, {"a": 1, "added": 2})}


@pytest.mark.parametrize(
    "agent", [declared(), declared(policy={"a": 1}), declared(policy={"a": 2}, ignore=["policy"])]
)
def test_there_is_nothing_to_note_of_a_policy_answered_as_sent(agent: DesiredAgent) -> None:
    assert policy_note(agent, live(policy={"a": 1}), mark_of(agent)) is None
