"""What a team without this tool would write: the official client creates one agent after the other."""

from __future__ import annotations

import asyncio
import os
import sys

from alter_sdk import App


async def create(agents: int) -> None:
    """Creates the agents of ``write_fleet``; their keys are printed nowhere and kept nowhere."""
    async with App(os.environ["ALTER_API_KEY"]) as app:
        for number in range(agents):
            await app.agents.create(
                name=f"agent-{number:06d}",
                type="service",
                display_name=f"Agent number {number}",
                scopes={
                    "google": ["gmail.readonly", "calendar", "drive.readonly"],
                    "slack": ["chat:write", "channels:read"],
                },
                metadata={"team": "payments", "cost_center": str(number), "purpose": "a benchmark"},
                policy={},
            )


if __name__ == "__main__":
    asyncio.run(create(int(sys.argv[1])))
