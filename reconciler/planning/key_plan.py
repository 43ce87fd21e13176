"""The operations on one agent's keys: what its stage asks for, or the way back from a rotation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from reconciler.errors import Refused
from reconciler.model.agent import LiveAgent
from reconciler.model.desired import DesiredAgent
from reconciler.model.key import AgentKey
from reconciler.model.mark import format_time
from reconciler.model.plan import Change, Operation, OperationKind, Risk, Waiting
from reconciler.planning.facts import Facts
from reconciler.planning.key_facts import KeyFacts
from reconciler.planning.operations import mint_operation, operation_for
from reconciler.planning.rotation import KeyStep, Rotation, rotation_of

# How an operation says that the key it revokes is one that nobody can hold.
LOST_KEY = "lost_key"
_KINDS: dict[str, OperationKind] = {
    "deprecate": "deprecate_key",
    "undeprecate": "undeprecate_key",
    "revoke": "revoke_key",
    "finish": "revoke_key",
}


@dataclass(frozen=True, slots=True)
class KeyPlan:
    """What is to be done with one agent's keys. ``is_claimed``: a run is at work there, hands off."""

    operations: tuple[Operation, ...] = ()
    waiting: tuple[Waiting, ...] = ()
    is_claimed: bool = False


def plan_keys(facts: Facts, agent: DesiredAgent, live: LiveAgent) -> KeyPlan:
    """The next step of a live agent's keys; nothing when they were not read, for then nothing is due."""
    known = facts.key_facts(agent.name)
    if known is None:
        return KeyPlan()
    rotation = rotation_of(known)
    waiting = (Waiting(agent.name, rotation.stage, rotation.reason, rotation.until),)
    if rotation.stage == "claimed":
        return KeyPlan(waiting=waiting, is_claimed=True)
    operations = tuple(_operations(agent, live, rotation)) or tuple(_tidying(agent, live, known))
    is_waiting = not rotation.mints and any(step.action == "wait" for step in rotation.steps)
    if rotation.stage == "due" and not rotation.mints:
        is_waiting = True
    return KeyPlan(operations, waiting if is_waiting and rotation.stage != "retiring" else ())


def plan_rollback(facts: Facts, agent: DesiredAgent, live: LiveAgent) -> KeyPlan:
    """The way back to the key before: it is restored, the sinks get it back, the newer one is deprecated.

    Raises ``Refused`` when there is no such key, or when the configuration says that it leaked.
    """
    known = facts.key_facts(agent.name)
    if known is None:
        return KeyPlan()
    rotation = rotation_of(known)
    if rotation.stage == "claimed":
        return KeyPlan(waiting=(Waiting(agent.name, "claimed", rotation.reason, rotation.until),))
    newer = known.delivered
    previous = _previous(known)
    if newer is None or previous is None:
        raise Refused(
            f"agent {agent.name!r} has no live key from before its delivered one to go back to",
            hint=f"go forward instead, with a new key: `rotate --again {agent.name}`",
        )
    before = known.policy.rotate_keys_before
    if before is not None and previous.created_at < before <= facts.now:
        raise Refused(
            f"key {previous.key_id} of agent {agent.name!r} is from before {format_time(before)}, and the "
            "configuration says that such keys must go (rotate_keys_before)",
            hint="rotate forward instead, or take rotate_keys_before out first",
        )
    undo = _operation(
        "undeprecate_key",
        agent,
        live,
        previous,
        after="back to " + ", ".join(agent.deliver_to),
        reason="rollback: the sinks get the previous key back",
    )
    retire = _operation(
        "deprecate_key",
        agent,
        live,
        newer,
        after="deprecated",
        reason="rollback: the previous key takes its place",
        depends_on=(undo.id,),
    )
    return KeyPlan((undo, retire))


def _previous(known: KeyFacts) -> AgentKey | None:
    """The key that was delivered before, while it lives."""
    delivered = known.mark.delivered
    wanted = delivered.previous if delivered else None
    return next((key for key in known.others if key.key_id == wanted), None)


def _operations(agent: DesiredAgent, live: LiveAgent, rotation: Rotation) -> Iterator[Operation]:
    after: tuple[str, ...] = ()
    if rotation.mints:
        mint = mint_operation(agent, reason=rotation.reason, live=live)
        after = (mint.id,)
        yield mint
    for step in rotation.steps:
        if step.action in _KINDS:
            yield _step_operation(agent, live, step, depends_on=after)


def _step_operation(
    agent: DesiredAgent, live: LiveAgent, step: KeyStep, *, depends_on: tuple[str, ...]
) -> Operation:
    kind = _KINDS[step.action]
    reason = f"{step.reason}; kept if a sink turns out to hold it" if step.action == "finish" else step.reason
    after = {"deprecate_key": "deprecated", "undeprecate_key": "not deprecated"}.get(kind)
    operation = _operation(kind, agent, live, step.key, after=after, reason=reason, depends_on=depends_on)
    if step.action != "finish":
        return operation
    [change] = operation.changes
    return replace(operation, changes=(replace(change, path=LOST_KEY),))


def _operation(
    kind: OperationKind,
    agent: DesiredAgent,
    live: LiveAgent,
    key: AgentKey,
    *,
    after: str | None,
    reason: str,
    depends_on: Sequence[str] = (),
) -> Operation:
    risk: Risk = "destructive" if kind == "revoke_key" else "neutral"
    return Operation(
        id=f"{kind}:{agent.name}:{key.key_id}",
        kind=kind,
        agent=agent.name,
        reason=reason,
        agent_id=live.id,
        version=live.version,
        depends_on=tuple(depends_on),
        risk=risk,
        changes=(Change("key", f"{key.key_prefix}… ({key.key_id})", after),),
        source=agent.position_of("rotation"),
        key_id=key.key_id,
    )


def _tidying(agent: DesiredAgent, live: LiveAgent, known: KeyFacts) -> Iterator[Operation]:
    """Takes out of the mark what is over: the claim of a dead run, keys that are revoked by now."""
    claim, retiring = known.mark.claim, known.mark.retiring
    if claim is not None:
        change = Change("claim", claim.run, None)
        reason = "drops the claim of a run that was cut off; its keys are in order"
        yield operation_for("update_agent", agent, live, (change,), reason=reason)
    elif retiring and not known.others:
        change = Change("retiring", list(retiring), None)
        reason = "forgets older keys that are revoked by now"
        yield operation_for("update_agent", agent, live, (change,), reason=reason)
