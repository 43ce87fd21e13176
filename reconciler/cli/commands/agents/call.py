"""What every command of ``alter-sync agents`` takes, and how it comes to a session and to an agent."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from reconciler.cli import options as opt
from reconciler.cli.call import taking
from reconciler.cli.completion import single_agents
from reconciler.cli.console import Console, OutputFormat
from reconciler.cli.source import Source, has_token
from reconciler.cli.wiring import Configuration, Session, connected, load_configuration
from reconciler.errors import AlterSyncError, CredentialMissing, UsageError
from reconciler.model.caller import BY_HAND
from reconciler.model.desired import AppRef, Desired
from reconciler.model.diagnostic import Position

if TYPE_CHECKING:
    from reconciler.applying.context import RunContext
    from reconciler.ports import AuditFeed

App = Annotated[
    str | None,
    typer.Option(
        "--app",
        help="The app, for the dashboard plane; default ALTER_APP_ID. A runtime key knows its app.",
        metavar="ID",
    ),
]
Config = Annotated[
    list[Path],
    typer.Option(
        "--config",
        "-c",
        help="Where app and sinks are declared; default agents.yaml, if there is one.",
        metavar="PATH",
        show_default=False,
    ),
]
Agent = Annotated[
    str,
    typer.Option(
        "--agent",
        help="The agent, by id or by name.",
        metavar="ID|NAME",
        autocompletion=single_agents,
    ),
]
Key = Annotated[str, typer.Option("--key", help="The key, by id.", metavar="KEY-ID")]


@dataclass(frozen=True, slots=True)
class Call:
    """One command line: where it writes, and where its session comes from."""

    console: Console
    source: Source
    names_config: bool

    def command(self, *words: str) -> str:
        """How this user would call another command of the group."""
        app = () if self.source.app_id is None else ("--app", self.source.app_id)
        return self.source.command("agents", *words, *app)

    def configuration(self, *, is_needed: bool = False) -> Desired | None:
        """The configuration, if there is one. A broken one is only told, unless it is named or needed."""
        if not self.names_config and not self.source.config[0].exists():
            if is_needed:
                raise UsageError(
                    f"--sink needs a configuration, and there is no {self.source.config[0]}",
                    hint="name one with -c, or print the key once with --show-key",
                )
            return None
        try:
            return load_configuration(self.source).desired
        except AlterSyncError as error:
            if self.names_config or is_needed:
                raise
            self.console.alarm(
                f"warning: {self.source.config[0]} is not used: {error.message}; see `alter-sync validate`"
            )
            return None

    @contextmanager
    def session(
        self,
        desired: Desired | None,
        *,
        is_stopping: Callable[[], bool] = lambda: False,
        is_for_feed: bool = False,
    ) -> Iterator[Session]:
        """Connects, to the app of the configuration if there is one."""
        app = desired.app if desired else AppRef("")
        minimal = Desired(BY_HAND, app, agents={}, position=Position(str(self.source.config[0]), 1, 1))
        with connected(
            self.console, self.source, Configuration(minimal, ()), is_stopping=is_stopping
        ) as session:
            if self.source.app_id is not None and session.plane == "sdk" and not is_for_feed:
                variable = app.api_key_env if self.source.api_key_file is None else "the API key file"
                self.console.say(
                    f"note: --app does not matter here, the key in {variable} belongs to one app"
                )
            yield session

    @contextmanager
    def feed(self, permission: str) -> Iterator[tuple[Session, AuditFeed]]:
        """Connects to what the dashboard plane alone knows; refused without its credential."""
        if self.source.sandbox is None and not has_token():
            raise CredentialMissing(
                "this is on the dashboard plane alone, and there is no personal access token for it",
                hint=f"set ALTER_PAT to a token with the permission {permission}, and ALTER_APP_ID or --app",
            )
        with self.session(self.configuration(), is_for_feed=True) as session:
            if session.feed is None:
                raise AssertionError("with a token there is a feed")
            yield session, session.feed

    def check_fields(self, sample: Mapping[str, Any]) -> None:
        """Refuses a field that the answer will not have while nothing is done yet."""
        if self.console.fields:
            from reconciler.reports.json_document import select_fields

            select_fields(sample, self.console.fields)

    def confirm(self, question: str, *, verb: str) -> None:
        """Comes back after a yes, and after nothing else."""
        if not self.console.can_ask():
            raise UsageError(
                f"{verb} asks before it changes anything, and there is nobody to answer", hint="pass --yes"
            )
        if not self.console.confirms(question):
            raise AlterSyncError("nothing was changed: the answer was no", code="declined")

    def notice(self, text: str) -> None:
        """Says something about what was done, on stderr, also when quiet was asked for."""
        if text:
            self.console.alarm(f"{self.console.style(sys.stderr).yellow('note')}: {text}")


def run_context(session: Session, desired: Desired | None = None) -> RunContext:
    """For what is carried out here: a run of no plan. Sinks see the owner of the configuration."""
    from reconciler.applying.context import RunContext
    from reconciler.model.mark import RunId
    from reconciler.planning.facts import Allowances

    known = desired or session.desired
    return RunContext(
        run=RunId(""), desired=known, api=session.api, sinks={}, clock=session.clock, allow=Allowances()
    )


def _call(
    *,
    app: App = None,
    config: Config = [],
    output: opt.Output = OutputFormat.TABLE,
    fields: opt.Fields = "",
    sandbox: opt.Sandbox = None,
    api_key_file: opt.ApiKeyFile = None,
    no_color: opt.NoColor = False,
    no_input: opt.NoInput = False,
    quiet: opt.Quiet = False,
    verbose: opt.Verbose = 0,
) -> Call:
    console = opt.make_console(
        output=output, fields=fields, no_color=no_color, no_input=no_input, quiet=quiet, verbose=verbose
    )
    source = Source(config or opt.DEFAULT_CONFIG, sandbox, api_key_file, app)
    return Call(console, source, names_config=bool(config))


with_call = taking(_call, speaks_to_alter=True)
