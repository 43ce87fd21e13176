"""Puts a command together: configuration, credential, API, sinks, clock."""

from __future__ import annotations

import os
import shlex
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.cli.boundary import ConfigInvalid
from reconciler.cli.console import Console
from reconciler.cli.options import DEFAULT_CONFIG, DEFAULT_SANDBOX
from reconciler.errors import ApiError, CredentialMissing, FileMissing, UsageError
from reconciler.model.desired import DEFAULT_API_KEY_ENV, DEFAULT_BASE_URL, Desired
from reconciler.model.diagnostic import Diagnostic
from reconciler.model.secret import Secret

if TYPE_CHECKING:
    from reconciler.alter.retry import ApiEvent
    from reconciler.alter.sdk_plane import SdkPlane
    from reconciler.model.plan import Plan
    from reconciler.planning.facts import Allowances
    from reconciler.planning.planner import LiveState
    from reconciler.ports import Clock, SecretSink

BASE_URL_ENV = "ALTER_BASE_URL"
_LARGEST_KEY_FILE_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Source:
    """Where a command gets its configuration and its credential from."""

    config: Sequence[Path]
    sandbox: Path | None = None
    api_key_file: Path | None = None

    def apply_command(self) -> str:
        """How this user would call apply, ready to be copied into a shell."""
        words = ["alter-sync", "apply"]
        if list(self.config) != DEFAULT_CONFIG:
            words += [word for path in self.config for word in ("-c", str(path))]
        if self.sandbox is not None:
            words.append("--sandbox" if self.sandbox == DEFAULT_SANDBOX else f"--sandbox={self.sandbox}")
        if self.api_key_file is not None:
            words += ["--api-key-file", str(self.api_key_file)]
        return shlex.join(words)


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


def tool_version() -> str:
    """The installed version; a checkout without one says so."""
    try:
        return version("alter-sync")
    except PackageNotFoundError:
        return "0+unknown"


def load_configuration(source: Source) -> Configuration:
    """Reads the YAML; ``ConfigInvalid`` with every finding when it has errors."""
    from reconciler.config.loader import load

    loaded = load(source.config, now=datetime.now(UTC))
    if loaded.desired is None:
        raise ConfigInvalid(loaded.diagnostics)
    return Configuration(loaded.desired, loaded.diagnostics)


@contextmanager
def open_session(console: Console, source: Source, *, parallelism: int = 8) -> Iterator[Session]:
    """Connects to the API of the configuration's app, or to the sandbox."""
    from reconciler.alter.clock import SystemClock
    from reconciler.alter.sdk_plane import SdkPlane

    configuration = load_configuration(source)
    desired = configuration.desired
    with (
        _endpoint(console, source, desired) as (base_url, api_key, clock),
        SdkPlane.connect(
            base_url=base_url,
            api_key=api_key,
            owner=desired.owner,
            clock=SystemClock(),
            parallelism=parallelism,
            on_event=lambda event: _tell(console, event),
        ) as api,
    ):
        yield Session(desired, configuration.findings, base_url, api, clock)


def read_live(session: Session, *, parallelism: int = 8) -> LiveState:
    """The live agents, and the keys of those that an earlier run left unfinished."""
    from reconciler.alter.snapshot import read_keys
    from reconciler.cli.run_identity import dead_runs
    from reconciler.planning.planner import LiveState, needs_keys

    agents = session.api.list_agents()
    keys = read_keys(session.api, needs_keys(session.desired, agents), parallelism=parallelism)
    return LiveState(agents, keys, dead_runs(agents))


def plan_session(console: Console, session: Session, *, targets: Sequence[str], allow: Allowances) -> Plan:
    """Reads the live state and makes the plan."""
    from reconciler.planning.planner import PlanOptions, make_plan

    live = read_live(session)
    names = {str(name) for name in (*session.desired.agents, *(agent.name for agent in live.agents))}
    check_targets(targets, names)
    _check_names([name for _, name in allow.pairs if name], names, what="--allow", globs=False)
    return make_plan(
        session.desired,
        live,
        now=session.clock.now(),
        options=PlanOptions(tool_version(), session.base_url, tuple(sorted(targets)), allow),
        findings=(*session.findings, *_catalogue_findings(console, session)),
    )


