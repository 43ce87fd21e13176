"""Every error class that the official client can raise from its three namespaces comes out of the sandbox."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from alter_sdk import App, exceptions
from alter_sdk.agent import Agent

from reconciler.sandbox import SandboxServer
from tests.support.sandbox_server import RunWithApp, running_sandbox

UNKNOWN_ID = "00000000-0000-4000-8000-000000000000"
UNKNOWN_KEY = "alter_rk_aaaaaaaaaaaaaaaaaaaaaa_aaaaaa"  # its checksum is wrong


def fails(with_app: RunWithApp, kind: type[Exception], call: Callable[[App], Any], **options: Any) -> Any:
    async def story(app: App) -> Any:
        with pytest.raises(kind) as caught:
            await call(app)
        assert type(caught.value) is kind
        return caught.value

    return with_app(story, **options)


@pytest.mark.parametrize(
    ("state", "kind"),
    [
        ("revoked", exceptions.KeyRevokedError),
        ("expired", exceptions.KeyExpiredError),
        ("rotated", exceptions.KeyRotationExpiredError),
        ("frozen", exceptions.KeyInactiveError),
    ],
)
def test_a_key_that_is_no_longer_active_is_named_by_its_state(
    server: SandboxServer, with_app: RunWithApp, state: str, kind: type[Exception]
) -> None:
    key = server.create_app_key(["agents:read", "providers:read"])
    server.store.set_key_state(key, state)
    fails(with_app, kind, lambda app: app.agents.list(), key=key)
    fails(with_app, kind, lambda app: app.scopes.list(), key=key)
    fails(with_app, kind, lambda app: app.oauth_providers.list(), key=key)


def test_a_key_nobody_minted_is_invalid(with_app: RunWithApp) -> None:
    from reconciler.sandbox.keys import mint_plaintext

    stranger = mint_plaintext("rk")
    error = fails(with_app, exceptions.InvalidKeyError, lambda app: app.agents.list(), key=stranger)
    assert error.hint
    fails(with_app, exceptions.InvalidKeyError, lambda app: app.scopes.list(), key=stranger)


def test_a_key_of_a_vanished_app_says_so(server: SandboxServer, with_app: RunWithApp) -> None:
    key = server.create_app_key(["agents:read"], app="gone")
    server.store.delete_app("gone")
    fails(with_app, exceptions.KeyAppNotFoundError, lambda app: app.agents.list(), key=key)
    fails(with_app, exceptions.KeyAppNotFoundError, lambda app: app.scopes.list(), key=key)


def test_a_missing_permission_is_named(server: SandboxServer, with_app: RunWithApp) -> None:
    key = server.create_app_key(["agents:read"])
    error = fails(
        with_app, exceptions.InsufficientScopeError, lambda app: app.agents.delete(UNKNOWN_ID), key=key
    )
    assert (error.required, error.granted, error.missing) == (
        ["agents:admin"],
        ["agents:read"],
        ["agents:admin"],
    )
    assert not error.required_any_of


def test_a_constrained_client_keeps_only_the_permissions_it_asked_for(with_app: RunWithApp) -> None:
    async def story(app: App) -> None:
        async with app.with_constraints(scopes=["agents:read"]) as reader:
            assert (await reader.agents.list()).total == 0
            with pytest.raises(exceptions.InsufficientScopeError) as caught:
                await reader.agents.create(name="a", scopes={})
        assert caught.value.granted == ["agents:read"]

    with_app(story)


def test_agents_of_other_apps_do_not_exist(server: SandboxServer, with_app: RunWithApp) -> None:
    async def story(app: App) -> str:
        return str((await app.agents.create(name="a", scopes={})).id)

    foreign = with_app(story, key=server.create_app_key(["agents:write"], app="other"))
    fails(with_app, exceptions.AgentNotFoundError, lambda app: app.agents.get(foreign))
    fails(with_app, exceptions.AgentNotFoundError, lambda app: app.agents.delete(foreign))
    fails(with_app, exceptions.AgentNotFoundError, lambda app: app.agents.suspend(foreign))
    assert with_app(story)  # the name is free here


def test_a_taken_name_is_refused(with_app: RunWithApp) -> None:
    async def story(app: App) -> None:
        await app.agents.create(name="a", scopes={})
        with pytest.raises(exceptions.AgentNameExistsError):
            await app.agents.create(name="a", scopes={"google": ["drive"]})

    with_app(story)


def test_a_caller_that_names_no_active_agent_is_unresolved(with_app: RunWithApp) -> None:
    for call in (lambda app: app.agents.list(), lambda app: app.scopes.list()):
        error = fails(with_app, exceptions.AgentNotFoundError, call, caller=UNKNOWN_ID)
        assert error.details["error"] == "caller_agent_unresolved"


def test_agents_cannot_manage_agents_nor_read_what_they_are_not_allowed(with_app: RunWithApp) -> None:
    async def story(app: App) -> None:
        created = await app.agents.create(name="a", scopes={})
        other = await app.agents.create(name="b", scopes={})
        assert created.api_key is not None
        # The operator's client on an agent's key: what a mixed-up environment variable leads to.
        async with App(created.api_key) as mistaken:
            with pytest.raises(exceptions.AgentCannotMintSubagentsError):
                await mistaken.agents.create(name="c", scopes={})
            with pytest.raises(exceptions.InsufficientScopeError):
                await mistaken.oauth_providers.list()
            await app.agents.suspend(str(created.id))
            with pytest.raises(exceptions.AgentInactiveError):
                await mistaken.scopes.list()
        async with App(created.api_key, caller=str(other.id)) as impostor:
            with pytest.raises(exceptions.CallerAgentMismatchError):
                await impostor.agents.list()
            with pytest.raises(exceptions.CallerAgentMismatchError):
                await impostor.scopes.list()

    with_app(story)


def test_me_needs_a_key_of_an_agent(server: SandboxServer, with_app: RunWithApp) -> None:
    async def story(_: App) -> None:
        async with Agent(server.app_key()) as mistaken:
            with pytest.raises(exceptions.MeRequiresAgentKeyError):
                await mistaken.me()

    with_app(story)


def test_a_used_up_budget_says_how_long_to_wait(
    tmp_path: Path, with_app: RunWithApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_sandbox(tmp_path / "metered", rate_limit_per_minute=2) as server:
        monkeypatch.setenv("ALTER_BASE_URL", server.base_url)

        async def story(app: App) -> None:
            caught: list[exceptions.RateLimitError] = []
            # Five, since the window may end between two of them.
            for call in (app.agents.list, app.agents.list, app.agents.list, app.scopes.list, app.scopes.list):
                try:
                    await call()
                except exceptions.RateLimitError as error:
                    caught.append(error)
            assert caught
            assert app.last_rate_limit is not None
            assert app.last_rate_limit.limit == 2
            first = caught[0]
            assert (first.scope, first.limit, first.window_seconds) == ("key", 2, 60)
            assert first.retry_after is not None
            assert 1 <= first.retry_after <= 60

        with_app(story, key=server.app_key())


SCRIPTED_FOR_AGENTS = [
    (503, "caller_agent_resolution_error", exceptions.CallerAgentResolutionError),
    (400, "caller_agent_mismatch", exceptions.CallerAgentMismatchError),
    (401, "agent_inactive", exceptions.AgentInactiveError),
    (401, "agent_revoked", exceptions.AgentRevokedError),
    (409, "agent_concurrent_update", exceptions.AgentConcurrentUpdateError),
    (409, "key_revoked", exceptions.KeyAlreadyRevokedError),
    (401, "key_revoked", exceptions.KeyRevokedError),
    (409, "last_active_key", exceptions.LastActiveKeyError),
    (500, "never_heard_of", exceptions.BackendError),
    (418, "never_heard_of", exceptions.BackendError),
]


@pytest.mark.parametrize(("status", "code", "kind"), SCRIPTED_FOR_AGENTS)
@pytest.mark.parametrize("enveloped", [False, True])
def test_a_scripted_error_reaches_the_agents_namespace_as_its_class(
    server: SandboxServer,
    with_app: RunWithApp,
    *,
    status: int,
    code: str,
    kind: type[Exception],
    enveloped: bool,
) -> None:
    error = {"error": code, "message": "as scripted", "hint": None}
    server.faults.add("status", status=status, body={"detail": error} if enveloped else error)
    caught = fails(with_app, kind, lambda app: app.agents.list())
    assert caught.message == "as scripted"


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (503, "caller_agent_resolution_error", exceptions.CallerAgentResolutionError),
        (401, "agent_revoked", exceptions.AgentRevokedError),
        (401, "jwt_validation_error", exceptions.ReAuthRequiredError),
        (401, "something_else", exceptions.BackendError),
        (403, "something_else", exceptions.PolicyViolationError),
        (429, "quota_exceeded", exceptions.QuotaExceededError),
        (503, "something_else", exceptions.BackendError),
        (418, "something_else", exceptions.BackendError),
    ],
)
def test_a_scripted_error_reaches_the_catalogues_as_its_class(
    server: SandboxServer, with_app: RunWithApp, status: int, code: str, kind: type[Exception]
) -> None:
    server.faults.add("status", status=status, body={"error": code, "message": "as scripted"}, times=2)
    fails(with_app, kind, lambda app: app.scopes.list())
    fails(with_app, kind, lambda app: app.oauth_providers.list())


def test_a_proxy_s_throttle_is_a_rate_limit_too(server: SandboxServer, with_app: RunWithApp) -> None:
    server.faults.add("html", status=429, headers={"Retry-After": "7"}, times=2)
    for call in (lambda app: app.agents.list(), lambda app: app.scopes.list()):
        assert fails(with_app, exceptions.RateLimitError, call).retry_after == 7


def test_a_proxy_s_error_page_is_a_backend_error(server: SandboxServer, with_app: RunWithApp) -> None:
    server.faults.add("html")
    fails(with_app, exceptions.BackendError, lambda app: app.agents.list())


@pytest.mark.parametrize("kind", ["drop_before", "drop_after", "truncate"])
def test_a_lost_connection_is_a_network_error(server: SandboxServer, with_app: RunWithApp, kind: Any) -> None:
    server.faults.add(kind)
    fails(with_app, exceptions.NetworkError, lambda app: app.agents.create(name="a", scopes={}))


def test_a_server_that_takes_too_long_is_a_timeout(server: SandboxServer, with_app: RunWithApp) -> None:
    server.faults.add("delay", seconds=20)
    fails(with_app, exceptions.TimeoutError, lambda app: app.agents.list(), timeout=0.2)


def test_what_the_client_refuses_itself_never_reaches_the_server(
    server: SandboxServer, with_app: RunWithApp
) -> None:
    async def story(app: App) -> None:
        for call in (
            app.agents.create(name="a", scopes={}, type="robot"),
            app.agents.create(name="a", scopes={"google": []}),
            app.agents.list(limit=1001),
            app.agents.update("x", scopes={}),
            app.agents.get(""),
        ):
            with pytest.raises(exceptions.AlterValueError):
                await call

    with_app(story)
    assert server.store.request_log() == []


def test_a_closed_client_and_a_malformed_key_are_refused_before_any_request(
    server: SandboxServer, with_app: RunWithApp
) -> None:
    async def story(app: App) -> None:
        await app.close()
        with pytest.raises(exceptions.AlterSDKError):
            await app.agents.list()

    with_app(story)
    with pytest.raises(exceptions.AlterSDKError):
        App(UNKNOWN_KEY)


def test_what_only_the_server_refuses_comes_back_as_a_backend_error(with_app: RunWithApp) -> None:
    async def story(app: App) -> None:
        with pytest.raises(exceptions.BackendError):
            await app.agents.create(name="Upper Case", scopes={})

    with_app(story)
