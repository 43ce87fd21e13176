"""The sandbox believes nothing that is not signed, signed lately, and signed once."""

import time

import httpx
import pytest

from reconciler.sandbox.signature import SignatureVerifier, SignedRequest
from tests.support.sandbox_server import SignedClient, signed_headers

CALLER = {"X-Alter-Caller": "alter-sync/payments", "X-Alter-Caller-Type": "service"}
EVERY_LABEL = {
    "X-Alter-Request-Rule": "ZGVueQ",
    **CALLER,
    "X-Alter-Actor-ID": "7d3b5d0e-0a53-4f51-9d5e-6f2f3c1b2a10",
    "X-Alter-Context": '{"run":"1"}',
}


def error_of(answer: httpx.Response) -> tuple[int, str]:
    body = answer.json()
    assert {"error", "message", "hint"} <= set(body)
    return answer.status_code, body["error"]


def test_a_well_signed_request_passes_with_query_escapes_and_every_label(client: SignedClient) -> None:
    target = "/sdk/agents?offset=0&limit=5&name=a%20b&include_revoked="
    assert client.get("/sdk/agents?offset=0&limit=5&name=a%20b%2Bc").status_code == 200
    assert client.get("/sdk/%61gents", labelled=EVERY_LABEL).status_code == 200
    assert error_of_422(client.get(target, labelled=CALLER))


def error_of_422(answer: httpx.Response) -> bool:
    return answer.status_code == 422 and isinstance(answer.json()["detail"], list)


@pytest.mark.parametrize(
    "name",
    ["X-Alter-Timestamp", "X-Alter-Nonce", "X-Alter-Content-SHA256", "X-Alter-Signature", "x-api-key"],
)
def test_every_header_is_required(client: SignedClient, name: str) -> None:
    headers = signed_headers(client.key, "GET", "/sdk/agents")
    del headers[name]
    code = "invalid_key" if name == "x-api-key" else "missing_signature_header"
    assert error_of(client.http.get("/sdk/agents", headers=headers)) == (401, code)


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("x-api-key", "alter_rk_nobody", "invalid_key"),
        ("X-Alter-Timestamp", "soon", "timestamp_malformed"),
        ("X-Alter-Timestamp", "9" * 13, "timestamp_malformed"),
        ("X-Alter-Nonce", "f" * 32, "invalid_signature"),
        ("X-Alter-Nonce", "F" * 32, "nonce_malformed"),
        ("X-Alter-Nonce", "abc", "nonce_malformed"),
        ("X-Alter-Content-SHA256", "0" * 64, "content_hash_mismatch"),
        ("X-Alter-Signature", "0" * 64, "invalid_signature"),
        ("X-Alter-Signature", "é", "invalid_signature"),
        ("X-Alter-Signature-V2", "0" * 64, "invalid_signature"),
        ("X-Alter-Scope-Constraints", "agents:admin", "invalid_signature"),
        ("X-Alter-Request-Rule", "other", "invalid_signature"),
        ("X-Alter-Caller", "somebody-else", "invalid_signature"),
        ("X-Alter-Caller-Type", "agent", "invalid_signature"),
        ("X-Alter-Actor-ID", "other", "invalid_signature"),
        ("X-Alter-Context", "{}", "invalid_signature"),
    ],
)
def test_a_header_changed_after_signing_is_noticed(
    client: SignedClient, name: str, value: str, code: str
) -> None:
    headers = {**signed_headers(client.key, "GET", "/sdk/agents", labelled=EVERY_LABEL)}
    headers[name] = value
    raw = [(key.encode(), text.encode("latin-1")) for key, text in headers.items()]
    assert error_of(client.http.get("/sdk/agents", headers=raw)) == (401, code)


@pytest.mark.parametrize("name", list(EVERY_LABEL))
def test_a_signed_header_cannot_be_taken_away(client: SignedClient, name: str) -> None:
    headers = signed_headers(client.key, "GET", "/sdk/agents", labelled=EVERY_LABEL)
    del headers[name]
    assert error_of(client.http.get("/sdk/agents", headers=headers)) == (401, "invalid_signature")


