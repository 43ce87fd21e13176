"""Starting and stopping the sandbox: on a free loopback port in a thread, or in the foreground."""

import asyncio
import ipaddress
import json
import socket
import threading
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from types import FrameType, TracebackType

import uvicorn

from reconciler.sandbox.agent_keys import use_plaintext
from reconciler.sandbox.app import build_app
from reconciler.sandbox.faults import FaultPlan
from reconciler.sandbox.settings import SandboxSettings
from reconciler.sandbox.store import Store
from reconciler.sandbox.wire import ConnectionAwareProtocol

__all__ = ["SandboxServer", "SandboxSettings"]

FIRST_APP = "sandbox"
FIRST_USER = "owner@sandbox.example"


class SandboxServer:
    """One embedded Alter. The database is opened at once, the port by `start` or `run_forever`."""

    def __init__(
        self,
        database: Path,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        settings: SandboxSettings | None = None,
    ) -> None:
        if not ipaddress.ip_address(host).is_loopback:
            raise ValueError("the sandbox listens on loopback only")
        self.settings = settings or SandboxSettings()
        self.faults = FaultPlan()
        self.store = Store(database, self.settings)
        self.database = database
        self._host = host
        self._port = port
        self._listener: socket.socket | None = None
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def base_url(self) -> str:
        if self._listener is None:
            raise RuntimeError("the sandbox is not running")
        host, port = self._listener.getsockname()[:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    def app_key(self, app: str = FIRST_APP) -> str:
        """Plaintext of the runtime key that may do everything; the same for as long as the database lives.

        An app is made if it is not there.
        """
        return self.store.bootstrap_key(app=app, of=_of(app))

    def create_app_key(self, permissions: Iterable[str], *, app: str = FIRST_APP) -> str:
        """Plaintext of a new runtime key with these permissions. The app is made if it is not there."""
        return self.store.create_app_key(permissions, app=app)

    def app_id(self, app: str = FIRST_APP) -> str:
        """The id of an app, which is made if it is not there."""
        return self.store.app_id(app)

    def has_app(self, app: str) -> bool:
        """Whether there is an app of that name."""
        return self.store.has_app(app)

    def pat(self, app: str = FIRST_APP) -> str:
        """Plaintext of the personal access token that may do everything on the dashboard plane of an app.

        Like `app_key` it is the same for as long as the database lives.
        """
        return self.store.bootstrap_pat(user=FIRST_USER, app=app, of=_of(app))

    def create_pat(self, permissions: Iterable[str], *, user: str = FIRST_USER, app: str = FIRST_APP) -> str:
        """Plaintext of a new personal access token. The app is made if it is not there."""
        return self.store.create_pat(permissions, user=user, app=app)

    def alter_environment(self) -> dict[str, str]:
        """With it `python -m reconciler.sandbox.alter_cli` works on this sandbox and may do everything."""
        return {
            "ALTER_SANDBOX_DATABASE": str(self.database.absolute()),
            "ALTER_SANDBOX_SETTINGS": json.dumps(asdict(self.settings)),
            "ALTER_PAT": self.pat(),
            "ALTER_APP_ID": self.app_id(),
        }

    def use_key(self, api_key: str) -> str:
        """What a workload does with an agent's key. Returns its id; raises Refusal if it is no good."""
        return str(use_plaintext(self.store, api_key)["key_id"])

    def start(self) -> None:
        """Returns when requests are answered."""
        server, listener = self._prepare()
        self._thread = threading.Thread(
            target=server.run, kwargs={"sockets": [listener]}, name="alter-sandbox", daemon=True
        )
        self._thread.start()
        server.ready.wait()

    def stop(self) -> None:
        """Ends connections and closes the database. Harmless when it is not running."""
        if self._server is not None:
            self._server.request_stop()
        if self._thread is not None:
            self._thread.join()
        self._release()

    def run_forever(self, *, on_listening: Callable[[], None] = lambda: None) -> None:
        """Serves in the calling thread, the main one, until SIGINT or SIGTERM; then returns.

        `on_listening` is called when the port is bound and connections are queued.
        """
        server, listener = self._prepare()
        try:
            on_listening()
            server.run(sockets=[listener])
        finally:
            self._release()

    def __enter__(self) -> "SandboxServer":
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def _prepare(self) -> "tuple[_Server, socket.socket]":
        if self._server is not None:
            raise RuntimeError("the sandbox is running already")
        if self.store.closed:
            self.store = Store(self.database, self.settings)
        # Bound here and not by uvicorn, so that the port is known before the first request.
        try:
            self._listener = _listen(self._host, self._port)
        except OSError:
            self._release()
            raise
        config = uvicorn.Config(
            build_app(self.store, self.faults),
            http=ConnectionAwareProtocol,
            ws="none",
            lifespan="off",
            loop="asyncio",
            log_config=None,
            access_log=False,
            date_header=False,
            server_header=False,
            # A pooled connection that is closed while it idles can cost a client a request it may not repeat.
            timeout_keep_alive=600,
        )
        # Here, so that what is wrong with it is raised in the caller's thread.
        config.load()
        self._server = _Server(config)
        return self._server, self._listener

    def _release(self) -> None:
        if self._listener is not None:
            self._listener.close()
        self.store.close()
        self._listener = self._server = self._thread = None


def _of(app: str) -> str:
    # Databases of earlier versions keep the credentials of the first app under a plain name.
    return "" if app == FIRST_APP else f" {app}"


class _Server(uvicorn.Server):
    """Stops at once, where uvicorn polls and then waits for idle clients: tests start hundreds of servers."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = threading.Event()
        self._stop = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    def request_stop(self) -> None:
        """From any thread, and from a signal handler."""
        self.should_exit = True
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002
        """uvicorn would raise the signal again afterwards, before our caller could tidy up."""
        self.request_stop()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        try:
            await super().startup(sockets)
        finally:
            self.ready.set()

    async def main_loop(self) -> None:
        while not self.should_exit:
            await self._stop.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:  # noqa: ARG002
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.transport.close()
        tasks = list(self.server_state.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With the protocol left open asyncio would not switch Nagle's algorithm off: 40 ms for each answer.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError:
        listener.close()
        raise
    listener.listen(2048)
    return listener
