"""The plan as a whole: what is created, changed, replaced, revoked, counted and left out."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from reconciler.model.agent import LiveAgent
from reconciler.model.desired import DesiredAgent
from reconciler.model.diagnostic import Position
from reconciler.model.plan import PLAN_LIFETIME, Change, Plan
from reconciler.model.values import Json
from reconciler.planning.plan_document import plan_document
from reconciler.planning.selecting import matches
from tests.support.builders import (
    AGENTS_KEY,
    NOW,
    configuration,
    declared,
    ids,
    live,
    mark_of,
    owned,
    planned,
    refused_ids,
)
from tests.unit.planning.rich_plan import RICH_ALLOW, RICH_KEYS, rich

RETYPED = declared(type="service", scopes={"slack": ["a"]}, deliver_to=("vault",), display_name="A")


def old_type(*, used: bool = False) -> LiveAgent:
    return live(
        type="agent",
        scopes={"slack": ["a"]},
        mark=mark_of(RETYPED),
        last_used_at=NOW if used else None,
    )


def test_a_declared_agent_that_is_not_live_is_created() -> None:
    agent = declared(
        type="service",
        display_name="A",
        scopes={"slack": ["b", "a"]},
        metadata={"team": "x", "cost": 1},
        policy={"hours": 9},
        protect=True,
        position=Position("agents.yaml", 31, 3),
    )
    [create] = planned(configuration(agent)).operations
    assert (create.id, create.agent_id, create.version) == ("create_agent:alpha", None, None)
    assert (create.risk, create.source) == ("widening", Position("agents.yaml", 31, 3))
    assert [(change.path, change.after) for change in create.changes] == [
        ("type", "service"),
        ("display_name", "A"),
        ("protect", True),
        ("metadata.cost", 1),
        ("metadata.team", "x"),
        ("policy", {"hours": 9}),
        ("scopes.slack", ["a", "b"]),
    ]
    assert {change.cause for change in create.changes} == {"new"}


def test_a_new_agent_without_scopes_is_no_widening() -> None:
    [create] = planned(configuration(declared(policy={}))).operations
    assert (create.risk, create.changes) == ("neutral", ())


def test_the_first_key_of_a_new_agent_is_delivered_or_discarded_and_the_plan_says_which() -> None:
    [discarded] = planned(configuration(declared())).operations
    assert discarded.reason.endswith("the plaintext of its first key is discarded")
    create, mint = planned(configuration(declared(deliver_to=("vault", "local")))).operations
    assert "discarded" not in create.reason
    assert (mint.kind, mint.depends_on) == ("mint_key", (create.id,))
    assert mint.changes == (Change("key", None, "mint and deliver to vault, local", cause="new"),)


def test_an_agent_declared_inactive_is_suspended_after_its_creation() -> None:
    where = Position("agents.yaml", 9, 5)
    agent = declared(status="inactive", deliver_to=("vault",), positions={"status": where})
    create, mint, suspend = planned(configuration(agent)).operations
    assert (mint.kind, suspend.kind) == ("mint_key", "suspend_agent")
    assert (suspend.depends_on, suspend.source, suspend.version) == ((create.id,), where, None)


def test_a_new_agent_may_be_protected_and_inactive() -> None:
    plan = planned(configuration(declared(status="inactive", protect=True)))
    assert ids(plan) == ["create_agent:alpha", "suspend_agent:alpha"]


def test_each_group_of_differences_is_an_operation_with_its_place() -> None:
    scopes, team = Position("agents.yaml", 8, 5), Position("agents.yaml", 11, 7)
    agent = declared(
        scopes={"slack": ["a"]},
        metadata={"team": "y"},
        status="inactive",
        positions={"scopes": scopes, "metadata.team": team},
    )
    found = live(scopes={"slack": ["a", "b"]}, metadata={"team": "x"}, mark=mark_of(declared()), version=8)
    set_scopes, suspend, update = planned(configuration(agent), found).operations
    assert [operation.kind for operation in (set_scopes, suspend, update)] == [
        "set_scopes",
        "suspend_agent",
        "update_agent",
    ]
    assert {operation.version for operation in (set_scopes, suspend, update)} == {8}
    assert (set_scopes.source, suspend.source, update.source) == (scopes, agent.position, team)
    assert (set_scopes.risk, suspend.risk, update.risk) == ("narrowing", "narrowing", "neutral")


def test_the_reason_of_an_operation_tells_who_moved() -> None:
    applied = declared(metadata={"a": 1, "b": 1})
    found = live(metadata={"a": 2, "b": 1}, mark=mark_of(applied))
    outside = planned(configuration(applied), found).operations[0]
    config = planned(
        configuration(declared(metadata={"a": 1, "b": 3})),
        replace(
            found,
            metadata={
                **found.metadata,
                "a": 1,
            },
        ),
    ).operations[0]
    both = planned(configuration(declared(metadata={"a": 1, "b": 3})), found).operations[0]
    fresh = planned(configuration(applied), live(), allow=("unowned",)).operations[1]
    assert [operation.reason for operation in (outside, config, both, fresh)] == [
        "changed outside",
        "configuration changed",
        "changed outside and in the configuration",
        "differs from the configuration",
    ]


def test_one_field_changed_on_both_sides_is_enough_for_the_reason() -> None:
    found = live(metadata={"a": 2}, mark=mark_of(declared(metadata={"a": 1})))
    [update] = planned(configuration(declared(metadata={"a": 3})), found).operations
    assert update.reason == "changed outside and in the configuration"


def test_a_narrowing_on_its_way_waits_and_is_no_operation() -> None:
    agent = declared(scopes={"slack": ["a"]})
    until = NOW + timedelta(hours=20)
    found = live(
        scopes={"slack": ["a", "b"]}, pending={"slack": ["a"]}, applies_at=until, mark=mark_of(agent)
    )
    plan = planned(configuration(agent), found)
    assert not plan.has_changes
    [waiting] = plan.waiting
    assert (waiting.agent, waiting.stage, waiting.until) == ("alpha", "narrowing", until)
    assert waiting.reason == "still works for a while: slack:b"
    assert plan.in_sync == 0


@pytest.mark.parametrize(
    "agent", [declared(scopes={"slack": ["c"]}), declared(scopes={"slack": ["a"]}, ignore=["scopes"])]
)
def test_a_pending_set_that_is_not_ours_to_wait_for_is_not_waited_for(agent: DesiredAgent) -> None:
    found = live(scopes={"slack": ["a", "b"]}, pending={"slack": ["a"]}, mark=mark_of(agent))
    assert not planned(configuration(agent), found).waiting


def test_an_owned_agent_that_is_no_longer_declared_is_revoked() -> None:
    plan = planned(configuration(declared("kept")), owned("kept"), owned("gone", version=9))
    [revoke] = plan.operations
    assert (revoke.id, revoke.version, revoke.source) == ("revoke_agent:gone", 9, AGENTS_KEY)


def test_a_change_of_type_is_refused_and_the_rest_of_the_agent_goes_on() -> None:
    plan = planned(configuration(RETYPED), old_type())
    assert ids(plan) == ["update_agent:alpha"]
    assert refused_ids(plan) == {("replace", "revoke_agent:alpha")}
    assert plan.replaced == ()


def test_an_allowed_change_of_type_revokes_and_creates() -> None:
    plan = planned(configuration(RETYPED), old_type(), allow=("replace=alpha",))
    revoke, create, mint = plan.operations
    assert [operation.kind for operation in (revoke, create, mint)] == [
        "revoke_agent",
        "create_agent",
        "mint_key",
    ]
    assert revoke.changes == (Change("type", "agent", "service"),)
    assert create.depends_on == (revoke.id,)
    assert create.reason == "replaced by an agent of the new type"
    assert plan.replaced == ("alpha",)
    summary = plan.summary()
    assert (summary["replace"], summary["create"], summary["revoke"], summary["mint_key"]) == (1, 0, 0, 1)


def test_nothing_of_a_replacement_is_done_when_its_revocation_is_refused() -> None:
    plan = planned(configuration(RETYPED), old_type(used=True), allow=("replace",))
    assert not plan.operations
    assert plan.replaced == ()
    [refusal] = plan.blocked
    assert refusal.guard == "revoke-in-use"
    assert refusal.reason.endswith("(and 2 more of this agent's operations with it)")


def test_an_agent_is_not_revoked_when_its_successor_may_not_be_created() -> None:
    desired = configuration(RETYPED)
    careful = replace(desired, guards=replace(desired.guards, sensitive_scopes=("slack:*",)))
    plan = planned(careful, old_type(), allow=("replace",))
    assert not plan.operations
    assert refused_ids(plan) == {("sensitive-scopes", "create_agent:alpha")}
    assert plan.blocked[0].reason.endswith("(and 2 more of this agent's operations with it)")
    assert planned(careful, old_type(), allow=("replace", "sensitive-scopes")).replaced == ("alpha",)


def test_a_type_left_to_the_dashboard_or_not_declared_replaces_nothing() -> None:
    for agent in (replace(RETYPED, ignore=frozenset({"type"})), replace(RETYPED, type=None)):
        assert ids(planned(configuration(agent), old_type(), allow=("replace",))) == ["update_agent:alpha"]


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("alpha", ["create_agent:alpha"]),
        ("tenant-*", ["create_agent:tenant-a", "create_agent:tenant-b"]),
        ("gone", ["revoke_agent:gone"]),
        ("nobody", []),
    ],
)
def test_a_target_limits_the_plan(target: str, expected: list[str]) -> None:
    desired = configuration(declared("alpha"), declared("tenant-a"), declared("tenant-b"), declared("done"))
    plan = planned(desired, owned("gone"), owned("done"), live("other"), targets=(target,))
    assert ids(plan) == expected
    assert (plan.targets, plan.in_sync) == ((target,), 0)
    # Seeing them costs nothing, and they are no part of the work.
    assert plan.unmanaged == ("other",)


def test_targets_add_up() -> None:
    desired = configuration(declared("a"), declared("b"), declared("c"))
    assert ids(planned(desired, targets=("a", "c"))) == ["create_agent:a", "create_agent:c"]


def test_a_name_with_the_signs_of_a_glob_matches_itself() -> None:
    assert matches("a[1]", ["a[1]"])
    assert matches("a1", ["a[1]"])
    assert not matches("A1", ["a*"])
    assert not matches("a", [])


def test_what_is_in_sync_and_what_is_unmanaged_is_counted() -> None:
    desired = configuration(declared("a"), declared("b"), declared("c", display_name="C"), declared("d"))
    agents = [owned("a"), owned("b"), owned("c"), live("z"), live("y"), live("d")]
    plan = planned(desired, *agents)
    # Nobody has adopted "d", but it is as declared.
    assert (plan.in_sync, plan.unmanaged) == (3, ("y", "z"))
    assert (plan.summary()["in_sync"], plan.summary()["unmanaged"]) == (3, 2)


def test_the_summary_counts_what_the_plan_holds() -> None:
    desired, agents = rich()
    assert planned(desired, *agents, allow=RICH_ALLOW, keys=RICH_KEYS).summary() == {
        "create": 1,
        "update": 4,
        "revoke": 1,
        "suspend": 1,
        "resume": 1,
        "adopt": 1,
        "replace": 1,
        "mint_key": 2,
        "deprecate_key": 1,
        "revoke_key": 1,
        "widening": 4,
        "narrowing": 2,
        "waiting": 1,
        "blocked": 1,
        "unmanaged": 1,
        "in_sync": 1,
    }


def test_the_plan_says_what_it_was_made_of() -> None:
    plan = planned(configuration(declared()), allow=("unowned=b", "freeze"), targets=("a*",))
    assert (plan.owner, plan.app, plan.base_url) == ("payments/agents", "payments-prod", "https://alter.test")
    assert (plan.tool_version, plan.created_at, plan.expires_at) == ("1.2.3", NOW, NOW + PLAN_LIFETIME)
    assert (plan.allowed, plan.targets) == (("freeze", "unowned=b"), ("a*",))


def text(plan: Plan) -> str:
    return json.dumps(plan_document(plan), indent=2)


def reordered(value: Json) -> Json:
    """The same value with every dict built in the other order."""
    if isinstance(value, dict):
        return {key: reordered(item) for key, item in reversed(value.items())}
    return [reordered(item) for item in value] if isinstance(value, list) else value


def test_the_same_inputs_in_another_order_give_the_same_bytes() -> None:
    desired, agents = rich()
    turned = replace(
        desired,
        agents={
            name: replace(agent, metadata=reordered(agent.metadata))
            for name, agent in reversed(list(desired.agents.items()))
        },
    )
    turned_agents = [replace(agent, metadata=reordered(agent.metadata)) for agent in reversed(agents)]
    first = planned(desired, *agents, allow=RICH_ALLOW, keys=RICH_KEYS)
    turned_keys = dict(reversed(RICH_KEYS.items()))
    second = planned(turned, *turned_agents, allow=RICH_ALLOW[::-1], keys=turned_keys)
    assert text(first) == text(second)


def test_the_digest_of_a_plan_leaves_out_its_times() -> None:
    desired, agents = rich()
    early, late = (
        planned(desired, *agents, now=NOW + timedelta(minutes=minutes), allow=RICH_ALLOW, keys=RICH_KEYS)
        for minutes in (0, 5)
    )
    assert early.created_at != late.created_at
    assert early.plan_digest == late.plan_digest


def test_the_live_digest_covers_the_agents_that_concern_the_configuration() -> None:
    desired = configuration(declared("a"), former_owners=("payments",))
    agents = [owned("a"), owned("gone"), live("former", mark=mark_of(owner="payments")), live("other")]
    before = planned(desired, *agents).live_digest
    moved = [
        planned(desired, *(replace(agent, version=99) if agent.name == name else agent for agent in agents))
        for name in ("a", "gone", "former", "other")
    ]
    assert [plan.live_digest == before for plan in moved] == [False, False, False, True]
