"""The first configuration of a folder: from nothing, or from what is live."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from reconciler.cli.commands.export import export_live, say_what_is_in
from reconciler.cli.console import Console
from reconciler.cli.source import Source
from reconciler.cli.starter import CONFIGURATION, starter_text
from reconciler.cli.starter_folder import StarterFile
from reconciler.errors import UsageError
from reconciler.model.desired import AppRef, Desired
from reconciler.model.diagnostic import Position


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the configuration is to say; empty where the command line says nothing."""

    owner: str
    app_name: str
    from_live: bool


def check_kept(path: Path, wanted: Wanted) -> None:
    """Raises ``UsageError`` when the configuration that is there is not the one that is wanted."""
    if wanted.from_live:
        raise UsageError(
            f"{path} is there already, so --from-live has nothing to write",
            hint="alter-sync export --out FILE writes the live agents into another file",
        )
    if not wanted.owner and not wanted.app_name:
        return
    from reconciler.cli.wiring import load_configuration
    from reconciler.config.findings import shown

    desired = load_configuration(Source([path])).desired
    for flag, asked, found in (
        ("--owner", wanted.owner, desired.owner),
        ("--app-name", wanted.app_name, desired.app.name),
    ):
        if asked not in ("", found):
            raise UsageError(
                f"{path} is there already and says {shown(found)}, not {flag} {shown(asked)}",
                hint=f"leave {flag} out, or change the file",
            )


def first_configuration(console: Console, source: Source, wanted: Wanted) -> StarterFile:
    """The text, after asking for what is not said. Names that cannot be are refused before Alter is asked."""
    from reconciler.config.export import UNKNOWN_APP, check_head
    from reconciler.config.findings import shown

    path = source.config[0]
    owner = wanted.owner or console.answer("Who owns the agents?", default=path.parent.resolve().name)
    if not owner:
        raise UsageError("who is to own the agents?", hint="--owner team/agents")
    # What the marks of live agents say is known only later.
    unnamed = "" if wanted.from_live else UNKNOWN_APP
    app_name = wanted.app_name or console.answer("What is the app called?", default=unnamed)
    check_head(owner, AppRef(app_name or UNKNOWN_APP))
    if not wanted.from_live:
        note = f"owner {shown(owner)}, app {shown(app_name)}"
        return StarterFile(CONFIGURATION, starter_text(owner, app_name), note)
    desired = Desired(owner, AppRef(app_name), agents={}, position=Position(str(path), 1, 1))
    found = export_live(console, source, desired)
    say_what_is_in(console, found)
    return StarterFile(CONFIGURATION, found.text(), f"owner {shown(owner)}")
