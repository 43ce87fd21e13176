"""Puts a command together: configuration, live API, plan, sinks."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.cli.boundary import ConfigInvalid
from reconciler.cli.console import Console
from reconciler.cli.options import DEFAULT_PARALLELISM
from reconciler.cli.source import Endpoint, Source, open_endpoint
from reconciler.errors import UsageError
from reconciler.model.desired import Desired
from reconciler.model.diagnostic import Diagnostic

if TYPE_CHECKING:
    from reconciler.alter.dashboard_plane import DashboardPlane
    from reconciler.alter.retry import ApiEvent, Exchange
    from reconciler.alter.sdk_plane import SdkPlane
    from reconciler.model.agent import AgentName
    from reconciler.model.plan import Plane
    from reconciler.ports import AuditFeed, Clock, SecretSink


@dataclass(frozen=True, slots=True)
class Configuration:
    """A configuration without errors, and the warnings about it."""

    desired: Desired
    findings: tuple[Diagnostic, ...]


@dataclass(frozen=True, slots=True)
class Session:
    """A configuration together with the live API that it is for."""

    desired: Desired
    findings: tuple[Diagnostic, ...]
    base_url: str
    plane: Plane
    api: SdkPlane | DashboardPlane
    # The past, when there is a credential for the plane that knows it.
    feed: AuditFeed | None
    clock: Clock
    parallelism: int


def tool_version() -> str:
    """The installed version; a checkout without one says so."""
    try:
        return version("alter-sync")
    except PackageNotFoundError:
        return "0+unknown"


def load_configuration(source: Source) -> Configuration:
    """Reads the YAML; ``ConfigInvalid`` with every finding when it has errors."""
    from reconciler.config.loader import load

    try:
        Path.cwd()
    except FileNotFoundError as error:
        raise UsageError("the working directory is gone", hint="change to one that exists") from error
    loaded = load(source.config, now=datetime.now(UTC))
    if loaded.desired is None:
        raise ConfigInvalid(loaded.diagnostics)
    return Configuration(loaded.desired, loaded.diagnostics)


@contextmanager
def open_session(
    console: Console,
    source: Source,
    *,
    parallelism: int = DEFAULT_PARALLELISM,
    is_stopping: Callable[[], bool] = lambda: False,
    on_configuration: Callable[[Configuration], None] = lambda _configuration: None,
) -> Iterator[Session]:
    """Connects to the API of the configuration's app, or to the sandbox.

    ``on_configuration`` is told the configuration before anything can go wrong with the connection.
    """
    configuration = load_configuration(source)
    on_configuration(configuration)
    with connected(
        console, source, configuration, parallelism=parallelism, is_stopping=is_stopping
    ) as session:
        yield session


@contextmanager
def connected(
    console: Console,
    source: Source,
    configuration: Configuration,
    *,
    parallelism: int = DEFAULT_PARALLELISM,
    is_stopping: Callable[[], bool] = lambda: False,
) -> Iterator[Session]:
    """Connects for a configuration that is at hand: over the SDK plane when there is a key for it."""
    from reconciler.alter.clock import SystemClock
    from reconciler.alter.sdk_plane import SdkPlane

    desired = configuration.desired

    def tell(event: ApiEvent) -> None:
        console.trace.retried(event)
        _tell(console, event)

    on_exchange = console.trace.exchanged
    with open_endpoint(console, source, desired.app) as endpoint:
        dashboard, feed = _dashboard_plane(endpoint, tell, is_stopping, on_exchange)

        def session(plane: Plane, api: SdkPlane | DashboardPlane) -> Session:
            return Session(
                desired,
                configuration.findings,
                endpoint.name,
                plane,
                api,
                feed,
                endpoint.clock,
                parallelism,
            )

        if endpoint.api_key is not None:
            with SdkPlane.connect(
                base_url=endpoint.base_url,
                api_key=endpoint.api_key,
                owner=desired.owner,
                clock=SystemClock(),
                parallelism=parallelism,
                on_event=tell,
                is_stopping=is_stopping,
                on_exchange=on_exchange,
            ) as api:
                yield session("sdk", api)
        elif dashboard is not None:
            yield session("dashboard", dashboard)


def _dashboard_plane(
    endpoint: Endpoint,
    tell: Callable[[ApiEvent], None],
    is_stopping: Callable[[], bool],
    on_exchange: Callable[[Exchange], None],
) -> tuple[DashboardPlane | None, AuditFeed | None]:
    """The dashboard plane's agents and its feed, when there is a token for it."""
    if endpoint.dashboard is None:
        return None, None
    from reconciler.alter.clock import SystemClock
    from reconciler.alter.commands import Commands
    from reconciler.alter.dashboard_feed import DashboardFeed
    from reconciler.alter.dashboard_plane import DashboardPlane

    commands, of_feed = (
        Commands(
            endpoint.dashboard,
            clock=SystemClock(),
            on_event=tell,
            is_stopping=is_stopping,
            is_for_feed=is_for_feed,
            on_exchange=on_exchange,
        )
        for is_for_feed in (False, True)
    )
    if endpoint.api_key is None:
        commands.check()
    return DashboardPlane(commands), DashboardFeed(of_feed)


def open_sinks(desired: Desired, agents: Collection[AgentName]) -> Mapping[str, SecretSink]:
    """Every sink that one of these agents delivers to, by name."""
    from reconciler.sinks.registry import open_sink

    used = {name for agent in agents if agent in desired.agents for name in desired.agents[agent].deliver_to}
    return {
        name: open_sink(desired.sinks[name], former_owners=desired.former_owners) for name in sorted(used)
    }


def _tell(console: Console, event: ApiEvent) -> None:
    if console.is_verbose or event.attempt >= 3:  # one hiccup is nobody's business, a long wait is
        what = f"{event.route}: {event.reason}, trying again" if event.attempt else "rate limit: going on"
        console.say(f"{what} in {event.wait_seconds:.1f} s")
