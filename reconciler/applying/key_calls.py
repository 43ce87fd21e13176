"""Changes of single keys that are not believed before the answer shows them."""

from __future__ import annotations

from reconciler.applying.context import RunContext
from reconciler.errors import BadAnswer
from reconciler.model.agent import LiveAgent
from reconciler.model.key import KeyId


def revoke(context: RunContext, live: LiveAgent, key_id: KeyId) -> None:
    """Revokes a key, never with force."""
    _check(context.api.revoke_key(live.id, key_id).revoked_at is not None, live, key_id, "revocation")


def deprecate(context: RunContext, live: LiveAgent, key_id: KeyId) -> None:
    """Marks a key as to be retired; it goes on working."""
    _check(context.api.deprecate_key(live.id, key_id).deprecated_at is not None, live, key_id, "deprecation")


def undeprecate(context: RunContext, live: LiveAgent, key_id: KeyId) -> None:
    """Takes that mark off again."""
    is_done = context.api.undeprecate_key(live.id, key_id).deprecated_at is None
    _check(is_done, live, key_id, "end of the deprecation")


def _check(is_done: bool, live: LiveAgent, key_id: KeyId, what: str) -> None:
    if not is_done:
        raise BadAnswer(
            f"agent {live.name!r}: the server accepted the {what} of key {key_id} but does not show it"
        )
