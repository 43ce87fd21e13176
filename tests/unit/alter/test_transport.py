from __future__ import annotations

import gzip
import shutil
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from alter_sdk.client import _VaultClient
from alter_sdk.exceptions import AlterSDKError

from reconciler import errors
from reconciler.alter.clock import SystemClock
from reconciler.alter.transport import Transport, checked_base_url
from reconciler.alter.wire import Credential
from reconciler.model.secret import Secret
from reconciler.ports import Clock
from tests.support.wire_server import Reply, WireServer
from tests.unit.alter.fakes import APP_KEY, FakeClock

PATH = "/sdk/agents"
MakeTransport = Callable[..., Transport]


@pytest.fixture
def connect() -> Iterator[MakeTransport]:
    made: list[Transport] = []

    def make(
        base_url: str, *, owner: str = "payments", clock: Clock | None = None, **limits: int
    ) -> Transport:
        transport = Transport(
            base_url=base_url,
            credential=Credential(Secret(APP_KEY)),
            owner=owner,
            clock=clock or SystemClock(),
            **limits,
        )
        made.append(transport)
        return transport

    yield make
    for transport in made:
        transport.close()


def test_a_request_says_who_we_are_and_is_signed(server: WireServer, connect: MakeTransport) -> None:
    server.on("POST", PATH, Reply(201, {"a": 1}, headers={"X-Extra": "1"}))
    transport = connect(server.url + "/", owner="Zahlungen Süd")
    answer = transport.send("POST", PATH + "?b=2&a=%20", body=b"{}", headers={"Idempotency-Key": "k"})
    assert (answer.status, answer.body, answer.is_success) == (201, b'{"a": 1}', True)
    assert answer.headers["x-extra"] == "1"
    sent = server.received[0].headers
    assert sent["user-agent"].startswith("alter-sync/")
    assert sent["x-alter-caller"] == "alter-sync/Zahlungen%20S%C3%BCd"
    assert sent["x-alter-caller-type"] == "service"
    assert (sent["idempotency-key"], sent["content-type"]) == ("k", "application/json")
    assert server.received[0].path == PATH + "?b=2&a=%20"


def test_every_attempt_has_a_nonce_of_its_own(server: WireServer, connect: MakeTransport) -> None:
    server.on("GET", PATH, Reply(200, {}))
    transport = connect(server.url)
    transport.send("GET", PATH)
    transport.send("GET", PATH)
    nonces = {request.headers["x-alter-nonce"] for request in server.received}
    assert len(nonces) == 2


def test_a_base_url_with_a_path_is_kept_and_the_signature_is_about_the_rest(
    server: WireServer, connect: MakeTransport
) -> None:
    server.on("GET", "/gateway" + PATH, Reply(200, {}))
    assert connect(server.url + "/gateway/").send("GET", PATH).status == 200
    # The gateway takes its own prefix off before the server checks, which this server does not.
    server.signature_faults.clear()


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_redirects_are_answers_and_are_never_followed(
    server: WireServer, connect: MakeTransport, status: int
) -> None:
    server.on("GET", PATH, Reply(status, {}, headers={"Location": server.url + "/elsewhere"}))
    assert connect(server.url).send("GET", PATH).status == status
    assert len(server.received) == 1


def test_no_cookie_or_credential_is_sent_to_anybody_else(server: WireServer, connect: MakeTransport) -> None:
    server.on("GET", PATH, Reply(200, {}))
    connect(server.url).send("GET", PATH)
    assert "cookie" not in server.received[0].headers
    assert "authorization" not in server.received[0].headers


def test_an_answer_that_is_too_large_is_refused(server: WireServer, connect: MakeTransport) -> None:
    server.on("GET", PATH, Reply(200, body=b"x" * 5000))
    with pytest.raises(errors.BadAnswer, match="larger than 4000 bytes") as caught:
        connect(server.url, max_answer_bytes=4000).send("GET", PATH)
    assert (caught.value.code, caught.value.status) == ("answer_too_large", 200)


