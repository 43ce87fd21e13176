"""Mints one key. A mint is tried once; when its answer is lost, the list of keys tells what became of it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from reconciler.applying.context import RunContext
from reconciler.applying.key_calls import revoke
from reconciler.applying.marking import check_claim
from reconciler.errors import AlterSyncError, BadAnswer, LastActiveKey, RateLimited, ServerFault, Unreachable
from reconciler.model.agent import LiveAgent
from reconciler.model.key import AgentKey, KeyId, MintedKey
from reconciler.planning.claims import appeared_inside

# After any of these a mint may have been carried out; only the list of keys tells.
_OUTCOME_UNKNOWN = (Unreachable, ServerFault, BadAnswer, RateLimited)
_MINT_ATTEMPTS = 3
_LONGEST_RATE_LIMIT_WAIT_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Mint:
    """A new key, when it was made at the earliest, and what became of the attempts before it.

    ``lost`` are keys that nobody holds and that are still live. ``may_grow``: the list of keys did not show
    what came of a lost answer. The list may have been an old one, or the request is still on its way.
    """

    key: MintedKey
    made_at: datetime
    lost: tuple[KeyId, ...] = ()
    may_grow: bool = False


def mint_key(context: RunContext, live: LiveAgent, *, known: Collection[KeyId]) -> Mint:
    """Mints, a few times if answers are lost. ``known`` are the keys that were there before."""
    seen, lost, may_grow = set(known), list[KeyId](), False
    for attempt in range(_MINT_ATTEMPTS):
        made_at = context.clock.now()
        try:
            minted = context.api.mint_key(live.id)
        except _OUTCOME_UNKNOWN as error:
            fresh = [key for key in context.api.list_keys(live.id) if _is_lost(live, key, seen)]
            seen |= {key.key_id for key in fresh}
            may_grow = may_grow or (not fresh and may_have_arrived(error))
            lost += _revoke_lost(context, live, fresh)
            if attempt == _MINT_ATTEMPTS - 1:
                raise
            if isinstance(error, RateLimited):
                wait = error.retry_after_seconds or 1.0
                context.clock.sleep(min(wait, _LONGEST_RATE_LIMIT_WAIT_SECONDS))
            continue
        if minted.plaintext is not None:
            return Mint(minted, made_at, tuple(lost), may_grow)
        raise BadAnswer(f"agent {live.name!r}: a key was minted but its plaintext is not in the answer")
    raise AssertionError("the loop returns or raises")


def _is_lost(live: LiveAgent, key: AgentKey, seen: Collection[KeyId]) -> bool:
    """Whether a key came of a mint whose answer was lost: it is new, of this claim's time, and unused.

    A list read before may have been an old one, so that a key is new to us is not enough.
    """
    claim = live.mark.claim if live.mark else None
    is_ours = claim is None or appeared_inside(claim, key)
    return key.is_live and key.key_id not in seen and is_ours and key.is_unused


def may_have_arrived(error: AlterSyncError) -> bool:
    """Whether the server may carry out, or may have carried out, the request that this came of."""
    if not isinstance(error, _OUTCOME_UNKNOWN):
        return False
    return not isinstance(error, RateLimited) and not (isinstance(error, Unreachable) and not error.sent)


def _revoke_lost(context: RunContext, live: LiveAgent, keys: Sequence[AgentKey]) -> Iterator[KeyId]:
    """Revokes keys that appeared inside our claim without a plaintext; yields those that have to wait."""
    if keys:
        # A run that slept past its claim would find its successor's keys here.
        check_claim(context, live)
    for key in keys:
        try:
            revoke(context, live, key.key_id)
        except LastActiveKey:
            # It goes once the next key is delivered; until then it is the only one.
            yield key.key_id
