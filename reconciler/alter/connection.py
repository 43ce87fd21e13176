"""Looks at the way to a server, step by step: proxy, name, connection, certificate, an answer."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import HTTPConnection, HTTPException
from typing import Literal
from urllib.parse import SplitResult, urlsplit
from urllib.request import getproxies, proxy_bypass

from reconciler import errors
from reconciler.alter.transport import checked_base_url, trusted_certificates
from reconciler.ports import Clock

CONNECT_SECONDS = 3.0
ANSWER_SECONDS = 5.0
# What everybody may ask; without a signature the answer is a refusal, which tells as much.
_PATH = "/sdk/scopes"

Step = Literal["proxy", "name", "connection", "certificate", "answer"]


@dataclass(frozen=True, slots=True)
class Connection:
    """How far one look came. ``failure`` is about the last of ``steps``; without one, all of them are well.

    Behind a ``proxy`` only the way to it can be seen.
    """

    host: str
    port: int
    steps: tuple[Step, ...] = ()
    proxy: str = ""
    address: str = ""
    tls: str = ""
    certificate_ends_at: datetime | None = None
    seconds_ahead: float | None = None
    failure: errors.ApiError | None = None


def look_at(base_url: str, *, clock: Clock) -> Connection:
    """Goes there once, without any credential. Raises ``errors.UsageError`` for an address that is none."""
    text, is_loopback = checked_base_url(base_url)
    url = urlsplit(text)
    proxy = None if is_loopback else proxy_for(url)
    way = Connection(url.hostname or "", url.port or (443 if url.scheme == "https" else 80))
    if proxy is not None:
        way = replace(way, proxy=f"{proxy.hostname}:{_port_of(proxy)}")
    for seen in _steps(way, url, proxy, clock):
        way = seen
    return way


def proxy_for(url: SplitResult) -> SplitResult | None:
    """The proxy that the environment puts before an address, as the HTTP client reads it."""
    proxies = getproxies()
    proxy = proxies.get(url.scheme) or proxies.get("all")
    if not proxy or proxy_bypass(url.hostname or ""):
        return None
    try:
        parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
        return parts if parts.hostname and _port_of(parts) else None
    except ValueError:
        return None


def seconds_ahead(date_header: str, now: datetime) -> float | None:
    """How far our clock is ahead of the server's; ``None`` when it does not tell. Right to about a second."""
    try:
        theirs = parsedate_to_datetime(date_header)
    except (ValueError, LookupError, TypeError, OverflowError):
        return None
    # The header has no fractions: on average the server's second is half over.
    return (now - theirs).total_seconds() - 0.5 if theirs.tzinfo else None


def _steps(
    way: Connection, url: SplitResult, proxy: SplitResult | None, clock: Clock
) -> Iterator[Connection]:
    """What is known after each step; ends with the first that fails, or at a proxy."""
    host, port = (way.host, way.port) if proxy is None else (str(proxy.hostname), _port_of(proxy))
    try:
        way = _going(way, "name")
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        way = replace(_going(way, "connection" if proxy is None else "proxy"), address=str(found[0][4][0]))
        with closing(socket.create_connection((host, port), timeout=CONNECT_SECONDS)) as stream:
            way = replace(way, address=str(stream.getpeername()[0]))
            yield way
            if proxy is not None:
                return
            secured = stream
            if url.scheme == "https":
                way = _going(way, "certificate")
                secured = trusted_certificates().wrap_socket(stream, server_hostname=host)
                way = replace(way, tls=secured.version() or "TLS", certificate_ends_at=_ends_at(secured))
                yield way
            with closing(secured):
                way = _going(way, "answer")
                yield replace(way, seconds_ahead=_ask(secured, url, clock))
    except (OSError, HTTPException, UnicodeError) as exc:
        yield replace(way, failure=_failure(way.steps[-1], exc, host=host, port=port))


def _ask(stream: socket.socket, url: SplitResult, clock: Clock) -> float | None:
    stream.settimeout(ANSWER_SECONDS)
    connection = HTTPConnection(url.netloc)
    connection.sock = stream
    connection.request("GET", url.path + _PATH, headers={"User-Agent": "alter-sync", "Connection": "close"})
    with closing(connection.getresponse()) as answer:
        return seconds_ahead(answer.headers.get("Date", ""), clock.now())


def _failure(step: Step, exc: Exception, *, host: str, port: int) -> errors.ApiError:
    why = _reason(exc)
    match step:
        case "name":
            return errors.Unreachable(
                f"the name {host} cannot be resolved: {why}",
                hint=f"check the address and the DNS of this machine: getent hosts {host}",
                sent=False,
            )
        case "proxy":
            return errors.Unreachable(
                f"no connection to the proxy {host}:{port}: {why}",
                hint="check HTTPS_PROXY, or name the server in NO_PROXY if it can be reached without",
                sent=False,
            )
        case "connection":
            return errors.Unreachable(
                f"no connection to {host}:{port}: {why}",
                hint="check the address and the firewall; if the way out is a proxy, name it in HTTPS_PROXY",
                sent=False,
            )
        case "certificate":
            return errors.ApiError(
                f"no trusted connection to {host}:{port}: {why}",
                code="untrusted_certificate",
                hint="set SSL_CERT_FILE to your certificate authority's file, if the server is the right one",
            )
        case "answer":
            return errors.Unreachable(
                f"{host}:{port} does not answer as a web server does: {why}",
                hint="check the address, and what stands between here and Alter",
            )


def _reason(exc: Exception) -> str:
    if isinstance(exc, ssl.SSLCertVerificationError):
        return exc.verify_message
    if isinstance(exc, ssl.SSLError):
        return (exc.reason or "TLS failed").replace("_", " ").lower()
    if isinstance(exc, TimeoutError):
        return "no answer in time"
    return (exc.strerror if isinstance(exc, OSError) else "") or type(exc).__name__


def _ends_at(stream: ssl.SSLSocket) -> datetime | None:
    ends = (stream.getpeercert() or {}).get("notAfter")
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(ends), UTC) if isinstance(ends, str) else None


def _going(way: Connection, step: Step) -> Connection:
    return replace(way, steps=(*way.steps, step))


def _port_of(url: SplitResult) -> int:
    return url.port or (443 if url.scheme == "https" else 80)
