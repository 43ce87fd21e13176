"""All commands in one typer application, each loaded when it is called."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

from reconciler.cli.help import PlainGroup
from reconciler.cli.overview import COMMANDS, FIRST_STEPS, help_page
from reconciler.errors import ExitCode

if TYPE_CHECKING:
    from typer._click import Command, Context, HelpFormatter
    from typer._click.shell_completion import CompletionItem


class LazyCommands(TyperGroup):
    """The commands of the table. A command's module and its libraries cost the others nothing."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        # By the names a typing error is compared with them; ``get_command`` has the commands themselves.
        self.commands: Any = dict.fromkeys(COMMANDS)

    def get_command(self, _ctx: Context, cmd_name: str) -> Command | None:
        """Loads the command; ``None`` when there is none of that name."""
        return load_command(cmd_name) if cmd_name in COMMANDS else None

    def format_help(self, _ctx: Context, formatter: HelpFormatter) -> None:
        """The page that also comes without typer."""
        formatter.write(help_page())

    def shell_complete(self, _ctx: Context, incomplete: str) -> list[CompletionItem]:
        """Completes a command's name without loading any."""
        from typer._click.shell_completion import CompletionItem

        return [
            CompletionItem(name, help=summary)
            for name, summary in COMMANDS.items()
            if name.startswith(incomplete)
        ]


def load_command(name: str) -> Command:
    """The command of the module with its name: a function of that name, or what ``build`` makes."""
    module = import_module(f"reconciler.cli.commands.{name}")
    build: Callable[[], typer.Typer] | None = getattr(module, "build", None)
    if build is not None:
        app = build()
    else:
        app = PlainGroup()
        app.command(name, epilog=module.EPILOG)(getattr(module, name))
    command = get_command(app)
    command.name = name
    return command


def build_app() -> typer.Typer:
    """The application. Plain help: it must start quickly and read well in a log."""
    app = typer.Typer(
        name="alter-sync",
        cls=LazyCommands,
        invoke_without_command=True,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        pretty_exceptions_show_locals=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_root)
    return app


def _root(context: typer.Context) -> ExitCode:
    if context.invoked_subcommand is None:
        typer.echo(FIRST_STEPS)
    return ExitCode.OK
