"""Says what the shell may offer next: commands, options and their values, guards, names of declared agents.

The scripts of ``alter-sync completion`` call ``alter-sync __complete SHELL LINE``, the line up to the cursor,
and get one candidate in each line of the answer, for zsh and fish with a tab and its meaning.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer
from typer._click.exceptions import ClickException
from typer._click.shell_completion import CompletionItem, ShellComplete, split_arg_string
from typer.main import get_command

from reconciler.cli.console import Console
from reconciler.errors import ExitCode


def complete(console: Console, arguments: Sequence[str]) -> ExitCode:
    """Answers one shell. A line that makes no sense so far has no candidates, and nobody could read why."""
    from reconciler.cli.app import build_app

    shell, line = (*arguments, "", "")[:2]
    try:
        answer = _Line(get_command(build_app()), shell, line).complete()
    except ClickException:
        return ExitCode.OK
    if answer:
        console.text(answer)
    return ExitCode.OK


class _Line(ShellComplete):
    """One line up to the cursor; ``complete`` gives the answer."""

    def __init__(self, command: Any, shell: str, line: str) -> None:
        super().__init__(command, {}, "alter-sync", "")
        words = split_arg_string(line)[1:]
        self._shell = shell
        # The word that the cursor stands in may be empty, or lack the quote at its end.
        self._incomplete = words.pop() if words and not line[-1:].isspace() else ""
        self._words = words

    def get_completion_args(self) -> tuple[list[str], str]:
        """The words before the cursor, and the one that it stands in."""
        return self._words, self._incomplete

    def format_completion(self, item: CompletionItem) -> str:
        """A line of the answer. Candidates for the value in ``--option=value`` come without the option."""
        option, equals, _ = self._incomplete.partition("=")
        word = f"{option}={item.value}" if equals and option.startswith("-") else str(item.value)
        if self._shell == "bash":  # there a word ends with each `=`, and what is inserted is not quoted
            rest = word[self._incomplete.rfind("=") + 1 :]
            return shlex.quote(rest) if "*" in rest else rest
        return f"{word}\t{' '.join(item.help.split())}" if item.help else word

    def source_vars(self) -> dict[str, Any]:
        """None: the scripts are in ``commands/completion.py``."""
        return {}


def agent_names(ctx: typer.Context, incomplete: str) -> list[str]:
    """The names of the declared agents; of one with placeholders the glob of what it stands for."""
    from reconciler.cli.options import DEFAULT_CONFIG
    from reconciler.config.names import names_in_files

    # Not converted to paths yet: the line is not complete.
    given = ctx.params.get("config") or DEFAULT_CONFIG
    return [name for name in names_in_files([Path(path) for path in given]) if name.startswith(incomplete)]


def single_agents(ctx: typer.Context, incomplete: str) -> list[str]:
    """The names of declared agents where a glob is not taken."""
    return [name for name in agent_names(ctx, incomplete) if "*" not in name]


def allowances(ctx: typer.Context, incomplete: str) -> list[str]:
    """Guards, each with ``=``; after that the agents that it may let through."""
    from reconciler.planning.guards import ABSOLUTE, REFUSERS

    guard, equals, agent = incomplete.partition("=")
    if equals:
        return [f"{guard}={name}" for name in single_agents(ctx, agent)]
    return [f"{name}=" for name in REFUSERS if name not in ABSOLUTE]


def report_formats(incomplete: str) -> list[str]:
    """The formats of ``--report``, each with ``=``; after that comes a file, which the shell knows."""
    from reconciler.reports.formats import FORMATS

    return [] if "=" in incomplete else [f"{name}=" for name in FORMATS]
