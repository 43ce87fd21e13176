"""``alter-sync init``: writes what a folder of agents starts with, from nothing or from what is live."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from reconciler.cli import options as opt
from reconciler.cli.call import Call, taking
from reconciler.cli.console import Console, OutputFormat
from reconciler.cli.first_configuration import Wanted, check_kept, first_configuration
from reconciler.cli.source import Source, find_api_key, has_token
from reconciler.cli.starter import (
    CONFIGURATION,
    IGNORED,
    SCHEMA,
    WORKFLOW,
    extended,
    schema_text,
    workflow_text,
)
from reconciler.cli.starter_folder import Item, StarterFile, names_there, put, repository_around
from reconciler.errors import ExitCode
from reconciler.model.desired import DEFAULT_API_KEY_ENV, AppRef

EPILOG = """\b
Examples:
  alter-sync init                            in this folder; asks for the owner and the app
  alter-sync init --sandbox                  the same, and the next steps need no account
  alter-sync init --owner payments/agents --app-name payments-prod --no-input
  alter-sync init --from-live                declare the agents that are live: the plan is empty
"""
INIT_FORMAT = "alter-sync.init/1"

Folder = Annotated[
    Path,
    typer.Argument(help="Where to write; it is made when needed.", metavar="[FOLDER]", show_default=False),
]
Owner = Annotated[
    str,
    typer.Option(
        "--owner", help="Who owns the agents; asked for, or the name of the folder.", metavar="OWNER"
    ),
]
AppName = Annotated[
    str,
    typer.Option(
        "--app-name", help="What the app is called; asked for, or as the marks say.", metavar="NAME"
    ),
]
FromLive = Annotated[
    bool, typer.Option("--from-live", help="Declare the agents that are live, and change none.")
]
NoWorkflow = Annotated[bool, typer.Option("--no-workflow", help="Write no workflow for GitHub.")]


@dataclass(frozen=True, slots=True)
class Request:
    """What the command line asks of init."""

    folder: Path
    wanted: Wanted
    workflow: bool
    sandbox: Path | None
    api_key_file: Path | None

    @property
    def configuration(self) -> Path:
        """Where the configuration stands."""
        return self.folder / opt.DEFAULT_CONFIG[0]

    @property
    def source(self) -> Source:
        """Where live agents are read."""
        return Source([self.configuration], self.sandbox, self.api_key_file)

    def source_inside(self) -> Source:
        """The same for commands that are called in the folder."""
        if self.folder == Path():
            return self.source
        # Nobody has opened the default one, so it can as well be there.
        is_unopened = self.sandbox == opt.DEFAULT_SANDBOX and not self.wanted.from_live
        sandbox = self.sandbox if is_unopened else self.sandbox and self.sandbox.absolute()
        return Source(opt.DEFAULT_CONFIG, sandbox, self.api_key_file and self.api_key_file.absolute())


@dataclass(frozen=True, slots=True)
class Step:
    """A command to go on with, and what it is for."""

    command: str
    purpose: str


def _call(
    *,
    output: opt.Output = OutputFormat.TABLE,
    sandbox: opt.Sandbox = None,
    api_key_file: opt.ApiKeyFile = None,
    no_color: opt.NoColor = False,
    no_input: opt.NoInput = False,
    quiet: opt.Quiet = False,
    verbose: opt.Verbose = 0,
) -> Call:
    """There is no configuration yet."""
    console = opt.make_console(
        output=output, no_color=no_color, no_input=no_input, quiet=quiet, verbose=verbose
    )
    return Call(console, Source(opt.DEFAULT_CONFIG, sandbox, api_key_file))


@taking(_call, speaks_to_alter=True)
def init(
    call: Call,
    folder: Folder = Path(),
    *,
    owner: Owner = "",
    app_name: AppName = "",
    from_live: FromLive = False,
    no_workflow: NoWorkflow = False,
) -> ExitCode:
    """Write what a folder of agents starts with: configuration, schema, .gitignore, workflow.

    The plan right after says that nothing changes: no agent is declared yet, or, with --from-live, each as it
    is. What is there already is kept, so it can be run again. Nothing is changed in Alter.
    """
    wanted = Wanted(owner, app_name, from_live)
    source = call.source
    request = Request(folder, wanted, not no_workflow, source.sandbox, source.api_key_file)
    return _init(call.console, request)


def _init(console: Console, request: Request) -> ExitCode:
    folder = request.folder
    around = repository_around(folder)
    has_workflow = request.workflow and around is None
    names = (CONFIGURATION, SCHEMA, IGNORED, WORKFLOW) if has_workflow else (CONFIGURATION, SCHEMA, IGNORED)
    there = names_there(folder, names)
    is_new = CONFIGURATION not in there
    if not is_new:
        check_kept(request.configuration, request.wanted)
    starter = [
        first_configuration(console, request.source, request.wanted)
        if is_new
        else StarterFile(CONFIGURATION, ""),
        StarterFile(SCHEMA, schema_text()),
        StarterFile(IGNORED, extended("")),
    ]
    if has_workflow:
        starter.append(_workflow())
    items = put(folder, starter, there=there)
    if request.workflow and around is not None:
        note = f"GitHub reads workflows in {around} alone; docs/ci.md of alter-sync has one to copy"
        items.append(Item(folder / WORKFLOW, "left out", note))
    _show(console, items, _next_steps(request, is_new=is_new))
    return ExitCode.OK


def _workflow() -> StarterFile:
    from importlib.metadata import PackageNotFoundError, distribution

    try:
        origin = distribution("alter-sync").read_text("direct_url.json")
    except PackageNotFoundError:
        origin = None
    text = workflow_text(origin)
    to_do = "put alter-sync's repository and commit for OWNER and SHA; " if "@SHA" in text else ""
    return StarterFile(WORKFLOW, text, f"{to_do}docs/ci.md of alter-sync says which secrets it needs")


def _next_steps(request: Request, *, is_new: bool) -> list[Step]:
    """What to do now, in a shell, in this order."""
    source = request.source_inside()
    folder = str(request.folder)
    inside = f"./{folder}" if folder.startswith("-") else folder  # else `cd` takes it for an option
    steps = [Step(shlex.join(["cd", inside]), "")] if request.folder != Path() else []
    if is_new and not _has_credential(source):
        read = f"read -rs {DEFAULT_API_KEY_ENV} && export {DEFAULT_API_KEY_ENV}"
        steps.append(Step(read, "paste the app's runtime key (alter_rk_…)"))
    if request.wanted.from_live:
        steps.append(Step(source.command("plan"), "no changes: each agent is declared as it is"))
        steps.append(Step(source.command("adopt"), "shows them, asks, and marks them as this owner's"))
    else:
        none_yet = f"no changes, until {request.configuration.name} declares an agent" if is_new else ""
        steps.append(Step(source.command("plan"), none_yet))
        steps.append(Step(source.command("apply"), "shows what it will do, asks, and does it"))
    return steps


def _has_credential(source: Source) -> bool:
    if source.sandbox is not None or source.api_key_file is not None or has_token():
        return True
    api_key, _ = find_api_key(source, AppRef(""))
    return api_key is not None


def _show(console: Console, items: Sequence[Item], steps: Sequence[Step]) -> None:
    from reconciler.reports.escaping import COMMAND_LIMIT, MESSAGE_LIMIT, for_terminal

    if not console.is_table:
        commands = [step.command for step in steps]
        document = {"format": INIT_FORMAT, "items": [item.as_json() for item in items], "next": commands}
        console.document(document)
        return
    for item in items:
        line = f"{item.action:<10}{item.path}{f'  ({item.note})' if item.note else ''}"
        console.text(for_terminal(line, limit=MESSAGE_LIMIT))
    width = max(len(step.command) for step in steps)
    console.say("\nNext:")
    for step in steps:
        line = f"{step.command:<{width}}   # {step.purpose}" if step.purpose else step.command
        console.say(f"  {for_terminal(line, limit=COMMAND_LIMIT)}")
