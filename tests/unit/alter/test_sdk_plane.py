from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC
from typing import Any

import pytest

from reconciler import errors
from reconciler.alter.clock import SystemClock
from reconciler.alter.retry import ApiEvent
from reconciler.alter.sdk_plane import SdkPlane
from reconciler.model.agent import AgentId, AgentName, AgentPatch, NewAgent
from reconciler.model.key import KeyId
from reconciler.model.scopes import Scopes
from reconciler.model.secret import Secret
from reconciler.ports import AgentApi
from tests.support.wire_server import Received, Reply, WireServer
from tests.unit.alter.fakes import APP_KEY, FakeClock, agent_json, key_json, make_key, page_json

AGENT = AgentId("00000000-0000-4000-8000-000000000001")
KEY = KeyId("00000000-0000-4000-9000-000000000001")
AGENT_PATH = f"/sdk/agents/{AGENT}"
KEYS_PATH = f"{AGENT_PATH}/keys"
PLAINTEXT = make_key("ak", "w" * 22)
NEW = NewAgent(AgentName("agent-00001"), "agent", Scopes.of({"slack": ["chat:write"]}), {"team": "x"})
CREATED = agent_json(1) | {"api_key": PLAINTEXT, "key_id": KEY}
MINTED = key_json(1) | {"api_key": PLAINTEXT}
DOWN = Reply(503, {"error": "unavailable", "message": "down"})
LOST = Reply(drop=True)
HTML = Reply(200, body=b"<html>", headers={"Content-Type": "text/html"})


def conflict(code: str) -> Reply:
    return Reply(409, {"error": code, "message": "no"})


def test_it_is_an_agent_api(api: SdkPlane) -> None:
    port: AgentApi = api
    assert port is api


def test_the_fleet_is_read_in_one_request_for_each_thousand(server: WireServer, api: SdkPlane) -> None:
    agents = [agent_json(n) for n in range(1, 2501)]

    def answer(request: Received) -> Reply:
        limit, offset = int(request.query["limit"]), int(request.query["offset"])
        more = offset + limit < len(agents)
        return Reply(json=page_json(agents[offset : offset + limit], total=len(agents), has_more=more))

    server.on("GET", "/sdk/agents", answer)
    assert [agent.name for agent in api.list_agents()] == [agent["name"] for agent in agents]
    assert sorted(request.query["offset"] for request in server.received) == ["0", "1000", "2000"]
    assert {request.query["include_revoked"] for request in server.received} == {"false"}
    assert api.stats().requests == 3


def test_one_agent_is_read_by_its_id(server: WireServer, api: SdkPlane) -> None:
    server.on("GET", AGENT_PATH, Reply(json=agent_json(1, status="revoked")))
    assert api.get_agent(AGENT).status == "revoked"


@pytest.mark.parametrize("bad", ["", ".", ".."])
def test_an_id_that_would_change_the_address_is_refused(api: SdkPlane, bad: str) -> None:
    with pytest.raises(errors.ApiError, match="no usable id"):
        api.get_agent(AgentId(bad))


def test_ids_are_quoted(server: WireServer, api: SdkPlane) -> None:
    server.on("GET", "/sdk/agents/a%2F..%2Fb%3Fx", Reply(json=agent_json(1)))
    assert api.get_agent(AgentId("a/../b?x")).name == "agent-00001"


def test_an_agent_is_found_by_its_exact_name_only(server: WireServer, api: SdkPlane) -> None:
    others = [agent_json(2, name="mailer-old"), agent_json(3, name="mailer", status="revoked")]
    server.on("GET", "/sdk/agents", Reply(json={"items": [*others, agent_json(4, name="mailer")]}))
    found = api.find_agent(AgentName("mailer"))
    assert found is not None
    assert found.id.endswith("4")
    assert server.received[0].query == {"name": "mailer"}
    assert api.find_agent(AgentName("Mailer")) is None


