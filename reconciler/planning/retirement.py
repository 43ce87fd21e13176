"""What stands in the way of revoking an older key. Availability of the newer one is no proof of its use."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from reconciler.model.key import AgentKey
from reconciler.model.mark import format_time
from reconciler.planning.claims import is_made_by
from reconciler.planning.key_facts import KeyFacts, later

# `last_used_at` is written lazily: a use shows up to this much later, and what is younger proves nothing.
LAZINESS = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why a key is not revoked yet. ``until`` is ``None`` when no date ends it."""

    kind: Literal["overlap", "unproven", "used", "unknown", "held"]
    reason: str
    until: datetime | None = None


def obstacles(facts: KeyFacts, key: AgentKey) -> tuple[Obstacle, ...]:
    """What forbids to revoke an older key now; empty when nothing does. Unknown is never quiet."""
    return (*_overlap(facts, key), *_unproven(facts), *_in_use(facts, key), *_held(facts))


def is_overdue(facts: KeyFacts, key: AgentKey) -> bool:
    """Whether the key has been deprecated for longer than ``max_overlap``."""
    return key.deprecated_at is not None and facts.now - key.deprecated_at > facts.policy.max_overlap


def may_revoke(facts: KeyFacts, key: AgentKey) -> bool:
    """Whether the key may be revoked by the policy alone, without anybody's leave."""
    if key.deprecated_at is None or facts.delivered in (None, key):
        return False
    spared = {"unproven"} if facts.policy.on_overdue == "revoke" and is_overdue(facts, key) else set()
    return all(obstacle.kind in spared for obstacle in obstacles(facts, key))


def is_lost(facts: KeyFacts, key: AgentKey) -> bool:
    """Whether the key appeared inside a claim that is over, and nobody can hold it unless a sink does."""
    claim = facts.mark.claim
    # Of sinks that the agent has no more, or that cannot be read, nobody finds out what they hold.
    if claim is None or not facts.sinks_are_readable or set(claim.sinks) - set(facts.sinks):
        return False
    return key.is_unused and is_made_by(claim, key)


def _overlap(facts: KeyFacts, key: AgentKey) -> Iterator[Obstacle]:
    """Deprecated for ``min_overlap``; a key that shows no use at all long enough for a lazy one to show."""
    if key.deprecated_at is None:
        yield Obstacle("overlap", "is not deprecated yet")
        return
    overlap = facts.policy.min_overlap
    # A time to come, or before the key was made, is somebody's wrong clock.
    since = min(max(key.deprecated_at, key.created_at), facts.now)
    until = later(since, overlap if key.last_used_at else max(overlap, LAZINESS))
    if facts.now < until:
        yield Obstacle("overlap", f"is kept until {format_time(until)} (min_overlap)", until)


def _unproven(facts: KeyFacts) -> Iterator[Obstacle]:
    delivered, recorded = facts.delivered, facts.mark.delivered
    if delivered is None or recorded is None:
        yield Obstacle("unproven", "is the only one: no key is delivered")
    elif facts.policy.require_use:
        used = delivered.last_used_at
        if used is None or used <= recorded.at:
            yield Obstacle("unproven", f"waits for key {delivered.key_id} to be used (require_use)")
        elif used > facts.now:
            yield Obstacle("unproven", f"waits: key {delivered.key_id} shows a use in the future", used)


def _in_use(facts: KeyFacts, key: AgentKey) -> Iterator[Obstacle]:
    # A key that shows no use for so long may still have been used within the last, unseen part of the time.
    used, quiet_for = key.last_used_at, max(facts.policy.quiet_for, LAZINESS) + LAZINESS
    if used is None:
        if not key.tells_use:
            yield Obstacle("unknown", "does not tell whether it was used, so it may be in use")
    elif used > facts.now or used < key.created_at:
        yield Obstacle("unknown", f"shows an impossible last use ({format_time(used)}), so it may be in use")
    elif facts.now - used < quiet_for:
        until = later(used, quiet_for)
        reason = (
            f"was used at {format_time(used)}; quiet until {format_time(until)} at the earliest (quiet_for)"
        )
        yield Obstacle("used", reason, until)


def _held(facts: KeyFacts) -> Iterator[Obstacle]:
    recorded = facts.mark.delivered
    if recorded is not None and recorded.left:
        names = ", ".join(recorded.left)
        reason = f"may be held by {names}, which the last rollback could not bring back (see rotate --again)"
        yield Obstacle("held", reason)
