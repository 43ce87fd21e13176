"""What guards and the planner judge by: the configuration, the live agents, the time, what is let through."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from reconciler.model.agent import AgentId, AgentName, LiveAgent
from reconciler.model.desired import Desired, RotationPolicy
from reconciler.model.key import AgentKey
from reconciler.model.mark import Mark, RunId
from reconciler.model.plan import Plane
from reconciler.planning.key_facts import KeyFacts
from reconciler.planning.ownership import our_mark

# The guard that only lets a named agent pass, and that the stage function has to know of.
IN_USE_GUARD = "key-in-use"
# What refuses in the name of the user's own policies: no guard of ours, but let through by the same flag.
POLICY_GUARD = "policy"


@dataclass(frozen=True, slots=True)
class Allowances:
    """What the user let through: pairs of a guard and an agent, or ``None`` for every agent."""

    pairs: frozenset[tuple[str, str | None]] = frozenset()

    def permits(self, guard: str, agent: str | None) -> bool:
        """Whether this guard is to let this agent pass."""
        return (guard, None) in self.pairs or self.names(guard, agent)

    def names(self, guard: str, agent: str | None) -> bool:
        """Whether this guard is to let exactly this agent pass, said by its name."""
        return (guard, agent) in self.pairs

    def beyond(self, limit: Allowances) -> Allowances:
        """Those of these that the others do not let through."""
        return Allowances(frozenset(pair for pair in self.pairs if not limit.permits(*pair)))

    def as_texts(self) -> tuple[str, ...]:
        """The flags' values, sorted."""
        return tuple(sorted(guard if agent is None else f"{guard}={agent}" for guard, agent in self.pairs))


@dataclass(frozen=True, slots=True)
class Facts:
    """One look at the world. ``now`` is a parameter like everything else.

    ``keys`` are those that were read, ``dead_runs`` runs known to have ended, ``rotate`` the agents whose
    keys are to rotate now although nothing is due, and with ``again`` even while older keys are observed.
    """

    desired: Desired
    live: Mapping[AgentName, LiveAgent]
    now: datetime
    allow: Allowances = Allowances()
    keys: Mapping[AgentId, Sequence[AgentKey]] = field(default_factory=dict)
    dead_runs: frozenset[RunId] = frozenset()
    rotate: frozenset[AgentName] = frozenset()
    again: bool = False
    plane: Plane = "sdk"

    def owned(self) -> Mapping[AgentName, LiveAgent]:
        """The live agents that carry this configuration's mark."""
        return {name: live for name, live in self.live.items() if our_mark(self.desired, live)}

    def mark_of(self, name: AgentName) -> Mark | None:
        """The mark of a live agent, whoever's it is."""
        live = self.live.get(name)
        return live.mark if live else None

    def key_facts(self, name: AgentName) -> KeyFacts | None:
        """What is known of a declared agent's keys; ``None`` when it is not ours or they were not read."""
        agent, live = self.desired.agents.get(name), self.live.get(name)
        mark = our_mark(self.desired, live) if live else None
        if agent is None or live is None or mark is None or live.id not in self.keys:
            return None
        sinks = self.desired.sinks
        return KeyFacts(
            agent=name,
            keys=self.keys[live.id],
            mark=mark,
            now=self.now,
            policy=agent.rotation or RotationPolicy(),
            sinks=agent.deliver_to,
            sinks_are_readable=all(sinks[sink].is_readable for sink in agent.deliver_to if sink in sinks),
            is_suspended=live.status != "active" or agent.status != "active",
            is_requested=name in self.rotate,
            is_again=self.again,
            is_hurried=self.allow.names(IN_USE_GUARD, name),
            dead_runs=self.dead_runs,
        )
