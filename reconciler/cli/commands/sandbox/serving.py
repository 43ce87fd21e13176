"""``alter-sync sandbox``: serves the embedded Alter, moves its clock, uses keys, forgets it all."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reconciler.cli import options as opt
from reconciler.cli.boundary import guarded
from reconciler.errors import ExitCode, FileMissing, UsageError

if TYPE_CHECKING:
    from reconciler.sandbox import SandboxServer

SERVE_EPILOG = """\b
Examples:
  alter-sync sandbox serve                   prints the two variables to export, then serves
  alter-sync sandbox serve --port 8900 --key-file sandbox.key
  alter-sync sandbox serve --permissions agents:read   a key that may only read
"""
RESET_EPILOG = """\b
Example:
  alter-sync sandbox reset                   forget every agent and key
"""
ADVANCE_EPILOG = """\b
Examples:
  alter-sync sandbox advance 25h             move the sandbox's clock, e.g. past a grace period
  alter-sync sandbox advance 90d
"""
USE_EPILOG = """\b
Examples:
  alter-sync sandbox use secrets/nightly-sync.env     authenticate with the key in that file
  alter-sync sandbox use secrets/*.env                with those of several agents
"""

Database = Annotated[
    Path, typer.Option("--database", help="Where the sandbox keeps its state.", metavar="PATH")
]
Port = Annotated[int, typer.Option("--port", help="0 takes any free port.", min=0, max=65535, metavar="PORT")]
KeyFile = Annotated[
    Path | None,
    typer.Option("--key-file", help="Write the key there instead of printing it.", metavar="PATH"),
]
Permissions = Annotated[
    list[str],
    typer.Option("--permissions", help="Give a key with only this permission; repeatable.", metavar="NAME"),
]
Latency = Annotated[
    float,
    typer.Option(
        "--latency", help="Seconds that every answer takes longer.", min=0, max=60, metavar="SECONDS"
    ),
]
RateLimit = Annotated[
    int | None,
    typer.Option("--rate-limit", help="Requests a minute for each key; default none.", min=1, metavar="N"),
]
KeyFiles = Annotated[list[Path], typer.Argument(help="Files that hold a key each.", metavar="FILE...")]
UseLag = Annotated[
    str,
    typer.Option("--use-lag", help="How late a use of a key shows in last_used_at.", metavar="DURATION"),
]
Duration = Annotated[str, typer.Argument(help="How far, like 90d, 25h, 15m.", metavar="DURATION")]


def serve(
    *,
    database: Database = opt.DEFAULT_SANDBOX,
    port: Port = 0,
    key_file: KeyFile = None,
    permissions: Permissions = [],
    latency: Latency = 0.0,
    rate_limit: RateLimit = None,
    use_lag: UseLag = "0s",
    no_color: opt.NoColor = False,
) -> ExitCode:
    """Serve the embedded Alter on loopback until Ctrl-C: real HTTP, state in a SQLite file.

    Prints shell commands that point any client at it, this tool or the official alter-sdk.
    """
    console = opt.make_console(no_color=no_color)

    def action() -> ExitCode:
        from reconciler.cli.embedded import check_permissions, closing_database, make_server

        def announce() -> None:
            console.text(f"export ALTER_BASE_URL={server.base_url}")
            if key_file is None:
                console.text(f"export ALTER_API_KEY={shlex.quote(key)}")
            else:
                console.text(f"# the key is in {shlex.quote(str(key_file))}: use --api-key-file")
            console.say(f"serving {database}; Ctrl-C ends it")

        server = make_server(
            database,
            port=port,
            latency_seconds=latency,
            rate_limit_per_minute=rate_limit,
            last_used_lag_seconds=int(_length(use_lag).total_seconds()),
        )
        with closing_database(server):
            check_permissions(permissions)
            key = server.create_app_key(permissions) if permissions else server.app_key()
            if key_file is not None:
                write_key(key_file, key)
            try:
                server.run_forever(on_listening=announce)
            except OSError as error:
                what = f"port {port} cannot be used: {error.strerror}"
                raise UsageError(what, hint="use --port 0") from error
        return ExitCode.OK

    return guarded(console, action)


def reset(database: Database = opt.DEFAULT_SANDBOX) -> ExitCode:
    """Forget every agent, key and clock move of a sandbox that is not being served."""
    console = opt.make_console()

    def action() -> ExitCode:
        with _existing(database) as server:
            server.store.reset()
        console.say(f"{database} is empty")
        return ExitCode.OK

    return guarded(console, action)


def advance(duration: Duration, database: Database = opt.DEFAULT_SANDBOX) -> ExitCode:
    """Move the sandbox's clock ahead: staged scope changes fall due, keys grow older."""
    console = opt.make_console()

    def action() -> ExitCode:
        from reconciler.cli.embedded import SandboxClock

        length = _length(duration)
        with _existing(database) as server:
            try:
                server.store.advance_clock(length.total_seconds())
            except ValueError as error:
                raise UsageError(f"{duration} is too far: {error}") from error
            now = SandboxClock(server).now()
        console.text(f"the sandbox's time is now {now:%Y-%m-%d %H:%M:%S} UTC")
        return ExitCode.OK

    return guarded(console, action)


def _length(text: str) -> timedelta:
    from reconciler.config.times import parse_duration

    length = parse_duration(text)
    if length is None:
        raise UsageError(f"{text!r} is no duration", hint="like 90d, 25h or 15m")
    return length


def use(files: KeyFiles, database: Database = opt.DEFAULT_SANDBOX) -> ExitCode:
    """Be a workload: authenticate with the keys in files, so that the sandbox sees them in use.

    Says of each whether it works, and whether it is deprecated. The keys themselves are not shown.
    """
    console = opt.make_console()

    def action() -> ExitCode:
        refused = False
        with _existing(database) as server:
            for path in files:
                line = _used(server, path)
                refused = refused or line is None
                console.text(f"{path}: {line or 'its key is refused'}")
        return ExitCode.AUTH if refused else ExitCode.OK

    return guarded(console, action)


def _used(server: SandboxServer, path: Path) -> str | None:
    """What the sandbox answers to the key in a file; ``None`` when it refuses it."""
    from reconciler.cli.embedded import use_key
    from reconciler.model.secret import KEY_SHAPE

    try:
        found = KEY_SHAPE.search(path.read_text(encoding="utf-8", errors="replace"))
    except FileNotFoundError as error:
        raise FileMissing(f"there is no file {path}", hint="sinks of type file write such files") from error
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    if found is None:
        raise UsageError(f"there is no key in {path}", hint="sinks of type file write such files")
    return use_key(server, found[0])


@contextmanager
def _existing(database: Path) -> Iterator[SandboxServer]:
    from reconciler.cli.embedded import closing_database, make_server

    if not database.exists():
        raise FileMissing(
            f"there is no sandbox {database}", hint="start one with `alter-sync plan --sandbox`"
        )
    with closing_database(make_server(database)) as server:
        yield server


def write_key(path: Path, key: str, *, what: str = "key") -> None:
    """A credential into a file that only its owner reads."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            os.fchmod(descriptor, 0o600)  # a file that was there before keeps its mode otherwise
            file.write(key + "\n")
    except OSError as error:
        raise UsageError(f"the {what} file {path} cannot be written: {error.strerror}") from error