def test_a_create_sends_its_idempotency_key_and_returns_the_plaintext(
    server: WireServer, api: SdkPlane
) -> None:
    server.on("POST", "/sdk/agents", Reply(201, CREATED))
    agent, minted = api.create_agent(NEW, idempotency_key="run-1")
    assert (agent.name, minted.key_id) == ("agent-00001", KEY)
    assert minted.plaintext == Secret(PLAINTEXT)
    request = server.received[0]
    assert request.headers["idempotency-key"] == "run-1"
    assert request.json == {
        "name": "agent-00001",
        "type": "agent",
        "scopes": {"slack": ["chat:write"]},
        "metadata": {"team": "x"},
    }


@pytest.mark.parametrize("first", [LOST, DOWN, HTML, Reply(201, CREATED, truncate=True)])
def test_a_create_whose_answer_is_lost_is_repeated_under_its_key(
    server: WireServer, api: SdkPlane, first: Reply
) -> None:
    server.on("POST", "/sdk/agents", first, Reply(200, CREATED | {"api_key": None}))
    _, minted = api.create_agent(NEW, idempotency_key="run-1")
    assert minted.plaintext is None
    assert {request.headers["idempotency-key"] for request in server.received} == {"run-1"}
    assert len(server.received) == 2


@pytest.mark.parametrize("key", ["", "a\nb", "ü", "x" * 256, "a b"])
def test_a_create_without_a_usable_idempotency_key_is_not_sent(
    server: WireServer, api: SdkPlane, key: str
) -> None:
    with pytest.raises(errors.ApiError, match="idempotency key"):
        api.create_agent(NEW, idempotency_key=key)
    assert server.received == []


def test_an_update_sends_its_version_always_and_the_grace_with_scopes_only(
    server: WireServer, api: SdkPlane
) -> None:
    server.on("PATCH", AGENT_PATH, Reply(json=agent_json(1, version=8)))
    api.update_agent(AGENT, AgentPatch(display_name="A"), expected_version=7, grace_seconds=5)
    api.update_agent(AGENT, AgentPatch(scopes=Scopes()), expected_version=7, grace_seconds=0)
    api.update_agent(AGENT, AgentPatch(scopes=Scopes()), expected_version=7)
    queries = [request.query for request in server.received]
    assert queries[0] == {"expected_version": "7"}
    assert queries[1] == {"expected_version": "7", "grace_seconds": "0"}
    assert queries[2] == {"expected_version": "7"}
    assert server.received[0].json == {"display_name": "A"}


PATCH = AgentPatch(metadata={"team": "y"})
AFTER = agent_json(1, version=8, metadata={"team": "y"})
BEFORE = agent_json(1, version=7, metadata={"team": "x"})


def update(api: SdkPlane) -> Any:
    return api.update_agent(AGENT, PATCH, expected_version=7)


@pytest.mark.parametrize("first", [LOST, DOWN, HTML, Reply(200, AFTER, truncate=True), Reply(504, body=b"")])
def test_an_update_that_was_carried_out_is_not_repeated(
    server: WireServer, api: SdkPlane, first: Reply
) -> None:
    server.on("PATCH", AGENT_PATH, first)
    server.on("GET", AGENT_PATH, Reply(json=AFTER))
    assert update(api).version == 8
    assert len(server.requests("PATCH", AGENT_PATH)) == 1


def test_an_update_that_did_not_arrive_is_repeated(server: WireServer, api: SdkPlane) -> None:
    server.on("PATCH", AGENT_PATH, LOST, Reply(json=AFTER))
    server.on("GET", AGENT_PATH, Reply(json=BEFORE))
    assert update(api).version == 8
    assert [request.method for request in server.received] == ["PATCH", "GET", "PATCH"]


@pytest.mark.parametrize(
    "other", [agent_json(1, version=9, metadata={"team": "z"}), agent_json(1, version=6)]
)
def test_an_update_that_somebody_else_overtook_is_a_conflict(
    server: WireServer, api: SdkPlane, other: dict[str, Any]
) -> None:
    server.on("PATCH", AGENT_PATH, LOST)
    server.on("GET", AGENT_PATH, Reply(json=other))
    with pytest.raises(errors.ConcurrentUpdate, match="while an answer was lost"):
        update(api)
    assert len(server.received) == 2


