"""Sends one signed request over HTTP and reads its answer; with ``failures.py`` all that knows httpx."""

from __future__ import annotations

import ipaddress
import secrets
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from urllib.parse import SplitResult, urlsplit

import httpx

from reconciler import __version__, errors
from reconciler.alter.answers import Answer
from reconciler.alter.failures import translated
from reconciler.alter.signing import sign
from reconciler.alter.wire import Credential
from reconciler.model.caller import caller_of
from reconciler.ports import Clock

# A page of 1,000 agents with metadata at its limits stays well below this.
MAX_ANSWER_BYTES = 64 * 1024 * 1024
# The read time-out starts anew with every byte, so a trickle needs a limit of its own.
MAX_ANSWER_SECONDS = 120.0
CONNECT_SECONDS = 10.0
READ_SECONDS = 30.0
# One each: with many in one client, httpx looks at all of them for every request.
_ONE_CONNECTION = httpx.Limits(max_connections=1, max_keepalive_connections=1)


class Transport:
    """Connections to one server, as many as threads use it at once.

    ``send`` raises ``errors.Unreachable`` when there was no answer and ``errors.BadAnswer`` when there was
    too much of one. Every status is an answer; redirects are never followed, as credentials would go along.
    """

    def __init__(
        self,
        *,
        base_url: str,
        credential: Credential,
        owner: str,
        clock: Clock,
        read_seconds: float = READ_SECONDS,
        max_answer_bytes: int = MAX_ANSWER_BYTES,
    ) -> None:
        self._base_url, self._is_loopback = checked_base_url(base_url)
        self._credential = credential
        self._clock = clock
        self._max_answer_bytes = max_answer_bytes
        self._identity = {"X-Alter-Caller": caller_of(owner), "X-Alter-Caller-Type": "service"}
        self._timeout = httpx.Timeout(read_seconds, connect=CONNECT_SECONDS)
        self._clients: list[httpx.Client] = []
        try:
            self._certificates = _certificates(self._base_url)
            # A stack, so that what is not needed any more rests at its bottom. Its steps are atomic.
            self._idle = [self._connect()]
        except (ValueError, ImportError, OSError, httpx.InvalidURL) as exc:
            raise errors.UsageError(
                f"the proxy or certificate settings of the environment cannot be used: {type(exc).__name__}",
                hint="check HTTPS_PROXY, ALL_PROXY, SSL_CERT_FILE and SSL_CERT_DIR",
            ) from exc

    def send(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        constraints: str = "",
    ) -> Answer:
        """One attempt, signed for this moment. ``path`` carries the query and is encoded already."""
        started = self._clock.now()
        signed = sign(
            self._credential.signing_key,
            method=method,
            path_with_query=path,
            body=body or b"",
            timestamp=int(started.timestamp()),
            nonce=secrets.token_hex(16),
            identity=self._identity,
            constraints=constraints,
        )
        all_headers = {**(headers or {}), **self._identity, **signed, **self._credential.header()}
        if body is not None:
            all_headers["Content-Type"] = "application/json"
        route = f"{method} {path.partition('?')[0]}"
        try:
            with self._borrowed() as client:
                request = client.stream(method, self._base_url + path, content=body, headers=all_headers)
                with request as response:
                    return self._read(response, started=started, route=route)
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as exc:
            raise translated(exc, route=route, base_url=self._base_url) from exc

    def close(self) -> None:
        """Closes the connections."""
        for client in self._clients:
            client.close()

    @contextmanager
    def _borrowed(self) -> Iterator[httpx.Client]:
        try:
            client = self._idle.pop()
        except IndexError:
            client = self._connect()
        try:
            yield client
        finally:
            self._idle.append(client)

    def _connect(self) -> httpx.Client:
        client = httpx.Client(
            headers={"User-Agent": f"alter-sync/{__version__}", "Accept-Encoding": "gzip"},
            timeout=self._timeout,
            limits=_ONE_CONNECTION,
            # No proxy of the environment stands before this very machine, its certificates still count.
            trust_env=not self._is_loopback,
            verify=self._certificates,
            follow_redirects=False,
        )
        self._clients.append(client)
        return client

    def _read(self, response: httpx.Response, *, started: datetime, route: str) -> Answer:
        pieces: list[bytes] = []
        size = 0
        for piece in response.iter_bytes():
            size += len(piece)
            if size > self._max_answer_bytes:
                raise errors.BadAnswer(
                    f"{route}: the answer is larger than {self._max_answer_bytes} bytes",
                    status=response.status_code,
                    code="answer_too_large",
                )
            if (self._clock.now() - started).total_seconds() > MAX_ANSWER_SECONDS:
                raise errors.Unreachable(f"{route}: the answer took longer than {MAX_ANSWER_SECONDS:.0f} s")
            pieces.append(piece)
        return Answer(response.status_code, _headers(response), b"".join(pieces))


def _headers(response: httpx.Response) -> dict[str, str]:
    # What httpx says of them takes longer: it tries encodings, and ours are ASCII.
    headers: dict[str, str] = {}
    for raw_name, raw_value in response.headers.raw:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def trusted_certificates() -> ssl.SSLContext:
    """Which certificates of servers are believed; ``SSL_CERT_FILE`` and ``SSL_CERT_DIR`` name others."""
    return httpx.create_ssl_context()


def _certificates(base_url: str) -> ssl.SSLContext:
    # Plain HTTP stays on this machine. It needs none, and reading them all takes as long as a page of agents.
    is_encrypted = base_url.startswith("https:")
    return trusted_certificates() if is_encrypted else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def checked_base_url(text: str) -> tuple[str, bool]:
    """The base URL without a slash at its end, and whether it is on this machine; else ``UsageError``.

    A refused text is not repeated: somebody may have put a key into it.
    """
    parts = _split(text)
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
        raise _unusable("it is not an https:// address")
    if "@" in parts.netloc:
        raise _unusable("it contains a user name or password")
    if "?" in text or "#" in text:
        raise _unusable("it contains a query or a fragment")
    try:
        _ = httpx.URL(text).host  # decoded only when it is asked for
    except (httpx.InvalidURL, UnicodeError) as exc:  # idna's own errors are UnicodeErrors
        raise _unusable("its host name is none") from exc
    if any(not 0 < len(label) < 64 for label in parts.hostname.rstrip(".").split(".")):
        raise _unusable("its host name is none")
    is_loopback = _is_loopback(parts.hostname)
    if parts.scheme == "http" and not is_loopback:
        raise _unusable("it begins with http://, which is for addresses of this machine only; use https://")
    return text.rstrip("/"), is_loopback


def _split(text: str) -> SplitResult | None:
    # urlsplit drops line breaks and tabs silently; what is checked has to be what is used.
    if not text.isascii() or not text.isprintable() or " " in text:
        return None
    try:
        parts = urlsplit(text)
        return parts if parts.port != 0 else None
    except ValueError:
        return None


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _unusable(why: str) -> errors.UsageError:
    return errors.UsageError(
        f"the base URL cannot be used: {why}", hint="for example https://backend.alterauth.com"
    )
