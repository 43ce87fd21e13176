"""Makes groups of commands whose help is plain, and shows a command's own options before the shared ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperCommand

if TYPE_CHECKING:
    from typer._click import Context, HelpFormatter

# What several commands take, by the names of the parameters, in the order of the page.
_SHARED = {
    "Which agents": ("target", "shard"),
    "Reports": ("report", "max_chars", "metrics", "notify", "notify_state"),
    "Common options": (
        *("config", "output", "fields", "sandbox", "api_key_file", "trace"),
        *("no_color", "no_input", "quiet", "verbose", "help"),
    ),
}
_SECTION_OF = {name: section for section, names in _SHARED.items() for name in names}


class PlainCommand(TyperCommand):
    """A command with its options in sections."""

    def format_options(self, ctx: Context, formatter: HelpFormatter) -> None:
        """Arguments, its own options, then those that it shares."""
        sections: dict[str, list[tuple[str, str]]] = {
            "Arguments": [],
            "Options": [],
            **{name: [] for name in _SHARED},
        }
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            own = "Arguments" if param.param_type_name == "argument" else "Options"
            if record is not None:
                sections[_SECTION_OF.get(param.name or "", own)].append(record)
        for title, records in sections.items():
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)


class PlainGroup(typer.Typer):
    """A group that starts quickly and reads well in a log; ``describe`` is what it does when called bare."""

    def __init__(self, describe: Callable[..., Any] | None = None, *, epilog: str | None = None) -> None:
        super().__init__(invoke_without_command=True, add_completion=False, rich_markup_mode=None)
        if describe is not None:
            self.callback(epilog=epilog)(describe)

    def command(self, name: str | None = None, **settings: Any) -> Callable[..., Any]:
        """Adds a command."""
        return super().command(name, cls=PlainCommand, **settings)
