"""Delivery and what is left of one that was cut off: edges that no single fault leads to."""

from __future__ import annotations

from pathlib import Path

from reconciler.alter.sdk_plane import SdkPlane
from reconciler.errors import ExitCode, Unreachable
from reconciler.model.agent import AgentId, AgentPatch
from reconciler.model.key import MintedKey
from reconciler.model.mark import MARK_KEY
from reconciler.model.outcome import Outcome
from reconciler.sandbox.faults import Fault
from tests.faults.ambush import Ambush
from tests.faults.scenarios import PLAIN, SCENARIOS
from tests.support.fleet import Fleet, running_fleet


def _messages(outcome: Outcome) -> str:
    return " ".join(one.failure.message for one in outcome.operations if one.failure)


def _details(outcome: Outcome) -> list[str]:
    return [one.detail for one in outcome.operations]


def test_a_new_agent_has_its_first_key_delivered_and_recorded(fleet: Fleet) -> None:
    fleet.configure(PLAIN)
    _, outcome = fleet.apply_once()
    assert " to file (" in _details(outcome)[1]
    assert str(fleet.keys / "a.env") in _details(outcome)[1]
    mark = fleet.agent("a").mark
    assert mark is not None
    assert mark.delivered is not None
    assert mark.delivered.sinks == ("file",)


def test_a_key_that_every_sink_holds_is_recorded_and_not_minted_again(fleet: Fleet) -> None:
    SCENARIOS["record-delivered"].begin(fleet)
    held = fleet.held("a")
    _, outcome = fleet.apply_once()
    assert "which every sink holds already" in _details(outcome)[0]
    assert "kept: a sink holds it" in _details(outcome)[1]
    assert fleet.held("a") == held


def test_a_lost_key_that_is_in_use_meanwhile_is_not_revoked(fleet: Fleet) -> None:
    SCENARIOS["record-delivered"].begin(fleet)
    [plaintext] = fleet.held("a")
    (fleet.keys / "a.env").unlink()
    (fleet.keys / ".a.env.previous").unlink(missing_ok=True)
    plan = fleet.plan()
    fleet.server.use_key(plaintext)
    outcome = fleet.carry_out(plan)
    assert "has been used meanwhile" in _messages(outcome)
    assert outcome.exit_code() is ExitCode.PARTIAL
    assert len(fleet.live_keys(fleet.agent("a").id)) == 2


def test_a_lost_key_that_was_revoked_by_hand_meanwhile_is_no_failure(tmp_path: Path) -> None:
    ambush = Ambush()
    with running_fleet(tmp_path, faults=ambush) as fleet:
        SCENARIOS["mint-again"].begin(fleet)
        plan = fleet.plan()
        agent_id = fleet.agent("a").id
        [lost] = fleet.live_keys(agent_id)

        def revoke_by_hand(_nth: int, method: str, path: str) -> Fault | None:
            if method == "PATCH" and path.endswith(agent_id) and len(_live(fleet, agent_id)) == 2:
                fleet.server.store.connection.execute(
                    "UPDATE keys SET revoked_at = 1 WHERE id = ?", (lost.key_id,)
                )
            return None

        ambush.on_request = revoke_by_hand
        outcome = fleet.carry_out(plan)
        assert outcome.exit_code() is ExitCode.OK
        assert _details(outcome)[1] == "is revoked already"
        assert fleet.violations() == []


def _live(fleet: Fleet, agent_id: str) -> list[object]:
    query = "SELECT id FROM keys WHERE agent_id = ? AND revoked_at IS NULL"
    return list(fleet.server.store.rows(query, agent_id))


