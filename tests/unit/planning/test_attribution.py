"""Who did it: the newest event that explains a difference, and never ourselves."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest

from reconciler.model.activity import ActionKind, AuditEvent
from reconciler.model.agent import AgentId
from reconciler.model.drift import DriftFinding, DriftKind
from reconciler.planning.attribution import asked_about, attributed, callers_of
from tests.support.builders import configuration
from tests.support.drift import JANE, event, finding

US = "alter-sync/payments/agents"


def explained(found: DriftFinding, *events: AuditEvent) -> tuple[DriftFinding, ...]:
    """What becomes of a finding with these events of its agent, newest first."""
    return tuple(attributed([found], {AgentId("id-alpha"): events}, ours=callers_of(configuration())))


def who(found: Iterable[DriftFinding]) -> list[str | None]:
    return [one.event.actor if one.event else None for one in found]


@pytest.mark.parametrize(
    ("kind", "action", "key_id"),
    [
        ("agent_revoked_outside", "revoke_agent", None),
        ("changed_outside", "update_agent", None),
        ("key_minted_outside", "mint_key", "k-9"),
        ("key_revoked_outside", "revoke_key", "k-9"),
        ("key_deprecated_outside", "deprecate_key", "k-9"),
    ],
)
def test_each_kind_is_explained_by_its_action_and_by_no_other(
    kind: DriftKind, action: ActionKind, key_id: str | None
) -> None:
    found = finding(kind, key_id=key_id, severity="high")
    others: list[ActionKind] = [
        "create_agent",
        "update_agent",
        "revoke_agent",
        "mint_key",
        "revoke_key",
        "deprecate_key",
        "undeprecate_key",
        "other",
    ]
    others.remove(action)
    noise = [event(other, actor="noise", key_id=key_id) for other in others]
    told = event(action, key_id=key_id)
    assert [one.event for one in explained(found, *noise, told)] == [told]
    assert who(explained(found, *noise)) == [None]


def test_the_newest_event_counts() -> None:
    newest, older = event(actor="bob", minutes_ago=1), event(actor=JANE, minutes_ago=90)
    assert who(explained(finding(), newest, older)) == ["bob"]


def test_an_event_of_another_key_says_nothing() -> None:
    found = finding("key_minted_outside", key_id="k-9")
    assert who(explained(found, event("mint_key", key_id="k-8"), event("mint_key"))) == [None]


@pytest.mark.parametrize(
    ("path", "fields", "explains"),
    [
        ("display_name", ["display_name"], True),
        ("display_name", ["metadata", "display_name"], True),
        ("display_name", ["metadata"], False),
        ("scopes.google", ["scopes"], True),
        ("scopes.google", ["scopes_applies_at", "scopes_pending"], True),
        ("scopes.google", ["scopes.google"], True),
        ("metadata.team[0]", ["metadata"], True),
        ("policy[0]", ["policy"], True),
        ("policy", ["scopes"], False),
        ("status", [], False),
        ("status", None, True),
    ],
)
def test_an_update_explains_the_fields_that_it_changed_and_any_when_it_does_not_say(
    path: str, fields: list[str] | None, explains: bool
) -> None:
    found = finding(path=path)
    assert who(explained(found, event(fields=fields))) == [JANE if explains else None]


def test_what_we_did_ourselves_names_nobody_but_whoever_did_it_before() -> None:
    assert who(explained(finding(), event(actor=US), event(actor=JANE, minutes_ago=60))) == [JANE]
    assert who(explained(finding(), event(actor=US))) == [None]


def test_a_former_owner_of_the_configuration_is_us_and_another_configuration_is_not() -> None:
    desired = configuration(former_owners=("payments",))
    assert callers_of(desired) == {US, "alter-sync/payments"}
    assert "alter-sync/payroll" not in callers_of(desired)


def test_an_agent_that_we_revoked_ourselves_is_not_applied_and_no_drift() -> None:
    found = finding("agent_revoked_outside", path="agent", severity="high")
    [ours] = explained(found, event("revoke_agent", actor=US))
    assert (ours.kind, ours.severity, ours.is_drift) == ("not_applied", "low", False)
    [theirs] = explained(found, event("revoke_agent", actor=JANE))
    assert (theirs.kind, who([theirs])) == ("agent_revoked_outside", [JANE])


def test_a_key_that_we_minted_ourselves_is_an_orphan() -> None:
    found = finding("key_minted_outside", key_id="k-9", severity="high", effect="widening")
    [ours] = explained(found, event("mint_key", actor=US, key_id="k-9"))
    assert (ours.kind, ours.severity, ours.effect, ours.is_drift) == (
        "orphaned_key",
        "medium",
        "neutral",
        True,
    )
    assert "a run of this tool lost it" in ours.message


def test_an_older_key_that_we_revoked_ourselves_is_nothing_and_the_delivered_one_is_drift() -> None:
    older = finding("key_revoked_outside", key_id="k-0", severity="low")
    event_of_ours = event("revoke_key", actor=US, key_id="k-0")
    assert explained(older, event_of_ours) == ()
    delivered = replace(older, severity="high")
    assert explained(delivered, event_of_ours) == (delivered,)


def test_an_event_without_an_actor_is_of_somebody_unknown() -> None:
    [found] = explained(finding(), event(actor=""))
    assert who([found]) == [""]


def test_an_event_of_another_agent_says_nothing() -> None:
    [found] = attributed([finding()], {AgentId("id-beta"): (event(),)}, ours=frozenset())
    assert found.event is None


@pytest.mark.parametrize(
    ("events", "kind", "named"),
    [
        ([], "not_applied", None),
        ([event(actor=JANE), event("create_agent", actor="bob")], "not_applied", None),
        ([event("create_agent", actor=US)], "changed_outside", None),
        ([event(fields=["metadata"]), event("create_agent", actor=US)], "changed_outside", JANE),
        ([event(fields=["display_name"]), event(actor=US)], "changed_outside", None),
    ],
)
def test_an_agent_that_was_ours_and_carries_no_mark_lost_it_to_somebody(
    events: list[AuditEvent], kind: str, named: str | None
) -> None:
    """`alter agents update --metadata` replaces the whole block, and our mark is in it."""
    found = finding("not_applied", path="mark")
    assert asked_about([found]) == ("id-alpha",)
    [told] = explained(found, *events)
    assert (told.kind, told.path, who([told])) == (kind, "mark", [named])
    assert told.is_drift is (kind == "changed_outside")
    assert told.severity == ("high" if told.is_drift else "low")


def test_only_agents_of_which_the_feed_would_tell_something_are_asked_about_once() -> None:
    found = [
        finding(),
        finding(path="status"),
        finding("unused_agent", agent="beta"),
        finding("not_applied", agent="gamma"),
        finding("orphaned_key", agent="delta", key_id="k-1"),
        finding("key_minted_outside", agent="epsilon", key_id="k-1"),
        replace(finding("shadow_agent"), agent_id=None),
    ]
    assert asked_about(found) == ("id-alpha", "id-epsilon")


def test_what_somebody_did_before_a_run_of_ours_put_it_right_is_not_what_is_seen_now() -> None:
    name = ["display_name"]
    jane = event(actor=JANE, minutes_ago=90, fields=name)
    ours = event(actor=US, minutes_ago=60, fields=name)
    mary = event(actor="mary", minutes_ago=30, fields=name)
    of_mark = event(actor=US, minutes_ago=60, fields=["metadata"])
    assert who(explained(finding(path="display_name"), ours, jane)) == [None]
    assert who(explained(finding(path="display_name"), mary, ours, jane)) == ["mary"]
    assert who(explained(finding(path="display_name"), of_mark, jane)) == [JANE]
    # Every record in the mark is an update of the metadata, so of that nothing can be concluded.
    in_metadata = event(actor=JANE, minutes_ago=90, fields=["metadata"])
    assert who(explained(finding(path="metadata.team"), of_mark, in_metadata)) == [JANE]
