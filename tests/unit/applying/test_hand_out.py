"""A key made by hand: what the sink gets, and what becomes of a key that it does not take."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from reconciler.applying.context import RunContext
from reconciler.applying.hand_out import KeyLost, create_with_key, mint_by_hand, take_back
from reconciler.errors import ExitCode, KeyLimitReached, NameExists, SinkError, Unreachable
from reconciler.model.agent import AgentName, LiveAgent, NewAgent
from reconciler.model.key import AgentKey, MintedKey
from reconciler.model.mark import RunId
from reconciler.model.scopes import Scopes
from reconciler.planning.facts import Allowances
from reconciler.ports import Delivery, SinkReading
from tests.support.builders import configuration
from tests.support.fleet import FastClock, Fleet

BODY = NewAgent(AgentName("a"), "agent", Scopes(), {})


class Shelf:
    """A sink in memory. ``refusals`` says of how many deliveries, from the first on, nothing is heard."""

    def __init__(self, *, refusals: int = 0, keeps_what_it_refuses: bool = False) -> None:
        self.name = "shelf"
        self.is_readable = True
        self.is_open = True
        self.held: Delivery | None = None
        self.previous: Delivery | None = None
        self.attempts = 0
        self._refusals = refusals
        self._keeps = keeps_what_it_refuses

    def place(self, agent: AgentName) -> str:
        return f"shelf/{agent}"

    def probe(self, agent: AgentName, *, owner: str, app: str) -> None:
        if not self.is_open:
            raise SinkError("the shelf is locked")

    def deliver(self, delivery: Delivery) -> None:
        self.attempts += 1
        is_refused = self.attempts <= self._refusals
        if (not is_refused or self._keeps) and self.held != delivery:
            self.previous, self.held = self.held, delivery
        if is_refused:
            raise SinkError("the shelf is full")

    def read_back(self, agent: AgentName) -> SinkReading | None:
        return SinkReading(self.held.key_id, self.held.plaintext.fingerprint()) if self.held else None

    def forget_previous(self, agent: AgentName) -> None:
        self.previous = None

    def restore_previous(self, agent: AgentName) -> bool:
        if self.previous is None:
            return False
        self.held, self.previous = self.previous, None
        return True


@pytest.fixture
def context(fleet: Fleet) -> RunContext:
    return RunContext(RunId(""), configuration(), fleet.api, {}, FastClock(), Allowances())


def create(context: RunContext, sink: Shelf | None = None) -> tuple[LiveAgent, MintedKey]:
    return create_with_key(context, BODY, idempotency_key="one", sink=sink)


def states(context: RunContext, live: LiveAgent) -> list[str]:
    def state(key: AgentKey) -> str:
        return "revoked" if not key.is_live else "deprecated" if key.deprecated_at else "active"

    return [state(key) for key in context.api.list_keys(live.id)]


def test_a_sink_gets_the_key_with_all_that_it_has_to_know(context: RunContext, fleet: Fleet) -> None:
    sink = Shelf()
    live, minted = create(context, sink)
    assert sink.held is not None
    assert (sink.held.owner, sink.held.app, sink.held.agent) == ("payments/agents", "payments-prod", "a")
    assert (sink.held.key_id, sink.held.key_prefix) == (minted.key_id, minted.key_prefix)
    assert fleet.server.use_key(sink.held.plaintext.reveal()) == minted.key_id
    second = mint_by_hand(context, live, sink=sink)
    assert (sink.held.key_id, states(context, live)) == (second.key_id, ["active", "active"])


def test_without_a_sink_the_caller_gets_the_key(context: RunContext, fleet: Fleet) -> None:
    live, minted = create(context)
    assert minted.plaintext is not None
    assert fleet.server.use_key(minted.plaintext.reveal()) == minted.key_id
    assert mint_by_hand(context, live, sink=None).plaintext is not None


def test_a_sink_that_is_not_ready_is_noticed_before_anything_is_made(context: RunContext) -> None:
    sink = Shelf()
    live, _ = create(context)
    sink.is_open = False
    makers: tuple[Callable[[], object], ...] = (
        lambda: create_with_key(context, BODY, idempotency_key="two", sink=sink),
        lambda: mint_by_hand(context, live, sink=sink),
    )
    for make in makers:
        with pytest.raises(SinkError, match="locked"):
            make()
    assert (len(context.api.list_agents()), states(context, live)) == (1, ["active"])


def test_a_sink_is_asked_three_times(context: RunContext) -> None:
    live, _ = create(context)
    sink = Shelf(refusals=2)
    minted = mint_by_hand(context, live, sink=sink)
    assert sink.held is not None
    assert (sink.attempts, sink.held.key_id) == (3, minted.key_id)


def test_a_minted_key_that_the_sink_does_not_take_is_revoked(context: RunContext) -> None:
    live, _ = create(context)
    with pytest.raises(
        SinkError, match=r"agent 'a' \(.*\): the shelf is full; key .* was revoked again"
    ) as caught:
        mint_by_hand(context, live, sink=Shelf(refusals=3))
    assert caught.value.exit_code is ExitCode.SINK
    assert states(context, live) == ["active", "revoked"]


def test_the_only_key_of_a_new_agent_is_deprecated_instead(context: RunContext) -> None:
    with pytest.raises(SinkError, match="is deprecated, not revoked: it is the only one"):
        create(context, Shelf(refusals=3))
    (live,) = context.api.list_agents()
    assert states(context, live) == ["deprecated"]


def test_a_sink_that_kept_the_key_gets_its_earlier_one_back(context: RunContext) -> None:
    sink = Shelf()
    live, first = create(context, sink)
    failing = Shelf(refusals=3, keeps_what_it_refuses=True)
    failing.held = sink.held
    with pytest.raises(SinkError, match="was revoked again"):
        mint_by_hand(context, live, sink=failing)
    assert failing.held is not None
    assert (failing.held.key_id, states(context, live)) == (first.key_id, ["active", "revoked"])


def test_a_key_that_stands_in_a_sink_which_had_none_before_stays(context: RunContext) -> None:
    """Its readers have no other, and a revoked one would lock them out."""
    live, _ = create(context)
    sink = Shelf(refusals=3, keeps_what_it_refuses=True)
    with pytest.raises(SinkError, match="stays live, because shelf holds it and nothing earlier"):
        mint_by_hand(context, live, sink=sink)
    assert states(context, live) == ["active", "active"]


def test_a_replayed_create_has_lost_its_key(context: RunContext) -> None:
    live, minted = create(context)
    with pytest.raises(KeyLost, match=f"has the key {minted.key_id}, but nobody holds it") as caught:
        create(context, Shelf())
    assert f"mint-key --agent {live.id}" in caught.value.hint


def test_a_create_that_never_gets_an_answer_says_where_to_look(context: RunContext, fleet: Fleet) -> None:
    fleet.server.faults.add("drop_after", method="POST", times=None)
    with pytest.raises(Unreachable, match="whether there is an agent 'a' now is open") as caught:
        create(context)
    assert "agents list --search a" in caught.value.hint
    fleet.server.faults.clear()
    assert len(context.api.list_agents()) == 1


def test_a_refusal_stays_what_it_is(context: RunContext, fleet: Fleet) -> None:
    live, _ = create(context)
    with pytest.raises(NameExists):
        create_with_key(context, BODY, idempotency_key="two", sink=None)
    for _ in range(4):
        mint_by_hand(context, live, sink=None)
    with pytest.raises(KeyLimitReached):
        mint_by_hand(context, live, sink=None)


def test_what_may_have_come_of_a_lost_mint_is_named_and_left_to_a_person(
    context: RunContext, fleet: Fleet
) -> None:
    live, _ = create(context)
    fleet.server.faults.add("drop_after", method="POST")
    with pytest.raises(Unreachable, match="what appeared meanwhile") as caught:
        mint_by_hand(context, live, sink=Shelf())
    fresh = context.api.list_keys(live.id)[-1]
    assert fresh.key_id in caught.value.message
    assert f"--key {fresh.key_id}" in caught.value.hint
    assert states(context, live) == ["active", "active"]
    fleet.server.faults.add("drop_before", method="POST")
    with pytest.raises(Unreachable, match="no new key is listed"):
        mint_by_hand(context, live, sink=Shelf())


def test_a_key_that_cannot_be_taken_back_is_said_to_be_live(context: RunContext, fleet: Fleet) -> None:
    live, minted = create(context)
    mint_by_hand(context, live, sink=None)
    fleet.server.faults.add("status", method="DELETE", status=403, body={"error": "insufficient_scope"})
    assert f"key {minted.key_id} is still live, because retiring it failed, too" in take_back(
        context, live, minted
    )
    assert take_back(context, live, minted) == f"key {minted.key_id} was revoked again"
