"""``alter-sync demo``: the whole story on the embedded Alter."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from reconciler.cli import options as opt
from reconciler.cli.boundary import guarded
from reconciler.errors import ExitCode, FileMissing, UsageError

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
    """Play the whole story on an embedded Alter: plan, apply, rotate, drift, repair, clean up.

    Needs no credentials and touches nothing of yours: a real HTTP server in this process, with its state in
    a SQLite file. With --keep it leaves the cleaning up to you.
    """
    console = opt.make_console(no_color=no_color)

    def action() -> ExitCode:
        from reconciler.cli.commands.demo.stage import Stage
        from reconciler.cli.commands.demo.story import tell

        source = (config or _example()).resolve()
        if not source.is_file():
            raise FileMissing(f"there is no file {source}")
        with _folder(keep) as folder:
            shutil.copyfile(source, folder / "agents.yaml")
            tell(Stage(console), cleans_up=keep is None)
            if keep is not None:
                console.text(f"\nLook around: cd {shlex.quote(str(keep))} && alter-sync status --sandbox")
        return ExitCode.OK

    return guarded(console, action)


def _example() -> Path:
    """The example, in the wheel or in a checkout."""
    packaged = Path(str(files("reconciler"))) / "examples" / "agents.yaml"
    return packaged if packaged.exists() else Path(__file__).parents[4] / "examples" / "agents.yaml"


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True)
    except FileExistsError as error:
        raise UsageError(f"{folder} is there already", hint="name a new folder with --keep") from error
    except OSError as error:
        raise UsageError(f"the folder {folder} cannot be made: {error.strerror}") from error


@contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
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
