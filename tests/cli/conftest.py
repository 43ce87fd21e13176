"""The two planes of the live API, for commands that work on either."""

import pytest

from reconciler.sandbox import SandboxServer
from tests.support.planes import Plane, use_token


@pytest.fixture(params=["sdk", "dashboard"])
def plane(request: pytest.FixtureRequest, alter: SandboxServer, monkeypatch: pytest.MonkeyPatch) -> Plane:
    """The plane that commands use: over HTTP with a runtime key, or through the executable with a token."""
    chosen: Plane = request.param
    if chosen == "dashboard":
        monkeypatch.delenv("ALTER_API_KEY")
        use_token(monkeypatch, alter)
    return chosen


@pytest.fixture
def both_planes(alter: SandboxServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials for both: state goes over HTTP, audit and registry through the executable."""
    use_token(monkeypatch, alter)