def test_the_limit_counts_what_was_unpacked(server: WireServer, connect: MakeTransport) -> None:
    packed = gzip.compress(b"x" * 100_000)
    server.on("GET", PATH, Reply(200, body=packed, headers={"Content-Encoding": "gzip"}))
    assert connect(server.url).send("GET", PATH).body == b"x" * 100_000
    with pytest.raises(errors.BadAnswer, match="larger"):
        connect(server.url, max_answer_bytes=4000).send("GET", PATH)


def test_broken_compression_is_a_bad_answer(server: WireServer, connect: MakeTransport) -> None:
    server.on("GET", PATH, Reply(200, body=b"no gzip at all", headers={"Content-Encoding": "gzip"}))
    with pytest.raises(errors.BadAnswer, match="compression"):
        connect(server.url).send("GET", PATH)


@pytest.mark.parametrize("reply", [Reply(drop=True), Reply(json={"a": "b" * 50}, truncate=True)])
def test_a_connection_lost_after_sending_leaves_the_outcome_open(
    server: WireServer, connect: MakeTransport, reply: Reply
) -> None:
    server.on("POST", PATH, reply)
    with pytest.raises(errors.Unreachable) as caught:
        connect(server.url).send("POST", PATH, body=b"{}")
    assert caught.value.sent
    assert caught.value.status == 0
    assert "POST /sdk/agents" in caught.value.message


def test_an_answer_that_does_not_come_in_time_leaves_the_outcome_open(
    server: WireServer, connect: MakeTransport
) -> None:
    server.on("GET", PATH, Reply(json={}, delay_seconds=0.5))
    transport = Transport(
        base_url=server.url,
        credential=Credential(Secret(APP_KEY)),
        owner="x",
        clock=SystemClock(),
        read_seconds=0.05,
    )
    with pytest.raises(errors.Unreachable, match="ReadTimeout") as caught:
        transport.send("GET", PATH)
    transport.close()
    assert caught.value.sent


def test_a_trickle_of_bytes_ends_at_some_time(server: WireServer, connect: MakeTransport) -> None:
    class Hasty(FakeClock):
        def now(self):  # type: ignore[no-untyped-def]
            self.advance(50)
            return super().now()

    server.on("GET", PATH, Reply(body=b"12345678", trickle_seconds=0.02))
    with pytest.raises(errors.Unreachable, match="longer than 120 s"):
        connect(server.url, clock=Hasty()).send("GET", PATH)
    server.signature_faults.clear()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_without_a_connection_nothing_was_sent(connect: MakeTransport) -> None:
    with pytest.raises(errors.Unreachable, match="no connection") as caught:
        connect(f"http://127.0.0.1:{free_port()}").send("GET", PATH)
    assert not caught.value.sent


def test_a_host_name_that_does_not_exist_is_told(
    connect: MakeTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_such_host(*args: object, **options: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", no_such_host)
    with pytest.raises(errors.Unreachable) as caught:
        connect("https://alter.invalid").send("GET", PATH)
    assert not caught.value.sent
    assert "cannot be resolved" in caught.value.hint


def test_a_header_that_cannot_be_sent_is_an_error_of_its_own(
    server: WireServer, connect: MakeTransport
) -> None:
    with pytest.raises(errors.ApiError, match="cannot be sent") as caught:
        connect(server.url).send("GET", PATH, headers={"X-Bad": "a\nb"})
    assert caught.value.code == "bad_request"
    assert server.received == []


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl to make a certificate")
def test_a_certificate_that_is_not_trusted_is_told_and_can_be_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, connect: MakeTransport
) -> None:
    key_file, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    command = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost"
    )
    subject = ["-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", str(key_file), "-out", str(certificate)]
    subprocess.run([*command.split(), *subject, *files], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key_file)
    with WireServer(api_key=APP_KEY, context=context) as server:
        server.on("GET", PATH, Reply(json={}))
        with pytest.raises(errors.ApiError, match="not trusted") as caught:
            connect(server.url).send("GET", PATH)
        assert caught.value.code == "untrusted_certificate"
        assert "SSL_CERT_FILE" in caught.value.hint
        assert server.received == []
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        assert connect(server.url).send("GET", PATH).status == 200


