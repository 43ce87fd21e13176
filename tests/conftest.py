"""What tests of commands share: an empty folder to work in, and an Alter to talk to."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.sandbox import SandboxServer
from tests.support.commands import clean_environment
from tests.support.sandbox_server import running_sandbox

# Who starts us in the background may have set SIGINT to be ignored, and processes that we start would inherit
# that: no Ctrl-C would reach them.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder as the working directory, and an environment that nobody has prepared."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    clean_environment(monkeypatch)
    return folder


@pytest.fixture
def alter(workplace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SandboxServer]:
    """A running Alter that commands in the workplace find, with a key that may do everything."""
    with running_sandbox(tmp_path) as server:
        monkeypatch.setenv("ALTER_BASE_URL", server.base_url)
        monkeypatch.setenv("ALTER_API_KEY", server.app_key())
        yield server
