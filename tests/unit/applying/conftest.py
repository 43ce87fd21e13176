"""One fleet on a running sandbox for each test that asks for it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.fleet import Fleet, running_fleet


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    with running_fleet(tmp_path) as running:
        yield running
