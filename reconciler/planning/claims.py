"""Claims: which run is changing an agent's keys, whether it still may be, and what appeared inside.

A create or a rotation first writes a claim into the mark, then mints, delivers, and records the delivery
while it drops the claim. So a claim that is still there tells that its run is at work, or died on the way;
and a live key that the claim does not list appeared inside it. When no sink holds such a key, nobody does.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

from reconciler.model.key import AgentKey
from reconciler.model.mark import Claim, RunId

# Longer than any run needs between claim and record: a claim this old belongs to a run that died.
CLAIM_LIFETIME = timedelta(minutes=15)


def is_active(claim: Claim, now: datetime, dead_runs: Collection[RunId]) -> bool:
    """Whether the run behind a claim may still be at work."""
    given_back = not claim.run or claim.run in dead_runs
    return not given_back and abs(now - claim.at) < CLAIM_LIFETIME


def appeared_inside(claim: Claim, key: AgentKey) -> bool:
    """Whether the key is new since the claim began, and not made by somebody long before or after."""
    return key.key_id not in claim.keys and abs(key.created_at - claim.at) <= CLAIM_LIFETIME


def is_made_by(claim: Claim, key: AgentKey) -> bool:
    """Whether the run of the claim made the key. One that gave its work back said so; a dead one did not."""
    return key.key_id in claim.lost or (bool(claim.run) and appeared_inside(claim, key))
