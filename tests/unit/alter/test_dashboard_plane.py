"""Agents over the `alter` executable of a sandbox, and over executables that behave in other ways."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from reconciler import errors
from reconciler.alter.commands import PROCESSES_AT_ONCE, Commands
from reconciler.alter.dashboard_feed import DashboardFeed
from reconciler.alter.dashboard_plane import DashboardPlane
from reconciler.alter.program import DashboardAccess
from reconciler.alter.retry import ApiEvent
from reconciler.cli.embedded import write_alter
from reconciler.model.agent import AgentId, AgentName, AgentPatch, LiveAgent, NewAgent
from reconciler.model.key import KeyId
from reconciler.model.scopes import Scopes
from reconciler.model.secret import Secret
from reconciler.sandbox import SandboxServer
from tests.unit.alter.fakes import FakeClock, a_program

MARK = {"alter-sync": {"owner": "o", "app": "a", "spec": {}}}


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[SandboxServer]:
    server = SandboxServer(tmp_path / "sandbox.sqlite3")
    yield server
    server.stop()


def commands(program: Path, *, token: str = "none", app_id: str | None = None, **options: Any) -> Commands:
    return Commands(DashboardAccess(str(program), Secret(token), app_id), clock=FakeClock(), **options)


@pytest.fixture
def conversation(sandbox: SandboxServer) -> Commands:
    return commands(write_alter(sandbox.database), token=sandbox.pat(), app_id=sandbox.app_id())


@pytest.fixture
def api(conversation: Commands) -> DashboardPlane:
    return DashboardPlane(conversation)


def new(name: str = "alpha", **fields: Any) -> NewAgent:
    body = {"scopes": Scopes.of({"google": ["gmail.readonly"]}), "metadata": MARK, **fields}
    return NewAgent(name=AgentName(name), type="service", **body)


def create(api: DashboardPlane, name: str = "alpha", **fields: Any) -> LiveAgent:
    return api.create_agent(new(name, **fields), idempotency_key="x")[0]


def test_a_new_agent_has_its_mark_when_it_is_returned(api: DashboardPlane) -> None:
    live, minted = api.create_agent(new(display_name="Alpha"), idempotency_key="x")
    assert live.mark is not None
    assert (live.display_name, live.type, live.scopes.as_json()) == (
        "Alpha",
        "service",
        {"google": ["gmail.readonly"]},
    )
    assert minted.plaintext is not None
    assert api.get_agent(live.id) == live
    assert api.find_agent(AgentName("alpha")) == live
    assert api.find_agent(AgentName("alph")) is None
    assert api.list_agents() == (live,)


def test_display_name_and_metadata_change_under_the_version_that_was_read(api: DashboardPlane) -> None:
    live = create(api)
    patch = AgentPatch(
        display_name="New", metadata={**MARK, "team": "x"}, scopes=live.scopes, status="active"
    )
    changed = api.update_agent(live.id, patch, expected_version=live.version)
    assert (changed.display_name, changed.own_metadata) == ("New", {"team": "x"})
    with pytest.raises(errors.ConcurrentUpdate, match="changed by somebody else"):
        api.update_agent(live.id, AgentPatch(display_name="Old"), expected_version=live.version)
    assert api.get_agent(live.id).display_name == "New"


def test_a_patch_that_changes_nothing_makes_no_change(api: DashboardPlane, conversation: Commands) -> None:
    live = create(api)
    before = conversation.stats().requests
    assert api.update_agent(live.id, AgentPatch(metadata=MARK), expected_version=live.version) == live
    assert conversation.stats().requests == before + 1


def test_however_many_threads_ask_few_processes_run_at_once(tmp_path: Path) -> None:
    conversation = commands(a_program(tmp_path, "import time; time.sleep(0.1); print('{}')"))
    with ThreadPoolExecutor(24) as pool:
        list(pool.map(lambda _number: conversation.run("list"), range(24)))
    assert conversation.stats().requests == 24
    assert 2 <= conversation.stats().peak <= PROCESSES_AT_ONCE


@pytest.mark.parametrize(
    ("patch", "what"),
    [
        (AgentPatch(scopes=Scopes.of({})), "change the scopes"),
        (AgentPatch(status="inactive"), "suspend or resume"),
        (AgentPatch(policy={"x": 1}), "change the policy"),
    ],
)
def test_what_the_executable_cannot_do_is_refused_before_anything_is_done(
    api: DashboardPlane, patch: AgentPatch, what: str
) -> None:
    live = create(api)
    with pytest.raises(errors.ApiError, match=f"the dashboard plane cannot {what}") as caught:
        api.update_agent(live.id, patch, expected_version=live.version)
    assert caught.value.code == "not_on_this_plane"
    assert "ALTER_API_KEY" in caught.value.hint
    assert api.get_agent(live.id) == live


def test_an_agent_with_a_policy_is_not_created_and_a_catalogue_not_read(api: DashboardPlane) -> None:
    with pytest.raises(errors.ApiError, match="cannot set the policy"):
        create(api, policy={"x": 1})
    with pytest.raises(errors.ApiError, match="cannot read the catalogue"):
        api.provider_scopes()
    assert api.list_agents() == ()


def test_keys_are_minted_listed_deprecated_and_revoked(api: DashboardPlane, sandbox: SandboxServer) -> None:
    live = create(api)
    [first] = api.list_keys(live.id)
    minted = api.mint_key(live.id)
    assert minted.plaintext is not None
    assert [key.key_id for key in api.list_keys(live.id)] == [first.key_id, minted.key_id]
    assert api.deprecate_key(live.id, first.key_id).deprecated_at is not None
    assert api.undeprecate_key(live.id, first.key_id).deprecated_at is None
    assert api.revoke_key(live.id, first.key_id).revoked_at is not None
    with pytest.raises(errors.LastActiveKey):
        api.revoke_key(live.id, minted.key_id)
    assert api.revoke_last_key(live.id, minted.key_id).revoked_at is not None
    with pytest.raises(errors.NotFound):
        api.revoke_key(live.id, KeyId("00000000-0000-0000-0000-000000000000"))


def test_a_revoked_agent_is_listed_only_when_asked_for(api: DashboardPlane) -> None:
    live = create(api)
    assert api.revoke_agent(live.id).status == "revoked"
    assert api.list_agents() == ()
    assert [agent.status for agent in api.list_agents(with_revoked=True)] == ["revoked"]
    with pytest.raises(errors.NotFound):
        api.get_agent(AgentId("00000000-0000-0000-0000-000000000000"))


def test_the_feed_tells_who_did_what_newest_first(conversation: Commands, api: DashboardPlane) -> None:
    live = create(api)
    feed = DashboardFeed(conversation)
    events = feed.audit_events(live.id)
    assert [event.kind for event in events] == ["update_agent", "mint_key", "create_agent"]
    assert {event.actor for event in events} == {"owner@sandbox.example"}
    assert events[0].fields == ("metadata",)
    assert feed.audit_events(live.id, limit=1, offset=1) == events[1:2]


def test_the_registry_knows_who_was_at_work(
    conversation: Commands, api: DashboardPlane, sandbox: SandboxServer
) -> None:
    live, minted = api.create_agent(new(), idempotency_key="x")
    feed = DashboardFeed(conversation)
    assert feed.registry() == ()
    assert minted.plaintext is not None
    sandbox.use_key(minted.plaintext.reveal())
    sandbox.store.sightings.flush()
    [entry] = feed.registry()
    assert (entry.actor_id, entry.name, entry.recent_count) == (live.id, "alpha", 1)
    assert feed.registry_entry(live.id) == entry
    with pytest.raises(errors.NotFound):
        feed.registry_entry("nobody")


def test_a_token_without_a_permission_is_told_which(sandbox: SandboxServer) -> None:
    token = sandbox.create_pat(["dashboard_agents:read"])
    plane = DashboardPlane(commands(write_alter(sandbox.database), token=token, app_id=sandbox.app_id()))
    with pytest.raises(errors.InsufficientScope) as caught:
        create(plane)
    assert caught.value.missing == ("dashboard_agents:write",)


AGENT: dict[str, Any] = {
    "id": "a-1",
    "name": "alpha",
    "type": "agent",
    "status": "active",
    "scopes": {},
    "metadata": MARK,
    "version": 1,
    "created_at": "2026-11-01T00:00:00Z",
}


def test_a_list_that_shows_agents_in_part_is_completed_one_by_one(tmp_path: Path) -> None:
    # Without its metadata an agent would look like nobody's.
    part = {key: AGENT[key] for key in ("id", "name", "status")}
    alter = a_program(
        tmp_path,
        f"import sys; print({json.dumps([part])!r} if 'list' in sys.argv else {json.dumps(AGENT)!r})",
    )
    conversation = commands(alter)
    [agent] = DashboardPlane(conversation).list_agents()
    assert agent.mark is not None
    assert conversation.stats().requests == 2


def test_a_list_of_many_pages_is_read_to_its_end_also_when_it_tells_no_total(tmp_path: Path) -> None:
    alter = a_program(
        tmp_path,
        "import json, sys\n"
        "offset = int(sys.argv[sys.argv.index('--offset') + 1])\n"
        f"agent = {json.dumps(AGENT)}\n"
        "agents = [agent | {'id': f'a-{n}', 'name': f'agent-{n:04}'} for n in range(1500)]\n"
        "print(json.dumps(agents[offset : offset + 1000]))",
    )
    agents = DashboardPlane(commands(alter)).list_agents()
    assert len({agent.id for agent in agents}) == len(agents) == 1500


def test_a_read_is_tried_again_and_a_mint_never(tmp_path: Path) -> None:
    count = tmp_path / "count"
    alter = a_program(
        tmp_path,
        "import sys\n"
        f"open({str(count)!r}, 'a').write(sys.argv[2] + ' ')\n"
        "print('upstream is down', file=sys.stderr); sys.exit(1)",
    )
    events: list[ApiEvent] = []
    conversation = commands(alter, on_event=events.append)
    plane = DashboardPlane(conversation)
    with pytest.raises(errors.Unreachable, match="upstream is down"):
        plane.list_agents()
    assert count.read_text() == "list " * 4
    assert [event.route for event in events] == ["alter agents list"] * 3
    assert conversation.stats().retries == 3
    count.unlink()
    with pytest.raises(errors.Unreachable):
        plane.mint_key(AgentId("a-1"))
    assert count.read_text() == "mint-key "


@pytest.mark.parametrize(
    ("command", "call"),
    [
        ("create", lambda plane: plane.create_agent(new(), idempotency_key="x")),
        ("mint-key", lambda plane: plane.mint_key(AgentId("a-1"))),
    ],
)
def test_an_answer_that_says_too_little_of_a_new_key_leaves_the_outcome_open(
    tmp_path: Path, command: str, call: Any
) -> None:
    alter = a_program(tmp_path, f"import sys; print({json.dumps(AGENT)!r})")
    with pytest.raises(errors.Unreachable, match="a field") as caught:
        call(DashboardPlane(commands(alter)))
    assert caught.value.sent


def test_an_agent_that_could_not_be_marked_is_named_with_the_way_on(tmp_path: Path) -> None:
    created = AGENT | {"metadata": {}, "api_key": "alter_ak_abcdefghijklmnopqrstuv_abcdef", "key_id": "k-1"}
    alter = a_program(
        tmp_path,
        "import sys\n"
        "if sys.argv[2] == 'update': print('no more', file=sys.stderr); sys.exit(3)\n"
        f"print({json.dumps(created)!r})",
    )
    with pytest.raises(
        errors.CreatedUnmarked, match=r"'alpha' was created as a-1, but not marked as ours"
    ) as caught:
        DashboardPlane(commands(alter)).create_agent(new(), idempotency_key="x")
    assert caught.value.code == "created_without_mark"
    assert "alter-sync adopt alpha" in caught.value.hint


def test_somebody_who_writes_between_our_look_and_our_change_is_noticed(tmp_path: Path) -> None:
    state = tmp_path / "version"
    state.write_text("1")
    alter = a_program(
        tmp_path,
        "import json, sys\n"
        f"path = {str(state)!r}; version = int(open(path).read())\n"
        "if sys.argv[2] == 'update': open(path, 'w').write(str(version + 2))\n"
        f"print(json.dumps({AGENT!r} | {{'version': version}}))",
    )
    with pytest.raises(errors.ConcurrentUpdate, match=r"version 3, expected 1"):
        DashboardPlane(commands(alter)).update_agent(
            AgentId("a-1"), AgentPatch(display_name="New"), expected_version=1
        )


def test_a_key_that_is_not_listed_after_its_change_is_not_believed(tmp_path: Path) -> None:
    alter = a_program(tmp_path, "print('[]')")
    with pytest.raises(errors.BadAnswer, match="key k-1 is not listed afterwards"):
        DashboardPlane(commands(alter)).deprecate_key(AgentId("a-1"), KeyId("k-1"))
