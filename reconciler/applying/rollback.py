"""The way back from a rotation: the sinks get the key before again. Nothing is revoked on this way."""

from __future__ import annotations

from collections.abc import Sequence

from reconciler.applying.context import RunContext
from reconciler.applying.holding import is_of
from reconciler.applying.key_calls import deprecate, undeprecate
from reconciler.applying.ledger import Ledger
from reconciler.applying.marking import older_keys, record_delivery
from reconciler.errors import NO_WAY_BACK, Conflict, SinkError
from reconciler.model.agent import LiveAgent
from reconciler.model.desired import DesiredAgent
from reconciler.model.key import AgentKey
from reconciler.model.mark import Delivered
from reconciler.ports import SecretSink


def roll_back(
    context: RunContext, ledger: Ledger, agent: DesiredAgent, live: LiveAgent, *, keys: Sequence[AgentKey]
) -> None:
    """Brings the key before back into the sinks; the newer one is deprecated and never revoked here."""
    with ledger.step(ledger.of("undeprecate_key")):
        wanted = ledger.of("undeprecate_key")[0].named_key()
        previous = next((key for key in keys if key.key_id == wanted and key.is_live), None)
        if previous is None:
            raise Conflict(f"key {wanted} of agent {live.name!r} was revoked meanwhile", status=409)
        undeprecate(context, live, wanted)
        left = [sink.name for sink in context.sinks_of(agent) if not _restored(sink, agent, previous)]
        named = ", ".join(left)
        if len(left) == len(agent.deliver_to):
            raise SinkError(
                f"no sink of agent {live.name!r} keeps an earlier version ({named}): they hold the newer "
                f"key, and key {wanted} works as well",
                code=NO_WAY_BACK,
                hint=f"go forward instead, with a new key: `rotate --again {live.name}`",
            )
        missing = (
            f"; not in {named}: no earlier version is kept there, the newer key lives on" if left else ""
        )
        ledger.note(f"key {wanted} is back{missing}")
        now = context.clock.now()
        delivered = Delivered(wanted, now, agent.deliver_to, previous.created_at, left=tuple(left))
        live = record_delivery(context, live, delivered, retiring=older_keys(live, keys, held=wanted))
    for operation in ledger.of("deprecate_key"):
        with ledger.step((operation,)):
            deprecate(context, live, operation.named_key())


def _restored(sink: SecretSink, agent: DesiredAgent, previous: AgentKey) -> bool:
    """Whether the sink has the key before again; ``SinkError`` when it has another one."""
    if not sink.restore_previous(agent.name):
        return False
    reading = sink.read_back(agent.name) if sink.is_readable else None
    if reading is not None and not is_of(reading, previous):
        raise SinkError(
            f"the earlier version in sink {sink.name!r} is not key {previous.key_id}",
            code=NO_WAY_BACK,
            hint=f"go forward instead, with a new key: `rotate --again {agent.name}`",
        )
    return True
