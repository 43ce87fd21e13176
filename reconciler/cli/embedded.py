"""Runs the embedded Alter inside this process for one command."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from time import sleep
from typing import TYPE_CHECKING

from reconciler.cli.options import DEFAULT_SANDBOX
from reconciler.errors import UsageError
from reconciler.model.secret import Secret

if TYPE_CHECKING:
    from reconciler.ports import Clock
    from reconciler.sandbox import SandboxServer

_SQLITE = b"SQLite format 3\0"
_WRAPPER_HEAD = "#!/bin/sh\n# The alter executable of one sandbox, written by alter-sync.\n"


# By their databases, each with how many use it: sessions of one process share a server.
_RUNNING: dict[Path, tuple[SandboxServer, int]] = {}
_STARTING = Lock()


@dataclass(frozen=True, slots=True)
class SandboxAccess:
    """The credentials that may do everything in one app: a key and a person's token."""

    app_key: Secret
    pat: Secret
    app_id: str


@dataclass(frozen=True, slots=True)
class RunningSandbox:
    """How to reach it. ``is_new``: nothing else in this process uses it yet."""

    server: SandboxServer
    address: str
    clock: Clock
    is_new: bool

    def add_app(self, name: str) -> None:
        """Gives an app of its own to whoever asks for this name from now on."""
        self.server.app_id(name)

    def access(self, app: str) -> SandboxAccess:
        """The app of that name if there is one, and else the first one, where most have all they do."""
        chosen = (app,) if self.server.has_app(app) else ()
        key, pat = self.server.app_key(*chosen), self.server.pat(*chosen)
        return SandboxAccess(Secret(key), Secret(pat), self.server.app_id(*chosen))

    @property
    def alter_cli(self) -> Path:
        """Its ``alter`` executable, written when somebody asks for it; ``UsageError`` if that cannot be."""
        return write_alter(self.server.database)


class SandboxClock:
    """The time that the sandbox believes in; waiting takes real time."""

    def __init__(self, server: SandboxServer) -> None:
        self._server = server

    def now(self) -> datetime:
        """The sandbox's time."""
        return datetime.fromtimestamp(self._server.store.now(), UTC)

    def sleep(self, seconds: float) -> None:
        """Waits."""
        sleep(seconds)


def make_server(
    database: Path,
    *,
    port: int = 0,
    latency_seconds: float = 0.0,
    rate_limit_per_minute: int | None = None,
    last_used_lag_seconds: int = 0,
) -> SandboxServer:
    """A sandbox on a database file."""
    from reconciler.sandbox import SandboxServer, SandboxSettings

    _check_database(database)
    settings = SandboxSettings(
        latency_seconds=latency_seconds,
        rate_limit_per_minute=rate_limit_per_minute,
        last_used_lag_seconds=last_used_lag_seconds,
    )
    return SandboxServer(database, port=port, settings=settings)


@contextmanager
def closing_database(server: SandboxServer) -> Iterator[SandboxServer]:
    """A sandbox that is looked into, or that serves by itself."""
    try:
        yield server
    finally:
        server.stop()


def check_permissions(names: Iterable[str]) -> None:
    """Refuses a permission that Alter does not have: a key with it could do nothing."""
    from reconciler.sandbox.catalog import APP_PERMISSIONS

    _check_names(names, APP_PERMISSIONS)


def check_dashboard_permissions(names: Iterable[str]) -> None:
    """The same for a personal access token."""
    from reconciler.sandbox.catalog import DASHBOARD_PERMISSIONS

    _check_names(names, DASHBOARD_PERMISSIONS)


def _check_names(names: Iterable[str], known: Sequence[str]) -> None:
    from reconciler.model.nearest import did_you_mean

    for name in names:
        if name not in known:
            hint = did_you_mean(name, known) or "permissions are: " + ", ".join(known)
            raise UsageError(f"--permissions {name}: there is no such permission", hint=hint)


