"""Sinks that tell a trace what was done with a key, by names alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from reconciler.cli.trace import NO_TRACE, SinkAction, Trace
from reconciler.errors import AlterSyncError
from reconciler.model.agent import AgentName
from reconciler.ports import Delivery, SecretSink, SinkReading

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class TracedSink:
    """``SecretSink`` before another one."""

    sink: SecretSink
    trace: Trace

    @property
    def name(self) -> str:
        """The name of the sink in the configuration."""
        return self.sink.name

    @property
    def is_readable(self) -> bool:
        """Whether ``read_back`` tells the truth."""
        return self.sink.is_readable

    def place(self, agent: AgentName) -> str:
        """Where this agent's key goes, for people."""
        return self.sink.place(agent)

    def probe(self, agent: AgentName, *, owner: str, app: str) -> None:
        """Raises when a key could not be delivered there now."""
        self.sink.probe(agent, owner=owner, app=app)

    def deliver(self, delivery: Delivery) -> None:
        """Writes the key, and tells that."""
        self._telling("deliver", delivery.agent, lambda: self.sink.deliver(delivery))

    def read_back(self, agent: AgentName) -> SinkReading | None:
        """What the sink holds now."""
        return self.sink.read_back(agent)

    def forget_previous(self, agent: AgentName) -> None:
        """Drops the version that the last delivery replaced, and tells that."""
        self._telling("forget_previous", agent, lambda: self.sink.forget_previous(agent))

    def restore_previous(self, agent: AgentName) -> bool:
        """Puts the previous version back in place, and tells that."""
        return self._telling("restore_previous", agent, lambda: self.sink.restore_previous(agent))

    def _telling(self, action: SinkAction, agent: AgentName, act: Callable[[], T]) -> T:
        error = ""
        try:
            return act()
        except AlterSyncError as exc:
            error = exc.code
            raise
        finally:
            self.trace.sink_used(action, sink=self.name, agent=agent, error=error)


def traced_sink(sink: SecretSink, trace: Trace) -> SecretSink:
    """The same sink, watched if there is a trace."""
    return sink if trace is NO_TRACE else TracedSink(sink, trace)


def traced_sinks(sinks: Mapping[str, SecretSink], trace: Trace) -> Mapping[str, SecretSink]:
    """The same sinks by their names."""
    return {name: traced_sink(sink, trace) for name, sink in sinks.items()}
