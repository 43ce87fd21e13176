"""Checks the server from here: the way to it, its clock, whether it takes the key, and the rate limit."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from reconciler.cli.checks.permissions import APP, PERMISSIONS, check_permissions
from reconciler.cli.checks.setup import Purpose, Setup
from reconciler.errors import AlterSyncError, ApiError, AuthError, ExitCode, RateLimited, UsageError
from reconciler.reports.doctor_report import Check, failed, failed_by, ok, skipped, warning

if TYPE_CHECKING:
    from reconciler.alter.budget import Allowance
    from reconciler.alter.connection import Connection
    from reconciler.alter.inquiry import Greeting, Inquiry

# A signature that is further away in time is refused; the clocks of two machines drift further apart.
MAX_SKEW_SECONDS = 300
_ODD_SKEW_SECONDS = 60
_SCARCE_SHARE = 0.1
_SLOW_SECONDS = 2.0
_SOON_DAYS = 14
_OF_KEY = ("api", "rate limit", *PERMISSIONS, APP)


def check_server(setup: Setup, purpose: Purpose | None) -> Iterator[Check]:
    """Everything that can be known over HTTP, by GETs alone. What comes after a failure is skipped."""
    from reconciler.alter.connection import look_at
    from reconciler.alter.inquiry import Inquiry

    if setup.base_url is None:
        yield from _skipped("the address cannot be used", "network", "clock", *_OF_KEY)
        return
    connection = look_at(setup.base_url, clock=setup.clock)
    yield check_network(connection, now=setup.clock.now())
    if connection.failure is not None:
        yield from _skipped("the server cannot be reached", "clock", *_OF_KEY)
    elif setup.api_key is None:
        yield check_clock(connection.seconds_ahead)
        # Of whose the agents are, the dashboard plane tells then.
        yield from _skipped("there is no key for it", *(_OF_KEY if setup.dashboard is None else _OF_KEY[:-1]))
    else:
        try:
            inquiry = Inquiry(
                base_url=setup.base_url, api_key=setup.api_key, owner=setup.owner, clock=setup.clock
            )
        except UsageError as error:  # the proxy or the certificates of the environment
            yield from _unanswered(error, connection)
            return
        with inquiry:
            yield from _check_with_key(setup, inquiry, purpose, connection=connection)


def _check_with_key(
    setup: Setup, inquiry: Inquiry, purpose: Purpose | None, *, connection: Connection
) -> Iterator[Check]:
    try:
        greeting = inquiry.greet()
    except ApiError as error:
        yield from _unanswered(error, connection)
        return
    yield check_clock(greeting.seconds_ahead)
    yield check_greeting(greeting, key_origin=setup.key_origin)
    if greeting.failure is None or greeting.allowance is not None:
        yield check_rate(greeting.allowance)
    if greeting.failure is None:
        yield from check_permissions(setup, inquiry, purpose)
        return
    unknown = (*PERMISSIONS, APP) if greeting.allowance is not None else _OF_KEY[1:]
    yield from _skipped(_why_no_more(greeting.failure), *unknown)


def _unanswered(error: AlterSyncError, connection: Connection) -> Iterator[Check]:
    yield check_clock(connection.seconds_ahead)
    yield failed_by("api", error)
    yield from _skipped("the server gives no answer", *_OF_KEY[1:])


def check_network(connection: Connection, *, now: datetime) -> Check:
    """How far one look at the server came."""
    name = "network"
    if connection.failure is not None:
        return failed_by(name, connection.failure)
    if connection.proxy:
        return ok(name, f"through the proxy {connection.proxy} of the environment to {connection.host}")
    address = "" if connection.address == connection.host else f" is {connection.address}"
    way = f"{connection.host}{address}, port {connection.port}"
    if not connection.tls:
        return ok(name, f"{way}, without TLS, which is for this machine only")
    ends_at = connection.certificate_ends_at
    message = f"{way}, {connection.tls}"
    if ends_at is None:
        return ok(name, message)
    message += f", certificate until {ends_at:%Y-%m-%d}"
    if (ends_at - now).days < _SOON_DAYS:
        return warning(name, message, fix="have the server's certificate renewed")
    return ok(name, message)


def check_clock(seconds_ahead: float | None) -> Check:
    """How far this machine's clock is from the server's."""
    name, fix = "clock", "synchronise this machine's clock, e.g. timedatectl set-ntp true"
    if seconds_ahead is None:
        return skipped(name, "the server does not tell its time")
    off = abs(seconds_ahead)
    if off < 2:
        return ok(name, "as the server's, to the second")
    message = f"{off:.0f} s {'ahead of' if seconds_ahead > 0 else 'behind'} the server's"
    if off > MAX_SKEW_SECONDS:
        message += f": signed requests are refused beyond {MAX_SKEW_SECONDS} s"
        return failed(name, message, fix=fix, exit_code=ExitCode.AUTH)
    if off > _ODD_SKEW_SECONDS:
        return warning(name, f"{message}; beyond {MAX_SKEW_SECONDS} s requests are refused", fix=fix)
    return ok(name, message)


def check_greeting(greeting: Greeting, *, key_origin: str) -> Check:
    """Whether the key is accepted, and how quickly."""
    if greeting.failure is not None:
        error = greeting.failure
        message = f"{error.message} (key from {key_origin})"
        otherwise = "check the base URL, and what stands between here and Alter"
        if isinstance(error, AuthError):
            otherwise = "use another key of the app"
        return failed("api", message, fix=error.hint or otherwise, exit_code=error.exit_code)
    message = f"accepts the key; answers in {greeting.median_seconds * 1000:.0f} ms (median)"
    if greeting.median_seconds > _SLOW_SECONDS:
        return warning("api", message, fix="look at the network, and at the status of Alter")
    return ok("api", message)


def _why_no_more(error: ApiError) -> str:
    match error:
        case RateLimited():
            return "the rate limit is used up"
        case AuthError():
            return "the key is not accepted now"
        case _:
            return "the server does not answer as Alter does"


def check_rate(allowance: Allowance | None) -> Check:
    """What is left of the requests that the key may make."""
    name = "rate limit"
    if allowance is None:
        return ok(name, "none is announced")
    until = datetime.fromtimestamp(allowance.reset_at, UTC)
    message = f"{allowance.remaining} of {allowance.limit} requests left until {until:%H:%M:%S} UTC"
    if allowance.remaining <= allowance.limit * _SCARCE_SHARE:
        return warning(
            name, message, fix="wait until then, or have the limit raised; commands slow down by it"
        )
    return ok(name, message)


def _skipped(why: str, *names: str) -> Iterator[Check]:
    return (skipped(name, why) for name in names)
