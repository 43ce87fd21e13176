"""The plan of one agent: declared or not, live or not, ours or somebody else's."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from reconciler.errors import Refused
from reconciler.model.agent import LiveAgent
from reconciler.model.desired import DesiredAgent
from reconciler.model.diagnostic import Diagnostic
from reconciler.model.mark import format_time
from reconciler.model.plan import Change, Operation, OperationKind, Waiting
from reconciler.model.values import Json
from reconciler.planning.adoption import adopt_operation
from reconciler.planning.agent_diff import AgentDiff, diff_agent
from reconciler.planning.expiry import EXPIRY_GRACE, expired_at
from reconciler.planning.facts import Facts
from reconciler.planning.key_plan import plan_keys, plan_rollback
from reconciler.planning.operations import merged, mint_operation, operation_for
from reconciler.planning.ownership import inherited_mark, our_mark


@dataclass(frozen=True, slots=True)
class AgentPlan:
    """What is to be done for one agent before guards have looked."""

    operations: tuple[Operation, ...] = ()
    waiting: tuple[Waiting, ...] = ()
    findings: tuple[Diagnostic, ...] = ()
    # As declared, and nobody's: nothing has to be done, but whoever reads the plan should know.
    is_unowned: bool = False


def plan_declared(facts: Facts, agent: DesiredAgent, live: LiveAgent | None) -> AgentPlan:
    """The plan of an agent that the configuration declares."""
    expired = expired_at(agent, facts.now)
    if live is None:
        return _expired_and_gone(agent) if expired else AgentPlan(_create(agent))
    mark = our_mark(facts.desired, live)
    if expired and mark:
        return _plan_expired(facts, agent, live, expired=expired)
    diff = diff_agent(agent, live, inherited_mark(facts.desired, live))
    if mark is None:
        narrowing = _narrowing(agent, live, diff)
        if live.mark is None and not diff and not facts.allow.permits("unowned", agent.name):
            return AgentPlan(waiting=narrowing, is_unowned=not expired)
        adopt = adopt_operation(facts, agent, live)
        return AgentPlan((adopt, *_updates(agent, live, diff, depends_on=(adopt.id,))), narrowing)
    keys = plan_keys(facts, agent, live)
    if keys.is_claimed:
        return AgentPlan(waiting=keys.waiting)
    if diff.type and facts.allow.permits("replace", agent.name):
        return AgentPlan(_replace(agent, live, diff.type))
    to_refuse = (_revoke_for_type(agent, live, diff.type),) if diff.type else ()
    operations = merged((*to_refuse, *_updates(agent, live, diff), *keys.operations))
    return AgentPlan(operations, (*_narrowing(agent, live, diff), *keys.waiting))


def plan_rotation(facts: Facts, agent: DesiredAgent, live: LiveAgent | None, *, backwards: bool) -> AgentPlan:
    """The plan of an agent whose keys alone are to be worked on, forwards or back to the key before."""
    if live is None or our_mark(facts.desired, live) is None:
        what = "is not live" if live is None else "is not managed by this configuration yet"
        hint = "apply first" if live is None else f"`alter-sync adopt {agent.name}` first"
        raise Refused(f"agent {agent.name!r} {what}: it has no key to rotate", hint=hint)
    if not agent.deliver_to:
        raise Refused(
            f"agent {agent.name!r} delivers to no sink, so a new key would be lost",
            hint="name a sink in its deliver_to",
        )
    keys = (plan_rollback if backwards else plan_keys)(facts, agent, live)
    return AgentPlan(keys.operations, keys.waiting)


def plan_adoption(facts: Facts, agent: DesiredAgent, live: LiveAgent | None, *, is_named: bool) -> AgentPlan:
    """The plan that puts a live agent under this owner and leaves all else as it is.

    ``is_named``: the user asked for exactly this agent. Raises ``Refused`` when that cannot be.
    """
    if live is None:
        if is_named:
            raise Refused(
                f"agent {agent.name!r} is not live: there is nothing to adopt", hint="apply creates it"
            )
        return AgentPlan()
    if our_mark(facts.desired, live):
        return AgentPlan()
    if expired := expired_at(agent, facts.now):
        # Once it is ours, apply suspends it and a day after its date revokes it, with every key in use.
        message = (
            f"agent {agent.name!r} expired at {format_time(expired)}: it is not adopted, because the next "
            "runs of apply would suspend and then revoke it"
        )
        hint = "move its expires_at, or take it out, if the agent is to live"
        if is_named:
            raise Refused(message, hint=hint)
        where = agent.position_of("expires_at")
        return AgentPlan(findings=(Diagnostic("warning", "expired", message, where, hint),))
    return AgentPlan((adopt_operation(facts, agent, live),))


def plan_undeclared(facts: Facts, live: LiveAgent) -> AgentPlan:
    """The plan of a live agent that is not declared: revoked when it is ours, left alone otherwise."""
    mark = live.mark
    # A renamed app leaves marks of its old name behind; who let `wrong-app` pass says that they are ours.
    renamed = mark and mark.owner == facts.desired.owner and facts.allow.permits("wrong-app", live.name)
    if our_mark(facts.desired, live) or renamed:
        position = facts.desired.position
        operation = Operation(
            id=f"revoke_agent:{live.name}",
            kind="revoke_agent",
            agent=live.name,
            reason="owned by this configuration and no longer declared",
            agent_id=live.id,
            version=live.version,
            risk="destructive",
            source=position,
        )
        return AgentPlan((operation,))
    if mark and mark.owner in facts.desired.former_owners:
        message = (
            f"live agent {live.name!r} still carries the mark of former owner {mark.owner!r} and is not "
            "declared: it is left alone"
        )
        hint = "declare it so that it is taken over; delete it from the configuration afterwards to revoke it"
        return AgentPlan(findings=(Diagnostic("warning", "former-owner-left", message, hint=hint),))
    return AgentPlan()


def _create(agent: DesiredAgent, *, depends_on: tuple[str, ...] = ()) -> tuple[Operation, ...]:
    scopes = tuple(
        Change(f"scopes.{provider}", None, list(names), "widening", "new")
        for provider, names in agent.scopes.by_provider
    )
    fields: dict[str, Json] = {
        "type": agent.type,
        "display_name": agent.display_name,
        "protect": agent.protect,
    }
    fields |= {f"metadata.{key}": value for key, value in sorted(agent.metadata.items())}
    fields |= {"policy": agent.policy or None}
    plain = tuple(
        Change(path, None, value, cause="new") for path, value in fields.items() if value is not None
    )
    discards = "; the plaintext of its first key is discarded" if not agent.deliver_to else ""
    create = Operation(
        id=f"create_agent:{agent.name}",
        kind="create_agent",
        agent=agent.name,
        reason=("replaced by an agent of the new type" if depends_on else "declared, not live") + discards,
        depends_on=depends_on,
        risk="widening" if scopes else "neutral",
        changes=(*plain, *scopes),
        source=agent.position,
    )
    after = (create.id,)
    mint = mint_operation(agent, reason="first key of a new agent", live=None, depends_on=after)
    suspend = Operation(
        id=f"suspend_agent:{agent.name}",
        kind="suspend_agent",
        agent=agent.name,
        reason="declared inactive; Alter creates agents active",
        depends_on=after,
        risk="narrowing",
        changes=(Change("status", "active", "inactive", "narrowing", "new"),),
        source=agent.position_of("status"),
    )
    return (
        create,
        *((mint,) if agent.deliver_to else ()),
        *((suspend,) if agent.status == "inactive" else ()),
    )


def _updates(
    agent: DesiredAgent, live: LiveAgent, diff: AgentDiff, *, depends_on: tuple[str, ...] = ()
) -> tuple[Operation, ...]:
    """One operation for each group of differences; all of them go in one PATCH."""
    found = []
    if diff.update:
        found.append(operation_for("update_agent", agent, live, diff.update, depends_on=depends_on))
    if diff.scopes:
        found.append(operation_for("set_scopes", agent, live, diff.scopes, depends_on=depends_on))
    if diff.status:
        kind: OperationKind = "suspend_agent" if diff.status.after == "inactive" else "resume_agent"
        found.append(operation_for(kind, agent, live, (diff.status,), depends_on=depends_on))
    return tuple(found)


def _replace(agent: DesiredAgent, live: LiveAgent, change: Change) -> tuple[Operation, ...]:
    revoke = _revoke_for_type(agent, live, change)
    return (revoke, *_create(agent, depends_on=(revoke.id,)))


def _revoke_for_type(agent: DesiredAgent, live: LiveAgent, change: Change) -> Operation:
    return operation_for("revoke_agent", agent, live, (change,), risk="destructive")


def _plan_expired(facts: Facts, agent: DesiredAgent, live: LiveAgent, *, expired: datetime) -> AgentPlan:
    """Expired agents get nothing new: they are suspended, and a day after their date they are revoked."""
    when = f"expired at {format_time(expired)}"
    if live.status == "active":
        change = Change("status", "active", "inactive", "narrowing")
        return AgentPlan((operation_for("suspend_agent", agent, live, (change,), reason=when),))
    if facts.now < expired + EXPIRY_GRACE:
        until = expired + EXPIRY_GRACE
        return AgentPlan(waiting=(Waiting(agent.name, "expired", f"{when}; will be revoked", until),))
    change = Change("expires_at", format_time(expired), None)
    return AgentPlan(
        (operation_for("revoke_agent", agent, live, (change,), reason=when, risk="destructive"),)
    )


def _expired_and_gone(agent: DesiredAgent) -> AgentPlan:
    hint = "delete its block, or move the date to create it again"
    message = f"agent {agent.name!r} has expired and is not live any more"
    where = agent.position_of("expires_at")
    return AgentPlan(findings=(Diagnostic("warning", "expired", message, where, hint),))


def _narrowing(agent: DesiredAgent, live: LiveAgent, diff: AgentDiff) -> tuple[Waiting, ...]:
    """A staged narrowing that is what the configuration wants is on its way, not a difference."""
    leaving = sorted(live.scopes.pairs() - live.target_scopes.pairs())
    if not leaving or diff.scopes or "scopes" in agent.ignore:
        return ()
    names = ", ".join(f"{provider}:{scope}" for provider, scope in leaving)
    return (Waiting(agent.name, "narrowing", f"still works for a while: {names}", live.scopes_applies_at),)
