"""The command line of the `alter` executable, flag by flag as Alter documents it."""

import argparse
import re
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, NoReturn, get_args

from reconciler.sandbox.alter_output import OutputFormat
from reconciler.sandbox.answers import Refusal

STATUSES = ("active", "inactive", "revoked")
TYPES = ("agent", "service")
_LAST_OFFSET = 9_999_999_999


class Usage(Refusal):
    """A command line that cannot be used as given."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(400, "usage", message=message, hint=hint)


class HelpAsked(Exception):
    """Holds the text that was asked for."""


def read_arguments(words: Sequence[str]) -> argparse.Namespace:
    """`command` is the name of one of the 13. Raises Usage or HelpAsked."""
    if any(re.search("[\ud800-\udfff\0]", word) for word in words):
        raise Usage("an argument is not valid text")
    return _parser().parse_args(words)


def output_of(words: Sequence[str]) -> OutputFormat:
    """The format for a failure of reading the words themselves."""
    asked = [after for word, after in pairwise(words) if word == "--output"]
    asked += [word.removeprefix("--output=") for word in words if word.startswith("--output=")]
    return next((one for one in get_args(OutputFormat) if one in asked), "table")


class _Parser(argparse.ArgumentParser):
    def __init__(self, **options: Any) -> None:
        super().__init__(allow_abbrev=False, **options)

    def error(self, message: str) -> NoReturn:
        raise Usage(message, hint=f"see: {self.prog} --help")

    def print_help(self, file: object = None) -> NoReturn:  # noqa: ARG002
        raise HelpAsked(self.format_help())


def _parser() -> _Parser:
    alter = _Parser(prog="alter", description="The executable of an embedded Alter, for tests and trials.")
    groups = alter.add_subparsers(metavar="GROUP", required=True)
    group = groups.add_parser("agents", help="manage agents and their API keys")
    commands = group.add_subparsers(dest="command", metavar="COMMAND", required=True)

    def add(name: str, help_text: str, *targets: str, page_size: int = 0) -> _Parser:
        command: _Parser = commands.add_parser(name, help=help_text)
        for target in targets:
            command.add_argument(target, required=True, metavar="ID")
        if page_size:
            command.add_argument("--limit", type=_number(1, page_size), default=50, metavar=f"1-{page_size}")
            command.add_argument("--offset", type=_number(0, _LAST_OFFSET), default=0, metavar="N")
        command.add_argument("--app", metavar="ID", help="the app; ALTER_APP_ID when it is not given")
        command.add_argument("--output", choices=get_args(OutputFormat), default="table")
        return command

    _add_filters(add("list", "the managed agents", page_size=1000))
    _add_fields(add("create", "create an agent and its first key"))
    add("show", "one agent", "--agent")
    add("audit", "what was done to one agent, newest first", "--agent", page_size=500)
    add("registry-list", "the actors that were seen at work", page_size=1000)
    add("registry-show", "one of them", "--agent")
    update = add("update", "change what is cosmetic", "--agent")
    update.add_argument("--display-name", metavar="TEXT")
    update.add_argument("--metadata", metavar="JSON", help="an object, which replaces the one that is there")
    _add_yes(add("revoke", "revoke an agent and all of its keys", "--agent"))
    add("mint-key", "make one more key", "--agent")
    add("list-keys", "every key of an agent", "--agent")
    revoke_key = add("revoke-key", "revoke one key", "--agent", "--key")
    revoke_key.add_argument("--force", action="store_true", help="also the last one that is not revoked")
    _add_yes(revoke_key)
    add("deprecate-key", "mark a key that is to be retired; it still works", "--agent", "--key")
    add("undeprecate-key", "take the mark back", "--agent", "--key")
    return alter


def _add_filters(command: _Parser) -> None:
    command.add_argument("--status", type=_statuses, default=[], metavar="LIST", help=",".join(STATUSES))
    command.add_argument("--type", choices=TYPES)
    command.add_argument("--provider", metavar="NAME", help="only agents with scopes of it")
    command.add_argument("--search", metavar="TEXT", help="part of a name or a display name")


def _add_fields(command: _Parser) -> None:
    # Without defaults, so that a field that was given beside --input is noticed.
    command.add_argument("--name", metavar="NAME")
    command.add_argument("--display-name", metavar="TEXT")
    command.add_argument("--type", choices=TYPES, help="agent when it is not given")
    command.add_argument("--scopes", metavar="JSON", help='like {"google": ["drive.file"]}')
    command.add_argument("--input", metavar="@FILE|-", help="a JSON body, instead of the other fields")


def _add_yes(command: _Parser) -> None:
    command.add_argument("--yes", action="store_true", help="do not ask")


def _number(low: int, high: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,10}", text) or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(f"must be a number from {low} to {high}")
        return int(text)

    return read


def _statuses(text: str) -> list[str]:
    names = text.split(",")
    if not set(names) <= set(STATUSES):
        raise argparse.ArgumentTypeError(f"must be some of {', '.join(STATUSES)}, with commas between them")
    return names
