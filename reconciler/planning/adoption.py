"""Putting live agents under this owner: the operation that marks one, and what is said of the others."""

from __future__ import annotations

from collections.abc import Sequence

from reconciler.model.agent import AgentName, LiveAgent
from reconciler.model.desired import DesiredAgent
from reconciler.model.diagnostic import Diagnostic
from reconciler.model.mark import Mark
from reconciler.model.plan import Change, Operation
from reconciler.planning.facts import Facts

# Enough to recognise a fleet by.
_FIRST_NAMES = 3


def adopt_operation(facts: Facts, agent: DesiredAgent, live: LiveAgent) -> Operation:
    """The operation that writes our mark on a live agent, and changes nothing else of it."""
    mark = live.mark
    return Operation(
        id=f"adopt_agent:{agent.name}",
        kind="adopt_agent",
        agent=agent.name,
        reason="declared; live without an owner" if mark is None else _taken_over(facts, mark),
        agent_id=live.id,
        version=live.version,
        changes=(
            Change(
                "mark",
                {"owner": mark.owner, "app": mark.app} if mark else None,
                {"owner": facts.desired.owner, "app": facts.desired.app.name},
                cause="new" if mark is None else "config",
            ),
        ),
        source=agent.position,
    )


def unowned_finding(names: Sequence[AgentName]) -> tuple[Diagnostic, ...]:
    """One warning for all agents that are as declared and carry no mark; none when there are none."""
    if not names:
        return ()
    shown = ", ".join(names[:_FIRST_NAMES])
    more = f" and {len(names) - _FIRST_NAMES} more" if len(names) > _FIRST_NAMES else ""
    who = "1 declared agent is" if len(names) == 1 else f"{len(names)} declared agents are"
    message = (
        f"{who} live without an owner ({shown}{more}): nothing differs, but changes made here will be refused"
    )
    hint = "`alter-sync adopt` puts them under this owner and changes nothing else"
    return (Diagnostic("warning", "unowned", message, hint=hint),)


def _taken_over(facts: Facts, mark: Mark) -> str:
    if mark.owner == facts.desired.owner:
        return f"marked for app {mark.app!r}"
    return f"taken over from owner {mark.owner!r}"
