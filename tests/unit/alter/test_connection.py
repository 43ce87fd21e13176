"""One look at the way to a server: how far it came, and what is said of the step that failed."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from threading import Thread
from urllib.parse import urlsplit

import pytest

from reconciler import errors
from reconciler.alter.clock import SystemClock
from reconciler.alter.connection import Connection, look_at, proxy_for, seconds_ahead
from tests.support.wire_server import Reply, WireServer
from tests.unit.alter.fakes import APP_KEY

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def look(base_url: str) -> Connection:
    return look_at(base_url, clock=SystemClock())


@pytest.fixture
def server() -> Iterator[WireServer]:
    """One that nobody signs anything for."""
    with WireServer(api_key=APP_KEY) as server:
        server.on("GET", "/sdk/scopes", Reply(401, {"error": "invalid_key"}))
        yield server


@contextmanager
def telling(what: bytes) -> Iterator[str]:
    """The address of something that is no web server: it says ``what`` to the first caller, and hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            stream, _ = listener.accept()
            with stream:
                stream.recv(1024)
                stream.sendall(what)

        thread = Thread(target=serve)
        thread.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        thread.join()


def test_a_server_in_the_clear_is_seen_without_any_credential(server: WireServer) -> None:
    seen = look(server.url)
    assert (seen.failure, seen.steps, seen.tls) == (None, ("name", "connection", "answer"), "")
    assert (seen.host, seen.address, seen.port) == ("127.0.0.1", "127.0.0.1", server.port)
    assert abs(seen.seconds_ahead or 99) < 2
    (request,) = server.received
    assert (request.method, request.path, request.body) == ("GET", "/sdk/scopes", b"")
    assert not {name for name in request.headers if name.startswith("x-a")}


def test_the_path_of_the_address_is_kept(server: WireServer) -> None:
    look(server.url + "/gateway/")
    assert server.received[0].path == "/gateway/sdk/scopes"


def test_an_address_that_is_none_is_a_usage_error() -> None:
    with pytest.raises(errors.UsageError, match="base URL"):
        look("alter.example")


def test_a_port_on_which_nobody_listens_is_told() -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
        failure = look(f"http://127.0.0.1:{port}").failure
    assert isinstance(failure, errors.Unreachable)
    assert failure.message == f"no connection to 127.0.0.1:{port}: Connection refused"
    assert "firewall" in failure.hint


def test_a_name_that_does_not_exist_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_such_host(*args: object, **options: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", no_such_host)
    seen = look("https://alter.invalid")
    assert seen.steps == ("name",)
    assert seen.failure is not None
    assert seen.failure.message == "the name alter.invalid cannot be resolved: Name or service not known"
    assert seen.failure.hint.endswith("getent hosts alter.invalid")


@pytest.mark.parametrize("what", [b"", b"SSH-2.0-OpenSSH_9.6\r\n"])
def test_what_is_no_web_server_is_told(what: bytes) -> None:
    with telling(what) as address:
        seen = look(f"http://{address}")
    assert seen.steps[-1] == "answer"
    assert seen.failure is not None
    assert "does not answer as a web server does" in seen.failure.message


def test_a_server_without_tls_behind_an_https_address_is_told() -> None:
    with telling(b"HTTP/1.1 400 Bad Request\r\n\r\n") as address:
        seen = look(f"https://{address}")
    assert seen.steps[-1] == "certificate"
    assert seen.failure is not None
    assert "no trusted connection" in seen.failure.message


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl to make a certificate")
def test_a_certificate_is_told_with_its_end_or_why_it_is_not_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key_file, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=x"
    subject = ["-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", str(key_file), "-out", str(certificate)]
    subprocess.run([*command.split(), *subject, *files], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key_file)
    with WireServer(api_key=APP_KEY, context=context) as server:
        refused = look(server.url).failure
        assert refused is not None
        assert (refused.code, "self-signed" in refused.message) == ("untrusted_certificate", True)
        assert "SSL_CERT_FILE" in refused.hint
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        seen = look(server.url)
    assert (seen.failure, seen.steps) == (None, ("name", "connection", "certificate", "answer"))
    assert seen.tls.startswith("TLSv1.")
    assert seen.certificate_ends_at is not None
    assert timedelta(days=1) < seen.certificate_ends_at - datetime.now(UTC) <= timedelta(days=2)


@pytest.fixture
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.usefixtures("no_proxy")
@pytest.mark.parametrize(
    ("variables", "found"),
    [
        ({}, None),
        ({"HTTPS_PROXY": "http://user:hunter2@proxy.example:3128"}, "proxy.example"),
        ({"HTTPS_PROXY": "proxy.example:3128"}, "proxy.example"),
        ({"ALL_PROXY": "http://proxy.example"}, "proxy.example"),
        ({"HTTP_PROXY": "http://proxy.example"}, None),
        ({"HTTPS_PROXY": "http://proxy.example", "NO_PROXY": "alter.test"}, None),
        ({"HTTPS_PROXY": "http://proxy.example:port"}, None),
    ],
)
def test_the_proxy_is_the_one_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], found: str | None
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    proxy = proxy_for(urlsplit("https://alter.test"))
    assert (proxy and proxy.hostname) == found


@pytest.mark.usefixtures("no_proxy")
def test_behind_a_proxy_only_the_way_to_it_is_looked_at(
    server: WireServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://user:hunter2@127.0.0.1:{server.port}")
    seen = look("https://alter.invalid")
    assert (seen.failure, seen.proxy) == (None, f"127.0.0.1:{server.port}")
    assert "hunter2" not in repr(seen)
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    failure = look("https://alter.invalid").failure
    assert failure is not None
    assert "no connection to the proxy 127.0.0.1:9" in failure.message
    assert "NO_PROXY" in failure.hint


@pytest.mark.parametrize("header", ["", "yesterday", "Tue, 24 Nov 2026 12:00:00 -0000", "Tue, 99 Nov 2026"])
def test_a_date_that_cannot_be_read_is_unknown(header: str) -> None:
    assert seconds_ahead(header, NOW) is None


@pytest.mark.parametrize("seconds", [-400, 0, 90])
def test_the_difference_of_the_clocks_is_counted_from_the_middle_of_the_second(seconds: int) -> None:
    theirs = format_datetime(NOW - timedelta(seconds=seconds), usegmt=True)
    assert seconds_ahead(theirs, NOW) == seconds - 0.5
