"""Writes an agent and its mark in one PATCH and does not believe it before the answer shows it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

from reconciler.applying.context import RunContext
from reconciler.errors import BadAnswer, ConcurrentUpdate, NotFound
from reconciler.model.agent import AgentId, AgentPatch, LiveAgent
from reconciler.model.key import AgentKey, KeyId
from reconciler.model.mark import Claim, Delivered, Mark, RunId
from reconciler.planning.claims import CLAIM_LIFETIME, is_made_by
from reconciler.planning.request import clearing_nulls, mark_patch, unmet

# A record must get through although somebody edits the agent in the dashboard just now.
_RECORD_ATTEMPTS = 3
_PLAN_AGAIN = "plan again and apply what you see then"


def read_unmoved(context: RunContext, agent_id: AgentId | None, version: int | None) -> LiveAgent:
    """The agent read anew; ``ConcurrentUpdate`` when it is not at the version that was planned for.

    Alter promises to honour ``expected_version`` only together with scopes, and DELETE knows none at all, so
    this look immediately before a change is what keeps a plan from being carried out on a moved agent.
    """
    if agent_id is None:
        raise NotFound("the plan names no agent id for this operation", status=404)
    live = context.api.get_agent(agent_id)
    if live.status == "revoked":
        raise NotFound(f"agent {live.name!r} was revoked meanwhile", status=404, hint=_PLAN_AGAIN)
    if live.version != version:
        raise ConcurrentUpdate(
            f"agent {live.name!r} changed since it was planned: version {version}, now {live.version}",
            status=409,
            hint=_PLAN_AGAIN,
        )
    return live


def send_patch(
    context: RunContext, live: LiveAgent, patch: AgentPatch, *, grace_seconds: int | None = None
) -> LiveAgent:
    """Sends a PATCH and checks its answer field by field.

    It is not documented whether Alter replaces or merges metadata. If keys that are not sent survive, they
    are sent once more as ``null``, which removes them from a merging server.
    """
    answer = context.api.update_agent(
        live.id, patch, expected_version=live.version, grace_seconds=grace_seconds
    )
    missing = unmet(patch, answer)
    if missing == ("metadata",) and patch.metadata is not None:
        cleared = AgentPatch(metadata=clearing_nulls(patch.metadata, answer.metadata))
        answer = context.api.update_agent(live.id, cleared, expected_version=answer.version)
        missing = unmet(patch, answer)
    if missing:
        raise BadAnswer(
            f"agent {live.name!r}: the server accepted the change but does not show it in "
            + ", ".join(missing),
            hint="run `alter-sync plan` to see what it stored",
        )
    return answer


def older_keys(live: LiveAgent, keys: Sequence[AgentKey], *, held: KeyId | None) -> list[KeyId]:
    """The live keys besides ``held``, oldest first, and those of the mark that the list does not show."""
    mark = live.mark
    recorded = (mark.delivered.key_id,) if mark and mark.delivered else ()
    listed = {key.key_id for key in keys}
    unlisted = [key_id for key_id in (*recorded, *(mark.retiring if mark else ())) if key_id not in listed]
    alive = [key.key_id for key in keys if key.is_live]
    return [key_id for key_id in (*alive, *unlisted) if key_id != held]


def record_delivery(
    context: RunContext,
    live: LiveAgent,
    delivered: Delivered,
    *,
    retiring: Collection[KeyId] = (),
    keep_claim: bool = False,
) -> LiveAgent:
    """Writes into the mark which key the sinks hold and which older ones live on.

    The claim goes with that, unless keys that appeared inside it are still to be revoked.
    """

    def change(mark: Mark) -> Mark:
        claim = mark.claim if keep_claim else None
        return replace(mark, delivered=delivered, claim=claim, retiring=tuple(retiring))

    return _rewrite_mark(context, live, change)


def renewed_claim(context: RunContext, live: LiveAgent) -> LiveAgent:
    """Makes sure that this run's claim is young enough to outlast one more write to a sink.

    A claim that grew old may be taken over, and then what this run writes would cover another run's key.
    """
    mark = live.mark
    if mark and mark.claim and context.clock.now() - mark.claim.at < CLAIM_LIFETIME / 3:
        return live
    return _rewrite_mark(context, live, lambda mark: replace(mark, claim=_claim_now(context, mark)))


def check_claim(context: RunContext, live: LiveAgent) -> None:
    """Raises ``ConcurrentUpdate`` when another run has taken this agent over; asks the server."""
    _own_mark(context, context.api.get_agent(live.id))


def drop_claim(
    context: RunContext, live: LiveAgent, *, retiring: Collection[KeyId] | None = None
) -> LiveAgent:
    """Ends this run's claim; with ``retiring``, says which older keys live on."""

    def change(mark: Mark) -> Mark:
        return replace(mark, claim=None, retiring=mark.retiring if retiring is None else tuple(retiring))

    return _rewrite_mark(context, live, change)


def give_back(context: RunContext, live: LiveAgent) -> LiveAgent:
    """Leaves the claim in place but ownerless, so that the next run goes on at once.

    It says which keys this run made: what else the next run finds, somebody else made meanwhile.
    """
    keys = context.api.list_keys(live.id)

    def change(mark: Mark) -> Mark:
        claim = mark.claim
        if claim is None:
            return mark
        lost = tuple(key.key_id for key in keys if key.is_live and is_made_by(claim, key))
        return replace(mark, claim=replace(claim, run=RunId(""), lost=lost))

    return _rewrite_mark(context, live, change)


def _rewrite_mark(context: RunContext, live: LiveAgent, change: Callable[[Mark], Mark]) -> LiveAgent:
    for attempt in range(_RECORD_ATTEMPTS):
        mark = _own_mark(context, live)
        try:
            return send_patch(context, live, mark_patch(live, change(mark)))
        except ConcurrentUpdate:
            if attempt == _RECORD_ATTEMPTS - 1:
                raise
            live = context.api.get_agent(live.id)
    raise AssertionError("the loop returns or raises")


def _own_mark(context: RunContext, live: LiveAgent) -> Mark:
    mark = live.mark
    if mark is None or mark.claim is None or mark.claim.run != context.run:
        raise ConcurrentUpdate(
            f"agent {live.name!r} was taken over by another run", status=409, hint=_PLAN_AGAIN
        )
    return mark


def _claim_now(context: RunContext, mark: Mark) -> Claim:
    claim = mark.claim or Claim(context.run, context.clock.now())
    return replace(claim, run=context.run, at=context.clock.now())
