"""Tells the story: plan, apply, rotate, drift, repair, an accident that does not happen, clean up."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.cli.commands.demo.pictures import key_lives, loop
from reconciler.cli.commands.demo.stage import Stage
from reconciler.cli.options import DEFAULT_CONFIG, DEFAULT_SANDBOX
from reconciler.cli.source import Source
from reconciler.cli.wiring import load_configuration
from reconciler.errors import AlterSyncError, ExitCode
from reconciler.model.secret import Secret

if TYPE_CHECKING:
    from reconciler.alter.dashboard_plane import DashboardPlane
    from reconciler.cli.embedded import RunningSandbox
    from reconciler.model.agent import AgentName
    from reconciler.model.desired import Desired, DesiredAgent

_SOMEBODY = "jane@corp.example"
_EMPTY = Path("emptied.yaml")


def tell(stage: Stage, *, cleans_up: bool) -> None:
    """All acts. They play with any configuration that has an active agent with a display name."""
    stage.picture(loop(stage.style))
    stage.begin_act("Plan", "What would happen, and why. Nothing is live yet.")
    stage.command("plan --detailed-exitcode", expected=ExitCode.CHANGES)
    desired = load_configuration(Source(DEFAULT_CONFIG)).desired
    cast = _cast(desired)
    stage.begin_act("Apply", "Make it so. Each first key goes to its sinks, is read back, and is recorded.")
    stage.command("apply --yes", shown_from="Apply:")
    stage.begin_act("Again", "Running it again is always safe.")
    stage.command("plan --detailed-exitcode")
    if cast.key_file:
        _rotate(stage, cast)
    _drift_and_repair(stage, cast)
    if cleans_up:
        _clean_up(stage, desired)
    told = f"{stage.commands} commands in {stage.seconds:.1f} s"
    stage.narrate(
        f"\nThat was the whole story: {told}, on an Alter of its own. Nothing of yours was touched."
    )
    stage.narrate("Yours begins with `alter-sync init`, and `alter-sync doctor` says what is missing.")


@dataclass(frozen=True, slots=True)
class _Cast:
    """Who plays: an agent whose key is in a text file, if there is one, and another that somebody revokes."""

    hero: AgentName
    key_file: str
    victim: AgentName | None


def _cast(desired: Desired) -> _Cast:
    active = {name: agent for name, agent in desired.agents.items() if agent.status == "active"}
    heroes = [name for name, agent in active.items() if agent.display_name]
    if not heroes:
        raise AlterSyncError("the demo needs a configuration with an active agent that has a display_name")
    hero = next((name for name in heroes if _key_file(desired, active[name])), heroes[0])
    victims = (name for name, agent in active.items() if name != hero and not agent.protect)
    return _Cast(hero, _key_file(desired, active[hero]), next(victims, None))


def _key_file(desired: Desired, agent: DesiredAgent) -> str:
    """The file that its workload reads; empty when it has no rotation, or its key goes elsewhere."""
    sinks = [desired.sinks[name] for name in agent.deliver_to] if agent.rotation else []
    paths = [str(sink.settings["path"]) for sink in sinks if sink.type == "file"]
    return paths[0].replace("{agent}", agent.name) if paths else ""


def _rotate(stage: Stage, cast: _Cast) -> None:
    stage.begin_act(
        "Rotate", f"A new key for {cast.hero}, whose workload has run on the first one for a while."
    )
    stage.command(f"sandbox use {cast.key_file}")
    stage.command("sandbox advance 48h")
    stage.command(f"rotate {cast.hero} --yes", shown_from="Apply:")
    stage.narrate("\nBoth keys work now. The workload reads its file again, and a day goes by.")
    stage.command(f"sandbox use {cast.key_file}")
    stage.command("sandbox advance 26h")
    stage.narrate("\nThe new key is in use and the old one is quiet: now the old one may go, and not before.")
    stage.command("apply --yes", shown_from="Apply:")
    with _sandbox() as (sandbox, dashboard):
        hero = next(agent for agent in dashboard.list_agents() if agent.name == cast.hero)
        keys = dashboard.list_keys(hero.id)
        stage.picture(key_lives(keys, now=sandbox.clock.now(), style=stage.style))


def _drift_and_repair(stage: Stage, cast: _Cast) -> None:
    done = f"renames {cast.hero!r}" + (f" and revokes {cast.victim!r}" if cast.victim else "")
    stage.begin_act("Drift", f"Somebody {done} in the dashboard. Who was it?")
    _change_outside(cast)
    stage.command("drift --exit-code", expected=ExitCode.CHANGES)
    stage.begin_act("Repair", "Put back what was changed outside, and nothing else.")
    stage.command("apply --only-drift --yes", shown_from="Apply:")
    if cast.victim:
        stage.narrate("\nNobody brings a revoked agent back. The next apply makes a new one, with a new key.")
        stage.command("apply --yes", shown_from="Apply:")
    stage.command("drift --exit-code")


def _clean_up(stage: Stage, desired: Desired) -> None:
    stage.begin_act("An accident", "Somebody merges a file without agents. Guards refuse, each by its name.")
    empty = {"version": 1, "owner": desired.owner, "app": {"name": desired.app.name}, "agents": {}}
    _EMPTY.write_text(json.dumps(empty), encoding="utf-8")
    stage.command(f"plan -c {_EMPTY}", expected=ExitCode.REFUSED)
    stage.begin_act("Clean up", "Who means it says so, guard by guard.")
    stage.command(f"apply -c {_EMPTY} --yes {_allowances(stage)}", shown_from="Apply:")


def _allowances(stage: Stage) -> str:
    """What the refused plan names as the way past each guard."""
    _, text = stage.behind_the_curtain(f"plan -c {_EMPTY} --output json")
    return " ".join(sorted({blocked["allow"] for blocked in json.loads(text)["blocked"]}))


@contextmanager
def _sandbox() -> Iterator[tuple[RunningSandbox, DashboardPlane]]:
    """The sandbox between two commands, and the dashboard of somebody who works there by hand."""
    from reconciler.alter.clock import SystemClock
    from reconciler.alter.commands import Commands
    from reconciler.alter.dashboard_plane import DashboardPlane
    from reconciler.alter.program import DashboardAccess
    from reconciler.cli.embedded import give_token, running_sandbox

    with running_sandbox(DEFAULT_SANDBOX) as sandbox:
        token = Secret(give_token(sandbox.server, (), user=_SOMEBODY))
        access = DashboardAccess(str(sandbox.alter_cli), token, sandbox.server.app_id())
        yield sandbox, DashboardPlane(Commands(access, clock=SystemClock()))


def _change_outside(cast: _Cast) -> None:
    from reconciler.model.agent import AgentPatch

    with _sandbox() as (_, dashboard):
        live = {agent.name: agent for agent in dashboard.list_agents()}
        hero = live[cast.hero]
        patch = AgentPatch(display_name=f"{hero.display_name} (test)")
        dashboard.update_agent(hero.id, patch, expected_version=hero.version)
        if cast.victim:
            dashboard.revoke_agent(live[cast.victim].id)