def test_a_proxy_of_the_environment_is_used_for_https(
    server: WireServer, connect: MakeTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.on("CONNECT", "alter.invalid:443", Reply(403, {}))
    monkeypatch.setenv("HTTPS_PROXY", server.url)
    with pytest.raises(errors.Unreachable, match="ProxyError") as caught:
        connect("https://alter.invalid").send("GET", PATH)
    assert not caught.value.sent
    assert "HTTPS_PROXY" in caught.value.hint
    assert [request.method for request in server.received] == ["CONNECT"]
    assert APP_KEY not in repr(server.received)
    server.signature_faults.clear()


def test_no_proxy_stands_before_this_machine(
    server: WireServer, connect: MakeTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    server.on("GET", PATH, Reply(json={}))
    assert connect(server.url).send("GET", PATH).status == 200


@pytest.mark.parametrize(
    ("name", "value"), [("HTTPS_PROXY", "nonsense://x"), ("SSL_CERT_FILE", "/nowhere/at/all.pem")]
)
def test_settings_of_the_environment_that_cannot_be_used_are_a_usage_error(
    connect: MakeTransport, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(errors.UsageError, match="proxy or certificate"):
        connect("https://alter.invalid")


@pytest.mark.parametrize(
    ("text", "cleaned", "is_loopback"),
    [
        ("https://backend.alterauth.com", "https://backend.alterauth.com", False),
        ("https://backend.alterauth.com/", "https://backend.alterauth.com", False),
        ("https://gateway.example:8443/alter//", "https://gateway.example:8443/alter", False),
        ("http://localhost:8080", "http://localhost:8080", True),
        ("http://127.0.0.1:1", "http://127.0.0.1:1", True),
        ("http://[::1]:8080", "http://[::1]:8080", True),
        ("HTTPS://EXAMPLE.COM", "HTTPS://EXAMPLE.COM", False),
    ],
)
def test_good_base_urls(text: str, cleaned: str, is_loopback: bool) -> None:
    assert checked_base_url(text) == (cleaned, is_loopback)
    assert _VaultClient._validate_base_url(text)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "not an https"),
        ("backend.alterauth.com", "not an https"),
        ("ftp://x", "not an https"),
        ("https://", "not an https"),
        ("https://x:99999", "not an https"),
        ("https://x:0", "not an https"),
        ("https://[::1", "not an https"),
        ("https://exa\nmple.com", "not an https"),
        ("https://exämple.com", "not an https"),
        ("https://a b", "not an https"),
        ("http://example.com", "use https://"),
        ("http://127.0.0.1.example.com", "use https://"),
        ("http://localhost.example.com", "use https://"),
        ("http://10.0.0.1", "use https://"),
        ("https://user:hunter2@example.com", "user name"),
        ("https://@example.com", "user name"),
        ("https://example.com?x=hunter2", "query"),
        ("https://example.com/#hunter2", "fragment"),
        ("https://example.com?", "query"),
        ("https://xn--/", "its host name is none"),
        ("https://a..b", "its host name is none"),
        (f"https://{'x' * 64}.com", "its host name is none"),
    ],
)
def test_bad_base_urls_are_refused_without_being_repeated(text: str, why: str) -> None:
    with pytest.raises(errors.UsageError, match=why) as caught:
        checked_base_url(text)
    assert "hunter2" not in caught.value.message


def test_what_the_official_client_refuses_we_refuse() -> None:
    for text in ("http://example.com", "https://u:p@example.com", "https://e.com?x", "ftp://x", ""):
        with pytest.raises(AlterSDKError):
            _VaultClient._validate_base_url(text)
        with pytest.raises(errors.UsageError):
            checked_base_url(text)
