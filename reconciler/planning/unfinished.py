"""Finds deliveries that a run began and did not finish, and plans how to finish them.

A create or a rotation first writes a claim into the mark, then mints, delivers, and records the delivery
while it drops the claim. So a claim that is still there tells that its run is at work, or died on the way;
and a live key that the claim does not list appeared inside it. When no sink holds such a key, nobody does.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from reconciler.model.agent import LiveAgent
from reconciler.model.desired import DesiredAgent
from reconciler.model.key import AgentKey
from reconciler.model.mark import Claim, Mark, RunId
from reconciler.model.plan import Change, Operation, Waiting
from reconciler.planning.operations import mint_operation

# Longer than any run needs between claim and record: a claim this old belongs to a run that died.
CLAIM_LIFETIME = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Unfinished:
    """What an earlier run left behind. ``claimed_by_other``: that run is still at work, hands off."""

    operations: tuple[Operation, ...] = ()
    waiting: tuple[Waiting, ...] = ()
    claimed_by_other: bool = False


def is_active(claim: Claim, now: datetime, dead_runs: Collection[RunId]) -> bool:
    """Whether the run behind a claim may still be at work."""
    given_back = not claim.run or claim.run in dead_runs
    return not given_back and abs(now - claim.at) < CLAIM_LIFETIME


def plan_unfinished(
    agent: DesiredAgent,
    live: LiveAgent,
    mark: Mark,
    *,
    keys: Sequence[AgentKey],
    now: datetime,
    dead_runs: Collection[RunId],
) -> Unfinished:
    """The operations that finish what the claim in ``mark`` began; nothing when there is no claim."""
    claim = mark.claim
    if claim is None:
        return Unfinished()
    if is_active(claim, now, dead_runs):
        until = claim.at + CLAIM_LIFETIME
        reason = f"run {claim.run} is working on this agent's keys"
        return Unfinished(waiting=(Waiting(agent.name, "claimed", reason, until),), claimed_by_other=True)
    undelivered = _undelivered(mark, claim, keys)
    delivered_lives = mark.delivered is not None and any(
        key.key_id == mark.delivered.key_id and key.is_live for key in keys
    )
    waiting = tuple(
        Waiting(agent.name, "orphaned", f"key {key.key_id} is in use but no sink holds it: retire it by hand")
        for key in undelivered
        if key.last_used_at is not None and (delivered_lives or not agent.deliver_to)
    )
    mint = () if delivered_lives or not agent.deliver_to else (_mint(agent, live, claim),)
    lost = [key for key in undelivered if key.last_used_at is None]
    if not mint and (not lost or not delivered_lives):
        return Unfinished((_drop_claim(agent, live, claim),), waiting)
    revocations = (_revoke(agent, live, key, after=mint) for key in lost)
    return Unfinished((*mint, *revocations), waiting)


def _undelivered(mark: Mark, claim: Claim, keys: Sequence[AgentKey]) -> list[AgentKey]:
    known = {*claim.keys, *((mark.delivered.key_id,) if mark.delivered else ())}
    return [key for key in keys if key.is_live and key.key_id not in known]


def _mint(agent: DesiredAgent, live: LiveAgent, claim: Claim) -> Operation:
    reason = f"run {claim.run or '(given back)'} was cut off before it recorded a delivered key"
    return mint_operation(agent, reason=reason, live=live)


def _revoke(
    agent: DesiredAgent, live: LiveAgent, key: AgentKey, *, after: tuple[Operation, ...]
) -> Operation:
    return Operation(
        id=f"revoke_key:{agent.name}:{key.key_id}",
        kind="revoke_key",
        agent=agent.name,
        reason="minted by a run that was cut off, and never used; kept if a sink turns out to hold it",
        agent_id=live.id,
        version=live.version,
        depends_on=tuple(operation.id for operation in after),
        risk="destructive",
        changes=(Change("key", f"{key.key_prefix}… ({key.key_id})", None),),
        source=agent.position,
        key_id=key.key_id,
    )


def _drop_claim(agent: DesiredAgent, live: LiveAgent, claim: Claim) -> Operation:
    return Operation(
        id=f"update_agent:{agent.name}",
        kind="update_agent",
        agent=agent.name,
        reason="drops the claim of a run that was cut off; its keys are in order",
        agent_id=live.id,
        version=live.version,
        changes=(Change("claim", claim.run, None),),
        source=agent.position,
    )
