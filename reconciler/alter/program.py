"""Runs the ``alter`` executable: one command in, the JSON of its answer or one of our errors out.

No shell, an argument list, the token in its environment alone, a time limit. Exit codes 0 to 6 are those of
the Alter command line; anything else leaves the outcome open.
"""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from reconciler import errors
from reconciler.alter.answers import clean_text, parse_json
from reconciler.alter.refusals import CONFLICTS
from reconciler.alter.wire import token_environment, without_token
from reconciler.model.secret import KEY_SHAPE, Secret
from reconciler.model.values import Json

TIME_LIMIT_SECONDS = 120.0
# What is nice to know is not waited for that long.
FEED_TIME_LIMIT_SECONDS = 30.0
_ADMIN = "dashboard_agents:admin"
_READ = "dashboard_agents:read"
_WRITE = "dashboard_agents:write"
# From the command reference of the Alter command line.
PERMISSIONS: Mapping[str, str] = {
    "list": _READ,
    "show": _READ,
    "list-keys": _READ,
    "registry-list": _READ,
    "registry-show": _READ,
    "audit": "dashboard_audit:read",
    "create": _WRITE,
    "update": _WRITE,
    "mint-key": _WRITE,
    "deprecate-key": _WRITE,
    "undeprecate-key": _WRITE,
    "revoke": _ADMIN,
    "revoke-key": _ADMIN,
}


@dataclass(frozen=True, slots=True)
class DashboardAccess:
    """How to reach the dashboard plane. Without ``app_id`` the program uses the workspace it is linked to."""

    executable: str
    token: Secret
    app_id: str | None = None


@dataclass(frozen=True, slots=True)
class Program:
    """The executable with its credential. Safe to use from many threads: each call is a process."""

    access: DashboardAccess
    time_limit_seconds: float = TIME_LIMIT_SECONDS

    def find(self) -> None:
        """Raises ``errors.FileMissing`` when there is no such program."""
        if shutil.which(self.access.executable) is None:
            raise errors.FileMissing(
                f"there is no program {self.access.executable!r}, which the dashboard plane needs",
                hint="install the Alter command line, or name it in ALTER_CLI",
                code="no_alter_program",
            )

    def version(self) -> str:
        """The first line of what it says to ``--version``; empty when it does not know that."""
        with suppress(OSError, subprocess.SubprocessError):
            done = subprocess.run(  # noqa: S603 (an argument list, without a shell)
                [self.access.executable, "--version"],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                env=_kept_environment(),
                timeout=self.time_limit_seconds,
                check=False,
            )
            lines = done.stdout.decode(errors="replace").splitlines() if done.returncode == 0 else []
            return clean_text(lines[0], conceal=str) if lines else ""
        return ""

    def run(self, command: str, *words: str, body: bytes | None = None) -> Json:
        """The JSON that ``alter agents COMMAND`` prints. ``body`` goes to its standard input.

        Raises an ``errors.ApiError``; ``errors.Unreachable`` whenever it is open whether it was carried out.
        """
        argv = [self.access.executable, "agents", command, *words, "--output", "json"]
        if self.access.app_id:
            argv += ["--app", self.access.app_id]
        route = f"alter agents {command}"
        process = self._start(argv, route, has_body=body is not None)
        try:
            output, complaint = process.communicate(body, timeout=self.time_limit_seconds)
        except subprocess.TimeoutExpired as exc:
            limit = f"{self.time_limit_seconds:g} s"
            raise errors.Unreachable(f"{route}: no answer within {limit}", code="time_out") from exc
        finally:  # also when the user stops us: nothing with a token goes on behind our back
            if process.returncode is None:
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.communicate()
        output, complaint = (without_token(text, self.access.token) for text in (output, complaint))
        if process.returncode != 0:
            raise _Failure(command, process.returncode, output, complaint).error()
        try:
            return parse_json(output)
        except ValueError as exc:
            raise errors.BadAnswer(
                f"{route}: the answer is not JSON",
                code="not_json",
                hint=f"is {self.access.executable!r} the Alter command line, and does it know --output json?",
            ) from exc

    def _start(self, argv: Sequence[str], route: str, *, has_body: bool) -> subprocess.Popen[bytes]:
        try:
            return subprocess.Popen(  # noqa: S603 (an argument list, without a shell)
                argv,
                stdin=subprocess.PIPE if has_body else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=_kept_environment() | token_environment(self.access.token),
                start_new_session=True,  # a Ctrl-C is ours to answer, when the call is over
            )
        except (OSError, ValueError) as exc:
            why = exc.strerror if isinstance(exc, OSError) else "an argument contains a NUL"
            if isinstance(exc, ValueError) or exc.errno == errno.E2BIG:
                raise errors.ApiError(f"{route}: what is to be sent is no argument: {why}") from exc
            raise errors.Unreachable(
                f"{route}: {self.access.executable!r} cannot be started: {why}",
                code="no_alter_program",
                hint="ALTER_CLI names the executable of the Alter command line",
                sent=False,
            ) from exc


