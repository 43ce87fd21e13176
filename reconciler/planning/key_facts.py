"""What is known of one agent's keys, and when the delivered one is due."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256

from reconciler.model.agent import AgentName
from reconciler.model.desired import DesiredAgent, RotationPolicy
from reconciler.model.key import AgentKey
from reconciler.model.mark import Mark, RunId

# Of `max_age`: due dates are spread over this last part of it, so that no fleet rotates in one hour.
SPREAD = 0.1


@dataclass(frozen=True, slots=True)
class KeyFacts:
    """What is known of one agent's keys. ``sinks`` are the names in its ``deliver_to``."""

    agent: AgentName
    keys: Sequence[AgentKey]
    mark: Mark
    now: datetime
    policy: RotationPolicy = field(default_factory=RotationPolicy)
    sinks: tuple[str, ...] = ()
    # Whether every sink can tell which key it holds. If one cannot, any lost key may be in it.
    sinks_are_readable: bool = True
    is_suspended: bool = False
    # Asked for by name: rotate although nothing is due; with ``is_again`` even while older keys are observed.
    is_requested: bool = False
    is_again: bool = False
    # A person takes the responsibility for revoking keys that are in use.
    is_hurried: bool = False
    dead_runs: Collection[RunId] = frozenset()

    @property
    def delivered(self) -> AgentKey | None:
        """The live key that the sinks hold, by the mark."""
        wanted = self.mark.delivered.key_id if self.mark.delivered else None
        return next((key for key in self.keys if key.is_live and key.key_id == wanted), None)

    @property
    def others(self) -> tuple[AgentKey, ...]:
        """The other live keys, oldest first, each once however often it is listed."""
        delivered = self.delivered
        found = {key.key_id: key for key in self.keys if key.is_live}
        others = (key for key in found.values() if delivered is None or key.key_id != delivered.key_id)
        return tuple(sorted(others, key=lambda key: (key.created_at, key.key_id)))


def due_date(facts: KeyFacts) -> datetime | None:
    """When the delivered key is due by its age; ``None`` without one, or without ``max_age``.

    Never later than ``max_age``: each agent has its own place in the last tenth of it.
    """
    delivered, max_age = facts.delivered, facts.policy.max_age
    if delivered is None or max_age is None:
        return None
    return later(min(delivered.created_at, facts.now), spread(max_age, facts.agent))


def later(moment: datetime, delta: timedelta) -> datetime:
    """So much later, or the end of all time: a server may show any time."""
    try:
        return moment + delta
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC)


def spread(max_age: timedelta, agent: AgentName) -> timedelta:
    """The age at which this agent's key is due: between 90 % and 100 % of ``max_age``, by its name."""
    place = int.from_bytes(sha256(agent.encode()).digest()[:4]) / 2**32
    return max_age * (1 - SPREAD * place)


def may_need_work(agent: DesiredAgent, mark: Mark, now: datetime) -> bool:
    """Whether the keys have to be read to tell: by the mark and the policy, something is due or in flight."""
    if mark.claim is not None or mark.retiring:
        return True
    if not agent.deliver_to:
        return False
    delivered, policy = mark.delivered, agent.rotation or RotationPolicy()
    if delivered is None or delivered.left or set(agent.deliver_to) - set(delivered.sinks):
        return True
    made_at, before, max_age = delivered.made_at or delivered.at, policy.rotate_keys_before, policy.max_age
    if before is not None and made_at < before <= now:
        return True
    return max_age is not None and now - made_at >= spread(max_age, agent.name)
