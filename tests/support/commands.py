"""Runs commands as a user would: in this process, or as a process of its own where that matters."""

import io
import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import pytest

from reconciler.cli import main
from reconciler.sandbox import SandboxServer
from reconciler.sandbox.store import LoggedRequest

SCRIPT = str(Path(sys.executable).with_name("alter-sync"))

OWNER = "payments/agents"
APP = "payments-prod"
READER: Mapping[str, Any] = {"scopes": {"google": ["gmail.readonly"]}}

# What a terminal or a CI runner may have set, and what would change what a command says.
_OF_THE_MACHINE = ("HOME", "NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES", "SHELL")


@dataclass(frozen=True, slots=True)
class Result:
    """How one command ended, and what it wrote where."""

    code: int
    stdout: str
    stderr: str

    @property
    def document(self) -> Any:
        """The one JSON document on stdout."""
        return json.loads(self.stdout)

    @property
    def rows(self) -> list[Any]:
        """The documents on stdout, one on each line."""
        return [json.loads(line) for line in self.stdout.splitlines()]


def run(*arguments: str, stdin: TextIO | None = None) -> Result:
    """In this process. Without ``stdin`` nobody is there to answer."""
    stdout, stderr = io.StringIO(), io.StringIO()
    before = sys.stdin
    sys.stdin = stdin or io.StringIO()
    try:
        with redirect_stdout(stdout), redirect_stderr(stderr):
            code = main.run(arguments)
    finally:
        sys.stdin = before
    return Result(code, stdout.getvalue(), stderr.getvalue())


def process(*arguments: str, **variables: str) -> Result:
    """A process of its own, with nothing in its environment but ours for Alter and ``variables``."""
    done = subprocess.run(
        [SCRIPT, *arguments],
        env=environment(**variables),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=20,
        check=False,
    )
    return Result(done.returncode, done.stdout, done.stderr)


def environment(**variables: str) -> dict[str, str]:
    """For a process of its own."""
    ours = {name: value for name, value in os.environ.items() if name.startswith("ALTER_")}
    return {"PATH": os.environ["PATH"], "PYTHONUTF8": "1", **ours, **variables}


def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Takes away what the machine that runs the tests has set."""
    for name in list(os.environ):
        if name.startswith("ALTER_") or name in _OF_THE_MACHINE:
            monkeypatch.delenv(name)


@contextmanager
def terminal(answer: str) -> Iterator[TextIO]:
    """A real terminal to read from, on which somebody has typed ``answer`` and Enter."""
    master, slave = pty.openpty()
    try:
        with open(slave, encoding="utf-8") as stream:
            os.write(master, f"{answer}\n".encode())
            yield stream
    finally:
        os.close(master)


def declare(
    agents: Mapping[str, Any] | None, *, file: str | Path = "agents.yaml", owner: str = OWNER, **sections: Any
) -> Path:
    """Writes a configuration. JSON is YAML, too; ``None`` leaves the key ``agents`` out.

    Without ``defaults`` no agent's key is delivered anywhere, unless its block says so.
    """
    document: dict[str, Any] = {"version": 1, "owner": owner, "app": {"name": APP}, **sections}
    if agents is not None:
        nowhere: dict[str, Any] = {} if "defaults" in sections else {"deliver_to": []}
        document["agents"] = {name: {**nowhere, **block} for name, block in agents.items()}
    path = Path(file)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=2))
    return path


def readers(*names: str) -> dict[str, Any]:
    """Agents that differ in nothing but their names, without sinks."""
    return dict.fromkeys(names, READER)


def mutations(server: SandboxServer) -> list[LoggedRequest]:
    """The requests that could have changed something."""
    return [request for request in server.store.request_log() if request.mutating]


def use_key_of(
    monkeypatch: pytest.MonkeyPatch, server: SandboxServer, *permissions: str, app: str | None = None
) -> str:
    """From now on commands have a key with these permissions; of the sandbox's first app unless told."""
    key = server.create_app_key(permissions, **({} if app is None else {"app": app}))
    monkeypatch.setenv("ALTER_API_KEY", key)
    return key


# Rotation needs time to go by. The embedded sandbox has a clock that commands can move, so these work on it.

EMBEDDED = "--sandbox"
DATABASE = Path(".alter-sync/sandbox.sqlite3")
TO_FILES: Mapping[str, Any] = {
    "defaults": {"deliver_to": ["env"]},
    "sinks": {"env": {"type": "file", "path": "secrets/{agent}.env", "format": "dotenv"}},
}
_KEY = re.compile(r"alter_ak_[a-z2-7]{22}_[a-z2-7]{6}")


def declare_rotating(*names: str, rotation: Mapping[str, Any] | None = None, **sections: Any) -> Path:
    """Agents that deliver to `secrets/{agent}.env`, with one policy for all."""
    defaults = {"deliver_to": ["env"], "rotation": {"max_age": "30d", **(rotation or {})}}
    return declare(readers(*names), **{**TO_FILES, "defaults": defaults, **sections})


def plaintexts(text: str) -> set[str]:
    """The agents' keys in a text."""
    return set(_KEY.findall(text))


def held_key(agent: str, *, folder: str = "secrets", suffix: str = ".env") -> str:
    """The one key in an agent's file."""
    (key,) = plaintexts(Path(folder, f"{agent}{suffix}").read_text())
    return key


def advance(duration: str) -> None:
    """Moves the clock of the embedded sandbox."""
    assert run("sandbox", "advance", duration).code == 0


def use(*agents: str) -> None:
    """The agents' workloads read their files and authenticate."""
    assert run("sandbox", "use", *(f"secrets/{agent}.env" for agent in agents)).code == 0


@contextmanager
def embedded_server() -> Iterator[SandboxServer]:
    """The embedded sandbox between two commands, for a look into its store and for use of its keys."""
    server = SandboxServer(DATABASE)
    try:
        yield server
    finally:
        server.stop()