def test_identity_headers_need_the_second_signature(client: SignedClient) -> None:
    headers = signed_headers(client.key, "GET", "/sdk/agents", labelled=CALLER)
    del headers["X-Alter-Signature-V2"]
    answer = client.http.get("/sdk/agents", headers=headers)
    assert error_of(answer) == (401, "missing_signature_header")


def test_method_path_query_and_body_are_bound_by_the_signature(client: SignedClient) -> None:
    headers = signed_headers(client.key, "GET", "/sdk/agents?limit=1")
    for method, target in (
        ("GET", "/sdk/agents?limit=2"),
        ("GET", "/sdk/agents"),
        ("GET", "/sdk/scopes?limit=1"),
        ("POST", "/sdk/agents?limit=1"),
    ):
        assert error_of(client.http.request(method, target, headers=headers)) == (401, "invalid_signature")
    changed = client.http.request("GET", "/sdk/agents?limit=1", headers=headers, content=b"{}")
    assert error_of(changed) == (401, "content_hash_mismatch")
    assert client.http.get("/sdk/agents?limit=1", headers=headers).status_code == 200


def test_a_nonce_counts_once(client: SignedClient) -> None:
    headers = signed_headers(client.key, "GET", "/sdk/agents")
    assert client.http.get("/sdk/agents", headers=headers).status_code == 200
    assert error_of(client.http.get("/sdk/agents", headers=headers)) == (401, "nonce_reused")
    fresh = signed_headers(client.key, "GET", "/sdk/scopes", nonce=headers["X-Alter-Nonce"])
    assert error_of(client.http.get("/sdk/scopes", headers=fresh)) == (401, "nonce_reused")


def test_a_forged_request_does_not_use_up_a_nonce(client: SignedClient) -> None:
    headers = signed_headers(client.key, "GET", "/sdk/agents")
    forged = {**headers, "X-Alter-Signature": "0" * 64}
    assert client.http.get("/sdk/agents", headers=forged).status_code == 401
    assert client.http.get("/sdk/agents", headers=headers).status_code == 200


@pytest.mark.parametrize(("seconds", "status"), [(-330, 401), (-200, 200), (200, 200), (330, 401)])
def test_the_timestamp_may_be_off_by_the_skew_and_no_more(
    client: SignedClient, seconds: int, status: int
) -> None:
    answer = client.get("/sdk/agents", timestamp=int(time.time()) + seconds)
    assert answer.status_code == status
    if status == 401:
        assert answer.json()["error"] == "timestamp_out_of_range"


def test_an_advanced_clock_leaves_signatures_valid(client: SignedClient) -> None:
    client.http.post("/_sandbox/clock/advance", json={"seconds": 90 * 86_400})
    assert client.get("/sdk/agents").status_code == 200


def test_a_signed_header_sent_twice_is_refused(client: SignedClient) -> None:
    headers = signed_headers(client.key, "GET", "/sdk/agents")
    twice = [*headers.items(), ("X-Alter-Nonce", headers["X-Alter-Nonce"])]
    assert error_of(client.http.get("/sdk/agents", headers=twice)) == (401, "duplicate_signature_header")


def test_old_nonces_are_swept_and_may_come_again() -> None:
    now = [1_000_000.0]
    verifier = SignatureVerifier(skew_seconds=10, wall_clock=lambda: now[0])

    def verify(nonce: str) -> None:
        headers = signed_headers("key", "GET", "/x", nonce=nonce, timestamp=int(now[0]))
        lower = {name.lower(): value for name, value in headers.items()}
        verifier.verify(SignedRequest("GET", "/x", "", lower, b""), "key")

    for number in range(10_000):
        verify(f"{number:032x}")
    now[0] += 30
    verify(f"{10_000:032x}")
    verify(f"{0:032x}")
