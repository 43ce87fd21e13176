"""What guards and the planner judge by: the configuration, the live agents, the time, what is let through."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from reconciler.model.agent import AgentName, LiveAgent
from reconciler.model.desired import Desired
from reconciler.model.mark import Mark
from reconciler.planning.ownership import our_mark


@dataclass(frozen=True, slots=True)
class Allowances:
    """What the user let through: pairs of a guard and an agent, or ``None`` for every agent."""

    pairs: frozenset[tuple[str, str | None]] = frozenset()

    def permits(self, guard: str, agent: str | None) -> bool:
        """Whether this guard is to let this agent pass."""
        return (guard, None) in self.pairs or (guard, agent) in self.pairs

    def as_texts(self) -> tuple[str, ...]:
        """The flags' values, sorted."""
        return tuple(sorted(guard if agent is None else f"{guard}={agent}" for guard, agent in self.pairs))


@dataclass(frozen=True, slots=True)
class Facts:
    """One look at the world. ``now`` is a parameter like everything else."""

    desired: Desired
    live: Mapping[AgentName, LiveAgent]
    now: datetime
    allow: Allowances = Allowances()

    def owned(self) -> Mapping[AgentName, LiveAgent]:
        """The live agents that carry this configuration's mark."""
        return {name: live for name, live in self.live.items() if our_mark(self.desired, live)}

    def mark_of(self, name: AgentName) -> Mark | None:
        """The mark of a live agent, whoever's it is."""
        live = self.live.get(name)
        return live.mark if live else None
