"""Fleets to measure with: their configuration, and the same agents live as apply would have made them."""

from __future__ import annotations

import sys
from pathlib import Path

# One file may hold a million nodes of YAML, so a larger fleet is several files.
_AGENTS_A_FILE = 10_000
_HEAD = "version: 1\nowner: bench/fleet\napp: {name: bench}\n"
_KEEPS_NO_KEYS = "defaults: {deliver_to: []}\n"
_ROTATES = """\
rotation_policies: {standard: {max_age: 90d}}
defaults: {deliver_to: files, rotation: standard}
"""


def write_fleet(folder: Path, agents: int, *, delivers: bool = False) -> Path:
    """A folder of YAML with so many agents of ordinary size; with ``delivers`` their keys go to files, and
    rotate. Otherwise the keys are discarded."""
    config = folder / "config"
    config.mkdir(parents=True)
    for start in range(0, agents, _AGENTS_A_FILE):
        with (config / f"agents-{start:06d}.yaml").open("w") as file:
            file.write(_HEAD)
            if start == 0 and delivers:
                path = f"{folder}/secrets/{{agent}}.env"
                file.write(f'sinks: {{files: {{type: file, path: "{path}", format: dotenv}}}}\n')
            if start == 0:
                file.write(_ROTATES if delivers else _KEEPS_NO_KEYS)
            file.write("agents:\n")
            file.writelines(map(_block, range(start, min(agents, start + _AGENTS_A_FILE))))
    return config


def _block(number: int) -> str:
    return (
        f"  agent-{number:06d}:\n    display_name: Agent number {number}\n    type: service\n"
        f"    scopes:\n      google: [gmail.readonly, calendar, drive.readonly]\n"
        f"      slack: [chat:write, channels:read]\n"
        f'    metadata: {{team: payments, cost_center: "{number}", purpose: a benchmark}}\n'
        f"    policy: {{}}\n"
    )


def main(config: Path, database: Path) -> None:
    """Puts the agents of a configuration into a sandbox that is not running, without a request for each."""
    from reconciler.alter.wire import new_agent_body
    from reconciler.config.loader import load
    from reconciler.planning.request import new_agent
    from reconciler.sandbox import SandboxServer, validation
    from reconciler.sandbox.agents import create_agent
    from reconciler.sandbox.store import Actor

    desired = load([config]).desired
    assert desired is not None
    server = SandboxServer(database)
    with server.store.transaction():
        actor = Actor(server.app_id())
        for agent in desired.agents.values():
            body = validation.new_agent(new_agent_body(new_agent(desired, agent, claim=None)))
            create_agent(server.store, actor, body, idempotency_key=None)
    server.store.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
