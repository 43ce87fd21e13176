"""Each key has its own budget for a minute, and every answer says what is left of it."""

from pathlib import Path

import pytest

from reconciler.sandbox.answers import Refusal
from reconciler.sandbox.limits import RateLimiter
from tests.support.sandbox_server import SignedClient, running_sandbox


def test_the_window_starts_anew_every_minute() -> None:
    now = [120.0]
    limiter = RateLimiter(2, wall_clock=lambda: now[0])
    assert limiter.admit("one") == {
        "X-RateLimit-Limit": "2",
        "X-RateLimit-Remaining": "1",
        "X-RateLimit-Reset": "180",
    }
    now[0] = 150.5
    assert limiter.admit("one")["X-RateLimit-Remaining"] == "0"
    with pytest.raises(Refusal) as caught:
        limiter.admit("one")
    assert caught.value.headers["Retry-After"] == "30"
    assert caught.value.payload["detail"]["retry_after"] == 30
    assert limiter.admit("other")["X-RateLimit-Remaining"] == "1"
    now[0] = 180.0
    assert limiter.admit("one")["X-RateLimit-Remaining"] == "1"
    limiter.forget()
    assert limiter.admit("one")["X-RateLimit-Remaining"] == "1"


def test_budget_headers_come_with_successes_refusals_and_throttles(tmp_path: Path) -> None:
    with running_sandbox(tmp_path, rate_limit_per_minute=3) as server, SignedClient(server) as client:
        answers = [client.get(target) for target in ("/sdk/agents", "/sdk/agents/x", *["/sdk/agents"] * 6)]
        assert [answer.status_code for answer in answers[:2]] == [200, 404]
        assert all(answer.headers["X-RateLimit-Limit"] == "3" for answer in answers)
        throttled = [answer for answer in answers if answer.status_code == 429]
        assert throttled
        for answer in throttled:
            assert answer.headers["X-RateLimit-Remaining"] == "0"
            detail = answer.json()["detail"]
            assert detail["error"] == "rate_limit_exceeded"
            assert int(answer.headers["Retry-After"]) == detail["retry_after"]


def test_without_a_limit_there_are_no_budget_headers(client: SignedClient) -> None:
    assert not [name for name in client.get("/sdk/agents").headers if name.startswith("x-ratelimit")]


def test_a_window_may_be_shorter_and_only_refusals_may_tell_of_it() -> None:
    now = [100.0]
    limiter = RateLimiter(1, window_seconds=10, is_announced=False, wall_clock=lambda: now[0])
    assert limiter.admit("one") == {}
    with pytest.raises(Refusal) as caught:
        limiter.admit("one")
    assert caught.value.headers == {"Retry-After": "10"}
    assert caught.value.payload["detail"]["window_seconds"] == 10
    now[0] = 110.0
    assert limiter.admit("one") == {}
