"""Runs the embedded Alter inside this process for one command."""

from __future__ import annotations

from collections.abc import Iterator
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
) -> SandboxServer:
    """A sandbox on a database file; the extra may be missing, and then this says how to get it."""
    try:
        from reconciler.sandbox import SandboxServer, SandboxSettings
    except ImportError as error:
        raise UsageError(
            f"the sandbox needs a package that is not installed: {error.name}",
            hint="pip install 'alter-sync[sandbox]'",
        ) from error
    database.parent.mkdir(parents=True, exist_ok=True)
    settings = SandboxSettings(latency_seconds=latency_seconds, rate_limit_per_minute=rate_limit_per_minute)
    return SandboxServer(database, port=port, settings=settings)


@contextmanager
def running_sandbox(database: Path) -> Iterator[RunningSandbox]:
    """The sandbox, on a free loopback port, as long as this is open."""
    with make_server(database) as server:
        yield RunningSandbox(server, server.base_url, Secret(server.app_key()), SandboxClock(server))
