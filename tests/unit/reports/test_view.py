"""The view groups, sorts and counts what the reports show."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.model.agent import AgentName
from reconciler.model.plan import OPERATION_KINDS, Blocked, Change, Operation, Waiting
from reconciler.reports.advice import apply_command, refusals
from reconciler.reports.changes import NewKey, ScopesChange, ValueChange, change_view
from reconciler.reports.view import Gravity, view_of
from tests.unit.reports.samples import EMPTY, NOW, RICH, operation


def _only(*operations: Operation) -> list[str]:
    return [agent.title for agent in view_of(replace(EMPTY, operations=operations)).agents]


def test_the_gravest_agents_come_first_and_then_the_names() -> None:
    agents = view_of(RICH).agents
    assert [(agent.gravity, agent.name) for agent in agents] == sorted(
        (agent.gravity, agent.name) for agent in agents
    )
    assert [agent.name for agent in agents if agent.gravity is Gravity.REVOCATION] == [
        "mailer",
        "old-bot",
        "shifter",
    ]
    assert [agent.name for agent in agents if agent.gravity is Gravity.NARROWING] == ["leaver", "sleeper"]


def test_the_counts_leave_out_zeros() -> None:
    assert view_of(EMPTY).counts == "Plan: no changes"
    assert view_of(replace(EMPTY, in_sync=12)).counts == "Plan: no changes; 12 in sync"


def test_fields_and_scopes_of_one_agent_count_as_one_update() -> None:
    plan = replace(EMPTY, operations=(operation("update_agent", "a"), operation("set_scopes", "a")))
    assert view_of(plan).counts == "Plan: 1 to update"


def test_a_replaced_agent_counts_as_that_alone() -> None:
    plan = replace(
        EMPTY,
        operations=(operation("revoke_agent", "a"), operation("create_agent", "a")),
        replaced=(AgentName("a"),),
    )
    view = view_of(plan)
    assert view.counts == "Plan: 1 to replace"
    assert (view.agents[0].sign, view.agents[0].title) == ("±", "replace")


@pytest.mark.parametrize("kind", OPERATION_KINDS)
def test_every_kind_of_operation_is_counted(kind: str) -> None:
    plan = replace(EMPTY, operations=tuple(operation(k, "a") for k in OPERATION_KINDS if k == kind))
    assert "1 " in view_of(plan).counts


def test_a_title_names_everything_but_the_key_that_comes_with_a_create() -> None:
    assert _only(operation("create_agent", "a"), operation("mint_key", "a")) == ["create"]
    assert _only(operation("mint_key", "a"), operation("update_agent", "a")) == ["update, mint key"]


def test_a_revoked_key_is_a_revocation() -> None:
    (agent,) = view_of(replace(EMPTY, operations=(operation("revoke_key", "a"),))).agents
    assert (agent.gravity, agent.sign, agent.title) == (Gravity.REVOCATION, "-", "revoke key")


def test_gains_name_scopes_fields_and_unexplained_risks() -> None:
    scopes = Change("scopes.google", ["a"], ["b", "c"], "widening")
    whole = Change("scopes", None, {"slack": ["chat:write"]}, "widening")
    status = Change("status", "inactive", "active", "widening")
    gone = Change("policy", {"deny": True}, None, "widening")
    neutral = Change("display_name", "a", "b")
    plain = operation("update_agent", "a", "", scopes, whole, status, gone, neutral)
    bare = replace(operation("resume_agent", "b"), risk="widening")
    first, second = view_of(replace(EMPTY, operations=(plain, bare))).agents
    assert first.gains() == (
        "google:b",
        "google:c",
        "slack:chat:write",
        'status → "active"',
        "policy → no value",
    )
    assert second.gains() == ("resume",)


def test_losses_name_scopes_and_fields() -> None:
    scopes = Change("scopes.google", ["a", "b"], ["b", "c"], "widening")
    whole = Change("scopes", {"slack": ["chat:write"]}, None, "narrowing")
    status = Change("status", "active", "inactive", "narrowing")
    where = Change("key", None, "mint and deliver to vault")
    plain = operation("update_agent", "a", "", scopes, whole, status, Change("display_name", "a", "b"))
    first, second = view_of(replace(EMPTY, operations=(plain, operation("mint_key", "b", "", where)))).agents
    assert first.losses() == ("google:a", "slack:chat:write", 'status → "inactive"')
    assert (second.gains(), second.losses()) == ((), ())


def test_scopes_are_compared_as_sets() -> None:
    change = Change("scopes.google", ["b", "a"], ["c", "a"], "widening", "both")
    assert change_view(change, "set_scopes") == ScopesChange(
        "scopes.google", "widening", "changed on both sides", ("c",), ("b",)
    )


def test_scopes_that_are_no_list_are_shown_as_they_are() -> None:
    assert change_view(Change("scopes.google", 5, {"a": 5}), "set_scopes") == ValueChange(
        "scopes.google", "neutral", "", "5", '{"a":5}'
    )


def test_values_are_compact_json_whatever_their_order_was() -> None:
    change = Change("policy", {"b": (1, 2.0), "a": "é"}, None, cause="outside")
    assert change_view(change, "update_agent") == ValueChange(
        "policy", "neutral", "changed outside", '{"a":"é","b":[1,2]}', None
    )


@pytest.mark.parametrize("cause", ["config", "new"])
def test_what_the_configuration_asks_for_needs_no_cause(cause: str) -> None:
    assert (
        change_view(Change("a", 1, 2, cause="config" if cause == "config" else "new"), "update_agent").cause
        == ""
    )


def test_a_minted_key_is_a_place_and_never_a_value() -> None:
    change = Change("key", None, "mint and deliver to vault, local")
    assert change_view(change, "mint_key") == NewKey("key", "neutral", "", "vault, local")
    assert change_view(Change("key", None, None), "create_agent") == NewKey("key", "neutral", "", "")
    assert isinstance(change_view(Change("key", "alt_…", None), "revoke_key"), ValueChange)


def test_refusals_that_say_the_same_are_said_once() -> None:
    found = refusals(
        [
            Blocked("max-changes", AgentName(name), "too many", "--allow max-changes")
            for name in ("a", "b", "a")
        ],
        command="alter-sync apply",
    )
    assert [(entry.agents, entry.command) for entry in found] == [
        (("a", "b"), "alter-sync apply --allow max-changes")
    ]


def test_a_command_repeats_targets_and_allowances_and_is_safe_to_copy() -> None:
    assert apply_command("alter-sync apply", targets=["tenant-*"], allowed=["replace=a"]) == (
        "alter-sync apply --target 'tenant-*' --allow replace=a"
    )
    (found,) = refusals(
        [Blocked("replace", None, "why", "--allow replace=$(reboot)")], command="alter-sync apply"
    )
    assert found.command == "alter-sync apply --allow 'replace=$(reboot)'"


def test_the_way_on_fits_what_is_left_to_do() -> None:
    todo = replace(EMPTY, operations=(operation("adopt_agent", "a"),))
    refused = (Blocked("replace", AgentName("b"), "why", ""),)
    waiting = (Waiting(AgentName("c"), "observing", "why", NOW),)
    assert view_of(EMPTY).next_step == "Nothing to do: live agents match the configuration."
    assert view_of(todo).next_step == (
        "Run `alter-sync apply` to carry this out. Its key needs agents:read, agents:write."
    )
    assert view_of(replace(todo, blocked=refused)).next_step.count("; what is blocked stays as it is.")
    assert view_of(replace(todo, targets=("a",))).next_step.startswith("Run `alter-sync apply --target a`")
    assert "everything that differs is blocked" in view_of(replace(EMPTY, blocked=refused)).next_step
    assert view_of(replace(EMPTY, waiting=waiting)).next_step.startswith("Nothing to do now")
