"""Under a rate limit: the work is done, slower, and hardly anything is refused on the way."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from reconciler.errors import ExitCode
from reconciler.sandbox import SandboxServer
from tests.support.commands import TO_FILES, declare, readers, run
from tests.support.sandbox_server import running_sandbox

# Two requests for each agent, and two for the plan: three windows at least.
AGENTS, LIMIT, WINDOW_SECONDS = 45, 40, 3

Start = Callable[..., SandboxServer]


@pytest.fixture
def start(workplace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Starts a server with a limit for short windows, which commands find."""
    with ExitStack() as stack:

        def begin(**settings: Any) -> SandboxServer:
            limit = {"rate_limit_per_minute": LIMIT, "rate_limit_window_seconds": WINDOW_SECONDS}
            server = stack.enter_context(running_sandbox(tmp_path, **limit, **settings))
            monkeypatch.setenv("ALTER_BASE_URL", server.base_url)
            monkeypatch.setenv("ALTER_API_KEY", server.app_key())
            return server

        yield begin


def refusals(server: SandboxServer) -> int:
    return sum(request.status == 429 for request in server.store.request_log())


def test_first_keys_of_many_agents_meet_two_refusals_at_most(start: Start) -> None:
    server = start()
    declare(readers(*(f"agent-{number:02}" for number in range(AGENTS))), **TO_FILES)
    result = run("apply", "--yes", "-o", "json")
    assert result.code == ExitCode.OK
    assert len(list(Path("secrets").glob("*.env"))) == AGENTS
    assert refusals(server) <= 2
    assert " s waited" in result.stderr  # without having been asked


def test_a_server_that_tells_its_limit_by_refusals_alone_is_worn_out_less_each_time(start: Start) -> None:
    server = start(announces_rate_limit=False)
    declare(readers(*(f"agent-{number:02}" for number in range(AGENTS))), **TO_FILES)
    result = run("apply", "--yes", "-o", "json")
    assert result.code == ExitCode.OK
    assert len(list(Path("secrets").glob("*.env"))) == AGENTS
    # What was under way when it was over, in each of the windows, and half of that the next time.
    assert 1 <= refusals(server) <= 32
