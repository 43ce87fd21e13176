"""Carries out what is planned for one agent's keys, under a claim: rotation, retirement, rollback.

Every step is one that a crash may follow: what a run leaves behind, the mark and the list of keys tell.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress

from reconciler.applying.context import RunContext
from reconciler.applying.delivery import Handover, hand_over_first_key, hand_over_new_key
from reconciler.applying.holding import check_sinks, found_in_sinks
from reconciler.applying.key_calls import deprecate, revoke, undeprecate
from reconciler.applying.ledger import Ledger
from reconciler.applying.marking import drop_claim, give_back, older_keys
from reconciler.applying.minting import may_have_arrived
from reconciler.applying.rollback import roll_back
from reconciler.errors import AlterSyncError, Conflict, LastActiveKey, Refused, SinkError
from reconciler.model.agent import LiveAgent
from reconciler.model.desired import DesiredAgent
from reconciler.model.key import AgentKey, KeyId, MintedKey
from reconciler.model.mark import Claim
from reconciler.model.plan import Operation, OperationKind
from reconciler.planning.facts import Facts
from reconciler.planning.guards import refusals
from reconciler.planning.key_plan import LOST_KEY

KEY_KINDS: tuple[OperationKind, ...] = ("mint_key", "deprecate_key", "undeprecate_key", "revoke_key")
# Guards that judge by what moves without a new version; they are asked once more before a revocation.
_ASKED_AGAIN = frozenset({"last-active-key", "key-in-use", "freeze"})


def claim_keys(
    context: RunContext, ledger: Ledger, agent: DesiredAgent, live: LiveAgent, *, keys: Sequence[AgentKey]
) -> Claim:
    """The claim of this run on an agent's keys: those that are there, or were when the old claim began."""
    mark = live.mark
    if mark is not None and mark.claim is not None:
        old = mark.claim
        sinks = tuple(sorted({*old.sinks, *agent.deliver_to}))
        # What that run recorded was there before the key that this one mints.
        recorded = {_recorded(live)} & {key.key_id for key in keys} if ledger.of("mint_key") else set()
        known = tuple(sorted({*old.keys, *filter(None, recorded)}))
        return Claim(context.run, context.clock.now(), known, sinks, old.lost)
    # The list may be an old one; what the mark knows was there before, too.
    noted = {*mark.retiring, *filter(None, [_recorded(live)])} if mark is not None else set()
    known = tuple(sorted({key.key_id for key in keys} | noted))
    return Claim(context.run, context.clock.now(), known, agent.deliver_to)


def check_before_claim(
    context: RunContext, ledger: Ledger, agent: DesiredAgent, live: LiveAgent, *, keys: Sequence[AgentKey]
) -> None:
    """Refuses, while nothing is changed yet, to take keys out of service that a sink hands out."""
    if ledger.of("mint_key") or _is_rollback(ledger, live):
        return
    for operation in ledger.of("deprecate_key", "revoke_key"):
        leaving = None if _is_lost(operation) else _live_key(keys, operation)
        if leaving is not None:
            with ledger.step((operation,), completes=False):
                check_sinks(context, agent, live, keys, leaving=leaving)


def deliver_first_key(
    context: RunContext, ledger: Ledger, agent: DesiredAgent, live: LiveAgent, *, minted: MintedKey
) -> LiveAgent:
    """Hands the key over that came with a create, and ends the claim that came with it."""
    with _ended_on_failure(context, live, mints=True):
        handover = hand_over_first_key(context, agent, live, minted)
        ledger.note(handover.detail)
        live = _end_claim(context, handover)
    _forget_previous(context, agent)
    return live


def work_on_keys(
    context: RunContext, ledger: Ledger, agent: DesiredAgent, live: LiveAgent, *, keys: Sequence[AgentKey]
) -> None:
    """Carries out all operations on the keys of an agent that this run has claimed."""
    with _ended_on_failure(context, live, mints=bool(ledger.of("mint_key"))):
        if ledger.of("mint_key"):
            _rotate(context, ledger, agent, live, keys=keys)
        elif _is_rollback(ledger, live):
            roll_back(context, ledger, agent, live, keys=keys)
        else:
            _retire(context, ledger, agent, live, keys=keys)


def _rotate(
    context: RunContext, ledger: Ledger, agent: DesiredAgent, live: LiveAgent, *, keys: Sequence[AgentKey]
) -> None:
    """Delivers one key more, then deprecates the older ones and revokes those that nobody can hold."""
    mints, lost = ledger.of("mint_key"), ledger.of("revoke_key")
    with ledger.step(mints, completes=False):
        found = found_in_sinks(context, agent, live, keys)
    doomed = {operation.named_key() for operation in lost} - found.held
    if found.finishable is None and _delivered_lives(live, keys):
        # First, for they may hold the room under the key cap that the next one needs.
        _revoke_lost(context, ledger, live, lost, held=found.held)
        lost = ()
    with ledger.step(mints):
        handover = hand_over_new_key(
            context, agent, live, keys, held=found.finishable, doomed=doomed, keep_claim=bool(lost)
        )
        ledger.note(handover.detail)
    _revoke_lost(context, ledger, live, lost, held=found.held)
    for operation in ledger.of("deprecate_key"):
        with ledger.step((operation,)):
            ledger.note(_deprecate(context, live, operation, held=handover.key_id))
    with ledger.step(ledger.of(*KEY_KINDS)[-1:]):
        _end_claim(context, handover)


