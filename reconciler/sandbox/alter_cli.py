"""The `alter` executable of a sandbox: `python -m reconciler.sandbox.alter_cli agents …`."""

import json
import os
import sqlite3
import sys
import time
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TextIO

from reconciler.sandbox import alter_output, validation
from reconciler.sandbox.alter_arguments import HelpAsked, Usage, output_of, read_arguments
from reconciler.sandbox.answers import Invalid, Json, Refusal
from reconciler.sandbox.dashboard import Dashboard
from reconciler.sandbox.settings import SandboxSettings
from reconciler.sandbox.store import Store

DATABASE = "ALTER_SANDBOX_DATABASE"
SETTINGS = "ALTER_SANDBOX_SETTINGS"
"""Optional: the fields of SandboxSettings as JSON, for a server that was started with others."""
PAT = "ALTER_PAT"
APP = "ALTER_APP_ID"

_BODY_FIELDS = ("name", "display_name", "type", "scopes")
_EXIT_CODES = {400: 2, 401: 3, 403: 3, 404: 4, 409: 5, 422: 2, 429: 6}

Command = Callable[[Dashboard, Namespace], dict[str, Json]]

_COMMANDS: dict[str, Command] = {
    "list": lambda dashboard, given: dashboard.list_agents(
        limit=given.limit,
        offset=given.offset,
        statuses=given.status,
        type=given.type,
        provider=given.provider,
        search=given.search,
    ),
    "create": lambda dashboard, given: dashboard.create_agent(given.body),
    "show": lambda dashboard, given: dashboard.show_agent(given.agent),
    "audit": lambda dashboard, given: dashboard.audit_feed(
        given.agent, limit=given.limit, offset=given.offset
    ),
    "registry-list": lambda dashboard, given: dashboard.list_actors(limit=given.limit, offset=given.offset),
    "registry-show": lambda dashboard, given: dashboard.show_actor(given.agent),
    "update": lambda dashboard, given: dashboard.update_agent(given.agent, given.body),
    "revoke": lambda dashboard, given: dashboard.revoke_agent(given.agent),
    "mint-key": lambda dashboard, given: dashboard.mint_key(given.agent),
    "list-keys": lambda dashboard, given: dashboard.list_keys(given.agent),
    "revoke-key": lambda dashboard, given: dashboard.revoke_key(given.agent, given.key, force=given.force),
    "deprecate-key": lambda dashboard, given: dashboard.set_deprecated(
        given.agent, given.key, deprecated=True
    ),
    "undeprecate-key": lambda dashboard, given: dashboard.set_deprecated(
        given.agent, given.key, deprecated=False
    ),
}
_COLUMNS = {
    "list": alter_output.AGENTS,
    "list-keys": alter_output.KEYS,
    "audit": alter_output.EVENTS,
    "registry-list": alter_output.ACTORS,
}


def main(
    words: Sequence[str], *, stdin: TextIO, stdout: TextIO, stderr: TextIO, environ: Mapping[str, str]
) -> int:
    """Runs one command and returns its exit code: 0 to 6, as Alter's command line has them."""
    try:
        given = read_arguments(words)
        _prepare(given, stdin, stderr)
        answer = _carry_out(given, environ)
    except HelpAsked as asked:
        stdout.write(str(asked))
        return 0
    except Refusal as refusal:
        stdout.write(alter_output.failure_document(refusal, output_of(words)))
        stderr.write(alter_output.failure_text(refusal))
        return _EXIT_CODES.get(refusal.status, 1)
    stdout.write(alter_output.render(answer, given.output, columns=_COLUMNS.get(given.command, ())))
    if "api_key" in answer and given.output == "table":
        stderr.write(f"{alter_output.KEY_IS_SHOWN_ONCE}\n")
    return 0


def _prepare(given: Namespace, stdin: TextIO, stderr: TextIO) -> None:
    """What comes before the first look at the database: bodies are read, and people are asked."""
    if given.command == "create":
        given.body = _body_to_create(given, stdin)
    elif given.command == "update":
        given.body = _body_to_update(given)
    elif given.command == "revoke":
        _ask(f"Revoke agent {given.agent} and all of its keys?", given, stdin, stderr)
    elif given.command == "revoke-key":
        _ask(f"Revoke key {given.key} of agent {given.agent}?", given, stdin, stderr)


