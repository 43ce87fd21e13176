"""Where a command gets its configuration, its address and its credential from."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
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

BASE_URL_ENV = "ALTER_BASE_URL"
TOKEN_ENV = "ALTER_PAT"  # noqa: S105 - the name of a variable
APP_ID_ENV = "ALTER_APP_ID"
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

    def narrowed(self, files: Sequence[Path]) -> Source:
        """The same for some of the files alone; a folder that is all theirs is named instead of them."""
        from reconciler.config.files import config_files

        theirs, config = set(files), list[Path]()
        for path in self.config:
            if path.is_dir() and theirs.issuperset(inside := config_files([path])):
                theirs.difference_update(inside)
                config.append(path)
        return replace(self, config=[*config, *sorted(theirs, key=str)])

    def config_words(self) -> list[str]:
        """The options that name the configuration; none for the default."""
        if list(self.config) == DEFAULT_CONFIG:
            return []
        return [word for path in self.config for word in ("-c", str(path))]

    def _options(self) -> list[str]:
        words = self.config_words()
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

        dashboard = find_dashboard(source, app)
        api_key = _api_key(source, app, is_needed=dashboard is None)
        base_url = find_base_url(app)[0].rstrip("/")
        yield Endpoint(base_url, base_url, SystemClock(), api_key, dashboard)
        return
    from reconciler.alter.program import DashboardAccess
    from reconciler.cli.embedded import running_sandbox

    with running_sandbox(source.sandbox) as sandbox:
        if sandbox.is_new:
            console.say(f"sandbox: {source.sandbox}")
        access = sandbox.access(app.name)
        dashboard = DashboardAccess(str(sandbox.alter_cli), access.pat, source.app_id or access.app_id)
        name = f"sandbox:{quote(str(source.sandbox))}"
        yield Endpoint(sandbox.address, name, sandbox.clock, access.app_key, dashboard)


def find_base_url(app: AppRef) -> tuple[str, str]:
    """The address of the API, and where it comes from: the environment wins over the configuration."""
    if address := os.environ.get(BASE_URL_ENV):
        return address, f"environment variable {BASE_URL_ENV}"
    return (app.base_url, "app.base_url") if app.base_url else (DEFAULT_BASE_URL, "the default")


def find_api_key(source: Source, app: AppRef) -> tuple[Secret | None, str]:
    """The app's runtime key, and where it comes from: the file that was named, or else the environment."""
    if source.api_key_file is not None:
        text, origin = _read_key_file(source.api_key_file), str(source.api_key_file)
    else:
        text, origin = os.environ.get(app.api_key_env, "").strip(), f"environment variable {app.api_key_env}"
    return Secret(text) if text else None, origin


def _api_key(source: Source, app: AppRef, *, is_needed: bool) -> Secret | None:
    api_key, origin = find_api_key(source, app)
    if api_key is not None or (not is_needed and source.api_key_file is None):
        return api_key
    raise CredentialMissing(
        f"no API key in {origin}",
        hint=f"set {app.api_key_env} to the app's runtime key (alter_rk_…), use --api-key-file PATH, "
        "or ALTER_PAT for the dashboard plane, or try the tool with --sandbox",
    )


def find_dashboard(source: Source, app: AppRef) -> DashboardAccess | None:
    """The dashboard plane, when there is a personal access token for it."""
    token = os.environ.get(TOKEN_ENV, "").strip()
    if not token:
        return None
    from reconciler.alter.program import DashboardAccess

    return DashboardAccess(
        os.environ.get(_PROGRAM_ENV) or "alter", Secret(token), find_app_id(source, app)[0]
    )


def find_app_id(source: Source, app: AppRef) -> tuple[str | None, str]:
    """The app of the dashboard plane, and where it comes from; the environment wins here, too."""
    if source.app_id:
        return source.app_id, "--app"
    if app_id := os.environ.get(APP_ID_ENV, "").strip():
        return app_id, f"environment variable {APP_ID_ENV}"
    return (app.id, "app.id") if app.id else (None, "the linked workspace")


def has_token() -> bool:
    """Whether there is a personal access token, without which nothing of the dashboard plane works."""
    return bool(os.environ.get(TOKEN_ENV, "").strip())


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