def _kept_environment() -> dict[str, str]:
    """Without keys. Whatever else is in it is the program's own: proxies, certificates, its settings."""
    return {
        name: value
        for name, value in os.environ.items()
        if name != "ALTER_API_KEY" and not KEY_SHAPE.search(value)
    }


@dataclass(frozen=True, slots=True)
class _Failure:
    """How a command ended that did not succeed."""

    command: str
    exit_code: int
    output: bytes
    complaint: bytes

    def error(self) -> errors.ApiError:
        message, code, hint = self._message(), self._code(), self._said("hint")
        match self.exit_code:
            case errors.ExitCode.USAGE:
                hint = (
                    hint or "this version of the Alter command line may not know the command as it was sent"
                )
                return errors.ApiError(message, code=code or "alter_usage", hint=hint)
            case errors.ExitCode.AUTH:
                return self._refused(message, code)
            case errors.ExitCode.NOT_FOUND:
                return errors.NotFound(message, status=404, code=code, hint=hint)
            case errors.ExitCode.CONFLICT:
                kind = CONFLICTS.get(code, errors.Conflict)
                return kind(message, status=409, code=code, hint=hint)
            case errors.ExitCode.RATE_LIMIT:
                return errors.RateLimited(message, hint=hint)
            case _:
                return errors.Unreachable(message, code=code, hint=hint)

    def _refused(self, message: str, code: str) -> errors.ApiError:
        needed = PERMISSIONS[self.command]
        if code == "insufficient_scope" or needed in self._text():
            return errors.InsufficientScope(
                message, required=(needed,), missing=(needed,), hint=f"the token in ALTER_PAT lacks {needed}"
            )
        hint = f"check ALTER_PAT and the app; this command needs the permission {needed}"
        return errors.AuthError(message, status=401, code=code, hint=hint)

    def _message(self) -> str:
        lines = [line for line in self.complaint.decode(errors="replace").splitlines() if line.strip()]
        reason = self._said("message") or clean_text(lines[0] if lines else "", conceal=str)
        how = f"exit code {self.exit_code}" if self.exit_code > 0 else f"signal {-self.exit_code}"
        return f"alter agents {self.command}: {reason or 'no reason given'} ({how})"

    def _code(self) -> str:
        said = self._said("error") or self._said("code")
        if re.fullmatch(r"[a-z][a-z0-9_]{0,63}", said):
            return said
        return next((code for code in CONFLICTS if re.search(rf"\b{code}\b", self._text())), "")

    def _said(self, name: str) -> str:
        """A text of the error document, if one was printed: its own, or one level down under ``error``."""
        document: Json = None
        with suppress(ValueError):
            document = parse_json(self.output)
        found = document if isinstance(document, dict) else {}
        inner = found.get("error")
        value = {**found, **({"error": inner.get("code"), **inner} if isinstance(inner, dict) else {})}.get(
            name
        )
        return clean_text(value, conceal=str) if isinstance(value, str) else ""

    def _text(self) -> str:
        return (self.output + b"\n" + self.complaint).decode(errors="replace")


def as_argument(document: Mapping[str, Json]) -> str:
    """A JSON value as one word of a command line."""
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False)
