"""The way back from a rotation: the sinks get the key before again. Nothing is revoked on this way."""

from __future__ import annotations

from collections.abc import Sequence

from reconciler.applying.context import RunContext
from reconciler.applying.holding import is_of
from reconciler.applying.key_calls import deprecate, undeprecate
from reconciler.applying.ledger import Ledger
from reconciler.applying.marking import older_keys, record_delivery
from reconciler.errors import Conflict, SinkError
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
        if len(left) == len(agent.deliver_to):
            raise SinkError(
                f"no sink of agent {live.name!r} keeps an earlier version: {', '.join(left)} goes on handing "
                f"out the newer key, and key {wanted} works as well",
                hint="go forward instead, with a new key: `rotate --again`",
            )
        missing = f"; {', '.join(left)} keeps no earlier version and has the newer one" if left else ""
        ledger.note(f"key {wanted} is back{missing}")
        delivered = Delivered(wanted, context.clock.now(), agent.deliver_to, previous.created_at)
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
            hint="go forward instead, with a new key: `rotate --again`",
        )
    return True