def test_a_lost_update_that_arrives_after_we_looked_is_still_ours(server: WireServer, api: SdkPlane) -> None:
    server.on("PATCH", AGENT_PATH, LOST, conflict("agent_concurrent_update"))
    server.on("GET", AGENT_PATH, Reply(json=BEFORE), Reply(json=AFTER))
    assert update(api).version == 8


def test_a_conflict_stays_one_when_the_agent_has_not_moved(server: WireServer, api: SdkPlane) -> None:
    server.on("PATCH", AGENT_PATH, LOST, conflict("agent_concurrent_update"))
    server.on("GET", AGENT_PATH, Reply(json=BEFORE))
    with pytest.raises(errors.ConcurrentUpdate):
        update(api)


def test_a_conflict_without_a_lost_answer_is_nobody_but_the_other(server: WireServer, api: SdkPlane) -> None:
    server.on("PATCH", AGENT_PATH, conflict("agent_concurrent_update"))
    with pytest.raises(errors.ConcurrentUpdate):
        update(api)
    assert len(server.received) == 1


def test_a_reading_back_that_fails_is_tried_again_before_anything_is_sent(
    server: WireServer, api: SdkPlane
) -> None:
    server.on("PATCH", AGENT_PATH, LOST)
    server.on("GET", AGENT_PATH, DOWN, LOST, Reply(json=AFTER))
    assert update(api).version == 8
    assert len(server.requests("PATCH", AGENT_PATH)) == 1


def test_a_throttled_update_was_not_carried_out_and_needs_no_look(server: WireServer, api: SdkPlane) -> None:
    server.on("PATCH", AGENT_PATH, Reply(429, {}), Reply(json=AFTER))
    assert update(api).version == 8
    assert [request.method for request in server.received] == ["PATCH", "PATCH"]


def test_an_update_that_was_never_sent_needs_no_look(clock: FakeClock) -> None:
    with SdkPlane.connect(
        base_url="http://127.0.0.1:9", api_key=Secret(APP_KEY), owner="x", clock=clock, budget_seconds=1
    ) as api:
        with pytest.raises(errors.Unreachable) as caught:
            update(api)
        assert not caught.value.sent
        assert caught.value.message.startswith("PATCH")


@pytest.mark.parametrize("first", [LOST, DOWN, HTML, Reply(429, {}, headers={"Retry-After": "1"})])
def test_revoking_and_marking_are_repeated_as_they_stand(
    server: WireServer, api: SdkPlane, first: Reply
) -> None:
    server.on("DELETE", AGENT_PATH, first, Reply(json=agent_json(1, status="revoked")))
    server.on(
        "DELETE", f"{KEYS_PATH}/{KEY}", first, Reply(json=key_json(1, revoked_at="2026-11-24T00:00:00Z"))
    )
    marked = key_json(1, deprecated_at="2026-11-24T00:00:00Z")
    server.on("PATCH", f"{KEYS_PATH}/{KEY}/deprecate", first, Reply(json=marked))
    server.on("PATCH", f"{KEYS_PATH}/{KEY}/undeprecate", first, Reply(json=key_json(1)))
    assert api.revoke_agent(AGENT).status == "revoked"
    assert not api.revoke_key(AGENT, KEY).is_live
    assert api.deprecate_key(AGENT, KEY).deprecated_at is not None
    assert api.undeprecate_key(AGENT, KEY).deprecated_at is None
    assert len(server.received) == 8
    assert not any("force" in request.path for request in server.received)


def test_keys_are_listed(server: WireServer, api: SdkPlane) -> None:
    server.on("GET", KEYS_PATH, Reply(json={"items": [key_json(2), key_json(1)]}))
    assert [key.created_at.day for key in api.list_keys(AGENT)] == [1, 2]


def test_a_mint_gives_the_plaintext_once(server: WireServer, api: SdkPlane) -> None:
    server.on("POST", KEYS_PATH, Reply(201, MINTED))
    minted = api.mint_key(AGENT)
    assert (minted.key_id, minted.plaintext) == (KEY, Secret(PLAINTEXT))
    assert server.received[0].body == b"{}"


