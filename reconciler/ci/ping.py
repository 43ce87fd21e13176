"""Tells a dead man's switch that a check came to its end; when the pings stop, it raises the alarm."""

from __future__ import annotations

import httpx

from reconciler.errors import AlterSyncError, UsageError
from reconciler.model.secret import Secret

_TIMEOUT_SECONDS, _TRIES = 10.0, 3


class PingFailed(AlterSyncError):
    """The dead man's switch could not be reached, or did not take the ping."""

    code = "ping_failed"
    retryable = True


def ping(address: Secret) -> None:
    """Asks for the address, which is a secret: who knows it can keep the switch quiet."""
    failure = ""
    for _ in range(_TRIES):
        try:
            answer = httpx.get(address.reveal(), timeout=_TIMEOUT_SECONDS)
        except (httpx.UnsupportedProtocol, httpx.InvalidURL):
            raise UsageError("ALTER_SYNC_PING_URL is no address", hint="for example https://…") from None
        except httpx.HTTPError as error:
            failure = type(error).__name__  # the error itself carries the address
            continue
        if answer.is_success:
            return
        failure = f"HTTP {answer.status_code}"
    raise PingFailed(f"the dead man's switch did not take the ping ({failure})")
