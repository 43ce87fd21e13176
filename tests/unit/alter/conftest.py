"""One server and one client for each test of the live API."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from reconciler.alter.retry import ApiEvent
from reconciler.alter.sdk_plane import SdkPlane
from reconciler.model.secret import Secret
from tests.support.wire_server import WireServer
from tests.unit.alter.fakes import APP_KEY, FakeClock


@pytest.fixture
def server() -> Iterator[WireServer]:
    with WireServer(api_key=APP_KEY) as server:
        yield server
    assert server.signature_faults == []


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def events() -> list[ApiEvent]:
    return []


@pytest.fixture
def api(server: WireServer, clock: FakeClock, events: list[ApiEvent]) -> Iterator[SdkPlane]:
    with SdkPlane.connect(
        base_url=server.url,
        api_key=Secret(APP_KEY),
        owner="payments",
        clock=clock,
        on_event=events.append,
    ) as api:
        yield api
