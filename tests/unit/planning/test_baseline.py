"""A baseline accepts what was seen, and nothing that was not."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from reconciler.errors import UsageError
from reconciler.model.agent import AgentId
from reconciler.model.drift import DriftFinding
from reconciler.model.values import Json
from reconciler.planning.baseline import (
    BASELINE_FORMAT,
    accepted_by,
    baseline_document,
    fingerprint_of,
    without_accepted,
)
from reconciler.planning.drift import Seen, shadow_agents
from tests.support.builders import APP, OWNER, configuration
from tests.support.drift import actor, drift_of, event, facts_of, finding


def accepting(*findings: DriftFinding) -> dict[str, str]:
    """What a baseline of these findings accepts, by way of its file."""
    document = json.loads(json.dumps(baseline_document(drift_of(*findings))))
    return dict(accepted_by(document, owner=OWNER, app=APP, where="known.json"))


def counts(found: DriftFinding, accepted: dict[str, str]) -> bool:
    kept, ignored = without_accepted([found], accepted)
    assert len(kept) + len(ignored) == 1
    assert all(one.reason == "accepted by the baseline" and one.rule is None for one in ignored)
    return kept != ()


def test_what_was_accepted_does_not_count_and_what_is_new_does() -> None:
    known = finding(live="Hers", declared="One")
    assert not counts(known, accepting(known))
    assert counts(replace(known, path="status"), accepting(known))
    assert counts(known, {})


@pytest.mark.parametrize(
    "change",
    [
        {"live": "Other"},
        {"live": None},
        {"agent_id": AgentId("id-successor")},
        {"kind": "key_minted_outside"},
    ],
)
def test_another_value_or_a_successor_counts_again(change: dict[str, Any]) -> None:
    known = finding(live="Hers")
    assert counts(replace(known, **change), accepting(known))


def test_1_is_not_true_and_an_empty_list_is_not_nothing() -> None:
    assert counts(finding(live=True), accepting(finding(live=1)))
    assert counts(finding(live=[]), accepting(finding(live=None)))


@pytest.mark.parametrize(
    "change", [{"declared": "Two"}, {"message": "other words"}, {"severity": "high"}, {"event": event()}]
)
def test_what_the_configuration_says_and_who_did_it_does_not_make_it_new(change: dict[str, Any]) -> None:
    known = finding(live="Hers")
    assert not counts(replace(known, **change), accepting(known))


def test_a_second_revocation_of_an_agent_is_not_the_one_that_was_accepted() -> None:
    first = replace(
        finding("agent_revoked_outside", path="agent", live="revoked"), agent_id=AgentId("gone-1")
    )
    assert counts(replace(first, agent_id=AgentId("gone-2")), accepting(first))


def test_each_key_is_accepted_by_itself() -> None:
    first = finding("key_minted_outside", path="keys", key_id="k-1")
    assert counts(replace(first, key_id=finding(key_id="k-2").key_id), accepting(first))


def test_a_shadow_agent_stays_accepted_however_busy_it_is_and_its_namesake_does_not() -> None:
    facts = facts_of(configuration())
    [known, namesake] = shadow_agents(facts, Seen(registry=[actor("x1", "bot"), actor("x2", "bot")]))
    [busier] = shadow_agents(facts, Seen(registry=[actor("x1", "bot", count=900, days_ago=0)]))
    assert not counts(busier, accepting(known))
    assert counts(namesake, accepting(known))
    assert not counts(namesake, accepting(known, namesake))


def test_notices_are_neither_accepted_nor_taken_out() -> None:
    notice = finding("not_applied")
    assert accepting(notice) == {}
    assert counts(notice, {notice.id: fingerprint_of(notice)})


def test_a_baseline_holds_no_value() -> None:
    text = json.dumps(baseline_document(drift_of(finding(live="a secret", declared="another"))))
    assert "secret" not in text
    assert "another" not in text


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        "text",
        {},
        {"format": BASELINE_FORMAT},
        {"format": BASELINE_FORMAT, "owner": OWNER, "app": APP, "accepted": ["changed_outside:a:b"]},
        {"format": "alter-sync.drift/1", "owner": OWNER, "app": APP, "accepted": {}},
        {"format": "alter-sync.drift-baseline/2", "owner": OWNER, "app": APP, "accepted": {}},
    ],
)
def test_what_is_no_baseline_is_refused(document: Json) -> None:
    with pytest.raises(UsageError, match=r"known\.json is no baseline of drift"):
        accepted_by(document, owner=OWNER, app=APP, where="known.json")


@pytest.mark.parametrize(("owner", "app"), [("other", APP), (OWNER, "other")])
def test_the_baseline_of_another_owner_or_app_is_refused(owner: str, app: str) -> None:
    document = baseline_document(drift_of(owner=owner, app=app))
    with pytest.raises(UsageError, match=f"is of {owner} in {app}, not of {OWNER} in {APP}"):
        accepted_by(document, owner=OWNER, app=APP, where="known.json")
