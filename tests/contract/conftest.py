"""The official client, pointed at a running sandbox through its own environment variable."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
from alter_sdk import App

from reconciler.sandbox import SandboxServer
from tests.support.sandbox_server import RunWithApp, running_sandbox

T = TypeVar("T")


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SandboxServer]:
    with running_sandbox(tmp_path) as running:
        monkeypatch.setenv("ALTER_BASE_URL", running.base_url)
        yield running


@pytest.fixture
def with_app(server: SandboxServer) -> RunWithApp:
    def run(story: Callable[[App], Awaitable[T]], *, key: str | None = None, **options: Any) -> T:
        async def session() -> T:
            async with App(key or server.app_key(), **options) as app:
                return await story(app)

        return asyncio.run(session())

    return run