def _carry_out(given: Namespace, environ: Mapping[str, str]) -> dict[str, Json]:
    app, token = given.app or environ.get(APP), environ.get(PAT)
    if not app:
        raise Usage("no app is named", hint=f"use --app ID, or set {APP}")
    path, settings = _sandbox(environ)
    if not token:
        raise Refusal(401, "token_missing", message="No token was given.", hint=f"Set {PAT}.")
    time.sleep(settings.latency_seconds)
    try:
        with closing(Store(path, settings)) as store:
            return _COMMANDS[given.command](Dashboard(store, token, app), given)
    except sqlite3.Error as error:
        raise Refusal(500, "database_error", message=f"The sandbox {path}: {error}.") from error


def _sandbox(environ: Mapping[str, str]) -> tuple[Path, SandboxSettings]:
    path = environ.get(DATABASE)
    if not path or not Path(path).is_file():
        raise Usage(f"there is no sandbox {path or ''}".rstrip(), hint=f"{DATABASE} names its database")
    try:
        return Path(path), SandboxSettings(**json.loads(environ.get(SETTINGS) or "{}"))
    except (TypeError, ValueError) as error:
        raise Usage(f"{SETTINGS} holds no settings: {error}") from error


def _body_to_create(given: Namespace, stdin: TextIO) -> dict[str, Json]:
    values = {field: getattr(given, field) for field in _BODY_FIELDS}
    fields = {field: value for field, value in values.items() if value is not None}
    if given.input is None:
        if "name" not in fields:
            raise Usage("--name is required unless --input is given")
        if "scopes" in fields:
            fields["scopes"] = _read_object(fields["scopes"], "--scopes")
        return fields
    if fields:
        flags = ", ".join(f"--{field.replace('_', '-')}" for field in fields)
        raise Usage(f"--input replaces the other fields: not allowed with {flags}")
    body = _read_object(_read_input(given.input, stdin), "--input")
    unsettable = [field for field in ("metadata", "policy") if field in body]
    if unsettable:
        what = f"{' and '.join(unsettable)} cannot be set when an agent is created"
        raise Usage(what, hint="set metadata afterwards with `alter agents update --metadata`")
    return body


def _body_to_update(given: Namespace) -> dict[str, Json]:
    body: dict[str, Json] = {}
    if given.display_name is not None:
        body["display_name"] = given.display_name
    if given.metadata is not None:
        body["metadata"] = _read_object(given.metadata, "--metadata")
    if not body:
        raise Usage("at least one of --display-name and --metadata is required")
    return body


def _read_input(source: str, stdin: TextIO) -> str:
    try:
        if source == "-":
            return stdin.read()
        if source.startswith("@"):
            return Path(source[1:]).read_text(encoding="utf-8")
    except OSError as error:
        raise Usage(f"--input {source} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise Usage(f"--input {source} is not UTF-8 text") from error
    raise Usage("--input must be @FILE, or - for standard input")


def _read_object(text: str, flag: str) -> dict[str, Json]:
    try:
        if text.strip():
            return validation.read_object(text.encode())
    except (Invalid, UnicodeEncodeError):
        pass
    raise Usage(f"{flag} must be a JSON object")


def _ask(question: str, given: Namespace, stdin: TextIO, stderr: TextIO) -> None:
    if given.yes:
        return
    if not stdin.isatty():
        raise Usage("there is no terminal to ask on", hint="use --yes")
    stderr.write(f"{question} [y/N] ")
    stderr.flush()
    if stdin.readline().strip().lower() not in ("y", "yes"):
        raise Refusal(499, "declined", message="Nothing was revoked.")


def run() -> int:
    """The process: UTF-8 on every stream, whatever the machine is set to."""
    try:
        with (
            open(0, encoding="utf-8", closefd=False) as stdin,
            open(1, "w", encoding="utf-8", closefd=False) as stdout,
            open(2, "w", encoding="utf-8", errors="replace", closefd=False) as stderr,
        ):
            return main(sys.argv[1:], stdin=stdin, stdout=stdout, stderr=stderr, environ=os.environ)
    except BrokenPipeError:  # whoever read the output has read enough
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(run())
