"""What must never happen by accident: refused with its own exit code, a way out, and nothing changed."""

import pytest

from reconciler.errors import ExitCode
from reconciler.sandbox import SandboxServer
from tests.support.commands import declare, mutations, readers, run, use_key_of

NAMES = tuple(f"agent-{place:02}" for place in range(12))


@pytest.fixture
def fleet(alter: SandboxServer) -> SandboxServer:
    """Twelve live agents of this owner, and a request log that begins now."""
    declare(readers(*NAMES))
    assert run("apply", "--yes").code == ExitCode.OK
    alter.store.clear_request_log()
    return alter


def assert_refused(server: SandboxServer, *, guard: str, because: str) -> None:
    """By plan and by apply alike, with the flag that would let it through; and nothing was done."""
    for words in (["plan"], ["apply", "--yes"]):
        result = run(*words)
        assert result.code == ExitCode.REFUSED
        assert because in result.stdout
        assert f"to let this through: `alter-sync apply --allow {guard}" in result.stdout
        document = run(*words, "--output", "json").document
        assert {entry["guard"] for entry in document["blocked"]} >= {guard}
    assert mutations(server) == []


def test_a_renamed_owner_does_not_take_the_agents_with_it(fleet: SandboxServer) -> None:
    declare(readers(*NAMES), owner="payments/renamed")
    assert_refused(fleet, guard="foreign-owner", because="list it in former_owners")


def test_half_of_the_agents_are_not_deleted_at_once(fleet: SandboxServer) -> None:
    declare(readers(*NAMES[:6]))
    assert_refused(
        fleet, guard="max-revocations", because="6 of 12 owned agents would be revoked at once (50 %)"
    )


def test_an_emptied_file_revokes_nothing(fleet: SandboxServer) -> None:
    declare({})
    assert_refused(fleet, guard="empty-config", because="declares no agents, but 12 live ones belong to it")


def test_an_absent_key_is_an_error_and_not_an_empty_file(fleet: SandboxServer) -> None:
    declare(None)
    for words in (["validate"], ["plan"], ["apply", "--yes"]):
        result = run(*words)
        assert result.code == ExitCode.USAGE
        assert "agents" in result.stderr
        assert "agents.yaml:" in result.stderr
    assert fleet.store.request_log() == []


def test_a_saved_plan_that_the_world_has_left_behind_does_nothing(fleet: SandboxServer) -> None:
    declare(readers(*NAMES[:-1]) | {NAMES[-1]: {"scopes": {}}})
    assert run("plan", "--save", "plan.json").code == ExitCode.OK
    assert run("apply", "--yes").code == ExitCode.OK
    fleet.store.clear_request_log()
    result = run("apply", "plan.json", "--yes")
    assert result.code == ExitCode.STALE
    assert NAMES[-1] in result.stderr
    assert "alter-sync plan --save" in result.stderr
    assert mutations(fleet) == []


def test_the_key_of_another_app_does_nothing_there(
    fleet: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    # In the other app the same owner has agents, marked with that app's name.
    use_key_of(monkeypatch, fleet, "agents:read", "agents:write", "agents:admin", app="staging")
    declare(readers("alpha", "beta"), app={"name": "payments-staging"})
    assert run("apply", "--yes").code == ExitCode.OK
    fleet.store.clear_request_log()
    declare(readers(*NAMES))
    assert_refused(fleet, guard="wrong-app", because="check the key in ALTER_API_KEY")


def test_a_key_that_reads_changes_nothing_and_says_what_it_lacks(
    fleet: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(readers(*NAMES, "one-more"))
    use_key_of(monkeypatch, fleet, "agents:read", "providers:read")
    result = run("apply", "--yes")
    assert result.code == ExitCode.AUTH
    assert "agents:write" in result.stdout
    assert [request.status for request in mutations(fleet)] == [403]
    assert "1 to create; 12 in sync" in run("plan").stdout


def test_a_key_that_does_not_administer_revokes_nothing(
    fleet: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(readers(*NAMES[1:]))
    use_key_of(monkeypatch, fleet, "agents:read", "agents:write")
    result = run("apply", "--yes")
    assert result.code == ExitCode.AUTH
    assert "agents:admin" in result.stdout
    assert "1 to revoke" in run("plan").stdout
