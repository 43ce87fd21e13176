"""The work of many agents: what goes on, what is spared, what stops."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from reconciler.errors import ExitCode
from reconciler.model.outcome import OperationOutcome, Outcome
from reconciler.sandbox.answers import Json
from tests.support.fleet import HEAD, Fleet


def _agents(count: int) -> str:
    return HEAD + "agents:\n" + "".join(f"  agent-{n}: {{scopes: {{}}}}\n" for n in range(count))


def _statuses(outcome: Outcome) -> dict[str, str]:
    return {one.id: one.status for one in outcome.operations}


def _creates(fleet: Fleet) -> int:
    return len([one for one in fleet.mutations() if one.method == "POST"])


def test_everything_done_is_exit_code_0(fleet: Fleet) -> None:
    fleet.configure(_agents(3))
    plan, outcome = fleet.apply_once(parallelism=3)
    assert outcome.counts() == {"done": 6, "failed": 0, "not_tried": 0}
    assert outcome.exit_code() is ExitCode.OK
    assert outcome.plan_digest == plan.plan_digest
    assert outcome.interrupted is None


def test_a_failed_agent_does_not_stop_the_others(fleet: Fleet) -> None:
    fleet.configure(_agents(3))
    plan = fleet.plan()
    fleet.server.faults.add("status", method="POST", nth=2, status=422, body={"error": "bad"}, times=1)
    outcome = fleet.carry_out(plan)
    assert _statuses(outcome) == {
        "create_agent:agent-0": "done",
        "mint_key:agent-0": "done",
        "create_agent:agent-1": "failed",
        "mint_key:agent-1": "not_tried",
        "create_agent:agent-2": "done",
        "mint_key:agent-2": "done",
    }
    assert outcome.exit_code() is ExitCode.PARTIAL


def test_when_nothing_was_done_the_exit_code_is_that_of_the_cause(fleet: Fleet) -> None:
    fleet.configure(_agents(1))
    plan = fleet.plan()
    fleet.server.faults.add("status", method="POST", status=409, body={"error": "agent_limit"}, times=None)
    assert fleet.carry_out(plan).exit_code() is ExitCode.CONFLICT


def test_what_guards_refused_is_in_the_outcome(fleet: Fleet) -> None:
    fleet.configure(_agents(1))
    fleet.apply_once()
    fleet.configure(HEAD + "agents: {agent-0: {type: service, scopes: {}}}\n")
    _, outcome = fleet.apply_once()
    assert [entry.guard for entry in outcome.blocked] == ["replace"]
    assert outcome.exit_code() is ExitCode.REFUSED


def test_a_missing_permission_stops_only_what_needs_it(fleet: Fleet) -> None:
    fleet.configure(_agents(4))
    fleet.apply_once()
    text = HEAD + "agents:\n  agent-3: {scopes: {}, metadata: {team: x}}\n  new: {scopes: {}}\n"
    fleet.configure(text + "guards: {max_revocations: {count: 10, percent: 100}}\n")
    key = fleet.server.create_app_key({"agents:read", "agents:write"})
    with fleet.connect(type(fleet.api), api_key=key) as api:
        _, outcome = fleet.apply_once(api=api)
    assert _statuses(outcome) == {
        "revoke_agent:agent-0": "failed",
        "revoke_agent:agent-1": "not_tried",
        "revoke_agent:agent-2": "not_tried",
        "update_agent:agent-3": "done",
        "create_agent:new": "done",
        "mint_key:new": "done",
    }
    spared = [one.failure.code for one in outcome.operations if one.failure]
    assert spared == ["insufficient_scope"] * 3
    assert outcome.exit_code() is ExitCode.PARTIAL


def test_a_refused_credential_stops_everything(fleet: Fleet) -> None:
    fleet.configure(_agents(4))
    plan = fleet.plan()
    fleet.server.faults.add("status", status=401, body={"error": "key_revoked"}, times=None)
    fleet.server.store.clear_request_log()
    outcome = fleet.carry_out(plan)
    assert len(fleet.server.store.request_log()) == 1
    assert set(_statuses(outcome).values()) == {"failed", "not_tried"}
    assert outcome.exit_code() is ExitCode.AUTH


_DOWN: tuple[tuple[int, Json], ...] = (
    (500, None),
    (503, {"error": "database_unavailable", "message": "The database is down."}),
    (429, {"error": "too_many", "retry_after": 1}),
)


@pytest.mark.parametrize(("status", "body"), _DOWN)
def test_after_a_few_agents_without_an_answer_the_rest_is_not_tried(
    status: int, body: Json, fleet: Fleet
) -> None:
    fleet.configure(_agents(9))
    plan = fleet.plan()
    fleet.server.faults.add("status", status=status, body=body, times=None)
    outcome = fleet.carry_out(plan)
    failed = [id_ for id_, status in _statuses(outcome).items() if status == "failed"]
    assert failed == [f"create_agent:agent-{n}" for n in range(5)]
    assert outcome.operations[-1].detail == "would fail for the same reason as others"


def test_agents_without_an_answer_count_only_in_a_row(fleet: Fleet) -> None:
    fleet.configure(_agents(9))
    plan = fleet.plan()
    ended: list[str] = []

    def tell(outcomes: Sequence[OperationOutcome]) -> None:
        ended.append(outcomes[0].status)
        fleet.server.faults.clear()
        if len(ended) != 4:
            fleet.server.faults.add("drop_before", times=None)

    fleet.server.faults.add("drop_before", times=None)
    fleet.carry_out(plan, on_agent=tell)
    assert ended == ["failed"] * 4 + ["done"] + ["failed"] * 4


def test_after_a_stop_nothing_new_is_begun(fleet: Fleet) -> None:
    fleet.configure(_agents(5))
    plan = fleet.plan()
    seen: list[OperationOutcome] = []

    def tell(outcomes: Sequence[OperationOutcome]) -> None:
        seen.extend(outcomes)

    outcome = fleet.carry_out(
        plan, should_stop=lambda: ExitCode.TERMINATED if _creates(fleet) >= 2 else None, on_agent=tell
    )
    assert outcome.counts() == {"done": 4, "failed": 0, "not_tried": 6}
    assert outcome.operations[-1].detail == "interrupted before it was begun"
    assert outcome.exit_code() is ExitCode.TERMINATED
    assert tuple(seen) == outcome.operations[:4]


def test_a_stop_that_came_when_all_was_done_is_no_interruption(fleet: Fleet) -> None:
    fleet.configure(_agents(2))
    plan = fleet.plan()
    outcome = fleet.carry_out(
        plan, should_stop=lambda: ExitCode.INTERRUPTED if _creates(fleet) == 2 else None
    )
    assert outcome.exit_code() is ExitCode.OK


def test_a_plan_without_operations_is_done_at_once(fleet: Fleet) -> None:
    fleet.configure(_agents(1))
    fleet.apply_once()
    _, outcome = fleet.apply_once()
    assert (outcome.operations, outcome.exit_code()) == ((), ExitCode.OK)
