"""What happens to one agent: each change checked against a fresh read, each answer against what was sent."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.errors import ExitCode
from reconciler.model.agent import AgentName, AgentPatch, NewAgent
from reconciler.model.mark import MARK_KEY
from reconciler.model.outcome import OperationOutcome, Outcome
from reconciler.model.scopes import Scopes
from tests.support.fleet import HEAD, Fleet, running_fleet


def _one(block: str) -> str:
    return HEAD + f"agents: {{a: {block}}}\n"


def _failure(outcome: Outcome) -> OperationOutcome:
    return next(one for one in outcome.operations if one.status == "failed")


def _message(outcome: Outcome) -> str:
    failure = _failure(outcome).failure
    assert failure is not None
    return failure.message


def _touch(fleet: Fleet) -> None:
    """Somebody changes the agent in the dashboard."""
    live = fleet.agent("a")
    patch = AgentPatch(metadata={**live.metadata, "touched": "yes"})
    fleet.api.update_agent(live.id, patch, expected_version=live.version)


def test_an_agent_that_moved_since_it_was_planned_is_left_alone(fleet: Fleet) -> None:
    fleet.configure(_one("{scopes: {}}"))
    fleet.apply_once()
    fleet.configure(_one("{scopes: {google: [gmail.readonly]}}"))
    plan = fleet.plan()
    _touch(fleet)
    outcome = fleet.carry_out(plan)
    assert outcome.exit_code() is ExitCode.CONFLICT
    assert "changed since it was planned" in _message(outcome)
    assert len(fleet.agent("a").scopes) == 0


def test_an_agent_that_was_revoked_since_it_was_planned_is_not_found(fleet: Fleet) -> None:
    fleet.configure(_one("{scopes: {}}"))
    fleet.apply_once()
    fleet.configure(_one("{scopes: {}, metadata: {team: x}}"))
    plan = fleet.plan()
    fleet.api.revoke_agent(fleet.agent("a").id)
    assert fleet.carry_out(plan).exit_code() is ExitCode.NOT_FOUND


def test_an_agent_that_was_created_meanwhile_by_somebody_else_is_not_taken(fleet: Fleet) -> None:
    fleet.configure(_one("{scopes: {}}"))
    plan = fleet.plan()
    fleet.api.create_agent(NewAgent(AgentName("a"), "agent", Scopes(), {}), idempotency_key="other")
    outcome = fleet.carry_out(plan)
    assert outcome.exit_code() is ExitCode.CONFLICT
    assert fleet.agent("a").mark is None


def test_an_agent_in_use_meanwhile_is_not_revoked(fleet: Fleet) -> None:
    fleet.configure(HEAD + "agents: {a: {scopes: {}}, b: {scopes: {}}}\n")
    fleet.apply_once()
    fleet.configure(HEAD + "agents: {b: {scopes: {}}}\n")
    plan = fleet.plan()
    fleet.server.use_key(fleet.held("a")[0])
    outcome = fleet.carry_out(plan)
    assert outcome.exit_code() is ExitCode.REFUSED
    assert "revoke-in-use" in _message(outcome)
    assert fleet.agent("a").status == "active"
    assert fleet.carry_out(plan, allow=["revoke-in-use=a"]).exit_code() is ExitCode.OK


@pytest.mark.parametrize("merging", [False, True])
def test_metadata_that_is_no_longer_declared_is_gone_on_every_server(merging: bool, tmp_path: Path) -> None:
    with running_fleet(tmp_path, metadata_merge=merging) as fleet:
        fleet.configure(_one("{scopes: {}, metadata: {team: x, old: {of: y}}}"))
        fleet.apply_once()
        fleet.configure(_one("{scopes: {}, metadata: {team: z}}"))
        _, outcome = fleet.apply_once()
        assert outcome.exit_code() is ExitCode.OK
        assert dict(fleet.agent("a").own_metadata) == {"team": "z"}


@pytest.mark.parametrize("field", ["metadata", "scopes"])
def test_an_answer_that_does_not_show_the_change_is_not_believed(field: str, fleet: Fleet) -> None:
    fleet.configure(_one("{scopes: {}}"))
    fleet.apply_once()
    live = fleet.agent("a")
    fleet.configure(_one("{scopes: {google: [gmail.readonly]}, metadata: {team: x}}"))
    body = {
        "id": live.id,
        "name": "a",
        "type": "agent",
        "status": "active",
        "version": live.version + 1,
        "created_at": "2026-11-24T00:00:00Z",
        "scopes": {"google": ["gmail.readonly"]} if field == "metadata" else {},
        "metadata": dict(live.metadata),
    }
    plan = fleet.plan()
    fleet.server.faults.add("status", method="PATCH", status=200, body=body, times=None)
    outcome = fleet.carry_out(plan)
    assert "accepted the change but does not show it in" in _message(outcome)
    assert field in _message(outcome)


def test_a_created_agent_that_is_not_as_it_was_sent_is_reported(fleet: Fleet) -> None:
    fleet.configure(_one("{scopes: {google: [gmail.readonly]}, deliver_to: []}"))
    plan = fleet.plan()
    body = {
        "id": "3d3f0f9a-0000-4000-8000-000000000000",
        "name": "a",
        "type": "agent",
        "status": "active",
        "version": 1,
        "created_at": "2026-11-24T00:00:00Z",
        "scopes": {},
        "metadata": {},
        "key_id": "k",
        "api_key": None,
    }
    fleet.server.faults.add("status", method="POST", status=201, body=body)
    assert "the server stored another metadata, scopes" in _message(fleet.carry_out(plan))


def test_a_revocation_that_does_not_show_is_reported(fleet: Fleet) -> None:
    fleet.configure(HEAD + "agents: {a: {scopes: {}}, b: {scopes: {}}}\n")
    fleet.apply_once()
    fleet.configure(HEAD + "agents: {b: {scopes: {}}}\n")
    live, plan = fleet.agent("a"), fleet.plan()
    body = {
        "id": live.id,
        "name": "a",
        "type": "agent",
        "status": "active",
        "version": 9,
        "created_at": "2026-11-24T00:00:00Z",
        "scopes": {},
    }
    fleet.server.faults.add("status", method="DELETE", status=200, body=body)
    assert "accepted the revocation but does not show it" in _message(fleet.carry_out(plan))


def test_a_server_that_cannot_narrow_gets_a_hint(fleet: Fleet) -> None:
    fleet.configure(_one("{scopes: {google: [gmail.readonly]}}"))
    fleet.apply_once()
    fleet.configure(_one("{scopes: {}}"))
    plan = fleet.plan()
    body = {"error": "scope_narrowing_unsupported", "message": "no"}
    fleet.server.faults.add("status", method="PATCH", status=409, body=body)
    failure = _failure(fleet.carry_out(plan)).failure
    assert failure is not None
    assert "cannot remove scopes" in failure.hint


def test_what_the_server_adds_to_a_policy_is_remembered_and_no_difference(fleet: Fleet) -> None:
    fleet.configure(_one("{scopes: {}}"))
    fleet.apply_once()
    policy = "{requires_approval: {approvers: [a@example.com]}}"
    fleet.configure(_one(f"{{scopes: {{}}, policy: {policy}}}"))
    _, outcome = fleet.apply_once()
    assert outcome.exit_code() is ExitCode.OK
    plan, _ = fleet.apply_once()
    assert plan.operations == ()


def test_metadata_of_others_survives_every_step_of_a_delivery(fleet: Fleet) -> None:
    fleet.configure(_one("{scopes: {}, status: inactive, metadata: {team: x}}"))
    fleet.apply_once()
    assert set(fleet.agent("a").metadata) == {MARK_KEY, "team"}
    assert fleet.violations() == []
