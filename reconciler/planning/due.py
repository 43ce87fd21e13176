"""Why an agent's key is to be replaced now, and whether that can be told at all."""

from __future__ import annotations

from dataclasses import dataclass, field

from reconciler.model.mark import format_time
from reconciler.planning.key_facts import KeyFacts, due_date


@dataclass(frozen=True, slots=True)
class Due:
    """Why another key is to be delivered."""

    reason: str
    # Whether older keys that are still observed do not hold it back.
    is_urgent: bool = field(default=True, kw_only=True)


def why_due(facts: KeyFacts) -> Due | None:
    """The gravest reason to deliver another key now; ``None`` when there is none."""
    delivered, recorded = facts.delivered, facts.mark.delivered
    if delivered is None or recorded is None:
        return Due(f"the delivered key {recorded.key_id} is revoked" if recorded else "no key is delivered")
    before = facts.policy.rotate_keys_before
    # By the later of two clocks: one that is behind would find every new key too old again.
    made_at = max(delivered.created_at, recorded.made_at or delivered.created_at)
    if before is not None and made_at < before <= facts.now:
        return Due(f"key {delivered.key_id} is from before {format_time(before)} (rotate_keys_before)")
    if missing := [name for name in facts.sinks if name not in recorded.sinks]:
        return Due(f"nothing is delivered to {', '.join(missing)} yet")
    if recorded.left:
        names = ", ".join(recorded.left)
        return Due(f"the last rollback could not bring {names} back", is_urgent=facts.is_again)
    if facts.is_requested:
        return Due("asked for by name", is_urgent=facts.is_again)
    date = due_date(facts)
    if date is not None and facts.now >= date:
        age = f"is of {format_time(delivered.created_at)} and was due at {format_time(date)}"
        return Due(f"key {delivered.key_id} {age} (max_age)", is_urgent=False)
    return None


def unseen(facts: KeyFacts) -> str:
    """Why nothing can be decided: a list without the recorded key, live or revoked, is old or cut short."""
    recorded = facts.mark.delivered
    if recorded is None or any(key.key_id == recorded.key_id for key in facts.keys):
        return ""
    return (
        f"the list of keys does not show {recorded.key_id}, which was delivered: it may be an old list; if "
        "that key is really gone, rotate --again delivers another"
    )
