"""Whether a credential is in order, and whether it may do what is asked."""

import json
import sqlite3
from collections.abc import Iterable

from reconciler.sandbox.answers import Refusal
from reconciler.sandbox.catalog import SCOPE_VERSION

_STATE_REFUSALS = {
    "revoked": ("key_revoked", "The {what} is revoked."),
    "expired": ("key_expired", "The {what} has expired."),
    "rotated": ("key_rotated_grace_expired", "The {what} was replaced and its overlap is over."),
}


def unknown(what: str) -> Refusal:
    return Refusal(
        401,
        "invalid_key",
        message=f"No {what} matches the one that was sent.",
        hint=f"Look for a typing error, or create a new {what}.",
    )


def check_state(state: str, what: str) -> None:
    if state != "active":
        code, message = _STATE_REFUSALS.get(state, ("key_not_active", "The {what} is not active."))
        raise Refusal(401, code, message=message.format(what=what), hint=f"Use another {what}.")


def granted_to(credential: sqlite3.Row) -> set[str]:
    return set(json.loads(credential["permissions"]))


def check_permission(permission: str, *, granted: Iterable[str], what: str) -> None:
    if permission in granted:
        return
    raise Refusal(
        403,
        "insufficient_scope",
        message=f"The {what} lacks {permission}.",
        hint=f"Use a {what} that holds {permission}.",
        extra={
            "required": [permission],
            "granted": sorted(granted),
            "missing": [permission],
            "required_any_of": False,
            "scope_version": SCOPE_VERSION,
            "current_scope_version": SCOPE_VERSION,
            "scope_version_mismatch": False,
            "documentation_url": None,
        },
        enveloped=True,
    )