def _retire(
    context: RunContext, ledger: Ledger, agent: DesiredAgent, live: LiveAgent, *, keys: Sequence[AgentKey]
) -> None:
    """Takes older keys one step further on their way out."""
    held = _recorded(live)
    for operation in ledger.of("undeprecate_key"):
        with ledger.step((operation,)):
            undeprecate(context, live, operation.named_key())
    for operation in ledger.of("deprecate_key"):
        with ledger.step((operation,)):
            ledger.note(_deprecate(context, live, operation, held=held))
    others = older_keys(live, keys, held=held)
    for operation in ledger.of("revoke_key"):
        if _is_lost(operation):
            found = found_in_sinks(context, agent, live, keys)
            _revoke_lost(context, ledger, live, (operation,), held=found.held)
        else:
            with ledger.step((operation,)):
                ledger.note(_revoke_retired(context, agent, live, operation))
        others = [key_id for key_id in others if key_id != operation.key_id]
    with ledger.step(ledger.of(*KEY_KINDS)[-1:]):
        if not others:
            _forget_previous(context, agent)
        drop_claim(context, live, retiring=others)


def _revoke_retired(context: RunContext, agent: DesiredAgent, live: LiveAgent, operation: Operation) -> str:
    """Revokes an older key, if on a list read just now and in every sink nothing stands in the way."""
    keys = context.api.list_keys(live.id)
    key = _live_key(keys, operation)
    if key is None:
        return "is revoked already"
    check_sinks(context, agent, live, keys, leaving=key)
    facts = Facts(context.desired, {live.name: live}, context.clock.now(), context.allow, {live.id: keys})
    for blocked in refusals(facts, (operation,)):
        if blocked.guard in _ASKED_AGAIN:
            allow = f"to let it through: {blocked.allow}" if blocked.allow else "nothing lets this through"
            raise Refused(f"{blocked.guard}: {blocked.reason}", hint=allow)
    revoke(context, live, key.key_id)
    return f"revoked key {key.key_id}"


def _revoke_lost(
    context: RunContext,
    ledger: Ledger,
    live: LiveAgent,
    operations: Sequence[Operation],
    *,
    held: Collection[KeyId],
) -> None:
    """Revokes keys whose plaintext is lost, on a list read just now; what is held or in use stays."""
    for operation in operations:
        with ledger.step((operation,)):
            keys = {key.key_id: key for key in context.api.list_keys(live.id) if key.is_live}
            key = keys.get(operation.named_key())
            if key is None:
                ledger.note("is revoked already")
            elif key.key_id in held:
                ledger.note("kept: a sink holds it")
            elif not key.is_unused:
                raise Conflict(f"key {key.key_id} has been used meanwhile: somebody holds it", status=409)
            elif len(keys) == 1:
                raise LastActiveKey(f"key {key.key_id} is the only one of agent {live.name!r}", status=409)
            else:
                revoke(context, live, key.key_id)
                ledger.note(f"revoked key {key.key_id}")


def _deprecate(context: RunContext, live: LiveAgent, operation: Operation, *, held: KeyId | None) -> str:
    key_id = operation.named_key()
    if key_id == held:
        return "kept: the sinks hold it"
    deprecate(context, live, key_id)
    return f"deprecated key {key_id}"


def _end_claim(context: RunContext, handover: Handover) -> LiveAgent:
    """Revokes keys whose plaintext was lost on the way, and ends a claim that had to stand until then."""
    live = handover.live
    for key_id in handover.lost:
        revoke(context, live, key_id)
    if live.mark is None or live.mark.claim is None:
        return live
    return (give_back if handover.may_grow else drop_claim)(context, live)


def _forget_previous(context: RunContext, agent: DesiredAgent) -> None:
    """Lets the sinks forget what they held before: no key of this agent but the delivered one is of use."""
    for sink in context.sinks_of(agent):
        with suppress(SinkError):  # an old copy that stays is a blemish, and the delivery is done
            sink.forget_previous(agent.name)


@contextmanager
def _ended_on_failure(context: RunContext, live: LiveAgent, *, mints: bool) -> Iterator[None]:
    """Ends a claim that this run cannot finish, at once and not after its lifetime.

    It is dropped when nothing is left of the work, and given back when something is or may be.
    """
    try:
        yield
    except AlterSyncError as error:
        with suppress(AlterSyncError):
            # Read anew: what this run wrote into the mark since must not be lost.
            current = context.api.get_agent(live.id)
            claim = current.mark.claim if current.mark else None
            inside = [key for key in context.api.list_keys(live.id) if claim and key.key_id not in claim.keys]
            # A list without any key of ours may be from before we minted, and a sink may hold that key.
            is_left = any(key.is_live for key in inside) or (mints and not inside)
            (give_back if is_left or may_have_arrived(error) else drop_claim)(context, current)
        raise


def _is_rollback(ledger: Ledger, live: LiveAgent) -> bool:
    """Whether another key than the delivered one is to come back."""
    return any(operation.key_id != _recorded(live) for operation in ledger.of("undeprecate_key"))


def _is_lost(operation: Operation) -> bool:
    """Whether the operation revokes a key that nobody can hold."""
    return any(change.path == LOST_KEY for change in operation.changes)


def _live_key(keys: Sequence[AgentKey], operation: Operation) -> AgentKey | None:
    return next((key for key in keys if key.key_id == operation.key_id and key.is_live), None)


def _delivered_lives(live: LiveAgent, keys: Sequence[AgentKey]) -> bool:
    held = _recorded(live)
    return any(key.is_live and key.key_id == held for key in keys)


def _recorded(live: LiveAgent) -> KeyId | None:
    """The key that the sinks hold, by the mark."""
    return live.mark.delivered.key_id if live.mark and live.mark.delivered else None