def test_another_run_that_took_the_agent_over_is_not_overruled(tmp_path: Path) -> None:
    """The run was asleep for longer than its claim holds: whoever took over keeps the agent."""
    ambush = Ambush()
    with running_fleet(tmp_path, faults=ambush) as fleet:
        fleet.configure(PLAIN)
        plan = fleet.plan()

        def overtake(_nth: int, method: str, _path: str) -> Fault | None:
            if method != "PATCH":
                return None
            ambush.on_request = None
            metadata = fleet.server.store.rows("SELECT metadata FROM agents")[0]["metadata"]
            changed = metadata.replace(_run_in(metadata), "another-run")
            fleet.server.store.connection.execute(
                "UPDATE agents SET metadata = ?, version = version + 1", (changed,)
            )
            return None

        ambush.on_request = overtake
        outcome = fleet.carry_out(plan)
        assert "was taken over by another run" in _messages(outcome)
        mark = fleet.agent("a").mark
        assert mark is not None
        assert mark.claim is not None
        assert mark.claim.run == "another-run"


def _run_in(metadata: str) -> str:
    return metadata.partition('"run":"')[2].partition('"')[0]


def test_a_record_gets_through_although_the_agent_is_edited_meanwhile(fleet: Fleet) -> None:
    fleet.configure(PLAIN)
    plan = fleet.plan()
    fleet.server.faults.add(
        "status", method="PATCH", status=409, body={"error": "agent_concurrent_update"}, times=2
    )
    assert fleet.carry_out(plan).exit_code() is ExitCode.OK
    assert fleet.violations() == []


def test_a_record_that_never_gets_through_is_a_conflict_and_the_claim_stays(fleet: Fleet) -> None:
    fleet.configure(PLAIN)
    plan = fleet.plan()
    fleet.server.faults.add(
        "status", method="PATCH", status=409, body={"error": "agent_concurrent_update"}, times=None
    )
    outcome = fleet.carry_out(plan)
    assert {one.failure.code for one in outcome.operations if one.failure} == {"agent_concurrent_update"}
    fleet.server.faults.clear()
    assert fleet.made_good(runs=1) == []


def test_a_full_agent_gets_no_more_keys_and_says_so(fleet: Fleet) -> None:
    SCENARIOS["mint-again"].begin(fleet)
    agent_id = fleet.agent("a").id
    for _ in range(4):
        fleet.api.mint_key(agent_id)
    _, outcome = fleet.apply_once()
    assert "agent_key_limit_reached" in {one.failure.code for one in outcome.operations if one.failure}
    assert outcome.exit_code() is ExitCode.CONFLICT


def test_a_mint_that_is_refused_for_the_rate_is_tried_again(fleet: Fleet) -> None:
    SCENARIOS["mint-again"].begin(fleet)
    body = {"error": "rate_limit_exceeded", "retry_after": 7}
    fleet.server.faults.add("status", method="POST", status=429, body=body, times=2)
    assert fleet.apply_once()[1].exit_code() is ExitCode.OK
    assert fleet.violations() == []


def test_lost_mints_give_up_after_three_and_leave_no_key_but_the_first(fleet: Fleet) -> None:
    SCENARIOS["mint-again"].begin(fleet)
    fleet.server.faults.add("drop_after", method="POST", times=None)
    _, outcome = fleet.apply_once()
    assert outcome.exit_code() is ExitCode.ERROR
    assert len([one for one in fleet.mutations() if one.method == "POST"]) == 3
    fleet.server.faults.clear()
    assert len(fleet.live_keys(fleet.agent("a").id)) == 1
    assert fleet.made_good(runs=1) == []


def test_a_mint_that_nobody_can_explain_leaves_the_next_run_to_look(fleet: Fleet) -> None:
    SCENARIOS["mint-again"].begin(fleet)
    fleet.server.faults.add("drop_before", method="POST")
    assert fleet.apply_once()[1].exit_code() is ExitCode.OK
    mark = fleet.agent("a").mark
    assert mark is not None
    assert mark.claim is not None
    assert mark.claim.run == ""
    plan, _ = fleet.apply_once()
    assert [operation.kind for operation in plan.operations] == ["update_agent"]
    assert fleet.violations() == []


