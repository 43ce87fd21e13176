"""The options that several commands share, each defined once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from reconciler.cli.completion import agent_names, allowances, report_formats
from reconciler.cli.console import Console, OutputFormat
from reconciler.errors import UsageError

# A bare `--sandbox` becomes this, because the option parser knows no optional values (see `main.py`).
DEFAULT_SANDBOX = Path(".alter-sync/sandbox.sqlite3")

Config = Annotated[
    list[Path],
    typer.Option(
        "--config",
        "-c",
        help="File or folder with the declared agents; may be given several times.",
        metavar="PATH",
    ),
]
DEFAULT_CONFIG = [Path("agents.yaml")]

# How many agents are worked on, and how many requests are under way, at once and at most.
DEFAULT_PARALLELISM = 32

Target = Annotated[
    list[str],
    typer.Option(
        "--target",
        help="Only agents of this name, or matching this glob; repeatable.",
        metavar="NAME|GLOB",
        autocompletion=agent_names,
    ),
]
Shard = Annotated[
    str,
    typer.Option(
        "--shard",
        help="Only part K of N of the agents, by a hash of their names; auto: as Kubernetes or GitLab count.",
        metavar="K/N",
        show_default=False,
    ),
]
Allow = Annotated[
    list[str],
    typer.Option(
        "--allow",
        help="Let one agent pass one guard, or all agents with GUARD alone; repeatable.",
        metavar="GUARD[=AGENT]",
        autocompletion=allowances,
    ),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Parallelism = Annotated[
    int,
    typer.Option(
        "--parallelism",
        help="How many agents are worked on at once, at most; slow answers and the rate limit make it fewer.",
        min=1,
        max=64,
    ),
]
Report = Annotated[
    list[str],
    typer.Option(
        "--report",
        help="Also write a report of this format to this file; repeatable. Written on failure, too.",
        metavar="FORMAT=PATH",
        autocompletion=report_formats,
    ),
]
Policy = Annotated[
    list[Path],
    typer.Option(
        "--policy",
        help="Also ask the rules in this folder about every operation; repeatable.",
        metavar="DIR",
    ),
]
MaxChars = Annotated[
    int | None,
    typer.Option(
        "--max-chars",
        help="How long a markdown report may be: what has no room is left out, the gravest last. "
        "Default: 65000, which fits into a comment on GitHub.",
        min=4_000,
        show_default=False,
        metavar="N",
    ),
]
Metrics = Annotated[
    Path | None,
    typer.Option("--metrics", help="Write metrics of this run for Prometheus to this file.", metavar="FILE"),
]
Notify = Annotated[
    list[str],
    typer.Option(
        "--notify",
        help="Tell a channel when there is something to tell: the name of the environment variable with the "
        "webhook's address; repeatable.",
        metavar="slack=VARIABLE",
    ),
]
NotifyState = Annotated[
    Path | None,
    typer.Option(
        "--notify-state", help="Remember here what was told last, and do not tell it twice.", metavar="FILE"
    ),
]
OnlyDrift = Annotated[
    bool, typer.Option("--only-drift", help="Put back what was changed outside, and do nothing else.")
]
Output = Annotated[OutputFormat, typer.Option("--output", "-o", help="How to write the data on stdout.")]
Fields = Annotated[
    str, typer.Option("--fields", help="Only these fields of the json or jsonl output.", metavar="A,B")
]
Sandbox = Annotated[
    Path | None,
    typer.Option(
        "--sandbox",
        help="Use the embedded Alter instead of the real one, its state in PATH "
        f"(default {DEFAULT_SANDBOX}): --sandbox or --sandbox=PATH.",
        metavar="[=PATH]",
        show_default=False,
    ),
]
ApiKeyFile = Annotated[
    Path | None,
    typer.Option("--api-key-file", help="Read the app's runtime key from this file.", metavar="PATH"),
]
NoColor = Annotated[bool, typer.Option("--no-color", help="No colours, also on a terminal.")]
NoInput = Annotated[bool, typer.Option("--no-input", help="Never ask; fail where an answer is needed.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Only data and errors.")]
Verbose = Annotated[
    int, typer.Option("--verbose", "-v", count=True, help="Say more; -vv even more.", show_default=False)
]
TraceFile = Annotated[
    Path | None,
    typer.Option(
        "--trace",
        help="Append what happens to this file: requests, retries, agents, sinks; no secrets.",
        metavar="FILE",
    ),
]


def make_console(
    *,
    output: OutputFormat = OutputFormat.TABLE,
    fields: str = "",
    no_color: bool = False,
    no_input: bool = False,
    quiet: bool = False,
    verbose: int = 0,
) -> Console:
    """The console that the options ask for."""
    chosen = tuple(field for field in fields.split(",") if field)
    if chosen and output is OutputFormat.TABLE:
        raise UsageError("--fields needs --output json or jsonl", hint="add --output json")
    return Console(
        output=output,
        fields=chosen,
        color=not no_color,
        interactive=not no_input,
        verbosity=-1 if quiet else verbose,
    )
