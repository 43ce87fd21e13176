"""The stage of an agent's keys and the next step, from keys, mark, policy and time alone.

===========  ==============================================================  =================================
stage        is when                                                         next step
===========  ==============================================================  =================================
undelivered  the configuration names no sink for the agent                   none: its keys are its owner's
claimed      a run is changing the keys, or died less than 15 minutes ago    wait for it
due          no key is delivered, or not to every sink, or the delivered     mint, deliver, record, deprecate
             one is too old; or a run was cut off while it delivered         the others → observing
steady       the delivered key is the only live one, and young enough        none until the due date → due
orphaned     a live key that the mark does not know                          deprecate it → observing
observing    a newer key is delivered, older ones live                       wait: ``Obstacle`` says for what
retiring     nothing stands in the way of one older key                      revoke that → observing, steady
overdue      deprecated longer than ``max_overlap``, with an obstacle left   ``on_overdue``
===========  ==============================================================  =================================

What never comes out, whatever goes in: a revocation of the delivered key, of a key that is not deprecated, of
one that was used within ``quiet_for`` or at a time that makes no sense, or of any while no delivered key
lives. ``on_overdue: revoke`` spares the proof of use and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from reconciler.model.key import AgentKey
from reconciler.model.mark import format_time
from reconciler.planning.claims import CLAIM_LIFETIME, is_active
from reconciler.planning.due import Due, unseen, why_due
from reconciler.planning.key_facts import KeyFacts, due_date, later
from reconciler.planning.retirement import Obstacle, is_lost, is_overdue, may_revoke, obstacles

Stage = Literal["undelivered", "claimed", "due", "steady", "orphaned", "observing", "retiring", "overdue"]
# ``finish`` is to be retired at once when the delivery that it belongs to is finished: see ``KeyStep``.
Action = Literal["keep", "wait", "deprecate", "undeprecate", "revoke", "finish"]

_LOST = "minted by a run that was cut off, and never used"


@dataclass(frozen=True, slots=True)
class KeyStep:
    """One live key: what happens to it next, and the sentence that explains it.

    ``finish``: it appeared inside the claim of a run that was cut off. If a sink holds it, it becomes the
    delivered key; if none does, nobody can, and it is revoked as soon as another one is delivered.
    """

    key: AgentKey
    action: Action
    reason: str
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Rotation:
    """The stage, why, and until when; ``mints`` says whether a key is to be delivered now."""

    stage: Stage
    reason: str = ""
    until: datetime | None = None
    mints: bool = False
    steps: tuple[KeyStep, ...] = ()


def rotation_of(facts: KeyFacts) -> Rotation:
    """The stage of one agent's keys and what to do next: one stage at most."""
    claim = facts.mark.claim
    if claim is not None and is_active(claim, facts.now, facts.dead_runs):
        reason = f"run {claim.run} is working on this agent's keys"
        return Rotation("claimed", reason, later(claim.at, CLAIM_LIFETIME), steps=_all(facts, "wait", reason))
    if not facts.sinks:
        reason = "no sink is declared for it (deliver_to), so its keys are not rotated"
        return Rotation("undelivered", reason, steps=_all(facts, "keep", reason))
    if (reason := unseen(facts)) and not facts.is_again:
        return Rotation("due", reason, steps=_all(facts, "wait", reason))
    if _is_cut_off(facts):
        run = claim.run if claim and claim.run else "(given back)"
        reason = f"run {run} was cut off before it recorded a delivered key"
        return _minting(facts, Due(reason))
    due = why_due(facts)
    if facts.is_suspended:
        reason = "the agent is suspended: its keys wait until it is active again"
        stage: Stage = "due" if due else "observing" if facts.others else "steady"
        return Rotation(stage, reason, steps=_all(facts, "wait", reason))
    if due and (due.is_urgent or not _holds_back(facts)):
        return _minting(facts, due)
    return _retirement(facts, due)


def _is_cut_off(facts: KeyFacts) -> bool:
    """Whether a run ended between its mint and its record, or before the first mint of all."""
    claim, delivered = facts.mark.claim, facts.delivered
    if claim is None:
        return False
    if delivered is None:
        return True
    # A delivered key from inside the claim is what that run recorded; what else appeared is lost.
    is_recorded = delivered.key_id not in claim.keys
    return not is_recorded and any(key.key_id not in claim.keys for key in facts.others)


def _holds_back(facts: KeyFacts) -> bool:
    """Whether the rotation before still holds the next one back: it would only pile up keys.

    One that was asked for waits for a rotation that is being observed, and for nothing else.
    """
    if facts.is_requested:
        observed = (key for key in facts.others if key.key_id in facts.mark.retiring)
        return any(obstacles(facts, key) and not is_overdue(facts, key) for key in observed)
    blocks = facts.policy.on_overdue == "block"
    return any(blocks or not is_overdue(facts, key) for key in facts.others)


