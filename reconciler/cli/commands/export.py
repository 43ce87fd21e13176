"""``alter-sync export``: writes what is live as YAML, ready to be planned and adopted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reconciler.cli import options as opt
from reconciler.cli.call import Call, taking
from reconciler.cli.console import Console
from reconciler.cli.selection import check_targets
from reconciler.cli.source import Source
from reconciler.cli.wiring import Configuration, connected, load_configuration
from reconciler.errors import ExitCode, UsageError
from reconciler.model.desired import AppRef, Desired
from reconciler.model.diagnostic import Position

if TYPE_CHECKING:
    from reconciler.config.export import Export

EPILOG = """\b
Examples:
  alter-sync export --owner payments/agents                     on stdout
  alter-sync export --owner payments/agents --out agents.yaml   then: plan, adopt
  alter-sync export --owner payments/agents --split agents      one file for each agent
  alter-sync export --target 'tenant-*'                         owner and app as in agents.yaml
"""

Owner = Annotated[
    str,
    typer.Option("--owner", help="Who is to own the agents; else as in the configuration.", metavar="OWNER"),
]
AppName = Annotated[
    str,
    typer.Option(
        "--app-name", help="What the app is called; else as in the configuration or a mark.", metavar="NAME"
    ),
]
Split = Annotated[
    Path | None,
    typer.Option("--split", help="Write this new folder, one file for each agent.", metavar="FOLDER"),
]
Out = Annotated[
    Path | None, typer.Option("--out", help="Write this new file instead of stdout.", metavar="FILE")
]


@dataclass(frozen=True, slots=True)
class Request:
    """What the command line asks of export."""

    source: Source
    owner: str
    app_name: str
    targets: Sequence[str]
    folder: Path | None
    file: Path | None


def _call(
    *,
    config: opt.Config = opt.DEFAULT_CONFIG,
    sandbox: opt.Sandbox = None,
    api_key_file: opt.ApiKeyFile = None,
    no_color: opt.NoColor = False,
    quiet: opt.Quiet = False,
    verbose: opt.Verbose = 0,
) -> Call:
    """It writes YAML alone, and asks nothing."""
    console = opt.make_console(no_color=no_color, quiet=quiet, verbose=verbose)
    return Call(console, Source(config, sandbox, api_key_file))


@taking(_call, speaks_to_alter=True)
def export(
    call: Call,
    *,
    owner: Owner = "",
    app_name: AppName = "",
    target: opt.Target = [],
    split: Split = None,
    out: Out = None,
) -> ExitCode:
    """Write the live agents as a configuration whose first plan is empty.

    Takes the agents that nobody owns and those that carry the owner's mark; those of other owners are left
    out and counted. Owner, app and address come from the configuration, if there is one, unless flags say
    otherwise. Reads only, and never writes over a file that is there.
    """
    return _export(call.console, Request(call.source, owner, app_name, target, split, out))


def _export(console: Console, request: Request) -> ExitCode:
    from reconciler.cli.new_files import check_new

    if request.file and request.folder:
        raise UsageError("--out and --split exclude each other", hint="give one of them")
    check_new(request.file, request.folder)
    found = export_live(console, request.source, _known(request), targets=request.targets)
    _write(console, request, found)
    return ExitCode.OK


def export_live(console: Console, source: Source, desired: Desired, *, targets: Sequence[str] = ()) -> Export:
    """What is live, for this owner and app. An app without a name is called as the owner's marks say."""
    from reconciler.config.export import UNKNOWN_APP, app_of, check_head, export_agents
    from reconciler.planning.selecting import matches

    app = desired.app
    check_head(desired.owner, replace(app, name=app.name or UNKNOWN_APP))
    with connected(console, source, Configuration(desired, ())) as session:
        agents = session.api.list_agents()
    check_targets(targets, {agent.name for agent in agents})
    app = replace(app, name=app.name or app_of(agents, desired.owner) or UNKNOWN_APP)
    check_head(desired.owner, app)
    return export_agents(
        agents,
        owner=desired.owner,
        app=app,
        chosen=lambda name: not targets or matches(name, targets),
    )


def _known(request: Request) -> Desired:
    """Owner and app: what the flags say, else what the configuration does, if there is one."""
    if any(path.exists() for path in request.source.config):
        desired = load_configuration(request.source).desired
        app = replace(desired.app, name=request.app_name or desired.app.name)
        return replace(desired, owner=request.owner or desired.owner, app=app, agents={})
    start = Position(str(request.source.config[0]), 1, 1)
    if not request.owner:
        raise UsageError(
            f"who is to own the agents? There is no {start.file} that says it",
            hint="--owner team/agents, or name a configuration with -c",
        )
    return Desired(request.owner, AppRef(request.app_name), agents={}, position=start)


def _write(console: Console, request: Request, found: Export) -> None:
    from reconciler.cli.new_files import write_new_file, write_new_folder

    target = request.file or request.folder
    if request.folder:
        write_new_folder(request.folder, found.files())
    elif request.file:
        write_new_file(request.file, found.text())
    else:
        console.text(found.text())
    say_what_is_in(console, found, where=f" to {target}" if target else "")
    if target:
        here = replace(request.source, config=[target])
        console.say(f"go on with: {here.command('plan')}, then: {here.command('adopt')}")


def say_what_is_in(console: Console, found: Export, *, where: str = "") -> None:
    """How many agents an export has, and what it could not take."""
    others = f"; {found.left_out} of other owners left out" if found.left_out else ""
    console.say(f"{len(found.blocks)} agent{'s' if len(found.blocks) != 1 else ''} exported{where}{others}")
    for warning in found.warnings:
        console.alarm(f"warning: {warning}")
