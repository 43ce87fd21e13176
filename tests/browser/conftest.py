"""One Chromium for all tests of a worker, and a new tab for each test."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.support.browser import Browser, Page, chromium, running_browser

_MISSING = "there is no Chromium on this machine: apt-get install chromium"


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A running Chromium. In CI there has to be one, or nobody would notice that nothing is tested."""
    if chromium() is None:
        if os.environ.get("CI") == "true":
            pytest.fail(_MISSING)
        pytest.skip(_MISSING)
    with running_browser() as started:
        yield started


@pytest.fixture
def page(browser: Browser) -> Page:
    """A new tab, in light colours until a test asks for dark ones."""
    opened = browser.page()
    opened.prefer("light")
    return opened
