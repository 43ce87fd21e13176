"""Checks what the key may do, and whose the agents are that it opens."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from reconciler.cli.checks.setup import Purpose, Setup
from reconciler.errors import ApiError, ExitCode, InsufficientScope, RateLimited
from reconciler.reports.doctor_report import Check, failed, failed_by, ok, skipped, warning

if TYPE_CHECKING:
    from reconciler.alter.inquiry import Inquiry
    from reconciler.model.agent import LiveAgent
    from reconciler.model.desired import Desired

T = TypeVar("T")

PERMISSIONS = ("agents:read", "providers:read", "agents:write", "agents:admin")
APP = "app"
_FOR = {
    "agents:read": "for every command",
    "providers:read": "for warnings about misspelt scopes",
    "agents:write": "for apply: creating, changing, minting keys",
    "agents:admin": "for apply: revoking agents and old keys",
}
_ASKED_BY = {
    "agents:write": frozenset({Purpose.APPLY, Purpose.REVOKE}),
    "agents:admin": frozenset({Purpose.REVOKE}),
}
_NAMED = 5


def check_permissions(setup: Setup, inquiry: Inquiry, purpose: Purpose | None) -> Iterator[Check]:
    """One check for each permission, and one of the agents. Nothing is changed to find out."""
    agents = _answer_to(inquiry.agents)
    yield _check_read(setup, "agents:read", agents, is_needed=True)
    yield _check_read(setup, "providers:read", _answer_to(inquiry.check_catalogue), is_needed=False)
    for permission, purposes in _ASKED_BY.items():
        held = _answer_to(partial(inquiry.holds, permission))
        yield check_held(setup, permission, held, is_needed=purpose in purposes)
    if isinstance(agents, ApiError):
        yield skipped(APP, "the agents cannot be read")
    else:
        yield check_app(setup, agents)


def check_held(setup: Setup, permission: str, held: bool | ApiError | None, *, is_needed: bool) -> Check:
    """Of a permission that only changes need. ``held``: yes, no, unknown (``None``), or a failure."""
    match held:
        case True:
            return ok(permission, f"granted, {_FOR[permission]}")
        case False:
            return _lacking(setup, permission, is_needed=is_needed)
        case ApiError():
            return _failed_by(permission, held, is_needed=is_needed)
        case None:
            unknown = f"unknown: the server does not tell without a change ({_FOR[permission]})"
            if is_needed:
                return warning(permission, unknown, fix="look at the key's permissions where it was created")
            return skipped(permission, unknown)


def check_app(setup: Setup, agents: Sequence[LiveAgent]) -> Check:
    """Whether the key opens the app of the configuration, by the marks of its agents."""
    desired = setup.desired
    if desired is None:
        marked = sum(agent.mark is not None for agent in agents)
        return ok(APP, f"{_counted(len(agents))}, {marked} with a mark of some configuration")
    owners = {desired.owner, *desired.former_owners}
    theirs = {agent.name: agent.mark for agent in agents if agent.mark is not None}
    elsewhere = {n: m.app for n, m in theirs.items() if m.owner in owners and m.app != desired.app.name}
    if elsewhere:
        first = min(elsewhere)
        message = (
            f"{_counted(len(elsewhere))} of {desired.owner}, e.g. {first}, marked for app"
            f" {elsewhere[first]!r}, not {desired.app.name!r}: the guard wrong-app refuses every plan"
        )
        fix = f"check the key from {setup.key_origin or 'ALTER_PAT'}, or app.name if the app was renamed"
        return failed(APP, message, fix=fix, exit_code=ExitCode.REFUSED)
    foreign = sorted(name for name, mark in theirs.items() if mark.owner not in owners)
    unowned = sorted(agent.name for agent in agents if agent.mark is None)
    owned = len(agents) - len(foreign) - len(unowned)
    message = (
        f"{_counted(len(agents))}: {owned} of {desired.owner}, {len(foreign)} of other owners,"
        f" {len(unowned)} of nobody"
    )
    return _app_check(desired, message, foreign=foreign, unowned=unowned, setup=setup)


def _app_check(
    desired: Desired, message: str, *, foreign: Sequence[str], unowned: Sequence[str], setup: Setup
) -> Check:
    taken = [name for name in foreign if name in desired.agents]
    adoptable = [name for name in unowned if name in desired.agents]
    details = [
        *([f"declared here, but of another owner: {_few(taken)}"] if taken else []),
        *([f"declared, but of nobody yet: {_few(adoptable)}"] if adoptable else []),
    ]
    if taken:
        fix = "take them out of the configuration, or list their owner in former_owners if that was its name"
        return warning(APP, message, fix=fix, details=details)
    if adoptable:
        return warning(APP, message, fix=setup.source.command("adopt"), details=details)
    return ok(APP, message)


def _check_read(setup: Setup, permission: str, answer: object, *, is_needed: bool) -> Check:
    if isinstance(answer, InsufficientScope):
        return _lacking(setup, permission, is_needed=is_needed)
    if isinstance(answer, ApiError):
        return _failed_by(permission, answer, is_needed=is_needed)
    return ok(permission, f"granted, {_FOR[permission]}")


def _failed_by(permission: str, error: ApiError, *, is_needed: bool) -> Check:
    # A rate limit is that of the key, so every command will meet it.
    return failed_by(permission, error, is_needed=is_needed or isinstance(error, RateLimited))


def _lacking(setup: Setup, permission: str, *, is_needed: bool) -> Check:
    message = f"the key lacks it ({_FOR[permission]})"
    fix = f"use a key that also has {permission} (the key is from {setup.key_origin})"
    if is_needed:
        return failed(permission, message, fix=fix, exit_code=ExitCode.AUTH)
    return warning(permission, message, fix=fix)


def _answer_to(question: Callable[[], T]) -> T | ApiError:
    try:
        return question()
    except ApiError as error:
        return error


def _counted(count: int) -> str:
    return f"{count} live agent{'' if count == 1 else 's'}"


def _few(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