def give_token(server: SandboxServer, permissions: Sequence[str], *, user: str | None) -> str:
    """The token that may do everything, or a new one when a special one is asked for."""
    from reconciler.sandbox.catalog import DASHBOARD_PERMISSIONS

    if not permissions and user is None:
        return server.pat()
    owner = {} if user is None else {"user": user}
    return server.create_pat(permissions or DASHBOARD_PERMISSIONS, **owner)


def use_key(server: SandboxServer, api_key: str) -> str | None:
    """What becomes of a workload that authenticates with this key; ``None`` when it is refused."""
    from reconciler.sandbox.answers import Refusal

    try:
        key_id = server.use_key(api_key)
    except Refusal:
        return None
    row = server.store.row("SELECT deprecated_at FROM keys WHERE id = ?", key_id)
    deprecated = row is not None and row["deprecated_at"] is not None
    return f"key {key_id} works" + (", and is deprecated" if deprecated else "")


@contextmanager
def running_sandbox(database: Path) -> Iterator[RunningSandbox]:
    """The sandbox, on a free loopback port, as long as this is open."""
    place = database.absolute()
    with _STARTING:
        server, users = _RUNNING.get(place) or (make_server(database), 0)
        if not users:
            server.start()
        _RUNNING[place] = server, users + 1
    try:
        yield RunningSandbox(server, server.base_url, SandboxClock(server), is_new=not users)
    finally:
        with _STARTING:
            server, users = _RUNNING.pop(place)
            if users > 1:
                _RUNNING[place] = server, users - 1
            else:
                server.stop()


def write_alter(database: Path, folder: Path | None = None) -> Path:
    """The ``alter`` executable of a sandbox, written only if it is not there as it has to be.

    ``UsageError`` when another program's file is in its place, or when a shell would find it as ``alter``.
    """
    database = database.absolute()
    path = (_own_folder(database) if folder is None else folder.absolute()) / "alter"
    # -P: a folder named like one of our modules must not be imported from wherever it is called.
    call = shlex.join([sys.executable, "-P", "-m", "reconciler.sandbox.alter_cli"])
    setting = f"export ALTER_SANDBOX_DATABASE={shlex.quote(str(database))}"
    wanted = os.fsencode(f'{_WRAPPER_HEAD}{setting}\nexec {call} "$@"\n')
    try:
        if not os.path.lexists(path):
            _check_search_path(path.parent)
        elif _read_wrapper(path) == wanted and os.access(path, os.X_OK):
            return path
        path.parent.mkdir(parents=True, exist_ok=True)
        _replace(path, wanted)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from error
    return path


def _own_folder(database: Path) -> Path:
    """Sandboxes that share a folder do not share an executable; and ``~/bin`` is nobody's but the user's."""
    if database.parts[-len(DEFAULT_SANDBOX.parts) :] == DEFAULT_SANDBOX.parts:
        return database.with_name("bin")
    return database.with_name(f"{database.name}.bin")


def _check_search_path(folder: Path) -> None:
    searched = (Path(entry).resolve() for entry in os.get_exec_path() if entry)
    if folder.resolve() in searched:
        what = f"{folder} is on the PATH: its `alter` would be taken for the real one"
        raise UsageError(what, hint="name another folder; ALTER_CLI leads to it")


def _read_wrapper(path: Path) -> bytes:
    content = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
    if not content.startswith(_WRAPPER_HEAD.encode()):
        raise UsageError(
            f"{path} is there already, and alter-sync did not write it", hint="name another folder"
        )
    return content


def _replace(path: Path, content: bytes) -> None:
    """At once: another run of ours may be calling it."""
    with TemporaryDirectory(dir=path.parent) as folder:
        new = Path(folder, path.name)
        new.write_bytes(content)
        new.chmod(0o755)
        os.replace(new, path)


def _check_database(path: Path) -> None:
    """Makes the folder, and refuses a file that something else wrote."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab+") as file:
            file.seek(0)
            is_database = file.read(len(_SQLITE)) in (b"", _SQLITE)
    except OSError as error:
        raise UsageError(f"the sandbox cannot be kept in {path}: {error.strerror}") from error
    if not is_database:
        raise UsageError(f"{path} is not a sandbox: another program wrote it", hint="name another file")
