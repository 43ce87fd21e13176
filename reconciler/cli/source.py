"""Where a command gets its configuration, its address and its credential from."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.cli.console import Console
from reconciler.cli.options import DEFAULT_CONFIG, DEFAULT_SANDBOX
from reconciler.errors import CredentialMissing, FileMissing, UsageError
from reconciler.model.desired import DEFAULT_BASE_URL, Desired
from reconciler.model.secret import Secret

if TYPE_CHECKING:
    from reconciler.ports import Clock

_BASE_URL_ENV = "ALTER_BASE_URL"
_LARGEST_KEY_FILE_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Source:
    """Where a command gets its configuration and its credential from."""

    config: Sequence[Path]
    sandbox: Path | None = None
    api_key_file: Path | None = None

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


@contextmanager
def open_endpoint(console: Console, source: Source, desired: Desired) -> Iterator[tuple[str, Secret, Clock]]:
    """Address, credential and clock of the API. The sandbox has a clock of its own, which can be moved."""
    if source.sandbox is None:
        from reconciler.alter.clock import SystemClock

        base_url = os.environ.get(_BASE_URL_ENV) or desired.app.base_url or DEFAULT_BASE_URL
        yield base_url.rstrip("/"), _api_key(source, desired), SystemClock()
        return
    from reconciler.cli.embedded import running_sandbox

    with running_sandbox(source.sandbox) as sandbox:
        console.say(f"sandbox: {source.sandbox}")
        yield sandbox.address, sandbox.app_key, sandbox.clock


def _api_key(source: Source, desired: Desired) -> Secret:
    """The app's runtime key, from the file that was named or from the environment; never from an argument."""
    variable = desired.app.api_key_env
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
