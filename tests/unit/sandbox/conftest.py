"""One running sandbox for each test that asks for it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.sandbox import SandboxServer
from tests.support.sandbox_server import SignedClient, running_sandbox


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SandboxServer]:
    with running_sandbox(tmp_path) as running:
        yield running


@pytest.fixture
def client(server: SandboxServer) -> Iterator[SignedClient]:
    with SignedClient(server) as signed:
        yield signed
