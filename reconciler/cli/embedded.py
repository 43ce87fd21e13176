"""Runs the embedded Alter inside this process for one command."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import sleep
from typing import TYPE_CHECKING

from reconciler.errors import UsageError
from reconciler.model.secret import Secret

if TYPE_CHECKING:
    from reconciler.ports import Clock
    from reconciler.sandbox import SandboxServer

_SQLITE = b"SQLite format 3\0"


@dataclass(frozen=True, slots=True)
class RunningSandbox:
    """How to reach it, and the key that may do everything there."""

    server: SandboxServer
    address: str
    app_key: Secret
    clock: Clock


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
    """A sandbox on a database file; the extra may be missing, and then this says how to get it."""
    try:
        from reconciler.sandbox import SandboxServer, SandboxSettings
    except ImportError as error:
        raise UsageError(
            f"the sandbox needs a package that is not installed: {error.name}",
            hint="pip install 'alter-sync[sandbox]'",
        ) from error
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
    from reconciler.model.nearest import did_you_mean
    from reconciler.sandbox.catalog import APP_PERMISSIONS

    for name in names:
        if name not in APP_PERMISSIONS:
            hint = did_you_mean(name, APP_PERMISSIONS) or "permissions are: " + ", ".join(APP_PERMISSIONS)
            raise UsageError(f"--permissions {name}: there is no such permission", hint=hint)


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
    with make_server(database) as server:
        yield RunningSandbox(server, server.base_url, Secret(server.app_key()), SandboxClock(server))


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
