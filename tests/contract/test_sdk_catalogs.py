"""The catalogues of the sandbox are what the official client expects of them."""

import pytest
from alter_sdk import App
from alter_sdk.exceptions import BackendError, InsufficientScopeError

from reconciler.sandbox import SandboxServer
from tests.support.sandbox_server import RunWithApp


def test_the_permission_catalogue_names_what_a_key_can_hold(with_app: RunWithApp) -> None:
    async def story(app: App) -> None:
        catalog = await app.scopes.list()
        assert catalog.resources["agents"].verbs == ["read", "write", "admin"]
        assert catalog.resources["providers"].verbs == ["read"]

    with_app(story)


def test_every_scope_that_a_provider_requires_or_presets_exists(with_app: RunWithApp) -> None:
    async def story(app: App) -> None:
        catalog = await app.oauth_providers.list()
        assert len(catalog.providers) >= 10
        for provider in catalog.providers.values():
            known = set(provider.available_scopes)
            named = {*provider.default_scopes, *provider.required_scopes}
            named |= {one for scope in provider.available_scopes.values() for one in scope.requires}
            assert named <= known
        assert "openid" in catalog.get_required_scopes("google")
        assert catalog.providers["github"].available_scopes["workflow"].requires == ["repo"]

    with_app(story)


def test_the_provider_catalogue_is_cached_until_it_is_refreshed(
    server: SandboxServer, with_app: RunWithApp
) -> None:
    async def story(app: App) -> None:
        await app.oauth_providers.list()
        await app.oauth_providers.list()
        await app.oauth_providers.list(force_refresh=True)

    with_app(story)
    assert len(server.store.request_log()) == 2


def test_providers_need_a_permission_and_permissions_need_none(
    server: SandboxServer, with_app: RunWithApp
) -> None:
    async def story(app: App) -> None:
        await app.scopes.list()
        with pytest.raises(InsufficientScopeError) as caught:
            await app.oauth_providers.list()
        assert caught.value.missing == ["providers:read"]

    with_app(story, key=server.create_app_key(["agents:read"]))


@pytest.mark.parametrize("body", ["not JSON", {"unexpected": True}])
def test_a_catalogue_in_another_shape_is_a_backend_error(
    server: SandboxServer, with_app: RunWithApp, body: object
) -> None:
    async def story(app: App) -> None:
        for listing in (app.scopes.list(), app.oauth_providers.list()):
            server.faults.add("status", status=200, body=body)
            with pytest.raises(BackendError):
                await listing

    with_app(story)
