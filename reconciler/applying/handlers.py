"""Carries out all operations of one agent, in their order, each checked against a fresh read."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

from reconciler.applying.context import RunContext
from reconciler.applying.delivery import Handover, finish_unfinished, hand_over_first_key, probe_sinks
from reconciler.applying.ledger import Ledger, failure_of
from reconciler.applying.marking import drop_claim, give_back, read_unmoved, send_patch
from reconciler.errors import (
    BadAnswer,
    Conflict,
    LastActiveKey,
    NameExists,
    Refused,
    ServerFault,
    SinkError,
    Unreachable,
)
from reconciler.model.agent import AgentPatch, LiveAgent, NewAgent
from reconciler.model.desired import DesiredAgent
from reconciler.model.key import KeyId, MintedKey
from reconciler.model.mark import Claim
from reconciler.model.outcome import OperationOutcome
from reconciler.model.plan import Operation
from reconciler.planning.facts import Facts
from reconciler.planning.guards import refusals
from reconciler.planning.request import mark_patch, new_agent, patch_request, policy_note, unmet

# Guards that judge by what moves without a new version; they are asked once more before a revocation.
_ASKED_AGAIN = frozenset({"protected", "revoke-in-use"})


def carry_out(context: RunContext, operations: Sequence[Operation]) -> tuple[OperationOutcome, ...]:
    """Carries out the operations of one agent. Never raises: what went wrong is in the outcome."""
    ledger = Ledger(operations)
    try:
        if ledger.of("create_agent"):
            _create(context, ledger)
        else:
            _change(context, ledger)
    except Exception as error:  # a defect in one agent's work must not end that of the others
        return ledger.outcomes(failure_of(error))
    return ledger.outcomes()


def _create(context: RunContext, ledger: Ledger) -> None:
    """Creates an agent, after revoking the one that it replaces, and delivers its first key."""
    agent = context.desired.agents[ledger.operations[0].agent]
    if agent.deliver_to:
        with ledger.step(ledger.of("mint_key"), completes=False):
            probe_sinks(context, agent)
    for operation in ledger.of("revoke_agent"):
        with ledger.step((operation,)):
            _revoke_agent(context, ledger, operation)
    with ledger.step(ledger.of("create_agent")):
        live, minted = _create_agent(context, agent)
        ledger.note(f"created as {live.id}")
    if mints := ledger.of("mint_key"):
        with ledger.step(mints):
            handover = hand_over_first_key(context, agent, live, minted)
            ledger.note(handover.detail)
            _revoke_lost(context, handover)
            live = _end_claim(context, handover) if handover.lost or handover.may_grow else handover.live
        _forget_previous(context, agent)
    if suspends := ledger.of("suspend_agent"):
        with ledger.step(suspends):
            # A claim that is still there was given back, for the next run to look after a lost mint.
            live = _patch(context, agent, live, suspends, claim=live.mark.claim if live.mark else None)
    _note_policy(context, agent, live)


def _change(context: RunContext, ledger: Ledger) -> None:
    """Changes a live agent: one PATCH, then keys that an earlier run left, or its revocation."""
    first = ledger.operations[0]
    patched = ledger.of("adopt_agent", "update_agent", "set_scopes", "suspend_agent", "resume_agent")
    mints, retired = ledger.of("mint_key"), ledger.of("revoke_key")
    if patched or mints or retired:
        agent = context.desired.agents[first.agent]
        if mints:
            with ledger.step(mints, completes=False):
                probe_sinks(context, agent)
        with ledger.step(patched or (*mints, *retired), completes=bool(patched)):
            live = read_unmoved(context, first.agent_id, first.version)
            claim = _claim_for(context, live, patched, takes_over=bool(mints or retired))
            live = _patch(context, agent, live, patched, claim=claim)
        if mints or retired:
            _finish_keys(context, ledger, agent, live)
    for operation in ledger.of("revoke_agent"):
        with ledger.step((operation,)):
            _revoke_agent(context, ledger, operation)


def _finish_keys(context: RunContext, ledger: Ledger, agent: DesiredAgent, live: LiveAgent) -> None:
    """Finishes a delivery that was cut off, retires the keys that nobody holds, and ends the claim."""
    mark = live.mark
    held = mark.delivered.key_id if mark and mark.delivered else None
    handover = None
    for operation in ledger.of("mint_key"):
        with ledger.step((operation,)):
            handover = finish_unfinished(context, agent, live)
            ledger.note(handover.detail)
            live, held = handover.live, handover.key_id
            _revoke_lost(context, handover)
    for operation in ledger.of("revoke_key"):
        with ledger.step((operation,)):
            ledger.note(_revoke_unheld(context, live, operation.key_id, held))
    with ledger.step(ledger.of("mint_key", "revoke_key")[-1:]):
        live = _end_claim(context, handover) if handover else drop_claim(context, live)
    _forget_previous(context, agent)


def _create_agent(context: RunContext, agent: DesiredAgent) -> tuple[LiveAgent, MintedKey]:
    """Creates; when the answer is lost for good, looks whether the agent is there and ours."""
    claim = Claim(context.run, context.clock.now()) if agent.deliver_to else None
    body = new_agent(context.desired, agent, claim=claim)
    try:
        live, minted = context.api.create_agent(body, idempotency_key=f"{context.run}.{agent.name}")
    except (Unreachable, ServerFault, BadAnswer, NameExists) as error:
        found = context.api.find_agent(agent.name)
        if found is None or not _made_by_us(found, body):
            raise
        keys = [key for key in context.api.list_keys(found.id) if key.is_live]
        if not keys:
            raise BadAnswer(f"agent {agent.name!r} was created without a key") from error
        return found, MintedKey(keys[0].key_id, keys[0].key_prefix, None)
    missing = [field for field in ("name", "type") if getattr(live, field) != getattr(body, field)]
    missing += unmet(AgentPatch(body.display_name, body.metadata, body.scopes), live)
    if missing:
        raise BadAnswer(
            f"agent {agent.name!r} was created, but the server stored another {', '.join(missing)}"
        )
    return live, minted


def _patch(
    context: RunContext,
    agent: DesiredAgent,
    live: LiveAgent,
    operations: Sequence[Operation],
    *,
    claim: Claim | None,
) -> LiveAgent:
    request = patch_request(context.desired, agent, live, operations, claim=claim)
    body = request.body
    if claim and claim.run == context.run and body.scopes is None and live.scopes_pending is None:
        # Only together with scopes is a stale version certain to be refused, and of two runs that take over
        # one claim only one may go on.
        body = replace(body, scopes=live.scopes)
    answer = send_patch(context, live, body, grace_seconds=request.grace_seconds)
    return _note_policy(context, agent, answer) if body.policy is not None else answer


def _note_policy(context: RunContext, agent: DesiredAgent, live: LiveAgent) -> LiveAgent:
    """Remembers in the mark what the server itself added to the policy, so that it never shows as drift."""
    noted = policy_note(agent, live, live.mark) if live.mark else None
    return send_patch(context, live, mark_patch(live, noted)) if noted else live


def _revoke_agent(context: RunContext, ledger: Ledger, operation: Operation) -> None:
    live = read_unmoved(context, operation.agent_id, operation.version)
    facts = Facts(context.desired, {live.name: live}, context.clock.now(), context.allow)
    for blocked in refusals(facts, (operation,)):
        if blocked.guard in _ASKED_AGAIN:
            raise Refused(f"{blocked.guard}: {blocked.reason}", hint=f"to let it through: {blocked.allow}")
    if context.api.revoke_agent(live.id).status != "revoked":
        raise BadAnswer(f"agent {live.name!r}: the server accepted the revocation but does not show it")
    ledger.note("revoked with all its keys")


def _revoke_unheld(context: RunContext, live: LiveAgent, key_id: KeyId | None, held: KeyId | None) -> str:
    """Revokes a key that nobody holds, on a list read just now; leaves it alone when it is in use."""
    keys = {key.key_id: key for key in context.api.list_keys(live.id) if key.is_live}
    key = keys.get(key_id) if key_id else None
    if key is None:
        return "is revoked already"
    if key.key_id == held:
        return "kept: the sinks hold it"
    if key.last_used_at is not None:
        raise Conflict(f"key {key.key_id} has been used meanwhile: somebody holds it", status=409)
    if len(keys) == 1:
        raise LastActiveKey(f"key {key.key_id} is the only one of agent {live.name!r}", status=409)
    context.api.revoke_key(live.id, key.key_id)
    return f"revoked key {key.key_id}"


def _revoke_lost(context: RunContext, handover: Handover) -> None:
    for key_id in handover.lost:
        context.api.revoke_key(handover.live.id, key_id)


def _end_claim(context: RunContext, handover: Handover) -> LiveAgent:
    return (give_back if handover.may_grow else drop_claim)(context, handover.live)


def _forget_previous(context: RunContext, agent: DesiredAgent) -> None:
    """Lets the sinks forget what they held before: no key of this agent but the delivered one is of use."""
    for sink in context.sinks_of(agent):
        with suppress(SinkError):  # an old copy that stays is a blemish, and the delivery is done
            sink.forget_previous(agent.name)


def _claim_for(
    context: RunContext, live: LiveAgent, patched: Sequence[Operation], *, takes_over: bool
) -> Claim | None:
    """The claim to stand after the PATCH: ours over the same keys, the old one, or none when it is done."""
    old = live.mark.claim if live.mark else None
    if takes_over:
        return Claim(context.run, context.clock.now(), old.keys if old else ())
    dropped = any(change.path == "claim" for operation in patched for change in operation.changes)
    return None if dropped else old


def _made_by_us(found: LiveAgent, body: NewAgent) -> bool:
    """Whether an agent is the one whose creation was not answered: its mark is the one that we sent."""
    sent = replace(found, metadata=body.metadata).mark
    return found.mark is not None and found.mark == sent
