"""What the sinks of an agent hold now, and whether a key may go by that."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from reconciler.applying.context import RunContext
from reconciler.errors import Refused, SinkError
from reconciler.model.agent import LiveAgent
from reconciler.model.desired import DesiredAgent
from reconciler.model.key import AgentKey, KeyId
from reconciler.ports import Delivery, SecretSink, SinkReading


@dataclass(frozen=True, slots=True)
class Found:
    """Of the keys that appeared inside a claim: the one to finish with, and all that sinks hold."""

    finishable: AgentKey | None = None
    held: frozenset[KeyId] = frozenset()


def found_in_sinks(
    context: RunContext, agent: DesiredAgent, live: LiveAgent, keys: Sequence[AgentKey]
) -> Found:
    """Looks into the sinks for live keys that appeared inside the claim.

    A delivery can be finished when every sink holds the key, or when one does and tells its plaintext, so
    that the others can have it too.
    """
    claim = live.mark.claim if live.mark else None
    inside = [key for key in keys if key.is_live and not (claim and key.key_id in claim.keys)]
    readings = readings_of(context, agent) if inside else []
    finishable, held = None, set()
    for key in inside:
        holding = [reading for reading in readings if reading and is_of(reading, key)]
        if holding:
            held.add(key.key_id)
        if holding and (len(holding) == len(readings) or any(reading.plaintext for reading in holding)):
            finishable = finishable or key
    return Found(finishable, frozenset(held))


def is_of(reading: SinkReading, key: AgentKey) -> bool:
    """Whether a sink's reading is of this key; one that tells no id is told by how its plaintext begins."""
    if reading.key_id is not None or reading.plaintext is None:
        return reading.key_id == key.key_id
    return reading.plaintext.starts_with(key.key_prefix)


def check_sinks(
    context: RunContext, agent: DesiredAgent, live: LiveAgent, keys: Sequence[AgentKey], *, leaving: AgentKey
) -> None:
    """Raises ``Refused`` when a sink holds a key on its way out, or does not hold the delivered one."""
    recorded = live.mark.delivered if live.mark else None
    delivered = next((key for key in keys if recorded and key.key_id == recorded.key_id), None)
    for sink in context.sinks_of(agent):
        if not sink.is_readable:
            continue
        try:
            reading = sink.read_back(agent.name)
        except SinkError as error:
            raise Refused(f"key {leaving.key_id} stays: {error.message}", hint=error.hint) from error
        if reading is not None and reading.key_id is None and reading.plaintext is None:
            continue  # it tells nothing that could be compared with a key's id
        if reading is not None and is_of(reading, leaving):
            raise Refused(
                f"sink {sink.name!r} holds key {leaving.key_id}, which is on its way out",
                hint=f"give all its sinks one key with `rotate --again {live.name}`, or finish a rollback "
                f"that was cut off with `rotate --rollback {live.name}`",
            )
        if reading is None or delivered is None or not is_of(reading, delivered):
            raise Refused(
                f"sink {sink.name!r} does not hold the delivered key of agent {live.name!r} any more",
                hint=f"give it a new one with `rotate --again {live.name}`",
            )


def keeps(sink: SecretSink, delivery: Delivery, *, is_acknowledged: bool) -> bool:
    """Whether a sink has the key and cannot be brought back to the one before."""
    holds = is_acknowledged
    # A sink that fails again is taken at its last word.
    with suppress(SinkError):
        if sink.is_readable:
            holds = _holds(sink, delivery)
        if holds and sink.restore_previous(delivery.agent):
            holds = sink.is_readable and _holds(sink, delivery)
    return holds


def _holds(sink: SecretSink, delivery: Delivery) -> bool:
    reading = sink.read_back(delivery.agent)
    if reading is None:
        return False
    return delivery.key_id == reading.key_id or delivery.plaintext.fingerprint() == reading.fingerprint


def readings_of(context: RunContext, agent: DesiredAgent) -> list[SinkReading | None]:
    """What each sink of the agent holds; ``None`` also for one that cannot be read."""
    return [sink.read_back(agent.name) if sink.is_readable else None for sink in context.sinks_of(agent)]
