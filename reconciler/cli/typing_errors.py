"""Says what the parser did not understand of a command line, and what was probably meant."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from reconciler.cli.overview import COMMANDS
from reconciler.errors import UsageError
from reconciler.model.nearest import did_you_mean, nearest

if TYPE_CHECKING:
    from typer._click.exceptions import UsageError as ClickUsageError

_ROOT = "alter-sync"
_ROOT_OPTIONS = ("--version", "--help")
_NO_CHOICE = re.compile(r"'(.*)' is not one of ('.*')\.", re.DOTALL)
# The parser calls types of values by their names in Python.
_PLAIN = (("a valid int range", "a whole number"), ("a valid int", "a whole number"))


def typing_error(error: ClickUsageError, arguments: Sequence[str]) -> UsageError:
    """The parser's complaint in the form of every other failure."""
    return UsageError(_message(error), hint=_hint(error, arguments))


def _message(error: ClickUsageError) -> str:
    from typer._click.exceptions import NoSuchOption

    if isinstance(error, NoSuchOption):
        options = error.possibilities or []
        if _command(error) == _ROOT:
            options = [near] if (near := nearest(error.option_name, _ROOT_OPTIONS)) else []
        return (
            f"{error.message}. Did you mean {' or '.join(map(repr, options))}?" if options else error.message
        )
    message = " ".join(error.format_message().split())  # a list of choices comes on lines of its own
    for theirs, ours in _PLAIN:
        message = message.replace(theirs, ours)
    if found := _NO_CHOICE.fullmatch(error.message):
        meant = did_you_mean(found[1], found[2].strip("'").split("', '"))
        return f"{message} {meant.capitalize()}" if meant else message
    return message


def _hint(error: ClickUsageError, arguments: Sequence[str]) -> str:
    from typer._click.exceptions import NoSuchOption

    command = _command(error)
    if arguments[0] == "help":
        words = [word for word in arguments[1:2] if word in COMMANDS]
        return f"see: {' '.join([_ROOT, *words])} --help"
    if isinstance(error, NoSuchOption) and command == _ROOT and not nearest(error.option_name, _ROOT_OPTIONS):
        return f"options come after the command: {_ROOT} COMMAND {error.option_name}; see: {_ROOT} --help"
    return f"see: {command} --help"


def _command(error: ClickUsageError) -> str:
    return error.ctx.command_path if error.ctx else _ROOT
