"""Says in our terms why a request had no answer: the one place where failures of httpx become ours."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator

import httpx

from reconciler import errors

_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)
# A UnicodeError is not among them: it may come of the answer's Location, when all was carried out.
_NOT_SENDABLE = (httpx.LocalProtocolError, httpx.UnsupportedProtocol, httpx.InvalidURL)


def translated(
    exc: httpx.HTTPError | httpx.InvalidURL | UnicodeError, *, route: str, base_url: str
) -> errors.ApiError:
    """Our failure for one of httpx. ``route`` is what messages call the request."""
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
    hint = "the request may have been carried out all the same"
    if route.startswith("GET "):
        hint = "try again; if it stays so, check what stands between here and Alter"
    return errors.Unreachable(f"{route}: no answer ({_kind(exc)})", hint=hint)


def _causes(exc: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = exc
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


def _kind(exc: Exception) -> str:
    # The text of a foreign error may hold parts of the request; its class says enough.
    return type(exc).__name__
