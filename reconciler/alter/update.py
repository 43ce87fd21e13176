"""One PATCH of an agent that may lose its answer: looks at the agent before it tries again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from reconciler import errors
from reconciler.alter.wire import shows_patch
from reconciler.model.agent import AgentPatch, LiveAgent


@dataclass(slots=True)
class Update:
    """Attempts of one patch. ``is_open``: an earlier attempt may have been carried out.

    It never depends on the server's refusal of a stale version alone: whether that is honoured without
    scopes in the patch is not documented.
    """

    send_patch: Callable[[], LiveAgent]
    read_back: Callable[[], LiveAgent]
    patch: AgentPatch
    expected_version: int
    is_open: bool = False

    def attempt(self) -> LiveAgent:
        """The agent with the patch; ``errors.ConcurrentUpdate`` when somebody else was faster."""
        done = self._carried_out() if self.is_open else None
        return self._try() if done is None else done

    def _try(self) -> LiveAgent:
        try:
            return self.send_patch()
        except errors.ServerFault:
            self.is_open = True
            raise
        except errors.Unreachable as exc:
            self.is_open = self.is_open or exc.sent
            raise
        except errors.ConcurrentUpdate:
            # The lost attempt may have arrived after we looked, and then the other writer is ourselves.
            done = self._carried_out() if self.is_open else None
            if done is None:
                raise
            return done

    def _carried_out(self) -> LiveAgent | None:
        """The agent when it shows the patch, ``None`` when it is as it was before."""
        agent = self.read_back()
        if agent.version == self.expected_version:
            return None
        if agent.version > self.expected_version and shows_patch(agent, self.patch):
            return agent
        raise errors.ConcurrentUpdate(
            f"agent {agent.name}: changed by somebody else while an answer was lost"
            f" (version {agent.version}, expected {self.expected_version})",
            status=409,
            hint="plan again and look at what changed",
        )
