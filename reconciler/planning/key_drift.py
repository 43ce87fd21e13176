"""Drift of one agent's keys: minted, revoked or deprecated by somebody else, or left behind by a run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from reconciler.model.agent import LiveAgent
from reconciler.model.desired import DesiredAgent
from reconciler.model.drift import DriftFinding, DriftKind, Severity
from reconciler.model.key import AgentKey, KeyId
from reconciler.model.mark import Claim, Delivered, Mark
from reconciler.planning.claims import appeared_inside, is_active
from reconciler.planning.facts import Facts


def key_drift(
    facts: Facts, agent: DesiredAgent | None, live: LiveAgent, mark: Mark
) -> Iterator[DriftFinding]:
    """What the keys show that the mark does not know of.

    Nothing is known, and nothing said, of an agent whose keys are its owner's (``deliver_to: []``), that no
    key was delivered for yet, or that a run is working on right now. Without ``agent``, one that is declared
    no more, only who can act as it matters: apply revokes it with every key.
    """
    delivered, claim = mark.delivered, mark.claim
    at_work = claim is not None and is_active(claim, facts.now, facts.dead_runs)
    if (agent and not agent.deliver_to) or delivered is None or at_work or live.id not in facts.keys:
        return
    keys = {key.key_id: key for key in facts.keys[live.id]}
    if agent is not None:
        yield from _known(agent, live, mark, delivered, keys)
    known = {delivered.key_id, *mark.retiring}
    for key in keys.values():
        if key.is_live and key.key_id not in known:
            yield _unknown(agent, live, claim, key)


def _known(
    agent: DesiredAgent,
    live: LiveAgent,
    mark: Mark,
    delivered: Delivered,
    keys: Mapping[KeyId, AgentKey],
) -> Iterator[DriftFinding]:
    """What became of the keys that the mark knows."""
    held = keys.get(delivered.key_id)
    if held is None or not held.is_live:
        lost = (
            "is revoked: the workload has none; `apply --only-drift` delivers a new one, a plain apply only "
            "when it next looks at these keys"
        )
        if held is None:
            # It may be an old list, so no run mints because of it.
            lost = (
                f"is not listed any more; if it is really gone, `rotate --again {live.name}` delivers another"
            )
        message = f"the key that the sinks hold {lost}"
        yield _finding(
            agent, live, "key_revoked_outside", severity="high", key_id=delivered.key_id, message=message
        )
    elif held.deprecated_at is not None:
        message = "the key that the sinks hold is deprecated; it works on"
        yield _finding(
            agent, live, "key_deprecated_outside", severity="low", key_id=delivered.key_id, message=message
        )
    for key_id in mark.retiring:
        key = keys.get(key_id)
        # Under a claim it may have been the run itself, which died before it could say so.
        if mark.claim is None and key is not None and key.revoked_at is not None:
            message = "an older key was revoked before this tool found it quiet"
            yield _finding(agent, live, "key_revoked_outside", severity="low", key_id=key_id, message=message)


def _unknown(agent: DesiredAgent | None, live: LiveAgent, claim: Claim | None, key: AgentKey) -> DriftFinding:
    prefix = f"{key.key_prefix}…"
    if claim is not None and appeared_inside(claim, key):
        message = f"{prefix} was minted by a run of this tool that was cut off; the next apply sees to it"
        return _finding(agent, live, "orphaned_key", severity="medium", key_id=key.key_id, message=message)
    cut_off = "; a run was cut off here, so a plain apply has to come first" if claim else ""
    message = (
        f"{prefix} is live, in no sink and not in the mark: somebody else can act as this agent{cut_off}"
    )
    found = _finding(agent, live, "key_minted_outside", severity="high", key_id=key.key_id, message=message)
    return replace(found, is_after_cut_off=claim is not None)


def _finding(
    agent: DesiredAgent | None,
    live: LiveAgent,
    kind: DriftKind,
    *,
    severity: Severity,
    key_id: KeyId,
    message: str,
) -> DriftFinding:
    return DriftFinding(
        kind=kind,
        severity=severity,
        agent=live.name,
        path="keys",
        message=message,
        agent_id=live.id,
        key_id=key_id,
        effect="widening" if kind == "key_minted_outside" else "neutral",
        source=agent.position_of("deliver_to") if agent else None,
    )
