"""Sends one signed request over HTTP and reads its answer; the only module that knows httpx."""

from __future__ import annotations

import ipaddress
import secrets
import socket
import ssl
from collections.abc import Iterator, Mapping
from datetime import datetime
from importlib import metadata
from urllib.parse import SplitResult, urlsplit

import httpx

from reconciler import errors
from reconciler.alter.answers import Answer
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

_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)


class Transport:
    """A pool of connections to one server, safe to use from ``parallelism`` threads at once.

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
        parallelism: int,
        read_seconds: float = READ_SECONDS,
        max_answer_bytes: int = MAX_ANSWER_BYTES,
    ) -> None:
        self._base_url, is_loopback = checked_base_url(base_url)
        self._credential = credential
        self._clock = clock
        self._max_answer_bytes = max_answer_bytes
        self._identity = {"X-Alter-Caller": caller_of(owner), "X-Alter-Caller-Type": "service"}
        try:
            self._client = httpx.Client(
                headers={"User-Agent": f"alter-sync/{_version()}", "Accept-Encoding": "gzip"},
                timeout=httpx.Timeout(read_seconds, connect=CONNECT_SECONDS),
                limits=httpx.Limits(max_connections=parallelism, max_keepalive_connections=parallelism),
                # No proxy of the environment stands before this very machine, its certificates still count.
                trust_env=not is_loopback,
                verify=httpx.create_ssl_context(),
                follow_redirects=False,
            )
        except (ValueError, ImportError, OSError, httpx.InvalidURL) as exc:
            raise errors.UsageError(
                f"the proxy or certificate settings of the environment cannot be used: {type(exc).__name__}",
                hint="check HTTPS_PROXY, ALL_PROXY, SSL_CERT_FILE and SSL_CERT_DIR",
            ) from exc

    def send(
        self, method: str, path: str, *, body: bytes | None = None, headers: Mapping[str, str] | None = None
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
        )
        all_headers = {**(headers or {}), **self._identity, **signed, **self._credential.header()}
        if body is not None:
            all_headers["Content-Type"] = "application/json"
        route = f"{method} {path.partition('?')[0]}"
        try:
            with self._client.stream(
                method, self._base_url + path, content=body, headers=all_headers
            ) as response:
                return self._read(response, started=started, route=route)
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as exc:
            raise _translated(exc, route=route, base_url=self._base_url) from exc

    def close(self) -> None:
        """Closes the connections."""
        self._client.close()

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
        headers = {name.lower(): value for name, value in response.headers.items()}
        return Answer(response.status_code, headers, b"".join(pieces))


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


# A UnicodeError is not among them: it may come of the answer's Location, when all was carried out.
_NOT_SENDABLE = (httpx.LocalProtocolError, httpx.UnsupportedProtocol, httpx.InvalidURL)


def _translated(
    exc: httpx.HTTPError | httpx.InvalidURL | UnicodeError, *, route: str, base_url: str
) -> errors.ApiError:
    """The one place where failures of httpx become ours."""
    causes = tuple(_causes(exc))
    untrusted = next((cause for cause in causes if isinstance(cause, ssl.SSLCertVerificationError)), None)
    if untrusted is not None:
        return errors.ApiError(
            f"{route}: the server's certificate is not trusted: {untrusted.verify_message}",
            code="untrusted_certificate",
            hint="set SSL_CERT_FILE to your certificate authority's file, if the server is the right one",
        )
    if isinstance(exc, httpx.DecodingError):
        return errors.BadAnswer(f"{route}: the answer's compression is broken", code="not_json")
    if isinstance(exc, _NOT_SENT):
        hint = "check the network and the base URL"
        if isinstance(exc, httpx.ProxyError):
            hint = "the proxy of the environment (HTTPS_PROXY) refused to connect"
        elif any(isinstance(cause, socket.gaierror) for cause in causes):
            hint = "the host name of the base URL cannot be resolved"
        return errors.Unreachable(
            f"{route}: no connection to {base_url} ({_kind(exc)})", hint=hint, sent=False
        )
    if isinstance(exc, _NOT_SENDABLE):
        return errors.ApiError(f"{route}: the request cannot be sent ({_kind(exc)})", code="bad_request")
    return errors.Unreachable(
        f"{route}: no answer ({_kind(exc)})", hint="the request may have been carried out all the same"
    )


def _causes(exc: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = exc
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


def _kind(exc: Exception) -> str:
    # The text of a foreign error may hold parts of the request; its class says enough.
    return type(exc).__name__


def _version() -> str:
    try:
        return metadata.version("alter-sync")
    except metadata.PackageNotFoundError:
        return "unknown"
