"""Questions about our key: what the answers tell, what they leave open, and that nothing but GETs is sent."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest

from reconciler import errors
from reconciler.alter.inquiry import Inquiry
from reconciler.alter.signing import sign
from reconciler.alter.wire import Credential
from reconciler.model.secret import Secret
from tests.support.wire_server import Reply, WireServer
from tests.unit.alter.fakes import APP_KEY, FakeClock

CATALOGUE = "/sdk/oauth/provider-catalog"
SCOPES = "/sdk/scopes"
PERMISSIONS = {"resources": {"agents": {"verbs": ["read"]}}, "action_verbs": []}
LIMITED = Reply(429, {"error": "rate_limit_exceeded"})


@pytest.fixture
def narrowing(server: WireServer) -> Iterator[WireServer]:
    """Its own check of signatures knows no constraints; that they are signed is tested on the sandbox."""
    yield server
    server.signature_faults.clear()


@pytest.fixture
def inquiry(server: WireServer, clock: FakeClock) -> Iterator[Inquiry]:
    with Inquiry(base_url=server.url, api_key=Secret(APP_KEY), owner="payments", clock=clock) as inquiry:
        yield inquiry


def refusal(*granted: str, **more: Any) -> dict[str, Any]:
    details = {"error": "insufficient_scope", "required": ["providers:read"], "granted": [*granted], **more}
    return {"detail": details}


@pytest.mark.parametrize(
    ("reply", "held"),
    [
        (Reply(403, refusal("agents:write")), True),
        (Reply(403, refusal("agents:read", "agents:write")), True),
        (Reply(403, refusal("agents:read", missing=["providers:read"])), None),
        (Reply(403, refusal(missing=["providers:read"])), None),
        (Reply(400, {"detail": {"error": "constraint_not_narrowing"}}), False),
        (Reply(403, refusal(granted=None)), None),
        (Reply(403, refusal(granted="agents:write")), None),
        (Reply(403, {"error": "forbidden"}), None),
        (Reply(403, body=b"<html>"), None),
        (Reply(200, {"providers": {}}), None),
        (Reply(404, {"error": "not_found"}), None),
    ],
)
def test_a_permission_is_known_only_when_the_server_tells(
    narrowing: WireServer, inquiry: Inquiry, reply: Reply, held: bool | None
) -> None:
    narrowing.on("GET", CATALOGUE, reply)
    assert inquiry.holds("agents:write") is held
    (request,) = narrowing.received
    assert (request.method, request.body) == ("GET", b"")
    assert request.headers["x-alter-scope-constraints"] == "agents:write"


def test_a_failure_that_may_pass_says_nothing_about_the_permission(
    narrowing: WireServer, inquiry: Inquiry
) -> None:
    narrowing.on("GET", CATALOGUE, LIMITED)
    with pytest.raises(errors.RateLimited):
        inquiry.holds("agents:write")
    assert len(narrowing.received) <= 2


@pytest.mark.parametrize("headers", [{}, {"Retry-After": "4"}])
def test_a_short_rate_limit_is_waited_for(
    server: WireServer, inquiry: Inquiry, clock: FakeClock, headers: dict[str, str]
) -> None:
    server.on("GET", SCOPES, Reply(429, {"error": "rate_limit_exceeded"}, headers=headers))
    server.on("GET", SCOPES, Reply(json=PERMISSIONS))
    assert inquiry.greet(times=1).failure is None
    assert 0 < sum(clock.slept) < 6


def test_a_rate_limit_that_lasts_is_told_with_its_headers_and_waited_for_once(
    server: WireServer, inquiry: Inquiry, clock: FakeClock
) -> None:
    budget = {"X-RateLimit-Limit": "600", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "4000000000"}
    server.on("GET", SCOPES, Reply(429, {"error": "rate_limit_exceeded"}, headers=budget))
    server.on("GET", CATALOGUE, LIMITED)
    greeting = inquiry.greet()
    assert isinstance(greeting.failure, errors.RateLimited)
    assert greeting.allowance is not None
    assert greeting.allowance.remaining == 0
    waits = len(clock.slept)
    with pytest.raises(errors.RateLimited):
        inquiry.check_catalogue()
    assert len(clock.slept) == waits == 1


def test_a_long_rate_limit_is_told_at_once(server: WireServer, inquiry: Inquiry, clock: FakeClock) -> None:
    server.on("GET", SCOPES, Reply(429, {"error": "rate_limit_exceeded"}, headers={"Retry-After": "60"}))
    assert isinstance(inquiry.greet().failure, errors.RateLimited)
    assert clock.slept == []


@pytest.mark.parametrize("body", [b"<html>Log in</html>", b"{}", b"[]", b"null", b""])
def test_a_success_that_is_not_what_alter_says_proves_nothing(
    server: WireServer, inquiry: Inquiry, body: bytes
) -> None:
    server.on("GET", SCOPES, Reply(body=body))
    server.on("GET", CATALOGUE, Reply(body=body))
    failure = inquiry.greet().failure
    assert isinstance(failure, errors.BadAnswer)
    assert "what stands between here and Alter" in failure.hint
    with pytest.raises(errors.BadAnswer):
        inquiry.check_catalogue()
    assert len(server.requests("GET", SCOPES)) == 3


def test_a_broken_connection_is_told_with_something_to_do(server: WireServer, inquiry: Inquiry) -> None:
    server.on("GET", SCOPES, Reply(drop=True))
    with pytest.raises(errors.Unreachable) as caught:
        inquiry.greet()
    assert "try again" in caught.value.hint
    assert "carried out" not in caught.value.hint


def test_constraints_are_covered_by_the_signature() -> None:
    asked: dict[str, Any] = {
        "method": "GET",
        "path_with_query": SCOPES,
        "body": b"",
        "timestamp": 1,
        "nonce": "0" * 32,
        "identity": {},
    }
    key = Credential(Secret(APP_KEY)).signing_key
    free, narrowed = sign(key, **asked), sign(key, **asked, constraints="agents:read")
    assert "X-Alter-Scope-Constraints" not in free
    assert narrowed["X-Alter-Scope-Constraints"] == "agents:read"
    assert narrowed["X-Alter-Signature"] != free["X-Alter-Signature"]


def test_a_greeting_tells_the_time_the_clock_and_the_budget(server: WireServer, inquiry: Inquiry) -> None:
    budget = {"X-RateLimit-Limit": "600", "X-RateLimit-Remaining": "580", "X-RateLimit-Reset": "4000000000"}
    server.on("GET", SCOPES, Reply(json=PERMISSIONS, headers=budget))
    greeting = inquiry.greet(times=3)
    assert greeting.failure is None
    assert greeting.median_seconds > 0
    assert greeting.seconds_ahead is not None
    assert greeting.allowance is not None
    assert (greeting.allowance.limit, greeting.allowance.remaining) == (600, 580)
    assert len(server.received) == 3


def test_a_key_that_is_refused_is_not_tried_again(server: WireServer, inquiry: Inquiry) -> None:
    server.on("GET", SCOPES, Reply(401, {"error": "key_revoked", "message": "revoked"}))
    greeting = inquiry.greet(times=3)
    assert isinstance(greeting.failure, errors.AuthError)
    assert greeting.seconds_ahead is not None
    assert len(server.received) == 1


def test_one_hiccup_is_forgiven_and_a_server_that_stays_down_is_told_soon(
    server: WireServer, inquiry: Inquiry, clock: FakeClock
) -> None:
    server.on("GET", SCOPES, Reply(503, {}), Reply(json=PERMISSIONS))
    assert inquiry.greet(times=1).failure is None
    server.on("GET", CATALOGUE, Reply(503, {}))
    with pytest.raises(errors.ServerFault):
        inquiry.check_catalogue()
    assert len(server.requests("GET", CATALOGUE)) == 2
    assert sum(clock.slept) < 5


def test_the_agents_are_read_to_the_last_page(server: WireServer, inquiry: Inquiry) -> None:
    page = {"items": [], "total": 0, "limit": 1000, "offset": 0, "has_more": False}
    server.on("GET", "/sdk/agents", Reply(json=page))
    assert inquiry.agents() == ()
    server.on("GET", "/sdk/agents", Reply(403, refusal("providers:read", required=["agents:read"])))
    with contextlib.suppress(errors.InsufficientScope):
        inquiry.agents()
        inquiry.agents()
        raise AssertionError("a refusal is not an empty app")