@pytest.mark.parametrize(
    "reply",
    [
        LOST,
        DOWN,
        HTML,
        Reply(500, body=b""),
        Reply(501, {}),
        Reply(201, MINTED, truncate=True),
        Reply(201, key_json(1)),
        Reply(201, body=b""),
    ],
)
def test_a_mint_with_an_open_outcome_is_never_repeated(
    server: WireServer, api: SdkPlane, reply: Reply
) -> None:
    server.on("POST", KEYS_PATH, reply)
    with pytest.raises(errors.Unreachable) as caught:
        api.mint_key(AGENT)
    assert caught.value.sent
    assert PLAINTEXT not in caught.value.message
    assert len(server.received) == 1


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Reply(429, {}), errors.RateLimited),
        (conflict("agent_key_limit_reached"), errors.KeyLimitReached),
        (Reply(404, {"error": "agent_not_found"}), errors.NotFound),
    ],
)
def test_a_refused_mint_was_not_carried_out_and_is_not_repeated_either(
    server: WireServer, api: SdkPlane, reply: Reply, kind: type[errors.ApiError]
) -> None:
    server.on("POST", KEYS_PATH, reply)
    with pytest.raises(kind):
        api.mint_key(AGENT)
    assert len(server.received) == 1


def test_the_catalogues_are_read(server: WireServer, api: SdkPlane) -> None:
    providers: dict[str, Any] = {"providers": {"slack": {"available_scopes": {"chat:write": {}}}}}
    server.on("GET", "/sdk/oauth/provider-catalog", Reply(json=providers))
    server.on("GET", "/sdk/scopes", Reply(json={"resources": {"agents": {"verbs": ["read"]}}}))
    assert api.provider_scopes() == {"slack": frozenset({"chat:write"})}
    assert api.key_permissions() == {"agents:read"}


@pytest.mark.parametrize(
    "first", [LOST, DOWN, Reply(502, body=b"<html>"), Reply(429, body=b"slow"), Reply(500, {})]
)
def test_a_read_is_repeated_told_and_counted(
    server: WireServer, api: SdkPlane, clock: FakeClock, events: list[ApiEvent], first: Reply
) -> None:
    server.on("GET", AGENT_PATH, first, first, Reply(json=agent_json(1)))
    assert api.get_agent(AGENT).version == 1
    assert [(event.kind, event.attempt, event.route) for event in events] == [
        ("retry", 1, f"GET {AGENT_PATH}"),
        ("retry", 2, f"GET {AGENT_PATH}"),
    ]
    stats = api.stats()
    assert (stats.requests, stats.retries) == (3, 2)
    assert stats.waited_seconds == pytest.approx(sum(clock.slept), abs=1e-5)
    assert len({request.headers["x-alter-nonce"] for request in server.received}) == 3


def test_html_in_place_of_a_reading_is_a_bad_answer_and_not_repeated(
    server: WireServer, api: SdkPlane
) -> None:
    server.on("GET", AGENT_PATH, HTML)
    with pytest.raises(errors.BadAnswer, match="text/html"):
        api.get_agent(AGENT)
    assert len(server.received) == 1


def test_what_cannot_pass_by_itself_is_not_repeated(server: WireServer, api: SdkPlane) -> None:
    server.on(
        "GET", AGENT_PATH, Reply(403, {"detail": {"error": "insufficient_scope", "missing": ["agents:read"]}})
    )
    with pytest.raises(errors.InsufficientScope) as caught:
        api.get_agent(AGENT)
    assert caught.value.missing == ("agents:read",)
    assert len(server.received) == 1


def test_a_wait_beyond_the_time_budget_is_told_at_once(
    server: WireServer, api: SdkPlane, clock: FakeClock
) -> None:
    server.on("GET", AGENT_PATH, Reply(429, {}, headers={"Retry-After": "1800"}))
    with pytest.raises(errors.RateLimited) as caught:
        api.get_agent(AGENT)
    assert caught.value.retry_after_seconds == 1800
    assert "1800 s" in caught.value.hint
    assert clock.slept == []


