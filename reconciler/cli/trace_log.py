"""Writes a run into a file, one JSON object on each line, with nothing in it that is secret.

Names, routes without ids, statuses, codes and times; no bodies, no queries, no headers but the server's name
for a request. A text that somebody typed stands in it only as far as it names an agent, a sink or an app.
"""

from __future__ import annotations

import json
import os
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex
from stat import S_ISREG
from typing import TYPE_CHECKING, Any

from reconciler import __version__
from reconciler.cli.trace import SinkAction, Trace
from reconciler.errors import UsageError

if TYPE_CHECKING:
    from reconciler.alter.retry import ApiEvent, Exchange
    from reconciler.errors import ExitCode
    from reconciler.model.outcome import OperationOutcome
    from reconciler.model.plan import Operation

# How every line begins, with 0 for each digit; and how much of that no other file begins with.
_BEGINNING = b'{"time": "0000-00-00T00:00:00.000000Z", "run": "'
_TELLING = len(b'{"time": "')


class LineFile:
    """Appends whole lines, each with one write, so that neither a kill nor another run tears one apart.

    Once a write fails there are no more: the work goes on, and ``alarm`` is told why.
    """

    def __init__(self, path: Path, alarm: Callable[[str], None]) -> None:
        self._path = path
        self._alarm = alarm
        self._lock = threading.Lock()
        self._is_broken = False
        # Never through a link to a file of somebody else's, and never waiting for the reader of a pipe.
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        self._descriptor = os.open(path, flags, 0o600)

    def head(self) -> bytes:
        """How the file began before this run; nothing of what has no beginning, like a pipe."""
        if not S_ISREG(os.fstat(self._descriptor).st_mode):
            return b""
        return os.pread(self._descriptor, len(_BEGINNING), 0)

    def begin(self, line: str) -> None:
        """The first line; ``OSError`` when there is no room for it. A torn line before it is ended."""
        ends_torn = False
        if S_ISREG(os.fstat(self._descriptor).st_mode):
            size = os.fstat(self._descriptor).st_size
            ends_torn = size > 0 and os.pread(self._descriptor, 1, size - 1) != b"\n"
        self._write(f"\n{line}" if ends_torn else line)

    def add(self, line: str) -> None:
        """One more line."""
        with self._lock:
            if self._is_broken:
                return
            try:
                self._write(line)
            except OSError as error:
                self._is_broken = True
                self._alarm(f"warning: the trace in {self._path} ends here: {error.strerror}")

    def close(self) -> None:
        """Closes the file."""
        os.close(self._descriptor)

    def _write(self, line: str) -> None:
        content = f"{line}\n".encode()
        if os.write(self._descriptor, content) != len(content):
            raise OSError(0, "there was no room for a whole line")


class TraceLog(Trace):
    """The lines of one run, or of one app in it. Each thread has its own agent."""

    def __init__(self, file: LineFile, run: str, fields: Mapping[str, Any]) -> None:
        self._file = file
        self._run = run
        self._fields = fields
        self._here = threading.local()
        self._began = time.monotonic()

    def for_app(self, app: str) -> TraceLog:
        """For one of several apps."""
        return TraceLog(self._file, self._run, {**self._fields, "app": app})

    def exchanged(self, exchange: Exchange) -> None:
        """A request or, where those have none, a command of the executable, without a status."""
        told = {
            "route": exchange.route,
            "status": exchange.status or None,
            "error": exchange.error or None,
            "ms": round(exchange.seconds * 1000, 1),
            "attempt": exchange.attempt,
            "reason": exchange.reason or None,
            "request_id": exchange.request_id or None,
        }
        self._tell("request", **self._of_agent(), **told)

    def retried(self, event: ApiEvent) -> None:
        """A wait before the next attempt, or for the rate limit."""
        seconds = round(event.wait_seconds, 3)
        if event.kind == "pause":
            self._tell("pause", seconds=seconds, reason=event.reason)
            return
        from reconciler.alter.routes import template_of

        told = {"route": template_of(event.route), "attempt": event.attempt, "reason": event.reason}
        self._tell("retry", **self._of_agent(), **told, seconds=seconds)

    def begin_agent(self, operations: Sequence[Operation]) -> None:
        """What this thread asks from now on is for this agent."""
        self._here.agent = str(operations[0].agent)
        kinds = [operation.kind for operation in operations]
        self._tell("agent_begin", agent=operations[0].agent, operations=kinds)

    def end_agent(self, outcomes: Sequence[OperationOutcome]) -> None:
        """Codes and not messages: those may quote what a server said."""
        told = [
            {"kind": one.kind, "status": one.status} | ({"code": one.failure.code} if one.failure else {})
            for one in outcomes
        ]
        self._tell("agent_end", **self._of_agent(), operations=told)
        self._here.agent = None

    def sink_used(self, action: SinkAction, *, sink: str, agent: str, error: str) -> None:
        """What became of a key in a sink."""
        self._tell("sink", action=action, sink=sink, agent=agent, error=error or None)

    def begin_run(self, command: str, options: Mapping[str, Any]) -> None:
        """The first line; ``OSError`` when it cannot be written."""
        told = {"tool_version": __version__, "command": command, "options": options}
        self._file.begin(self._line("run_begin", told))

    def end_run(self, exit_code: ExitCode) -> None:
        """The last line. A run that was killed has none."""
        seconds = round(time.monotonic() - self._began, 3)
        self._tell("run_end", exit_code=int(exit_code), seconds=seconds)

    def _of_agent(self) -> dict[str, str]:
        agent: str | None = getattr(self._here, "agent", None)
        return {} if agent is None else {"agent": agent}

    def _tell(self, event: str, **told: Any) -> None:
        self._file.add(self._line(event, told))

    def _line(self, event: str, told: Mapping[str, Any]) -> str:
        at = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        known = {name: value for name, value in told.items() if value is not None}
        return json.dumps({"time": at, "run": self._run, "event": event, **self._fields, **known})


@contextmanager
def trace_log(
    path: Path, command: str, options: Mapping[str, Any], alarm: Callable[[str], None]
) -> Iterator[TraceLog]:
    """A log of the run that begins. ``UsageError`` when it cannot be written, before anything is done."""
    try:
        file = LineFile(path, alarm)
    except OSError as error:
        raise _unusable(path, error) from error
    try:
        log = TraceLog(file, token_hex(4), {})
        try:
            if not _is_trace(file.head()):
                raise _no_trace(path)
            log.begin_run(command, options)
        except OSError as error:
            raise _unusable(path, error) from error
        yield log
    finally:
        file.close()


def _is_trace(head: bytes) -> bool:
    """Whether a file that begins like this is empty or a trace, whose first line may be torn."""
    line = re.sub(rb"[0-9]", b"0", head.partition(b"\n")[0])
    return not head or (line.startswith(_BEGINNING[:_TELLING]) and _BEGINNING.startswith(line))


def _no_trace(path: Path) -> UsageError:
    return UsageError(
        f"--trace {path}: there is something in it that is no trace, and it is left as it is",
        hint="--trace takes a file to write: name a new one, or one that an earlier run wrote; "
        "a saved plan is carried out without it, like `alter-sync apply plan.json`",
    )


def _unusable(path: Path, error: OSError) -> UsageError:
    return UsageError(
        f"--trace {path}: it cannot be written: {error.strerror}",
        hint="name a file in a folder that is there, and that is no link",
    )
