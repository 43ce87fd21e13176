"""``expires_at``: an agent is suspended when its time is over, and revoked a day later."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from reconciler.model.desired import Desired, DesiredAgent

# Between suspending and revoking: time to notice, and to move the date.
EXPIRY_GRACE = timedelta(days=1)


def expired_at(agent: DesiredAgent, now: datetime) -> datetime | None:
    """When the agent's time ended; ``None`` while it has not."""
    return agent.expires_at if agent.expires_at is not None and now >= agent.expires_at else None


def as_of(desired: Desired, now: datetime) -> Desired:
    """The configuration at a moment: what has expired by then counts as declared inactive."""
    agents = {
        name: replace(agent, status="inactive", ignore=agent.ignore - {"status"})
        if expired_at(agent, now)
        else agent
        for name, agent in desired.agents.items()
    }
    return replace(desired, agents=agents)
