"""Refuses a run in which two apps may be one: each would revoke what the other one declares.

A mistyped ``app.name`` splits a configuration in two. Before the first request credentials tell; once every
app is planned, and before anything is done, the agents tell that each of them lists.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from reconciler.cli.source import (
    APP_ID_ENV,
    BASE_URL_ENV,
    TOKEN_ENV,
    Source,
    find_api_key,
    has_token,
)
from reconciler.errors import CredentialMissing, Refused, UsageError
from reconciler.model.desired import DEFAULT_BASE_URL, AppRef
from reconciler.model.nearest import did_you_mean

if TYPE_CHECKING:
    from reconciler.cli.app_run import AppRun
    from reconciler.cli.wiring import Configuration
    from reconciler.model.agent import AgentName, LiveAgent
    from reconciler.model.secret import Secret

# Is told the live agents of an app, as soon as they are listed.
OnAgents = Callable[[Sequence["LiveAgent"]], None]

_MOST_SHOWN = 3


class Sightings:
    """Which app lists which live agent. Threads tell it at the same time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # By the hash of its id: there may be a million, and nothing else is asked of them.
        self._app_of: dict[int, str] = {}
        self._shared: dict[tuple[str, str], AgentName] = {}

    def of(self, app: str) -> OnAgents:
        """What takes the agents of one app."""

        def note(agents: Sequence[LiveAgent]) -> None:
            with self._lock:
                for agent in agents:
                    other = self._app_of.setdefault(hash(agent.id), app)
                    if other != app:
                        self._shared.setdefault((min(app, other), max(app, other)), agent.name)

        return note

    def shared(self) -> Mapping[tuple[str, str], AgentName]:
        """Two apps that list one agent, and an agent that both list."""
        return self._shared


def check_credentials(source: Source, configurations: Sequence[Configuration]) -> None:
    """Refuses what would lead two of several apps to one, or one of them nowhere."""
    apps = [one.desired.app for one in configurations]
    if source.api_key_file is not None:
        raise UsageError(
            f"--api-key-file is the key of one app, and the configuration is of {len(apps)}",
            hint="set the variable that app.api_key_env names, for each app; or name one app's files with -c",
        )
    if source.sandbox is not None:
        return
    if has_token() and os.environ.get(APP_ID_ENV, "").strip():
        raise UsageError(
            f"{APP_ID_ENV} names one app, and the configuration is of {len(apps)}",
            hint=f"unset it, and write each app's id into its configuration, as app.id; {TOKEN_ENV} goes on",
        )
    _check_addresses(configurations)
    _check_keys(source, apps)


def check_plans(runs: Sequence[AppRun], sightings: Sightings) -> None:
    """Refuses everything when two apps turn out to be one, or may be one as far as can be known."""
    by_name = {run.app: run for run in runs}
    for names, agent in sorted(sightings.shared().items()):
        # Of two names the one that fewer files have is more likely the mistyped one.
        both = [by_name[name].configuration for name in names]
        first, second = sorted(both, key=lambda configuration: -len(configuration.files))
        raise Refused(
            f"apps {_place(first)} and {_place(second)} are one: both list the live agent {agent}, "
            "and each would undo the other's work; nothing was done",
            hint=did_you_mean(second.desired.app.name, [first.desired.app.name])
            or "write one app.name into the files of both, or give each the key of its own app",
        )
    unplanned = [run for run in runs if run.revokes is None]
    for run in runs:
        for other in unplanned:
            if at_stake := sorted((run.revokes or frozenset()) & other.configuration.desired.agents.keys()):
                raise _undecided(run, other, at_stake)


def _check_addresses(configurations: Sequence[Configuration]) -> None:
    """Refuses one address for all in place of several: keys would go to a server that they are not for."""
    if not os.environ.get(BASE_URL_ENV):
        return
    first, *others = configurations
    for other in others:
        if _address(first.desired.app) != _address(other.desired.app):
            raise UsageError(
                f"{BASE_URL_ENV} is one address, and apps {_place(first)} and {_place(other)} are at two by "
                "their app.base_url: the keys of both would go to one server",
                hint=f"unset {BASE_URL_ENV}, or name one app's files with -c",
            )


def _address(app: AppRef) -> str:
    return (app.base_url or DEFAULT_BASE_URL).rstrip("/")


def _check_keys(source: Source, apps: Sequence[AppRef]) -> None:
    """Refuses a credential that two apps have, at whatever addresses, and an app that has none."""
    owners: dict[Secret | str | None, AppRef] = {}
    missing: list[AppRef] = []
    for app in apps:
        key, _ = find_api_key(source, app)
        if key is None and not has_token():
            missing.append(app)
            continue
        first = owners.setdefault(key or app.id, app)
        if first is not app:
            what = f"key, in {first.api_key_env} and {app.api_key_env}" if key else "app.id, or have none"
            raise UsageError(
                f"apps {first.name} and {app.name} have the same {what}: each would undo the other's work",
                hint=did_you_mean(app.name, [first.name]) or "give each app a credential of its own",
            )
    if missing:
        raise CredentialMissing(
            f"no API key for app {_shown(app.name for app in missing)} in environment variable "
            f"{_shown(app.api_key_env for app in missing)}: nothing is begun for any app",
            hint="set it to the app's runtime key (alter_rk_…), or name the files of the other apps with -c",
        )


def _undecided(run: AppRun, other: AppRun, at_stake: Collection[AgentName]) -> Refused:
    failure = other.reporter.subject.failure
    return Refused(
        f"app {_place(run.configuration)} would revoke {_shown(at_stake)}, and "
        f"{_place(other.configuration)} declares that. "
        f"Whether the two are one cannot be known: {other.app} was not planned"
        + (f": {failure.message}" if failure else "")
        + "; nothing was done",
        hint=did_you_mean(run.app, [other.app])
        or did_you_mean(other.app, [run.app])
        or f"see to {other.app} first; if they are two, the files of {run.app} can be named alone with -c",
    )


def _place(configuration: Configuration) -> str:
    return f"{configuration.desired.app.name} ({_shown(configuration.files)})"


def _shown(things: Iterable[object]) -> str:
    texts = [str(thing) for thing in things]
    more = len(texts) - _MOST_SHOWN
    return ", ".join(texts[:_MOST_SHOWN]) + (f" and {more} more" if more > 0 else "")
