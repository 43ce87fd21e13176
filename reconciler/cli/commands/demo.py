"""``alter-sync demo``: the whole story on the embedded Alter."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from reconciler.cli import options as opt
from reconciler.cli.boundary import guarded
from reconciler.cli.console import Console
from reconciler.errors import AlterSyncError, ExitCode, FileMissing, UsageError

EPILOG = """\b
Examples:
  alter-sync demo                            in a temporary folder, gone afterwards
  alter-sync demo --keep demo                look around in ./demo when it is over
"""

Keep = Annotated[
    Path | None, typer.Option("--keep", help="Play in this new folder and keep it.", metavar="FOLDER")
]
Example = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="Another configuration than the built-in example.", metavar="PATH"),
]


def demo(keep: Keep = None, config: Example = None, no_color: opt.NoColor = False) -> ExitCode:
    """Play the whole story on an embedded Alter: plan, apply, drift, repair.

    Needs no credentials and touches nothing of yours: a real HTTP server in this process, with its state in
    a SQLite file.
    """
    console = opt.make_console(no_color=no_color)

    def action() -> ExitCode:
        source = (config or _example()).resolve()
        if not source.is_file():
            raise FileMissing(f"there is no file {source}")
        with _stage(keep) as folder:
            shutil.copyfile(source, folder / "agents.yaml")
            _play(console, no_color=no_color)
            if keep is not None:
                console.text(f"\nLook around: cd {shlex.quote(str(keep))} && alter-sync status --sandbox")
        return ExitCode.OK

    return guarded(console, action)


def _play(console: Console, *, no_color: bool) -> None:
    """The acts. Each expects an exit code, so a demo that tells something else than it shows fails."""
    flags = ["--no-color"] if no_color else []

    def act(title: str, command: Sequence[str], expected: ExitCode) -> None:
        _run(console, title, [*command, "--sandbox", "--quiet", *flags], expected)

    act("1. What would happen: a plan", ["plan", "--detailed-exitcode"], ExitCode.CHANGES)
    act("2. Make it so, and deliver every first key to its sink", ["apply", "--yes"], ExitCode.OK)
    act("3. Again: nothing to do", ["plan", "--detailed-exitcode"], ExitCode.OK)
    name = _change_outside()
    console.text(_title(console, f"4. Somebody edits {name!r} by hand: another name, one scope more"))
    act("5. The plan shows it as drift, field by field", ["plan", "--detailed-exitcode"], ExitCode.CHANGES)
    act("6. Repair it", ["apply", "--yes"], ExitCode.OK)
    act("7. And all is well", ["plan", "--detailed-exitcode"], ExitCode.OK)
    act("8. Who is who, and where their keys are", ["status"], ExitCode.OK)


def _run(console: Console, title: str, words: Sequence[str], expected: ExitCode) -> None:
    from reconciler.cli.main import run

    shown = " ".join(word for word in words if word not in {"--quiet", "--no-color"})
    console.text(_title(console, title))
    console.text(console.style().dim(f"$ alter-sync {shown}"))
    code = run(words)
    if code != expected:
        raise AlterSyncError(
            f"the demo expected exit code {int(expected)} and got {code}", code="demo_failed"
        )


def _title(console: Console, text: str) -> str:
    return "\n" + console.style().bold(text)


def _change_outside() -> str:
    """Does what a person in a hurry does in a dashboard: edits an agent that belongs to a configuration."""
    from reconciler.alter.clock import SystemClock
    from reconciler.alter.sdk_plane import SdkPlane
    from reconciler.cli.embedded import running_sandbox
    from reconciler.model.agent import AgentPatch
    from reconciler.model.scopes import Scopes

    with (
        running_sandbox(opt.DEFAULT_SANDBOX) as sandbox,
        SdkPlane.connect(
            base_url=sandbox.address, api_key=sandbox.app_key, owner="somebody else", clock=SystemClock()
        ) as api,
    ):
        agents = [agent for agent in api.list_agents() if agent.status == "active" and agent.display_name]
        if not agents:
            raise AlterSyncError("the demo needs a configuration with an active, named agent")
        agent = agents[0]
        scopes = Scopes.of_pairs([*agent.scopes.pairs(), ("github", "repo")])
        patch = AgentPatch(display_name=f"{agent.display_name} (test)", scopes=scopes)
        api.update_agent(agent.id, patch, expected_version=agent.version)
        return agent.name


def _example() -> Path:
    """The example, in the wheel or in a checkout."""
    packaged = Path(str(files("reconciler"))) / "examples" / "agents.yaml"
    return packaged if packaged.exists() else Path(__file__).parents[3] / "examples" / "agents.yaml"


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True)
    except FileExistsError as error:
        raise UsageError(f"{folder} is there already", hint="name a new folder with --keep") from error
    except OSError as error:
        raise UsageError(f"the folder {folder} cannot be made: {error.strerror}") from error


@contextmanager
def _stage(keep: Path | None) -> Iterator[Path]:
    """An empty folder to play in, as the working directory."""
    before = Path.cwd()
    with TemporaryDirectory(prefix="alter-sync-demo-") as temporary:
        folder = Path(temporary) if keep is None else keep.resolve()
        if keep is not None:
            _make(folder)
        os.chdir(folder)
        try:
            yield folder
        finally:
            os.chdir(before)
