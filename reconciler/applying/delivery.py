"""Mints a key and hands it to every sink, so that no plaintext is lost and no live key is left unheld.

The order is that of a rotation: the claim stands in the mark before anything is minted, a mint is tried once
and its outcome looked up when the answer is lost, the key is written and read back in every sink, and only
then recorded. At each point a crash leaves enough in the mark for the next run to finish.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from reconciler.applying.context import RunContext
from reconciler.applying.marking import check_claim, give_back, record_delivery, renewed_claim
from reconciler.errors import (
    ApiError,
    BadAnswer,
    LastActiveKey,
    RateLimited,
    ServerFault,
    SinkError,
    Unreachable,
)
from reconciler.model.agent import LiveAgent
from reconciler.model.desired import DesiredAgent
from reconciler.model.key import AgentKey, KeyId, MintedKey
from reconciler.model.mark import Delivered
from reconciler.model.secret import Secret
from reconciler.ports import Delivery, SecretSink, SinkReading

# After any of these a mint may have been carried out; only the list of keys tells.
_OUTCOME_UNKNOWN = (Unreachable, ServerFault, BadAnswer, RateLimited)
_MINT_ATTEMPTS = 3
_DELIVER_ATTEMPTS = 3
_DELIVER_PAUSE_SECONDS = 0.5
_LONGEST_RATE_LIMIT_WAIT_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Handover:
    """A finished delivery: the agent afterwards, the key, and keys that nobody holds and are still live.

    ``may_grow``: the answer to a mint was lost, and the list of keys did not show what came of it. The list
    may have been an old one, or the request is still on its way, so the claim stays for the next run to look.
    """

    live: LiveAgent
    key_id: KeyId
    detail: str
    lost: tuple[KeyId, ...] = ()
    may_grow: bool = False


@dataclass(frozen=True, slots=True)
class _Mint:
    """A key on its way to the sinks, and what became of the attempts before it (see ``Handover``)."""

    delivery: Delivery
    lost: tuple[KeyId, ...] = ()
    may_grow: bool = False


def probe_sinks(context: RunContext, agent: DesiredAgent) -> None:
    """Makes sure that every sink can take a key before there is one."""
    for sink in context.sinks_of(agent):
        sink.probe(agent.name, owner=context.desired.owner, app=context.desired.app.name)


def hand_over_first_key(
    context: RunContext, agent: DesiredAgent, live: LiveAgent, minted: MintedKey
) -> Handover:
    """Delivers the key that came with a create. A replayed create has lost it: then another is minted."""
    if minted.plaintext is not None:
        delivery = _delivery(context, agent, minted, minted.plaintext)
        return _deliver_and_record(context, agent, live, _Mint(delivery), keep_claim=False)
    mint = _mint(context, agent, live, known=(minted.key_id,))
    mint = replace(mint, lost=(minted.key_id, *mint.lost))
    return _deliver_and_record(context, agent, live, mint, keep_claim=True)


def finish_unfinished(context: RunContext, agent: DesiredAgent, live: LiveAgent) -> Handover:
    """Finishes a delivery that an earlier run began: with the key that the sinks hold already, or a new one.

    The claim stays: the caller drops it when the keys that the earlier run lost are retired.
    """
    keys = context.api.list_keys(live.id)
    readings = _readings(context, agent)
    held = _held_key(live, keys, readings)
    if held is None:
        mint = _mint(context, agent, live, known=[key.key_id for key in keys])
        return _deliver_and_record(context, agent, live, mint, keep_claim=True)
    if held.deprecated_at is not None:  # by ``_retire``, after a sink that stored it reported a failure
        context.api.undeprecate_key(live.id, held.key_id)
    plaintexts = [reading.plaintext for reading in readings if reading and _is_of(reading, held)]
    plaintext = next((text for text in plaintexts if text is not None), None)
    if plaintext is not None and len(plaintexts) < len(readings):
        minted = MintedKey(held.key_id, held.key_prefix, plaintext)
        mint = _Mint(_delivery(context, agent, minted, plaintext))
        return _deliver_and_record(context, agent, live, mint, keep_claim=True)
    after = record_delivery(context, live, _delivered(context, agent, held.key_id), keep_claim=True)
    return Handover(after, held.key_id, f"recorded key {held.key_id}, which every sink holds already")


def _mint(context: RunContext, agent: DesiredAgent, live: LiveAgent, *, known: Collection[KeyId]) -> _Mint:
    """Mints, a few times if answers are lost. ``known`` are the keys that were there before."""
    seen, lost, may_grow = set(known), list[KeyId](), False
    for attempt in range(_MINT_ATTEMPTS):
        try:
            minted = context.api.mint_key(live.id)
        except _OUTCOME_UNKNOWN as error:
            fresh = [key for key in context.api.list_keys(live.id) if key.is_live and key.key_id not in seen]
            seen |= {key.key_id for key in fresh}
            may_grow = may_grow or (not fresh and _may_have_arrived(error))
            lost += _revoke_lost(context, live, fresh)
            if attempt == _MINT_ATTEMPTS - 1:
                raise
            if isinstance(error, RateLimited):
                wait = error.retry_after_seconds or 1.0
                context.clock.sleep(min(wait, _LONGEST_RATE_LIMIT_WAIT_SECONDS))
            continue
        if minted.plaintext is not None:
            delivery = _delivery(context, agent, minted, minted.plaintext)
            return _Mint(delivery, tuple(lost), may_grow)
        raise BadAnswer(f"agent {live.name!r}: a key was minted but its plaintext is not in the answer")
    raise AssertionError("the loop returns or raises")


def _may_have_arrived(error: ApiError) -> bool:
    """Whether the server may carry out, or may have carried out, the request that this came of."""
    return not isinstance(error, RateLimited) and not (isinstance(error, Unreachable) and not error.sent)


def _revoke_lost(context: RunContext, live: LiveAgent, keys: Sequence[AgentKey]) -> Iterator[KeyId]:
    """Revokes keys that appeared inside our claim without a plaintext; yields those that have to wait."""
    if keys:
        # A run that slept past its claim would find its successor's keys here.
        check_claim(context, live)
    for key in keys:
        try:
            context.api.revoke_key(live.id, key.key_id)
        except LastActiveKey:
            # It goes once the next key is delivered; until then it is the only one.
            yield key.key_id


def _deliver_and_record(
    context: RunContext, agent: DesiredAgent, live: LiveAgent, mint: _Mint, *, keep_claim: bool
) -> Handover:
    key_id = mint.delivery.key_id
    try:
        for sink in context.sinks_of(agent):
            live = _deliver(context, live, sink, mint.delivery)
    except SinkError as error:
        hint = error.hint or "mend the sink and run `alter-sync apply` again"
        raise SinkError(error.message + _retire(context, live, key_id), hint=hint) from error
    after = record_delivery(context, live, _delivered(context, agent, key_id), keep_claim=keep_claim)
    places = ", ".join(f"{sink.name} ({sink.place(agent.name)})" for sink in context.sinks_of(agent))
    return Handover(after, key_id, f"key {key_id} to {places}", lost=mint.lost, may_grow=mint.may_grow)


def _delivery(context: RunContext, agent: DesiredAgent, minted: MintedKey, plaintext: Secret) -> Delivery:
    return Delivery(
        owner=context.desired.owner,
        app=context.desired.app.name,
        agent=agent.name,
        key_id=minted.key_id,
        key_prefix=minted.key_prefix,
        plaintext=plaintext,
    )


def _deliver(context: RunContext, live: LiveAgent, sink: SecretSink, delivery: Delivery) -> LiveAgent:
    """Writes to one sink and reads back, a few times if need be, each under a claim that is still ours."""
    for attempt in range(_DELIVER_ATTEMPTS):
        live = renewed_claim(context, live)
        try:
            sink.deliver(delivery)
            _verify(sink, delivery)
            return live
        except SinkError:
            if attempt == _DELIVER_ATTEMPTS - 1:
                raise
            context.clock.sleep(_DELIVER_PAUSE_SECONDS * 2**attempt)
    raise AssertionError("the loop returns or raises")


def _verify(sink: SecretSink, delivery: Delivery) -> None:
    if not sink.is_readable:
        return
    reading = sink.read_back(delivery.agent)
    wrong_key = reading is not None and reading.key_id not in {None, delivery.key_id}
    if reading is None or wrong_key or reading.fingerprint not in {None, delivery.plaintext.fingerprint()}:
        raise SinkError(
            f"sink {sink.name!r} does not hold what was just written to {sink.place(delivery.agent)}",
            hint="another process may be writing to the same place",
        )


def _retire(context: RunContext, live: LiveAgent, key_id: KeyId) -> str:
    """Gets rid of a key that could not be delivered; says in words what became of it.

    The only key of an agent is not revoked, for that takes ``force``. It is deprecated, and the claim is
    given back so that the next run sees to it.
    """
    with suppress(ApiError):
        try:
            context.api.revoke_key(live.id, key_id)
        except LastActiveKey:
            context.api.deprecate_key(live.id, key_id)
            give_back(context, live)
            return f"; key {key_id} is deprecated, the next run sees to it"
        with suppress(ApiError):
            give_back(context, live)
        return f"; key {key_id} was revoked again"
    return f"; key {key_id} could not be retired either, the next run will do it"


def _readings(context: RunContext, agent: DesiredAgent) -> list[SinkReading | None]:
    """What each sink of the agent holds; ``None`` also for one that cannot be read."""
    return [sink.read_back(agent.name) if sink.is_readable else None for sink in context.sinks_of(agent)]


def _held_key(
    live: LiveAgent, keys: Sequence[AgentKey], readings: Sequence[SinkReading | None]
) -> AgentKey | None:
    """The live key of this claim with which the delivery can be finished.

    Either every sink holds it, or one does and tells its plaintext, so that the others can have it too.
    """
    claim = live.mark.claim if live.mark else None
    for key in keys:
        holding = [reading for reading in readings if reading and _is_of(reading, key)]
        can_finish = len(holding) == len(readings) or any(reading.plaintext for reading in holding)
        if key.is_live and holding and can_finish and not (claim and key.key_id in claim.keys):
            return key
    return None


def _is_of(reading: SinkReading, key: AgentKey) -> bool:
    """Whether a sink's reading is of this key; one that tells no id is told by how its plaintext begins."""
    if reading.key_id is not None or reading.plaintext is None:
        return reading.key_id == key.key_id
    return reading.plaintext.reveal().startswith(key.key_prefix)


def _delivered(context: RunContext, agent: DesiredAgent, key_id: KeyId) -> Delivered:
    return Delivered(key_id, context.clock.now(), agent.deliver_to)
