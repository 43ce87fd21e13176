"""What every step of a run needs: the configuration, the ports, the run's own id."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from reconciler.model.desired import Desired, DesiredAgent
from reconciler.model.mark import RunId
from reconciler.planning.facts import Allowances
from reconciler.ports import AgentApi, Clock, SecretSink


@dataclass(frozen=True, slots=True)
class RunContext:
    """One run of apply. ``desired`` is the configuration as of the moment of the plan."""

    run: RunId
    desired: Desired
    api: AgentApi
    sinks: Mapping[str, SecretSink]
    clock: Clock
    allow: Allowances

    def sinks_of(self, agent: DesiredAgent) -> tuple[SecretSink, ...]:
        """The sinks of an agent, in the order of its ``deliver_to``."""
        return tuple(self.sinks[name] for name in agent.deliver_to)
