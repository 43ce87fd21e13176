"""Where a command gets its configuration, its address and its credential from."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from reconciler.cli.console import Console
from reconciler.cli.options import DEFAULT_CONFIG, DEFAULT_SANDBOX
from reconciler.errors import CredentialMissing, FileMissing, UsageError
from reconciler.model.desired import DEFAULT_BASE_URL, AppRef
from reconciler.model.secret import Secret

if TYPE_CHECKING:
    from reconciler.alter.program import DashboardAccess
    from reconciler.ports import Clock

_BASE_URL_ENV = "ALTER_BASE_URL"
_TOKEN_ENV = "ALTER_PAT"  # noqa: S105 - the name of a variable
_APP_ID_ENV = "ALTER_APP_ID"
_PROGRAM_ENV = "ALTER_CLI"
_LARGEST_KEY_FILE_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Source:
    """Where a command gets its configuration and its credential from."""

    config: Sequence[Path]
    sandbox: Path | None = None
    api_key_file: Path | None = None
    # Of the dashboard plane; wins over the environment and the configuration.
    app_id: str | None = None

    def apply_command(self) -> str:
        """How this user would call apply, ready to be copied into a shell."""
        return self.command("apply")

    def command(self, *words: str) -> str:
        """How this user would call a command on the same configuration and API."""
        words = ("alter-sync", *words, *self._options())
        return shlex.join(words)

    def _options(self) -> list[str]:
        words: list[str] = []
        if list(self.config) != DEFAULT_CONFIG:
            words += [word for path in self.config for word in ("-c", str(path))]
        if self.sandbox is not None:
            words.append("--sandbox" if self.sandbox == DEFAULT_SANDBOX else f"--sandbox={self.sandbox}")
        if self.api_key_file is not None:
            words += ["--api-key-file", str(self.api_key_file)]
        return words


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where Alter is, and the credentials for its planes; one of the two is always there."""

    base_url: str
    # What plans and people call it: the sandbox has another port in every run.
    name: str
    clock: Clock
    api_key: Secret | None
    dashboard: DashboardAccess | None


@contextmanager
def open_endpoint(console: Console, source: Source, app: AppRef) -> Iterator[Endpoint]:
    """Address, clock and credentials. The sandbox has a clock of its own, which can be moved."""
    if source.sandbox is None:
        from reconciler.alter.clock import SystemClock

        base_url = os.environ.get(_BASE_URL_ENV) or app.base_url or DEFAULT_BASE_URL
        dashboard = _dashboard(source, app)
        api_key = _api_key(source, app, is_needed=dashboard is None)
        base_url = base_url.rstrip("/")
        yield Endpoint(base_url, base_url, SystemClock(), api_key, dashboard)
        return
    from reconciler.alter.program import DashboardAccess
    from reconciler.cli.embedded import running_sandbox

    with running_sandbox(source.sandbox) as sandbox:
        console.say(f"sandbox: {source.sandbox}")
        dashboard = DashboardAccess(str(sandbox.alter_cli), sandbox.pat, source.app_id or sandbox.app_id)
        name = f"sandbox:{quote(str(source.sandbox))}"
        yield Endpoint(sandbox.address, name, sandbox.clock, sandbox.app_key, dashboard)


def _api_key(source: Source, app: AppRef, *, is_needed: bool) -> Secret | None:
    """The app's runtime key, from the file that was named or from the environment; never from an argument."""
    variable = app.api_key_env
    if source.api_key_file is not None:
        text, origin = _read_key_file(source.api_key_file), str(source.api_key_file)
    else:
        text, origin = os.environ.get(variable, "").strip(), f"environment variable {variable}"
    if text:
        return Secret(text)
    if not is_needed and source.api_key_file is None:
        return None
    raise CredentialMissing(
        f"no API key in {origin}",
        hint=f"set {variable} to the app's runtime key (alter_rk_…), use --api-key-file PATH, "
        "or ALTER_PAT for the dashboard plane, or try the tool with --sandbox",
    )


def _dashboard(source: Source, app: AppRef) -> DashboardAccess | None:
    """The dashboard plane, when there is a personal access token for it."""
    token = os.environ.get(_TOKEN_ENV, "").strip()
    if not token:
        return None
    from reconciler.alter.program import DashboardAccess

    # The environment wins over the configuration, as it does for the address.
    app_id = source.app_id or os.environ.get(_APP_ID_ENV, "").strip() or app.id
    return DashboardAccess(os.environ.get(_PROGRAM_ENV) or "alter", Secret(token), app_id)


def has_token() -> bool:
    """Whether there is a personal access token, without which nothing of the dashboard plane works."""
    return bool(os.environ.get(_TOKEN_ENV, "").strip())


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