def _minting(facts: KeyFacts, due: Due) -> Rotation:
    """A new key comes; each of the others is deprecated, or retired at once if its delivery was cut off."""
    steps = []
    delivered = facts.delivered
    for key in (*filter(None, (delivered,)), *facts.others):
        if key is not delivered and is_lost(facts, key):
            steps.append(KeyStep(key, "finish", _LOST))
        elif key.deprecated_at is None:
            steps.append(KeyStep(key, "deprecate", "a newer key takes its place"))
        else:
            steps.append(KeyStep(key, "wait", "deprecated; a newer key is about to come"))
    return Rotation("due", due.reason, mints=True, steps=tuple(steps))


def _retirement(facts: KeyFacts, due: Due | None) -> Rotation:
    """Nothing is minted: the older keys go on their way, one revocation at most."""
    delivered, recorded = facts.delivered, facts.mark.delivered
    if delivered is None or recorded is None:
        raise AssertionError("without a delivered key nothing is retired")
    held = f"delivered to {', '.join(recorded.sinks)} at {format_time(recorded.at)}"
    first = KeyStep(delivered, "undeprecate" if delivered.deprecated_at else "keep", held, due_date(facts))
    others = [_other(facts, key) for key in facts.others]
    revoked = _first_to_revoke(facts, others)
    # One revocation in a run: what it does to consumers shows before the next.
    others = [_later(facts, step) if step is not revoked else step for step in others]
    steps = (first, *others)
    if revoked and (facts.is_hurried or may_revoke(facts, revoked.key)):
        return Rotation("retiring", revoked.reason, steps=steps)
    if not others:
        return Rotation("steady", held, due_date(facts), steps=steps)
    stage: Stage = "observing"
    if any(is_overdue(facts, step.key) for step in others):
        stage = "overdue"
    elif all(step.key.key_id not in facts.mark.retiring for step in others):
        stage = "orphaned"
    reasons = "; ".join(f"key {step.key.key_id} {step.reason}" for step in others)
    dates = [step.until for step in others]
    held_back = f"; the next rotation waits for that: {due.reason}" if due else ""
    if facts.is_requested:
        held_back = "; the rotation that was asked for waits for that (with --again it does not)"
    return Rotation(
        stage,
        reasons + held_back,
        max(filter(None, dates)) if all(dates) else None,
        steps=steps,
    )


def _first_to_revoke(facts: KeyFacts, others: Sequence[KeyStep]) -> KeyStep | None:
    """The oldest that may go; else the oldest for which the policy wants the run to be refused."""
    wanted = [step for step in others if step.action == "revoke"]
    return next((step for step in wanted if may_revoke(facts, step.key)), next(iter(wanted), None))


def _other(facts: KeyFacts, key: AgentKey) -> KeyStep:
    known = key.key_id in facts.mark.retiring
    if is_lost(facts, key):
        return KeyStep(key, "finish", _LOST)
    whose = "was replaced" if known else "is in no sink and not in the mark: minted outside, or lost"
    if key.deprecated_at is None:
        return KeyStep(key, "deprecate", whose)
    found = obstacles(facts, key)
    if facts.is_hurried or may_revoke(facts, key):
        return KeyStep(
            key, "revoke", _leave(facts, found) or "is deprecated, quiet, and replaced by a key in use"
        )
    reason = "; ".join(obstacle.reason for obstacle in found)
    dates = [obstacle.until for obstacle in found]
    until = max(filter(None, dates)) if all(dates) else None
    if is_overdue(facts, key):
        reason = f"is overdue: {reason}"
        if facts.policy.on_overdue != "warn":
            # For the guard `key-in-use` to refuse, so that the run does not end well.
            return KeyStep(key, "revoke", reason, until)
    return KeyStep(key, "wait", reason, until)


def _leave(facts: KeyFacts, found: Sequence[Obstacle]) -> str:
    """Why it goes although something stands in the way."""
    if not found:
        return ""
    because = "allowed by name" if facts.is_hurried else "overdue, and the policy says revoke"
    return f"{because}, although it {'; '.join(obstacle.reason for obstacle in found)}"


def _later(facts: KeyFacts, step: KeyStep) -> KeyStep:
    if step.action != "revoke":
        return step
    is_free = facts.is_hurried or may_revoke(facts, step.key)
    reason = "is revoked in a later run: one at a time" if is_free else step.reason
    return KeyStep(step.key, "wait", reason, step.until)


def _all(facts: KeyFacts, action: Action, reason: str) -> tuple[KeyStep, ...]:
    return tuple(KeyStep(key, action, reason) for key in (*filter(None, (facts.delivered,)), *facts.others))
