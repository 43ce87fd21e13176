"""The ``command`` sink: a program of the user's stores the key, and another one may read it back.

A program gets the key, and nothing else, on its standard input: no newline, then the end of the input. Its
environment is ours without the credentials of Alter, with ``ALTER_SYNC_ACTION`` (``deliver`` or ``read``) and
``ALTER_SYNC_AGENT``, and for a delivery ``ALTER_SYNC_`` and ``OWNER``, ``APP``, ``KEY_ID``, ``KEY_PREFIX``.
It runs without a shell, and may run again with the same key, which then has to change nothing.

What it answers: exit code 0 when the key is stored, which is believed only if it read all of its input. The
read command prints the key, or ``{"key_id": …, "fingerprint": "sha256:…"}``; nothing printed, or exit code 4
(our own "not found"), says that there is no key. Whatever else it prints goes nowhere: a program that knows
the key can print it in more forms than anybody could recognise.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from reconciler.errors import ExitCode, SinkError
from reconciler.model.agent import AgentName
from reconciler.model.desired import SinkRef
from reconciler.model.key import KeyId
from reconciler.model.nearest import did_you_mean
from reconciler.model.secret import KEY_SHAPE, Secret
from reconciler.model.values import Json
from reconciler.ports import Delivery, SinkReading
from reconciler.sinks.captured import Captured
from reconciler.sinks.disk import explained
from reconciler.sinks.facts import check_key, fill_in

DEFAULT_TIMEOUT_SECONDS = 30.0

_SECONDS_OF = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_FACTS = ("ACTION", "AGENT", "OWNER", "APP", "KEY_ID", "KEY_PREFIX")
_WITHHELD = frozenset({"ALTER_API_KEY", "ALTER_PAT", *(f"ALTER_SYNC_{fact}" for fact in _FACTS)})
_UNSHOWN = "what it printed is not shown, for it could hold the key; let the program log on its own"
_FINGERPRINT = re.compile(r"sha256:[0-9a-f]{64}")


def open_command_sink(ref: SinkRef, _former_owners: tuple[str, ...]) -> CommandSink:
    """Settings: ``write`` and ``read`` (lists of arguments), ``timeout_seconds`` or ``timeout`` ("30s")."""
    limit = ref.settings.get("timeout_seconds", ref.settings.get("timeout", DEFAULT_TIMEOUT_SECONDS))
    return CommandSink(
        name=ref.name,
        write=tuple(map(str, ref.settings["write"])),
        read=tuple(map(str, ref.settings.get("read") or ())),
        timeout_seconds=_seconds(limit, ref.name),
    )


@dataclass(frozen=True, slots=True)
class _Answer:
    """How a program ended."""

    exit_code: int
    captured: Captured
    read_all_input: bool


@dataclass(frozen=True, slots=True)
class CommandSink:
    """See the module. An empty ``read`` makes the sink write-only."""

    name: str
    write: tuple[str, ...]
    read: tuple[str, ...] = ()
    timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS

    @property
    def is_readable(self) -> bool:
        return bool(self.read)

    def place(self, agent: AgentName) -> str:
        return f"command `{shlex.join(_filled(self.write, agent))}`"

    def probe(self, agent: AgentName, *, owner: str, app: str) -> None:  # noqa: ARG002
        """Only looks for the programs: running one without a key would be a surprise to it."""
        for argv in filter(None, (self.write, self.read)):
            self._check_program(_filled(argv, agent)[0])

    def deliver(self, delivery: Delivery) -> None:
        check_key(delivery.plaintext, f"sink {self.name!r}")
        facts = {
            "ACTION": "deliver",
            "AGENT": delivery.agent,
            "OWNER": delivery.owner,
            "APP": delivery.app,
            "KEY_ID": delivery.key_id,
            "KEY_PREFIX": delivery.key_prefix,
        }
        argv = _filled(self.write, delivery.agent)
        answer = self._run(argv, facts, key=delivery.plaintext)
        if answer.exit_code != 0:
            raise self._failed(argv, answer)
        if not answer.read_all_input:
            raise SinkError(
                f"sink {self.name!r}: `{argv[0]}` reported success, but did not read the key to its end",
                hint="the key comes on standard input: let the command read it from there",
            )

    def read_back(self, agent: AgentName) -> SinkReading | None:
        if not self.read:
            return None
        argv = _filled(self.read, agent)
        answer = self._run(argv, {"ACTION": "read", "AGENT": agent}, key=None)
        if answer.exit_code == ExitCode.NOT_FOUND:
            return None
        if answer.exit_code != 0:
            raise self._failed(argv, answer)
        reading = _reading(answer.captured)
        if isinstance(reading, str):
            raise SinkError(
                f"sink {self.name!r}: the answer of `{argv[0]}` {reading}",
                hint='let it print the key and nothing else, or {"key_id": …, "fingerprint": "sha256:…"}',
            )
        return reading

    def forget_previous(self, agent: AgentName) -> None:
        """Nothing to do: whether the program keeps old keys is its own matter."""

    def restore_previous(self, agent: AgentName) -> bool:  # noqa: ARG002
        return False

    def _run(self, argv: tuple[str, ...], facts: Mapping[str, str], *, key: Secret | None) -> _Answer:
        captured = Captured()
        with explained("run", Path(argv[0])), _pipe_with(key) as stdin:
            with self._started(argv, facts, stdin) as process:
                try:
                    in_time = captured.read_until_end_of(process, monotonic() + self.timeout_seconds)
                finally:  # also when the user stops us: nothing with a key in it stays behind
                    if process.returncode is None:
                        with suppress(ProcessLookupError, PermissionError):
                            os.killpg(process.pid, signal.SIGKILL)
            if not in_time:
                raise SinkError(
                    f"sink {self.name!r}: `{argv[0]}` took longer than {self.timeout_seconds:g} s and was "
                    "stopped, with all that it had started",
                    hint=f"find out what it waits for, or give the sink a longer timeout; {_UNSHOWN}",
                )
            return _Answer(process.returncode, captured, read_all_input=not os.read(stdin, 1))

    def _started(
        self, argv: tuple[str, ...], facts: Mapping[str, str], stdin: int
    ) -> subprocess.Popen[bytes]:
        kept = {
            name: value
            for name, value in os.environ.items()
            if name not in _WITHHELD and not KEY_SHAPE.search(value)
        }
        environment = {**kept, **{f"ALTER_SYNC_{name}": value for name, value in facts.items()}}
        reading = facts["ACTION"] == "read"
        try:
            return subprocess.Popen(  # noqa: S603 (the user's own command, without a shell)
                argv,
                stdin=stdin,
                stdout=subprocess.PIPE if reading else subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=environment,
                start_new_session=True,  # a group of its own, so that a time limit reaches grandchildren
            )
        except (OSError, ValueError) as exc:
            self._check_program(argv[0])
            why = exc.strerror if isinstance(exc, OSError) else "an argument or a fact contains a NUL"
            raise SinkError(
                f"sink {self.name!r}: cannot start `{argv[0]}`: {why}",
                hint="check that it is a program for this machine; a script has to begin with #!/bin/sh",
            ) from exc

    def _check_program(self, program: str) -> None:
        if shutil.which(program):
            return
        is_path = "/" in program
        if is_path and Path(program).is_file():
            what = f"sink {self.name!r}: {program} is not executable"
            raise SinkError(what, hint=f"run `chmod +x {program}`")
        folders = [Path(program).parent] if is_path else map(Path, os.get_exec_path())
        names = {path.name for folder in folders for path in folder.glob("*")}
        guess = did_you_mean(Path(program).name, names)
        raise SinkError(
            f"sink {self.name!r}: there is no program `{program}`",
            hint=guess or "install it, or give its full path",
        )

    def _failed(self, argv: tuple[str, ...], answer: _Answer) -> SinkError:
        code = answer.exit_code
        how = f"ended with exit code {code}" if code > 0 else f"was killed by signal {-code}"
        return SinkError(f"sink {self.name!r}: `{argv[0]}` {how}", hint=_UNSHOWN)


def _filled(argv: tuple[str, ...], agent: AgentName) -> tuple[str, ...]:
    return tuple(fill_in(item, agent) for item in argv)


@contextmanager
def _pipe_with(key: Secret | None) -> Iterator[int]:
    """The reading end of a pipe that holds the whole key already, and will never hold more.

    We keep that end until the program is gone: what is left in it then, the program has not read. (A program
    that closes its input early would go unnoticed otherwise, for a key is too short to break a pipe.)
    """
    reading, writing = os.pipe()
    try:
        os.write(writing, key.reveal().encode() if key else b"")
        os.close(writing)
        yield reading
    finally:
        os.close(reading)


def _reading(captured: Captured) -> SinkReading | str | None:
    """What a read command printed, or what is wrong with it: a return value, as locals here are plain."""
    output = captured.output()
    if captured.is_cut:
        return "is too long for a key"
    if output is None:
        return None
    if not output.reveal().startswith("{"):
        return SinkReading(key_id=None, fingerprint=output.fingerprint(), plaintext=output)
    document = None
    with suppress(ValueError, RecursionError):
        document = json.loads(output.reveal())
    if not isinstance(document, dict):
        return "is not JSON"
    key_id, fingerprint = document.get("key_id"), document.get("fingerprint")
    if not isinstance(key_id, str | None) or not isinstance(fingerprint, str | None):
        return "has a key_id or a fingerprint that is not text"
    if fingerprint is not None and not _FINGERPRINT.fullmatch(fingerprint):
        return "has a fingerprint that is not 'sha256:' and 64 hex digits"
    if key_id is None and fingerprint is None:
        return None
    return SinkReading(key_id=None if key_id is None else KeyId(key_id), fingerprint=fingerprint)


def _seconds(limit: Json, sink: str) -> float:
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)([smhd]?)", str(limit))
    seconds = float(match[1]) * _SECONDS_OF.get(match[2], 1) if match else 0.0
    if seconds > 0:
        return seconds
    raise SinkError(f"the timeout {limit!r} of sink {sink!r} is not a time", hint='for example "30s" or 30')