def open_sinks(desired: Desired) -> Mapping[str, SecretSink]:
    """Every sink that an agent delivers to, by name."""
    from reconciler.sinks.registry import open_sink

    used = {name for agent in desired.agents.values() for name in agent.deliver_to}
    return {
        name: open_sink(desired.sinks[name], former_owners=desired.former_owners) for name in sorted(used)
    }


def check_targets(targets: Sequence[str], names: Collection[str]) -> None:
    """Refuses a target that no agent has, with the nearest one that is there."""
    _check_names(targets, names, what="--target", globs=True)


def parse_allowances(texts: Sequence[str]) -> Allowances:
    """``GUARD`` or ``GUARD=AGENT``, as given to ``--allow``; an unknown guard is refused."""
    from reconciler.planning.facts import Allowances
    from reconciler.planning.guards import GUARDS

    pairs = [text.partition("=") for text in texts]
    for guard, _, _ in pairs:
        if guard not in GUARDS:
            raise UsageError(
                f"--allow {guard}: there is no guard of that name",
                hint=nearest(guard, GUARDS) or "guards are: " + ", ".join(GUARDS),
            )
    return Allowances(frozenset((guard, agent or None) for guard, _, agent in pairs))


def nearest(word: str, known: Collection[str]) -> str:
    """A question with the known word that looks most like this one; empty when none does."""
    from difflib import get_close_matches

    found = get_close_matches(word, sorted(known), n=1)
    return f"did you mean {found[0]!r}?" if found else ""


@contextmanager
def _endpoint(console: Console, source: Source, desired: Desired) -> Iterator[tuple[str, Secret, Clock]]:
    """Address, credential and clock. The sandbox has a clock of its own, which can be moved."""
    if source.sandbox is None:
        from reconciler.alter.clock import SystemClock

        base_url = os.environ.get(BASE_URL_ENV) or desired.app.base_url or DEFAULT_BASE_URL
        yield base_url.rstrip("/"), _api_key(source, desired), SystemClock()
        return
    from reconciler.cli.embedded import running_sandbox

    with running_sandbox(source.sandbox) as sandbox:
        console.say(f"sandbox: {source.sandbox}")
        yield sandbox.address, sandbox.app_key, sandbox.clock


def _api_key(source: Source, desired: Desired) -> Secret:
    """The app's runtime key, from the file that was named or from the environment; never from an argument."""
    variable = desired.app.api_key_env or DEFAULT_API_KEY_ENV
    if source.api_key_file is not None:
        text, origin = _read_key_file(source.api_key_file), str(source.api_key_file)
    else:
        text, origin = os.environ.get(variable, "").strip(), f"environment variable {variable}"
    if not text:
        raise CredentialMissing(
            f"no API key in {origin}",
            hint=f"set {variable} to the app's runtime key (alter_rk_…), use --api-key-file PATH, "
            "or try the tool with --sandbox",
        )
    return Secret(text)


def _tell(console: Console, event: ApiEvent) -> None:
    if console.is_verbose or event.attempt >= 3:  # one hiccup is nobody's business, a long wait is
        what = f"{event.route}: {event.reason}, trying again" if event.attempt else "rate limit: going on"
        console.say(f"{what} in {event.wait_seconds:.1f} s")


def _read_key_file(path: Path) -> str:
    try:
        with path.open(encoding="ascii") as file:
            return file.read(_LARGEST_KEY_FILE_BYTES).strip()
    except FileNotFoundError as error:
        raise FileMissing(f"there is no API key file {path}", hint="check --api-key-file") from error
    except OSError as error:
        raise UsageError(f"the API key file {path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"the API key file {path} holds something else than a key") from error


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


def _check_names(given: Sequence[str], names: Collection[str], *, what: str, globs: bool) -> None:
    from reconciler.planning.planner import matches

    for name in given:
        if not (any(matches(known, (name,)) for known in names) if globs else name in names):
            raise UsageError(f"{what} {name}: no such agent, declared or live", hint=nearest(name, names))