def test_a_lost_mint_that_is_the_only_key_is_retired_once_there_is_another(fleet: Fleet) -> None:
    """Somebody revoked the only key by force, so the lost one may not go before the next is delivered."""
    SCENARIOS["mint-again"].begin(fleet)
    fleet.server.store.connection.execute("UPDATE keys SET revoked_at = 1 WHERE agent_id IS NOT NULL")
    fleet.server.faults.add("drop_after", method="POST")
    assert fleet.apply_once()[1].exit_code() is ExitCode.OK
    assert [one.method for one in fleet.mutations()][-4:] == ["POST", "PATCH", "DELETE", "PATCH"]
    assert fleet.violations() == []


def test_a_mint_without_a_plaintext_is_reported_and_the_next_run_replaces_it(fleet: Fleet) -> None:
    SCENARIOS["mint-again"].begin(fleet)
    body = {"key_id": "k", "key_prefix": "alter_ak_abcdef", "api_key": None}
    fleet.server.faults.add("status", method="POST", status=201, body=body)
    _, outcome = fleet.apply_once()
    assert "its plaintext is not in the answer" in _messages(outcome)
    assert fleet.made_good(runs=1) == []


def test_a_create_whose_answers_are_all_lost_is_found_and_finished_in_the_same_run(fleet: Fleet) -> None:
    fleet.configure(PLAIN)
    plan = fleet.plan()
    fleet.server.faults.add("drop_after", method="POST", path="agents$", times=None)
    assert fleet.carry_out(plan).exit_code() is ExitCode.OK
    assert fleet.violations() == []


def test_a_create_that_is_found_without_a_key_is_reported_and_the_next_run_mints(fleet: Fleet) -> None:
    fleet.configure(PLAIN)
    plan = fleet.plan()
    fleet.server.faults.add("drop_after", method="POST", path="agents$", times=None)
    fleet.server.faults.add("status", path="keys$", status=200, body={"items": []})
    assert "was created without a key" in _messages(fleet.carry_out(plan))
    fleet.server.faults.clear()
    assert fleet.made_good(runs=1) == []


class _BrokenCable(SdkPlane):
    """The first mint never leaves this machine."""

    is_broken = True

    def mint_key(self, agent_id: AgentId) -> MintedKey:
        if self.is_broken:
            self.is_broken = False
            raise Unreachable("no route to host", sent=False)
        return super().mint_key(agent_id)


def test_after_a_mint_that_never_left_this_machine_there_is_nothing_to_look_for(fleet: Fleet) -> None:
    SCENARIOS["mint-again"].begin(fleet)
    with fleet.connect(_BrokenCable) as api:
        assert fleet.apply_once(api=api)[1].exit_code() is ExitCode.OK
    assert fleet.violations() == []


def test_a_claim_of_a_run_at_work_is_respected(fleet: Fleet) -> None:
    fleet.configure(PLAIN)
    fleet.apply_once()
    live = fleet.agent("a")
    with fleet.run_context() as context:
        document = {**live.metadata[MARK_KEY]}
        document["claim"] = {"run": context.run, "at": context.clock.now().isoformat(), "keys": []}
        patch = AgentPatch(metadata={**live.metadata, MARK_KEY: document})
        fleet.api.update_agent(live.id, patch, expected_version=live.version)
        plan = fleet.plan()
    assert plan.operations == ()
    assert [entry.stage for entry in plan.waiting] == ["claimed"]
    assert fleet.made_good(runs=1) == []


def test_a_run_that_read_an_old_version_cannot_take_over_what_another_has(tmp_path: Path) -> None:
    """Also on a server that looks at the version only together with scopes: so the takeover sends them."""
    with running_fleet(tmp_path, honours_version_without_scopes=False) as fleet:
        SCENARIOS["mint-again"].begin(fleet)
        plan = fleet.plan()
        live = fleet.agent("a")
        patch = AgentPatch(metadata={**live.metadata, "moved": True})
        fleet.api.update_agent(live.id, patch, expected_version=live.version)
        fleet.server.faults.add("stale", path=f"{live.id}$")
        outcome = fleet.carry_out(plan)
        assert outcome.exit_code() is ExitCode.CONFLICT
        assert len(fleet.live_keys(live.id)) == 1
