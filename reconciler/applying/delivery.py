"""Mints a key and hands it to every sink, so that no plaintext is lost and no live key is left unheld.

The order is that of a rotation: the claim stands in the mark before anything is minted, a mint is tried once
and its outcome looked up when the answer is lost, the key is written and read back in every sink, and only
then recorded. At each point a crash leaves enough in the mark for the next run to finish.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from reconciler.applying.context import RunContext
from reconciler.applying.holding import is_of, keeps, readings_of
from reconciler.applying.key_calls import deprecate, revoke, undeprecate
from reconciler.applying.marking import older_keys, record_delivery, renewed_claim
from reconciler.applying.minting import Mint, mint_key
from reconciler.applying.writing import write_key
from reconciler.errors import ApiError, BadAnswer, LastActiveKey, SinkError
from reconciler.model.agent import LiveAgent
from reconciler.model.desired import DesiredAgent
from reconciler.model.key import AgentKey, KeyId, MintedKey
from reconciler.model.mark import Delivered
from reconciler.ports import Delivery, SecretSink


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


def probe_sinks(context: RunContext, agent: DesiredAgent) -> None:
    """Makes sure that every sink can take a key before there is one."""
    for sink in context.sinks_of(agent):
        sink.probe(agent.name, owner=context.desired.owner, app=context.desired.app.name)


def hand_over_first_key(
    context: RunContext, agent: DesiredAgent, live: LiveAgent, minted: MintedKey
) -> Handover:
    """Delivers the key that came with a create. A replayed create has lost it: then another is minted."""
    if minted.plaintext is not None:
        return _deliver_and_record(context, agent, live, Mint(minted, live.created_at))
    mint = mint_key(context, live, known=(minted.key_id,))
    mint = replace(mint, lost=(minted.key_id, *mint.lost))
    return _deliver_and_record(context, agent, live, mint)


def hand_over_new_key(
    context: RunContext,
    agent: DesiredAgent,
    live: LiveAgent,
    keys: Sequence[AgentKey],
    *,
    held: AgentKey | None,
    doomed: Collection[KeyId],
    keep_claim: bool,
) -> Handover:
    """Delivers one key more: the one of a run that was cut off, if the sinks have it, or a new one.

    ``held`` is what ``held_by_sinks`` found among the ``keys``. Of the others, all but the ``doomed`` live
    on. The claim is kept while some of those are still to be revoked.
    """
    older = [key for key in keys if key.key_id not in doomed]
    if held is None:
        claim = live.mark.claim if live.mark else None
        known = {*(key.key_id for key in keys), *(claim.keys if claim else ())}
        mint = mint_key(context, live, known=known)
        return _deliver_and_record(context, agent, live, mint, older=older, keep_claim=keep_claim)
    if held.deprecated_at is not None:  # by ``_take_back``, after a sink that stored it reported a failure
        undeprecate(context, live, held.key_id)
    readings = readings_of(context, agent)
    plaintexts = [reading.plaintext for reading in readings if reading and is_of(reading, held)]
    plaintext = next((text for text in plaintexts if text is not None), None)
    if plaintext is not None and len(plaintexts) < len(readings):
        mint = Mint(MintedKey(held.key_id, held.key_prefix, plaintext), held.created_at)
        return _deliver_and_record(context, agent, live, mint, older=older, keep_claim=keep_claim)
    delivered = Delivered(held.key_id, context.clock.now(), agent.deliver_to, held.created_at)
    after = _record(context, live, delivered, older=older, keep_claim=keep_claim)
    return Handover(after, held.key_id, f"recorded key {held.key_id}, which every sink holds already")


def _deliver_and_record(
    context: RunContext,
    agent: DesiredAgent,
    live: LiveAgent,
    mint: Mint,
    *,
    older: Sequence[AgentKey] = (),
    keep_claim: bool = False,
) -> Handover:
    delivery = _delivery(context, agent, mint.key)
    acknowledged: list[SecretSink] = []
    try:
        for sink in context.sinks_of(agent):
            live = _deliver(context, live, sink, delivery, acknowledged=acknowledged)
    except SinkError as error:
        hint = error.hint or "mend the sink and run `alter-sync apply` again"
        fate = _take_back(context, agent, live, delivery, acknowledged=acknowledged)
        raise SinkError(error.message + fate, hint=hint) from error
    key_id = delivery.key_id
    keep_claim = keep_claim or bool(mint.lost) or mint.may_grow
    delivered = Delivered(key_id, context.clock.now(), agent.deliver_to, mint.made_at)
    after = _record(context, live, delivered, older=older, keep_claim=keep_claim)
    places = ", ".join(f"{sink.name} ({sink.place(agent.name)})" for sink in context.sinks_of(agent))
    return Handover(after, key_id, f"key {key_id} to {places}", lost=mint.lost, may_grow=mint.may_grow)


def _record(
    context: RunContext,
    live: LiveAgent,
    delivered: Delivered,
    *,
    older: Sequence[AgentKey],
    keep_claim: bool,
) -> LiveAgent:
    retiring = older_keys(live, older, held=delivered.key_id)
    before = live.mark.delivered if live.mark else None
    if before is not None and before.key_id != delivered.key_id:
        delivered = replace(delivered, previous=before.key_id)
    return record_delivery(context, live, delivered, retiring=retiring, keep_claim=keep_claim)


def _delivery(context: RunContext, agent: DesiredAgent, key: MintedKey) -> Delivery:
    if key.plaintext is None:
        raise BadAnswer(f"agent {agent.name!r}: a key was minted but its plaintext is not in the answer")
    return Delivery(
        owner=context.desired.owner,
        app=context.desired.app.name,
        agent=agent.name,
        key_id=key.key_id,
        key_prefix=key.key_prefix,
        plaintext=key.plaintext,
    )


def _deliver(
    context: RunContext,
    live: LiveAgent,
    sink: SecretSink,
    delivery: Delivery,
    *,
    acknowledged: list[SecretSink],
) -> LiveAgent:
    """Writes to one sink, each attempt under a claim that is still ours; gives the agent with that claim."""

    def renew() -> None:
        nonlocal live
        live = renewed_claim(context, live)

    write_key(context.clock, sink, delivery, acknowledged=acknowledged, before_each=renew)
    return live


def _take_back(
    context: RunContext,
    agent: DesiredAgent,
    live: LiveAgent,
    delivery: Delivery,
    *,
    acknowledged: Sequence[SecretSink],
) -> str:
    """Gets rid of a key that not every sink took; says in words what became of it.

    A sink that has it gets its previous version back. Where there is none the key stays, for consumers of
    that sink have no other, and the next run goes on with it. The only key of an agent is not revoked either,
    for that takes ``force``: it is deprecated.
    """
    key_id = delivery.key_id
    holders = [
        sink.name
        for sink in context.sinks_of(agent)
        if keeps(sink, delivery, is_acknowledged=sink in acknowledged)
    ]
    if holders:
        return f"; key {key_id} stays, because {', '.join(holders)} holds it: the next run goes on with it"
    with suppress(ApiError):
        try:
            revoke(context, live, key_id)
        except LastActiveKey:
            deprecate(context, live, key_id)
            return f"; key {key_id} is deprecated, the next run sees to it"
        return f"; key {key_id} was revoked again"
    return f"; key {key_id} could not be retired either, the next run will do it"
