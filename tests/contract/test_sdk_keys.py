"""What the official client does with the keys of agents holds against the sandbox."""

import pytest
from alter_sdk import App, is_valid_key
from alter_sdk.agent import Agent
from alter_sdk.exceptions import (
    AgentKeyLimitError,
    AgentNotFoundError,
    KeyAlreadyRevokedError,
    KeyNotFoundError,
    KeyRevokedError,
    LastActiveKeyError,
)

from reconciler.sandbox import SandboxServer
from tests.support.sandbox_server import RunWithApp


def test_minted_keys_are_valid_work_and_are_listed_oldest_first(with_app: RunWithApp) -> None:
    async def story(app: App) -> None:
        created = await app.agents.create(name="a", scopes={})
        minted = await app.agents.mint_key(str(created.id))
        assert is_valid_key(created.api_key)
        assert is_valid_key(minted.api_key)
        assert minted.api_key is not None
        assert minted.api_key.startswith(minted.key_prefix)
        listed = (await app.agents.list_keys(str(created.id))).items
        assert [key.name for key in listed] == ["a-1", "a-2"]
        assert [key.key_id for key in listed] == [created.key_id, minted.key_id]
        assert listed[0].last_used_at is None
        async with Agent(minted.api_key) as agent:
            await agent.me()
        used = (await app.agents.list_keys(str(created.id))).items
        assert used[0].last_used_at is None
        assert used[1].last_used_at is not None

    with_app(story)


def test_a_deprecated_key_still_works_and_says_so(server: SandboxServer, with_app: RunWithApp) -> None:
    async def story(app: App) -> None:
        created = await app.agents.create(name="a", scopes={})
        assert created.api_key is not None
        first = await app.agents.deprecate_key(str(created.id), str(created.key_id))
        assert first.status == "deprecated"
        server.store.advance_clock(60)
        again = await app.agents.deprecate_key(str(created.id), str(created.key_id))
        assert again.deprecated_at == first.deprecated_at
        async with Agent(created.api_key) as agent:
            # The client turns the header into a warning, once.
            with pytest.warns(UserWarning, match="deprecated"):
                await agent.me()
        for _ in range(2):
            back = await app.agents.undeprecate_key(str(created.id), str(created.key_id))
            assert back.status == "active"

    with_app(story)


def test_a_revoked_key_stays_revoked(with_app: RunWithApp) -> None:
    async def story(app: App) -> None:
        created = await app.agents.create(name="a", scopes={})
        assert created.api_key is not None
        agent_id, key_id = str(created.id), str(created.key_id)
        with pytest.raises(LastActiveKeyError):
            await app.agents.revoke_key(agent_id, key_id)
        await app.agents.mint_key(agent_id)
        revoked = await app.agents.revoke_key(agent_id, key_id)
        assert revoked.status == "revoked"
        assert await app.agents.revoke_key(agent_id, key_id) == revoked
        with pytest.raises(KeyAlreadyRevokedError):
            await app.agents.deprecate_key(agent_id, key_id)
        with pytest.raises(KeyAlreadyRevokedError):
            await app.agents.undeprecate_key(agent_id, key_id)
        async with Agent(created.api_key) as agent:
            with pytest.raises(KeyRevokedError):
                await agent.me()

    with_app(story)


def test_force_revokes_the_last_key(with_app: RunWithApp) -> None:
    async def story(app: App) -> None:
        created = await app.agents.create(name="a", scopes={})
        gone = await app.agents.revoke_key(str(created.id), str(created.key_id), force=True)
        assert gone.status == "revoked"
        assert (await app.agents.mint_key(str(created.id))).name == "a-2"

    with_app(story)


def test_the_cap_counts_non_revoked_keys(with_app: RunWithApp) -> None:
    async def story(app: App) -> None:
        created = await app.agents.create(name="a", scopes={})
        for _ in range(4):
            await app.agents.mint_key(str(created.id))
        with pytest.raises(AgentKeyLimitError) as caught:
            await app.agents.mint_key(str(created.id))
        assert caught.value.details["limit"] == 5
        await app.agents.revoke_key(str(created.id), str(created.key_id))
        assert (await app.agents.mint_key(str(created.id))).name == "a-6"

    with_app(story)


def test_keys_of_other_agents_and_unknown_ids_are_not_found(with_app: RunWithApp) -> None:
    async def story(app: App) -> None:
        one = await app.agents.create(name="one", scopes={})
        two = await app.agents.create(name="two", scopes={})
        with pytest.raises(KeyNotFoundError):
            await app.agents.revoke_key(str(one.id), str(two.key_id), force=True)
        with pytest.raises(KeyNotFoundError):
            await app.agents.deprecate_key(str(one.id), "not-a-uuid")
        with pytest.raises(AgentNotFoundError):
            await app.agents.list_keys("not-a-uuid")
        await app.agents.delete(str(one.id))
        for change in (app.agents.mint_key(str(one.id)), app.agents.revoke_key(str(one.id), str(one.key_id))):
            with pytest.raises(AgentNotFoundError):
                await change

    with_app(story)
