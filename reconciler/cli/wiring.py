"""Puts a command together: configuration, live API, plan, sinks."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.cli.boundary import ConfigInvalid
from reconciler.cli.console import Console
from reconciler.cli.options import DEFAULT_PARALLELISM
from reconciler.cli.selection import check_allowed_names, check_targets
from reconciler.cli.source import Source, open_endpoint
from reconciler.errors import ApiError, UsageError
from reconciler.model.desired import Desired
from reconciler.model.diagnostic import Diagnostic

if TYPE_CHECKING:
    from reconciler.alter.retry import ApiEvent
    from reconciler.alter.sdk_plane import SdkPlane
    from reconciler.model.agent import AgentName
    from reconciler.model.plan import Plan
    from reconciler.planning.facts import Allowances
    from reconciler.planning.planner import LiveState
    from reconciler.ports import Clock, SecretSink


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
    api: SdkPlane
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
) -> Iterator[Session]:
    """Connects to the API of the configuration's app, or to the sandbox."""
    from reconciler.alter.clock import SystemClock
    from reconciler.alter.sdk_plane import SdkPlane

    configuration = load_configuration(source)
    desired = configuration.desired
    with (
        open_endpoint(console, source, desired) as (base_url, api_key, clock),
        SdkPlane.connect(
            base_url=base_url,
            api_key=api_key,
            owner=desired.owner,
            clock=SystemClock(),
            parallelism=parallelism,
            on_event=lambda event: _tell(console, event),
            is_stopping=is_stopping,
        ) as api,
    ):
        yield Session(desired, configuration.findings, base_url, api, clock, parallelism)


def read_live(session: Session, *, rotate: Collection[AgentName] = ()) -> LiveState:
    """The live agents, and the keys of those for which something is due, in flight or asked for."""
    from reconciler.alter.snapshot import read_keys
    from reconciler.cli.run_identity import dead_runs
    from reconciler.planning.planner import LiveState, needs_keys

    agents = session.api.list_agents()
    wanted = needs_keys(session.desired, agents, now=session.clock.now(), rotate=rotate)
    keys = read_keys(session.api, wanted, parallelism=session.parallelism)
    return LiveState(agents, keys, dead_runs(agents))


def plan_session(
    console: Console,
    session: Session,
    *,
    targets: Sequence[str] = (),
    allow: Allowances,
    rotate: frozenset[AgentName] = frozenset(),
    again: bool = False,
    is_rollback: bool = False,
) -> Plan:
    """Reads the live state and makes the plan; with ``rotate``, of these agents' keys alone."""
    from reconciler.planning.planner import PlanOptions, make_plan

    live = read_live(session, rotate=rotate)
    names = {str(name) for name in (*session.desired.agents, *(agent.name for agent in live.agents))}
    check_targets(targets, names)
    check_allowed_names(allow, names)
    return make_plan(
        session.desired,
        live,
        now=session.clock.now(),
        options=PlanOptions(
            tool_version(), session.base_url, tuple(sorted(targets)), allow, rotate, again, is_rollback
        ),
        findings=(*session.findings, *_catalogue_findings(console, session)),
    )


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


def _catalogue_findings(console: Console, session: Session) -> tuple[Diagnostic, ...]:
    """Scopes that the provider catalogue does not know. The catalogue is a help, never a condition."""
    from reconciler.config.loader import catalogue_findings

    if not session.desired.agents:
        return ()
    try:
        catalogue = session.api.provider_scopes()
    except ApiError as error:
        if console.is_verbose:
            console.say(f"scope names are not checked: {error.message}")
        return ()
    return catalogue_findings(session.desired, catalogue)
