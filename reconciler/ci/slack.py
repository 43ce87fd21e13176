"""Posts one message to a webhook that takes Slack's format. The address is a secret: who has it can post."""

from __future__ import annotations

import ipaddress
import re
import time
from collections.abc import Mapping
from typing import Any

import httpx

from reconciler.errors import AlterSyncError, UsageError
from reconciler.model.secret import Secret

_TIMEOUT_SECONDS, _TRIES, _LONGEST_WAIT_SECONDS = 10.0, 3, 10.0
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_MAY_PASS = frozenset({429, 500, 502, 503, 504})


class NotifyFailed(AlterSyncError):
    """The webhook could not be reached, or did not take the message."""

    code = "notify_failed"
    retryable = True


def webhook_of(variable: str, environ: Mapping[str, str]) -> Secret:
    """The address in an environment variable; ``UsageError``, without repeating it, when it is none."""
    if not _VARIABLE.fullmatch(variable):
        # Whoever puts the address itself here has told it to everybody who can see the process.
        raise UsageError(
            "--notify slack=NAME takes the name of an environment variable, not an address",
            hint="put the address into a variable, e.g. SLACK_WEBHOOK_URL, and name that",
        )
    text = environ.get(variable, "").strip()
    if not text:
        raise UsageError(
            f"--notify slack={variable}: the variable {variable} is not set", hint=f"set {variable}"
        )
    try:
        url = httpx.URL(text)
        host = url.host
    except (httpx.InvalidURL, UnicodeError):
        raise UsageError(f"--notify slack={variable}: {variable} holds no address") from None
    if not host or (url.scheme != "https" and not (url.scheme == "http" and _is_loopback(host))):
        raise UsageError(
            f"--notify slack={variable}: {variable} holds no https:// address", hint="http:// is for loopback"
        )
    return Secret(text)


def post(address: Secret, document: Mapping[str, Any]) -> None:
    """Posts; repeats what may pass. ``NotifyFailed`` never shows the address."""
    failure, wait = "", 0.0
    for attempt in range(_TRIES):
        time.sleep(wait)
        try:
            answer = httpx.post(
                address.reveal(), json=document, timeout=_TIMEOUT_SECONDS, follow_redirects=False
            )
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            # The error itself carries the address.
            failure, wait = type(error).__name__, 0.5 * 2**attempt
            continue
        if answer.is_success:
            return
        failure, wait = f"HTTP {answer.status_code}", _wait(answer, attempt)
        if answer.status_code not in _MAY_PASS:
            break
    raise NotifyFailed(
        f"the message was not delivered ({failure})", hint="check the webhook, and the network"
    )


def _wait(answer: httpx.Response, attempt: int) -> float:
    asked = answer.headers.get("retry-after", "")
    seconds = float(asked) if asked.isdecimal() else 0.5 * 2**attempt
    return min(seconds, _LONGEST_WAIT_SECONDS)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
