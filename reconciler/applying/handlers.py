"""Carries out all operations of one agent, in their order, each checked against a fresh read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from math import ceil

from reconciler.applying.context import RunContext
from reconciler.applying.delivery import probe_sinks
from reconciler.applying.key_work import (
    KEY_KINDS,
    check_before_claim,
    claim_keys,
    deliver_first_key,
    work_on_keys,
)
from reconciler.applying.ledger import Ledger, failure_of
from reconciler.applying.marking import read_unmoved, send_patch
from reconciler.errors import (
    BadAnswer,
    CreatedUnmarked,
    NameExists,
    Refused,
    ServerFault,
    Unreachable,
)
from reconciler.model.agent import AgentPatch, LiveAgent, NewAgent
from reconciler.model.desired import DesiredAgent
from reconciler.model.key import MintedKey
from reconciler.model.mark import Claim
from reconciler.model.outcome import OperationOutcome
from reconciler.model.plan import Operation
from reconciler.planning.facts import Facts
from reconciler.planning.guards import refusals
from reconciler.planning.request import mark_patch, new_agent, patch_request, policy_note, unmet

# alter-sdk 0.29: grace_seconds is 0 to 604,800.
_MAX_GRACE_SECONDS = 604_800
# Not the name of any sink.
_SINK_OF_OTHERS = ""
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
            live = deliver_first_key(context, ledger, agent, live, minted=minted)
    if suspends := ledger.of("suspend_agent"):
        with ledger.step(suspends):
            # A claim that is still there was given back, for the next run to look after a lost mint.
            live = _patch(context, agent, live, suspends, claim=live.mark.claim if live.mark else None)
    _note_policy(context, agent, live)


def _change(context: RunContext, ledger: Ledger) -> None:
    """Changes a live agent: one PATCH, then its keys, or its revocation."""
    first = ledger.operations[0]
    patched = ledger.of("adopt_agent", "update_agent", "set_scopes", "suspend_agent", "resume_agent")
    key_work = ledger.of(*KEY_KINDS)
    if patched or key_work:
        agent = context.desired.agents[first.agent]
        if mints := ledger.of("mint_key"):
            with ledger.step(mints, completes=False):
                probe_sinks(context, agent)
        with ledger.step(patched or key_work, completes=bool(patched)):
            live = read_unmoved(context, first.agent_id, first.version)
            found = context.api.list_keys(live.id) if key_work else ()
            check_before_claim(context, ledger, agent, live, keys=found)
            claim = (
                claim_keys(context, ledger, agent, live, keys=found)
                if key_work
                else _claim_after(live, patched)
            )
            live = _patch(context, agent, live, patched, claim=claim)
        if key_work:
            work_on_keys(context, ledger, agent, live, keys=found)
    for operation in ledger.of("revoke_agent"):
        with ledger.step((operation,)):
            _revoke_agent(context, ledger, operation)


def _create_agent(context: RunContext, agent: DesiredAgent) -> tuple[LiveAgent, MintedKey]:
    """Creates; when the answer is lost for good, looks whether the agent is there and ours."""
    claim = Claim(context.run, context.clock.now(), sinks=agent.deliver_to) if agent.deliver_to else None
    body = new_agent(context.desired, agent, claim=claim)
    try:
        live, minted = context.api.create_agent(body, idempotency_key=f"{context.run}.{agent.name}")
    except (Unreachable, ServerFault, BadAnswer, NameExists) as error:
        found = context.api.find_agent(agent.name)
        if found is not None and found.mark is None and not isinstance(error, NameExists):
            # On the dashboard plane an agent gets its mark by a second command, which did not come to it.
            raise CreatedUnmarked(
                f"{error.message}; agent {agent.name!r} is live now ({found.id}), and nothing on it says "
                "whose it is",
                hint=f"if nobody else made it, `alter-sync adopt {agent.name}` takes it over; the next apply"
                " replaces its lost key",
            ) from error
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
    body, grace_seconds = request.body, request.grace_seconds
    if agent.deliver_to and body.scopes is None:
        # Only together with scopes is a stale version certain to be refused: of two runs that claim an agent
        # only one may go on, and none may put back an older mark. What is on its way out goes as it would.
        body = replace(body, scopes=live.target_scopes)
        grace_seconds = _seconds_left(live, context.clock.now())
    answer = send_patch(context, live, body, grace_seconds=grace_seconds)
    return _note_policy(context, agent, answer) if body.policy is not None else answer


def _seconds_left(live: LiveAgent, now: datetime) -> int | None:
    """How long scopes that are on their way out still work; ``None`` when there are none."""
    if live.scopes_pending is None or live.scopes_applies_at is None:
        return None
    return min(_MAX_GRACE_SECONDS, max(1, ceil((live.scopes_applies_at - now).total_seconds())))


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


def _claim_after(live: LiveAgent, patched: Sequence[Operation]) -> Claim | None:
    """The claim to stand after a PATCH that is not about keys: the old one, or none when it is done."""
    claim = live.mark.claim if live.mark else None
    if any(change.path == "claim" for operation in patched for change in operation.changes):
        return None
    if claim is not None and any(operation.kind == "adopt_agent" for operation in patched):
        # The sinks of another configuration may have the same names, and are others.
        return replace(claim, sinks=(_SINK_OF_OTHERS,))
    return claim


def _made_by_us(found: LiveAgent, body: NewAgent) -> bool:
    """Whether an agent is the one whose creation was not answered: its mark is the one that we sent."""
    sent = replace(found, metadata=body.metadata).mark
    return found.mark is not None and found.mark == sent
