"""``alter-sync sandbox dashboard``: an ``alter`` executable that works on a sandbox."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Annotated

import typer

from reconciler.cli import options as opt
from reconciler.cli.boundary import guarded
from reconciler.cli.commands.sandbox.serving import Database, write_key
from reconciler.errors import ExitCode, UsageError

EPILOG = """\b
Examples:
  eval "$(alter-sync sandbox dashboard)" && "$ALTER_CLI" agents list
  alter-sync sandbox dashboard --permissions dashboard_agents:read   a token that may only read
  alter-sync sandbox dashboard --user ana@example.com --token-file sandbox.pat
"""

Folder = Annotated[
    Path | None,
    typer.Option(
        "--folder",
        help="Where to write the executable; default bin/ beside the default database, PATH.bin/ of another.",
        metavar="PATH",
    ),
]
Permissions = Annotated[
    list[str],
    typer.Option("--permissions", help="Give a token with only this permission; repeatable.", metavar="NAME"),
]
User = Annotated[
    str | None,
    typer.Option("--user", help="Whose token it is, as the audit feed will say.", metavar="EMAIL"),
]
TokenFile = Annotated[
    Path | None,
    typer.Option("--token-file", help="Write the token there instead of printing it.", metavar="PATH"),
]


def dashboard(
    *,
    database: Database = opt.DEFAULT_SANDBOX,
    folder: Folder = None,
    permissions: Permissions = [],
    user: User = None,
    token_file: TokenFile = None,
) -> ExitCode:
    """Write an alter executable that works on the sandbox, and print how to use it.

    It works whether the sandbox is being served or not. The shell commands name it, a token and the app.
    """
    console = opt.make_console()

    def action() -> ExitCode:
        from reconciler.cli.embedded import (
            check_dashboard_permissions,
            closing_database,
            give_token,
            make_server,
            write_alter,
        )

        check_dashboard_permissions(permissions)
        if user is not None and not re.fullmatch(r"[^@\s]+@[^@\s]+", user):
            raise UsageError(f"--user {user}: this is no e-mail address")
        with closing_database(make_server(database)) as server:
            executable = write_alter(database, folder)
            token, app_id = give_token(server, permissions, user=user), server.app_id()
        if token_file is not None:
            write_key(token_file, token, what="token")
        console.text(f"export ALTER_CLI={shlex.quote(str(executable))}")
        if token_file is None:
            console.text(f"export ALTER_PAT={shlex.quote(token)}")
        else:
            console.text(f"# the token is in {shlex.quote(str(token_file))}: set ALTER_PAT to it")
        console.text(f"export ALTER_APP_ID={shlex.quote(app_id)}")
        return ExitCode.OK

    return guarded(console, action)
