from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from alter_sdk.agents import _ERROR_CODE_MAP

from reconciler import errors
from reconciler.alter.answers import Answer
from reconciler.alter.refusals import Unavailable, refusal
from reconciler.alter.wire import Credential
from reconciler.model.secret import Secret
from tests.unit.alter.fakes import APP_KEY

NOW = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)
ROUTE = "GET /sdk/agents"


def refuse(status: int, body: Any, **headers: str) -> errors.ApiError:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    conceal = Credential(Secret(APP_KEY)).conceal
    error = refusal(Answer(status, named, raw), route=ROUTE, now=NOW, conceal=conceal)
    assert error.status == status
    assert ROUTE in error.message
    return error


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (401, "invalid_key", errors.AuthError),
        (401, "key_revoked", errors.AuthError),
        (401, "key_expired", errors.AuthError),
        (401, "key_rotated_grace_expired", errors.AuthError),
        (401, "key_not_active", errors.AuthError),
        (401, "app_not_found_for_key", errors.AuthError),
        (500, "app_not_found_for_key", errors.AuthError),
        (401, "agent_inactive", errors.AuthError),
        (401, "agent_revoked", errors.AuthError),
        (401, "invalid_signature", errors.AuthError),
        (400, "caller_agent_mismatch", errors.AuthError),
        (403, "agent_cannot_mint_subagents", errors.AuthError),
        (403, "me_requires_agent_key", errors.AuthError),
        (403, "ip_not_allowed", errors.AuthError),
        (404, "agent_not_found", errors.NotFound),
        (404, "key_not_found", errors.NotFound),
        (404, "caller_agent_unresolved", errors.NotFound),
        (409, "agent_name_exists", errors.NameExists),
        (409, "agent_concurrent_update", errors.ConcurrentUpdate),
        (409, "last_active_key", errors.LastActiveKey),
        (409, "agent_key_limit_reached", errors.KeyLimitReached),
        (409, "key_revoked", errors.Conflict),
        (409, "agent_revoked", errors.Conflict),
        (409, "idempotency_key_body_mismatch", errors.IdempotencyConflict),
        (409, "idempotency_key_agent_revoked", errors.IdempotencyConflict),
        (409, "idempotency_key_agent_inactive", errors.IdempotencyConflict),
        (409, "something_new", errors.Conflict),
        (429, "rate_limit_exceeded", errors.RateLimited),
        (422, "legacy_managed_secret_name_rejected", errors.ApiError),
        (503, "caller_agent_resolution_error", Unavailable),
        (500, "internal_error", Unavailable),
        (400, "bad_things", errors.ApiError),
        (418, "teapot", errors.ApiError),
    ],
)
@pytest.mark.parametrize("wrapped", [False, True])
def test_every_code_has_its_error(status: int, code: str, kind: type[errors.ApiError], wrapped: bool) -> None:
    body: Any = {"error": code, "message": "Said so.", "hint": None}
    error = refuse(status, {"detail": body} if wrapped else body)
    assert type(error) is kind
    assert error.code == code
    assert "Said so." in error.message


def test_every_code_of_the_official_client_is_more_than_an_unknown_error() -> None:
    status_of = {
        "agent_not_found": 404,
        "caller_agent_unresolved": 404,
        "key_not_found": 404,
        "caller_agent_resolution_error": 503,
        "agent_name_exists": 409,
        "last_active_key": 409,
        "agent_key_limit_reached": 409,
    }
    for code in _ERROR_CODE_MAP:
        status = status_of.get(code, 409 if code.startswith("idempotency") else 401)
        assert type(refuse(status, {"error": code})) is not errors.ApiError, code


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        (401, errors.AuthError, "unauthorized"),
        (403, errors.ApiError, "api_error"),
        (404, errors.ApiError, "api_error"),
        (409, errors.Conflict, "conflict"),
        (422, errors.ApiError, "validation_error"),
        (429, errors.RateLimited, "rate_limit_exceeded"),
        (500, Unavailable, "server_fault"),
        (502, Unavailable, "server_fault"),
        (504, Unavailable, "server_fault"),
        (501, errors.ApiError, "api_error"),
    ],
)
@pytest.mark.parametrize(
    "body", [b"", b"<html><script>x</script></html>", b"[1]", b"null", b"{", b"\xff\xfe"]
)
def test_an_answer_of_something_in_between_is_typed_by_its_status(
    status: int, kind: type[errors.ApiError], code: str, body: bytes
) -> None:
    error = refuse(status, body, content_type="text/html")
    assert type(error) is kind
    assert error.code == code
    assert "<" not in error.message
    assert str(status) in error.message


def test_a_404_without_a_known_code_never_says_that_an_agent_is_gone() -> None:
    error = refuse(404, {"detail": "Not Found"})
    assert not isinstance(error, errors.NotFound)
    assert "Not Found" in error.message
    assert "base URL" in error.hint


def test_missing_permissions_are_named() -> None:
    body = {
        "error": "insufficient_scope",
        "message": "no",
        "required": ["agents:read", "agents:write"],
        "granted": ["agents:read", 7],
        "missing": ["agents:write"],
    }
    error = refuse(403, {"detail": body})
    assert isinstance(error, errors.InsufficientScope)
    assert (error.required, error.granted) == (("agents:read", "agents:write"), ("agents:read",))
    assert (error.missing, error.any_of) == (("agents:write",), False)
    assert error.hint == "the API key lacks the permission agents:write"


