"""What the official client does with agents holds against the sandbox."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from alter_sdk import App
from alter_sdk.agent import Agent
from alter_sdk.exceptions import (
    AgentConcurrentUpdateError,
    AgentNotFoundError,
    BackendError,
    IdempotencyKeyAgentInactiveError,
    IdempotencyKeyAgentRevokedError,
    IdempotencyKeyBodyMismatchError,
)
from alter_sdk.models import AgentInfo

from reconciler.sandbox import SandboxServer
from reconciler.sandbox.agents import store_legacy_secrets
from tests.support.sandbox_server import RunWithApp, running_sandbox

WIDE = {"google": ["gmail.readonly", "drive"], "slack": ["chat:write"]}
NARROW = {"google": ["gmail.readonly"]}


def test_a_created_agent_is_read_back_as_it_was_sent(with_app: RunWithApp) -> None:
    async def story(app: App) -> None:
        created = await app.agents.create(
            name="nightly-sync",
            type="service",
            display_name="Nightly Sync",
            scopes=WIDE,
            metadata={"team": "payments"},
            policy={"requires_approval": {"approvers": ["a@example.com", "b@example.com"]}},
        )
        assert created.api_key is not None
        assert created.api_key.startswith("alter_ak_")
        assert (created.version, created.status, created.type) == (1, "active", "service")
        assert created.policy == {"requires_approval": {"approvers_count": 2}}
        assert created.metadata == {"team": "payments"}
        read = await app.agents.get(str(created.id))
        assert read == AgentInfo(**created.model_dump(exclude={"api_key", "key_id"}))
        assert await app.agents.get_by_name("nightly-sync") == read
        assert await app.agents.get_by_name("nightly") is None

    with_app(story)


def test_pages_follow_has_more_to_the_end(with_app: RunWithApp) -> None:
    async def story(app: App) -> None:
        for number in range(7):
            await app.agents.create(name=f"agent-{number}", scopes={})
        last = await app.agents.get_by_name("agent-6")
        assert last is not None
        await app.agents.delete(str(last.id))
        names, offset = [], 0
        while True:
            page = await app.agents.list(limit=4, offset=offset)
            names += [agent.name for agent in page.agents]
            assert (page.total, page.limit, page.offset) == (6, 4, offset)
            if not page.has_more:
                break
            offset += page.limit
        assert sorted(names) == [f"agent-{number}" for number in range(6)]
        everything = await app.agents.list(include_revoked=True, limit=1000)
        assert [everything.total, everything.has_more] == [7, False]

    with_app(story)


def test_an_update_changes_what_it_names_and_raises_the_version_once(with_app: RunWithApp) -> None:
    async def story(app: App) -> None:
        agent = await app.agents.create(name="a", scopes=NARROW, metadata={"team": "x", "kept": 1})
        changed = await app.agents.update(
            str(agent.id), display_name="A", metadata={"team": "y"}, policy={"note": "z"}
        )
        assert (changed.display_name, changed.metadata, changed.policy) == ("A", {"team": "y"}, {"note": "z"})
        assert changed.version == 2
        again = await app.agents.update(str(agent.id), display_name="A", metadata={"team": "y"})
        assert again == changed
        nothing = await app.agents.update(str(agent.id))
        assert nothing == changed

    with_app(story)


def test_metadata_is_merged_where_the_server_is_told_to(
    tmp_path: Path, with_app: RunWithApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_sandbox(tmp_path / "merging", metadata_merge=True) as server:
        monkeypatch.setenv("ALTER_BASE_URL", server.base_url)

        async def story(app: App) -> None:
            agent = await app.agents.create(name="a", scopes={}, metadata={"team": "x", "kept": 1})
            changed = await app.agents.update(str(agent.id), metadata={"team": "y"})
            assert changed.metadata == {"team": "y", "kept": 1}

        with_app(story, key=server.app_key())


def test_suspend_and_resume_change_the_status_alone(with_app: RunWithApp) -> None:
    async def story(app: App) -> None:
        agent = await app.agents.create(name="a", scopes=NARROW)
        suspended = await app.agents.suspend(str(agent.id))
        assert (suspended.status, suspended.version) == ("inactive", 2)
        assert (await app.agents.suspend(str(agent.id))).version == 2
        resumed = await app.agents.resume(str(agent.id))
        assert (resumed.status, resumed.version, resumed.scopes) == ("active", 3, NARROW)

    with_app(story)


def test_a_deleted_agent_frees_its_name_and_stays_deleted(with_app: RunWithApp) -> None:
    async def story(app: App) -> None:
        agent = await app.agents.create(name="a", scopes=WIDE)
        revoked = await app.agents.delete(str(agent.id))
        assert (revoked.status, revoked.version) == ("revoked", 2)
        assert await app.agents.delete(str(agent.id)) == revoked
        assert await app.agents.get(str(agent.id)) == revoked
        assert await app.agents.get_by_name("a") is None
        keys = await app.agents.list_keys(str(agent.id))
        assert [key.status for key in keys.items] == ["revoked"]
        with pytest.raises(AgentNotFoundError):
            await app.agents.update(str(agent.id), display_name="again")
        successor = await app.agents.create(name="a", scopes={})
        assert successor.id != agent.id

    with_app(story)


def test_a_repeated_create_with_one_idempotency_key_makes_one_agent(with_app: RunWithApp) -> None:
    async def story(app: App) -> None:
        first = await app.agents.create(name="a", scopes=WIDE, idempotency_key="run-1")
        again = await app.agents.create(name="a", scopes=WIDE, idempotency_key="run-1")
        assert first.api_key is not None
        assert again.api_key is None
        assert (again.id, again.key_id) == (first.id, first.key_id)
        assert (await app.agents.list()).total == 1
        with pytest.raises(IdempotencyKeyBodyMismatchError):
            await app.agents.create(name="a", scopes=NARROW, idempotency_key="run-1")
        await app.agents.suspend(str(first.id))
        with pytest.raises(IdempotencyKeyAgentInactiveError):
            await app.agents.create(name="a", scopes=WIDE, idempotency_key="run-1")
        await app.agents.delete(str(first.id))
        with pytest.raises(IdempotencyKeyAgentRevokedError) as caught:
            await app.agents.create(name="a", scopes=WIDE, idempotency_key="run-1")
        assert caught.value.hint == "Use a fresh Idempotency-Key."

    with_app(story)


def test_narrowing_waits_for_its_grace_period_and_widening_does_not(
    server: SandboxServer, with_app: RunWithApp
) -> None:
    async def story(app: App) -> None:
        agent = await app.agents.create(name="a", scopes=WIDE)
        before = datetime.now(UTC)
        staged = await app.agents.update(str(agent.id), scopes=NARROW, expected_version=1, grace_seconds=3600)
        assert (staged.scopes, staged.scopes_pending, staged.version) == (WIDE, NARROW, 2)
        assert staged.scopes_applies_at is not None
        assert timedelta(seconds=3599) < staged.scopes_applies_at - before < timedelta(seconds=3660)

        server.store.advance_clock(3590)
        assert (await app.agents.get(str(agent.id))).scopes == WIDE
        server.store.advance_clock(20)
        narrowed = await app.agents.get(str(agent.id))
        assert (narrowed.scopes, narrowed.scopes_pending, narrowed.scopes_applies_at) == (NARROW, None, None)
        assert narrowed.version == 3

        widened = await app.agents.update(str(agent.id), scopes=WIDE, expected_version=3)
        assert (widened.scopes, widened.scopes_pending) == (WIDE, None)

    with_app(story)


def test_a_change_that_adds_and_removes_adds_now_and_removes_later(with_app: RunWithApp) -> None:
    async def story(app: App) -> None:
        agent = await app.agents.create(name="a", scopes={"google": ["drive"], "slack": ["chat:write"]})
        wanted = {"google": ["gmail.send"], "notion": ["content:read"]}
        staged = await app.agents.update(str(agent.id), scopes=wanted, expected_version=1)
        assert staged.scopes_pending == wanted
        assert staged.scopes == {
            "google": ["drive", "gmail.send"],
            "slack": ["chat:write"],
            "notion": ["content:read"],
        }

    with_app(story)


def test_a_pending_narrowing_is_kept_by_repeating_it_and_cancelled_by_the_wide_set(
    with_app: RunWithApp,
) -> None:
    async def story(app: App) -> None:
        agent = await app.agents.create(name="a", scopes=WIDE)
        staged = await app.agents.update(str(agent.id), scopes=NARROW, expected_version=1)
        repeated = await app.agents.update(str(agent.id), scopes=NARROW, expected_version=2, grace_seconds=60)
        assert repeated == staged
        cancelled = await app.agents.update(str(agent.id), scopes=WIDE, expected_version=2)
        assert (cancelled.scopes, cancelled.scopes_pending, cancelled.version) == (WIDE, None, 3)
        same = await app.agents.update(
            str(agent.id),
            scopes={"slack": ["chat:write"], "google": ["drive", "gmail.readonly"]},
            expected_version=3,
        )
        assert same == cancelled

    with_app(story)


def test_no_grace_narrows_at_once_even_what_was_pending(with_app: RunWithApp) -> None:
    async def story(app: App) -> None:
        agent = await app.agents.create(name="a", scopes=WIDE)
        await app.agents.update(str(agent.id), scopes=NARROW, expected_version=1)
        cut = await app.agents.update(str(agent.id), scopes=NARROW, expected_version=2, grace_seconds=0)
        assert (cut.scopes, cut.scopes_pending, cut.version) == (NARROW, None, 3)
        none = await app.agents.update(str(agent.id), scopes={}, expected_version=3, grace_seconds=0)
        assert none.scopes == {}

    with_app(story)


def test_an_older_server_refuses_to_narrow_and_still_widens(
    tmp_path: Path, with_app: RunWithApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_sandbox(tmp_path / "older", supports_narrowing=False) as server:
        monkeypatch.setenv("ALTER_BASE_URL", server.base_url)

        async def story(app: App) -> None:
            agent = await app.agents.create(name="a", scopes=NARROW)
            wide = await app.agents.update(str(agent.id), scopes=WIDE, expected_version=1)
            assert wide.scopes == WIDE
            with pytest.raises(BackendError) as caught:
                await app.agents.update(str(agent.id), scopes=NARROW, expected_version=2)
            assert caught.value.details["error"] == "scope_narrowing_unsupported"

        with_app(story, key=server.app_key())


def test_a_stale_version_is_refused_and_changes_nothing(with_app: RunWithApp) -> None:
    async def story(app: App) -> None:
        agent = await app.agents.create(name="a", scopes=WIDE)
        await app.agents.suspend(str(agent.id))
        with pytest.raises(AgentConcurrentUpdateError):
            await app.agents.update(str(agent.id), scopes=NARROW, expected_version=1)
        with pytest.raises(AgentConcurrentUpdateError):
            await app.agents.update(str(agent.id), display_name="x", expected_version=1)
        assert (await app.agents.get(str(agent.id))).version == 2

    with_app(story)


def test_a_version_without_scopes_counts_for_nothing_where_the_server_ignores_it(
    tmp_path: Path, with_app: RunWithApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_sandbox(tmp_path / "lax", honours_version_without_scopes=False) as server:
        monkeypatch.setenv("ALTER_BASE_URL", server.base_url)

        async def story(app: App) -> None:
            agent = await app.agents.create(name="a", scopes={})
            changed = await app.agents.update(str(agent.id), display_name="x", expected_version=9)
            assert changed.display_name == "x"

        with_app(story, key=server.app_key())


def test_legacy_secret_names_may_stay_and_no_new_one_may_come(
    server: SandboxServer, with_app: RunWithApp
) -> None:
    async def story(app: App) -> None:
        with pytest.raises(BackendError) as caught:
            await app.agents.create(name="a", scopes={"managed_secrets": ["Stripe"]})
        assert caught.value.details["error"] == "legacy_managed_secret_name_rejected"
        agent = await app.agents.create(name="a", scopes={"managed_secret_slugs": ["stripe-production"]})
        store_legacy_secrets(server.store, str(agent.id), ["Stripe"])
        old = await app.agents.get(str(agent.id))
        assert old.stored_legacy_managed_secret_names == ["Stripe"]
        kept = await app.agents.update(
            str(agent.id),
            scopes={"managed_secrets": ["Stripe"], "slack": ["chat:write"]},
            expected_version=1,
            grace_seconds=0,
        )
        assert kept.stored_legacy_managed_secret_names == ["Stripe"]
        with pytest.raises(BackendError) as caught:
            await app.agents.update(
                str(agent.id), scopes={"managed_secrets": ["Stripe", "Twilio"]}, expected_version=2
            )
        assert caught.value.details["rejected"] == ["Twilio"]

    with_app(story)


def test_an_agent_reads_its_own_record_even_while_suspended(
    server: SandboxServer, with_app: RunWithApp
) -> None:
    async def story(app: App) -> None:
        created = await app.agents.create(name="a", scopes=NARROW)
        assert created.api_key is not None
        async with Agent(created.api_key, caller=str(created.id)) as agent:
            assert (await agent.me()).id == created.id
            await app.agents.suspend(str(created.id))
            mine = await agent.me()
        assert mine.status == "inactive"
        assert mine.last_used_at is not None

    with_app(story)
    assert [row["action"] for row in server.store.audit_log()] == ["agent.create", "key.mint", "agent.update"]


def test_an_app_reads_an_agent_s_record_in_its_name(with_app: RunWithApp) -> None:
    async def story(app: App) -> None:
        created = await app.agents.create(name="a", scopes=NARROW)
        async with app.get_agent(str(created.id)) as agent:
            assert (await agent.me()).name == "a"

    with_app(story)


def test_the_caller_is_cached_sent_back_and_audited(server: SandboxServer, with_app: RunWithApp) -> None:
    async def story(app: App) -> None:
        await app.agents.create(name="a", scopes={})
        assert app.actor_id is not None
        # From the second request on the client signs the actor's id too.
        await app.agents.create(name="b", scopes={})

    with_app(story, caller="alter-sync/payments", caller_type="service")
    assert {row["caller"] for row in server.store.audit_log()} == {"alter-sync/payments"}