def test_pauses_of_milliseconds_are_counted_but_not_told(
    server: WireServer, api: SdkPlane, clock: FakeClock, events: list[ApiEvent]
) -> None:
    reset = int(clock.now().timestamp()) + 20
    named = {"X-RateLimit-Limit": "600", "X-RateLimit-Reset": str(reset)}
    falling = (named | {"X-RateLimit-Remaining": str(left)} for left in (100, 95, 90, 85))  # others, too
    server.on("GET", AGENT_PATH, *(Reply(json=agent_json(1), headers=headers) for headers in falling))
    for _ in range(5):
        api.get_agent(AGENT)
    assert events == []
    assert 0 < api.stats().waited_seconds < 2


def test_a_spent_rate_limit_is_waited_for_and_told(
    server: WireServer, api: SdkPlane, clock: FakeClock, events: list[ApiEvent]
) -> None:
    reset = int(clock.now().timestamp()) + 20
    headers = {"X-RateLimit-Limit": "60", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(reset)}
    server.on("GET", AGENT_PATH, Reply(json=agent_json(1), headers=headers), Reply(json=agent_json(1)))
    api.get_agent(AGENT)
    api.get_agent(AGENT)
    assert [event.kind for event in events] == ["pause"]
    assert 15 < api.stats().waited_seconds <= 21


def test_many_threads_may_share_it(server: WireServer, api: SdkPlane) -> None:
    server.on("GET", AGENT_PATH, Reply(json=agent_json(1)))
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: api.get_agent(AGENT).version, range(200)))
    assert found == [1] * 200
    assert api.stats().requests == 200


def test_without_a_listener_nothing_else_changes(server: WireServer, clock: FakeClock) -> None:
    server.on("GET", AGENT_PATH, DOWN, Reply(json=agent_json(1), headers={}))
    with SdkPlane.connect(base_url=server.url, api_key=Secret(APP_KEY), owner="x", clock=clock) as api:
        reset = int(clock.now().timestamp()) + 20
        headers = {"X-RateLimit-Limit": "60", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(reset)}
        assert api.get_agent(AGENT).version == 1
        server.on("GET", KEYS_PATH, Reply(json={"items": []}, headers=headers))
        api.list_keys(AGENT)
        api.list_keys(AGENT)
    assert api.stats().retries == 1


def test_a_server_that_echoes_the_key_does_not_make_us_show_it(server: WireServer, api: SdkPlane) -> None:
    server.on("GET", AGENT_PATH, Reply(401, {"error": "invalid_key", "message": f"no key {APP_KEY}"}))
    with pytest.raises(errors.AuthError) as caught:
        api.get_agent(AGENT)
    assert APP_KEY not in caught.value.message
    assert "(key)" in caught.value.message


def test_nothing_is_sent_before_key_and_address_are_right(clock: FakeClock) -> None:
    with pytest.raises(errors.AuthError):
        SdkPlane.connect(base_url="https://x.example", api_key=Secret("nonsense"), owner="x", clock=clock)
    with pytest.raises(errors.UsageError):
        SdkPlane.connect(base_url="http://x.example", api_key=Secret(APP_KEY), owner="x", clock=clock)


def test_only_this_module_brings_the_http_library() -> None:
    program = (
        "import sys\n"
        "import reconciler.alter.signing, reconciler.alter.wire, reconciler.alter.snapshot\n"
        "import reconciler.alter.retry, reconciler.alter.budget, reconciler.alter.clock\n"
        "assert 'httpx' not in sys.modules\n"
        "import reconciler.alter.sdk_plane\n"
        "assert 'httpx' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_the_system_clock_tells_aware_time_and_waits() -> None:
    clock = SystemClock()
    before = clock.now()
    clock.sleep(0.01)
    clock.sleep(-1)
    assert before.tzinfo is UTC
    assert (clock.now() - before).total_seconds() >= 0.01
