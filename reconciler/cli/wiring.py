"""Puts a command together: configuration, live API, plan, sinks."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler import __version__
from reconciler.cli.boundary import ConfigInvalid
from reconciler.cli.console import Console
from reconciler.cli.options import DEFAULT_PARALLELISM
from reconciler.cli.selection import Unknown
from reconciler.cli.source import Endpoint, Source, open_endpoint
from reconciler.cli.traffic import Traffic
from reconciler.errors import UsageError
from reconciler.model.desired import Desired
from reconciler.model.diagnostic import Diagnostic

if TYPE_CHECKING:
    from reconciler.alter.dashboard_plane import DashboardPlane
    from reconciler.alter.sdk_plane import SdkPlane
    from reconciler.cli.distinct_apps import OnAgents
    from reconciler.model.agent import AgentName
    from reconciler.model.plan import Plane
    from reconciler.ports import AuditFeed, Clock, SecretSink


@dataclass(frozen=True, slots=True)
class Configuration:
    """A configuration without errors, the warnings about it, and the files that it is made of."""

    desired: Desired
    findings: tuple[Diagnostic, ...]
    files: tuple[Path, ...] = ()


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
    # Of one of several apps: see ``selection.Unknown``.
    unknown: Unknown = None
    on_agents: OnAgents = lambda _agents: None


class SeveralApps(UsageError):
    """A configuration of several apps where there may be one only."""


def tool_version() -> str:
    """The version of this program."""
    return __version__


def load_configurations(source: Source) -> tuple[Configuration, ...]:
    """Reads the YAML, app by app; ``ConfigInvalid`` with every finding when it has errors."""
    from reconciler.config.loader import load_apps

    try:
        Path.cwd()
    except FileNotFoundError as error:
        raise UsageError("the working directory is gone", hint="change to one that exists") from error
    loaded = load_apps(source.config, now=datetime.now(UTC))
    if not loaded.apps:
        raise ConfigInvalid(loaded.diagnostics)
    if len(loaded.apps) == 1:
        return (Configuration(loaded.apps[0].desired, loaded.diagnostics, loaded.apps[0].files),)
    by_file = {str(file): number for number, app in enumerate(loaded.apps) for file in app.files}
    findings: list[list[Diagnostic]] = [[] for _ in loaded.apps]
    for found in loaded.diagnostics:
        findings[by_file.get(found.position.file, 0) if found.position else 0].append(found)
    return tuple(
        Configuration(app.desired, tuple(about), app.files)
        for app, about in zip(loaded.apps, findings, strict=True)
    )


def load_configuration(source: Source, *, what: str = "this command") -> Configuration:
    """The same where there may be one app only, or ``SeveralApps``.

    ``what`` asks for that, as a user would call it.
    """
    first, *others = load_configurations(source)
    if others:
        names = [one.desired.app.name for one in (first, *others)]
        shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
        one = " ".join(source.narrowed(first.files).config_words())
        raise SeveralApps(
            f"{what} works on one app, and the configuration is of {len(names)}: {shown}",
            hint=f"name the files of one, like {one}; `alter-sync matrix` lists them all",
        )
    return first


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
    unknown: Unknown = None,
    on_agents: OnAgents = lambda _agents: None,
) -> Iterator[Session]:
    """Connects for a configuration that is at hand: over the SDK plane when there is a key for it.

    ``on_agents`` is told the live agents whenever a plan lists them.
    """
    from reconciler.alter.clock import SystemClock
    from reconciler.alter.sdk_plane import SdkPlane

    desired = configuration.desired

    traffic = Traffic(console)
    with open_endpoint(console, source, desired.app) as endpoint:
        dashboard, feed = _dashboard_plane(endpoint, traffic, is_stopping)

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
                unknown,
                on_agents,
            )

        if endpoint.api_key is not None:
            api = SdkPlane.connect(
                base_url=endpoint.base_url,
                api_key=endpoint.api_key,
                owner=desired.owner,
                clock=SystemClock(),
                parallelism=parallelism,
                on_event=traffic.on_event,
                is_stopping=is_stopping,
                on_exchange=traffic.on_exchange,
            )
            with api, traffic.summed_up(api):
                yield session("sdk", api)
        elif dashboard is not None:
            with traffic.summed_up(dashboard):
                yield session("dashboard", dashboard)


def _dashboard_plane(
    endpoint: Endpoint, traffic: Traffic, is_stopping: Callable[[], bool]
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
            on_event=traffic.on_event,
            is_stopping=is_stopping,
            is_for_feed=is_for_feed,
            on_exchange=traffic.on_exchange,
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
