"""Makes a key that a person asked for, outside of any plan, and gives it to one sink or back to the caller.

There is no mark to remember anything in, so whatever cannot be finished here is said in words: which key
nobody holds, and what became of it.
"""

from __future__ import annotations

from contextlib import suppress

from reconciler.applying.context import RunContext
from reconciler.applying.holding import keeps
from reconciler.applying.key_calls import deprecate, revoke
from reconciler.applying.minting import may_have_arrived
from reconciler.applying.writing import write_key
from reconciler.errors import AlterSyncError, ApiError, LastActiveKey, SinkError, Unreachable
from reconciler.model.agent import LiveAgent, NewAgent
from reconciler.model.key import AgentKey, MintedKey
from reconciler.model.secret import Secret
from reconciler.ports import Delivery, SecretSink


class KeyLost(AlterSyncError):
    """There is a new key, and nobody holds it: its plaintext was in an answer that did not arrive."""

    code = "key_lost"


def create_with_key(
    context: RunContext, body: NewAgent, *, idempotency_key: str, sink: SecretSink | None
) -> tuple[LiveAgent, MintedKey]:
    """Creates an agent. With a sink its first key is delivered there, and was never anywhere else."""
    if sink is not None:
        _probe(context, sink, body)
    try:
        live, minted = context.api.create_agent(body, idempotency_key=idempotency_key)
    except ApiError as error:
        if not may_have_arrived(error):
            raise
        raise Unreachable(
            f"{error.message}; whether there is an agent {body.name!r} now is open",
            code=error.code,
            hint=f"`alter-sync agents list --search {body.name}` tells. If it is there, nobody holds its "
            "key: mint another with `alter-sync agents mint-key`, then revoke the lost one",
        ) from error
    _hand_over(context, live, minted, sink=sink)
    return live, minted


def mint_by_hand(context: RunContext, live: LiveAgent, *, sink: SecretSink | None) -> MintedKey:
    """Mints one key more, in one attempt. With a sink it is delivered there, and was never anywhere else."""
    if sink is not None:
        _probe(context, sink, live)
    before = {key.key_id for key in context.api.list_keys(live.id)}
    try:
        minted = context.api.mint_key(live.id)
    except ApiError as error:
        if not may_have_arrived(error):
            raise
        fresh: list[AgentKey] = []
        with suppress(ApiError):
            listed = context.api.list_keys(live.id)
            fresh = [key for key in listed if key.key_id not in before and key.is_live]
        raise _open_mint(live, fresh, error) from error
    _hand_over(context, live, minted, sink=sink)
    return minted


def take_back(context: RunContext, live: LiveAgent, minted: MintedKey) -> str:
    """Gets rid of a key that nobody holds; says in words what became of it.

    The only key of an agent is not revoked, for that takes a person: it is deprecated.
    """
    try:
        try:
            revoke(context, live, minted.key_id)
        except LastActiveKey:
            deprecate(context, live, minted.key_id)
            return f"key {minted.key_id} is deprecated, not revoked: it is the only one"
    except ApiError as error:
        return f"key {minted.key_id} is still live, because retiring it failed, too ({error.message})"
    return f"key {minted.key_id} was revoked again"


def _probe(context: RunContext, sink: SecretSink, agent: LiveAgent | NewAgent) -> None:
    """Makes sure that the sink can take the key before there is one."""
    sink.probe(agent.name, owner=context.desired.owner, app=context.desired.app.name)


def _hand_over(context: RunContext, live: LiveAgent, minted: MintedKey, *, sink: SecretSink | None) -> None:
    if minted.plaintext is None:
        raise KeyLost(
            f"agent {live.name!r} has the key {minted.key_id}, but nobody holds it: the answer was lost",
            hint=f"mint another with `alter-sync agents mint-key --agent {live.id} --sink NAME`, then revoke "
            f"the lost one: `alter-sync agents revoke-key --agent {live.id} --key {minted.key_id}`",
        )
    if sink is not None:
        _deliver(context, live, minted, sink=sink, plaintext=minted.plaintext)


def _deliver(
    context: RunContext, live: LiveAgent, minted: MintedKey, *, sink: SecretSink, plaintext: Secret
) -> None:
    delivery = Delivery(
        owner=context.desired.owner,
        app=context.desired.app.name,
        agent=live.name,
        key_id=minted.key_id,
        key_prefix=minted.key_prefix,
        plaintext=plaintext,
    )
    acknowledged: list[SecretSink] = []
    try:
        write_key(context.clock, sink, delivery, acknowledged=acknowledged)
    except SinkError as error:
        # A sink that has the key and no earlier one to go back to would hand out a revoked one.
        if keeps(sink, delivery, is_acknowledged=sink in acknowledged):
            fate = f"key {minted.key_id} stays live, because {sink.name} holds it and nothing earlier"
        else:
            fate = take_back(context, live, minted)
        hint = error.hint or "mend the sink, then mint another key with `alter-sync agents mint-key`"
        raise SinkError(f"agent {live.name!r} ({live.id}): {error.message}; {fate}", hint=hint) from error


def _open_mint(live: LiveAgent, fresh: list[AgentKey], error: ApiError) -> Unreachable:
    """A mint without an answer. A fresh key may be somebody else's, so a person decides about it."""
    if not fresh:
        what = "no new key is listed"
        hint = f"look again in a while: `alter-sync agents list-keys --agent {live.id}`"
    else:
        ids = ", ".join(key.key_id for key in fresh)
        what = f"what appeared meanwhile: {ids}, and if it came of this, nobody holds it"
        hint = f"if it stays unused: `alter-sync agents revoke-key --agent {live.id} --key {fresh[0].key_id}`"
    return Unreachable(f"{error.message}; {what}", code=error.code, hint=hint)
