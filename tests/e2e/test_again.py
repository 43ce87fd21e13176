"""Running it again is safe and cheap: no change means no change, and requests do not grow with agents."""

import pytest

from reconciler.errors import ExitCode
from reconciler.sandbox import SandboxServer
from tests.support.commands import declare, mutations, readers, run


def test_a_second_apply_only_reads(alter: SandboxServer) -> None:
    sinks = {"env": {"type": "file", "path": "secrets/{agent}.env", "format": "dotenv"}}
    block = {
        "type": "service",
        "display_name": "Alpha",
        "status": "inactive",
        "scopes": {"google": ["gmail.readonly", "calendar"], "managed_secret_slugs": ["stripe"]},
        "metadata": {"team": "payments", "nested": {"a": [1, 2.5, None, True]}},
        "protect": True,
        "deliver_to": ["env"],
        "expires_at": "2090-01-01",
        "narrowing_grace": "1h",
    }
    declare({"alpha": block} | readers("beta"), sinks=sinks)
    assert run("apply", "--yes").code == ExitCode.OK
    alter.store.clear_request_log()
    for _ in range(2):
        result = run("apply", "--yes")
        assert result.code == ExitCode.OK
        assert "Nothing to do" in result.stdout
    assert mutations(alter) == []


@pytest.mark.timeout(30)
def test_a_plan_of_a_thousand_agents_without_changes_is_two_requests(alter: SandboxServer) -> None:
    names = [f"agent-{place:04}" for place in range(1000)]
    declare(readers(*names))
    assert run("apply", "--yes", "-q", "-o", "json", "--parallelism", "16").code == ExitCode.OK
    alter.store.clear_request_log()
    result = run("plan", "--detailed-exitcode")
    assert result.code == ExitCode.OK
    assert "1,000 in sync" in result.stdout or "1000 in sync" in result.stdout
    paths = [request.path for request in alter.store.request_log()]
    assert paths.count("/sdk/agents") == 1
    assert len(paths) <= 2