def test_one_of_several_permissions_is_told_from_all_of_them() -> None:
    body = {"error": "insufficient_scope", "required": ["a:read", "b:read"], "required_any_of": True}
    error = refuse(403, body)
    assert isinstance(error, errors.InsufficientScope)
    assert error.any_of
    assert "a:read or b:read" in error.hint
    assert refuse(403, {"error": "insufficient_scope", "missing": "x", "hint": "ask"}).hint == "ask"


def test_a_rate_limit_carries_its_numbers_and_the_header_goes_before_the_body() -> None:
    body = {
        "error": "rate_limit_exceeded",
        "scope": "key",
        "limit": 600,
        "window_seconds": 60,
        "retry_after": 9,
    }
    error = refuse(429, {"detail": body}, retry_after="30")
    assert isinstance(error, errors.RateLimited)
    assert (error.retry_after_seconds, error.scope, error.limit, error.window_seconds) == (30, "key", 600, 60)
    assert "30 s" in error.hint
    without = refuse(429, {**body, "scope": None})
    assert isinstance(without, errors.RateLimited)
    assert (without.retry_after_seconds, without.scope) == (9, "")


def test_a_server_fault_says_when_to_come_back() -> None:
    error = refuse(503, b"", retry_after="2")
    assert isinstance(error, Unavailable)
    assert error.retry_after_seconds == 2
    assert error.hint == "try again in 2 s"
    assert error.retryable


def test_invalid_fields_are_listed_by_their_places() -> None:
    detail = [
        {"loc": ["body", "scopes", 0], "msg": "unknown provider"},
        {"msg": "too long"},
        {"loc": "x"},
        "noise",
    ]
    error = refuse(422, {"detail": detail})
    assert "body.scopes.0: unknown provider; request: too long; request: invalid" in error.message


@pytest.mark.parametrize(
    ("location", "place"),
    [
        ("https://user:pw@elsewhere.example/sdk?x=1", " to elsewhere.example "),
        ("//other.example:8443/", " to other.example:8443 "),
        ("/login", "redirects (HTTP"),
        ("", "redirects (HTTP"),
    ],
)
def test_a_redirect_is_refused_and_its_host_named(location: str, place: str) -> None:
    error = refuse(302, b"", location=location)
    assert error.code == "redirected"
    assert place in error.message
    assert "pw" not in error.message


@pytest.mark.parametrize(
    ("date", "hint"),
    [
        ("Tue, 24 Nov 2026 11:50:00 GMT", "600 s ahead"),
        ("Tue, 24 Nov 2026 12:02:00 -0000", "120 s behind"),
        ("Tue, 24 Nov 2026 11:59:30 GMT", "check the API key"),
        ("yesterday", "check the API key"),
        ("", "check the API key"),
    ],
)
def test_a_wrong_clock_is_told_when_a_signature_is_refused(date: str, hint: str) -> None:
    assert hint in refuse(401, {"error": "invalid_key"}, date=date).hint


def test_a_signature_that_is_refused_may_have_several_causes_and_the_likely_come_first() -> None:
    for details in ({"error": "bad_signature"}, {"error": "timestamp out of range"}, {}):
        hint = refuse(401, details).hint
        assert 0 < hint.index("clock") < hint.index("path of the base URL") < hint.index("API key")
    assert refuse(401, {"error": "key_revoked"}).hint == ""
    assert refuse(403, {"error": "ip_not_allowed"}).hint == ""


def test_our_hints_go_before_those_for_users_of_another_client() -> None:
    agent_key = refuse(403, {"error": "agent_cannot_mint_subagents", "hint": "theirs"})
    assert agent_key.hint == "an agent key was used; use the app's runtime key (alter_rk_…)"
    last = refuse(409, {"error": "last_active_key", "hint": "Pass force=True"})
    assert "mint a new key, deliver it" in last.hint
    assert refuse(409, {"error": "agent_name_exists", "hint": "pick\nanother"}).hint == "pick another"


@pytest.mark.parametrize("status", [400, 409, 422])
def test_a_deployment_that_cannot_narrow_is_told_clearly(status: int) -> None:
    error = refuse(status, {"error": "scope_narrowing_unsupported", "message": "no", "hint": "theirs"})
    assert "cannot remove scopes" in error.hint


def test_a_code_that_is_no_code_is_not_taken_over() -> None:
    for code in ("Weird Code", "", 7, "x" * 65, "a\n"):
        assert refuse(409, {"error": code, "message": ""}).code == "conflict"


def test_the_api_key_in_a_message_a_hint_or_a_permission_is_hidden() -> None:
    body = {"error": "insufficient_scope", "message": APP_KEY, "hint": APP_KEY, "missing": [APP_KEY]}
    error = refuse(403, body)
    assert isinstance(error, errors.InsufficientScope)
    assert APP_KEY not in repr((error.message, error.hint, error.missing))


def test_a_key_is_no_code_of_a_refusal() -> None:
    error = refuse(503, {"error": APP_KEY, "message": "down"})
    assert error.code == "server_fault"
