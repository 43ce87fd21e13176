"""The guards: each looks at the finished plan and refuses operations by name, with its numbers.

A guard is a pure function from the facts and the operations to refusals. It never changes the plan; the
planner takes out what any guard refused, and what depends on that. There is no way to switch them all off:
``--allow GUARD=AGENT`` lets one agent pass one guard, ``--allow GUARD`` lets all agents pass that one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase

from reconciler.model.desired import CountLimit
from reconciler.model.mark import format_time
from reconciler.model.plan import Blocked, Operation
from reconciler.planning.facts import IN_USE_GUARD, POLICY_GUARD, Facts
from reconciler.planning.key_guards import key_cap, key_in_use, last_active_key, rotation_pace
from reconciler.planning.plane_guard import plane
from reconciler.planning.refusal import Guard, of_kinds, refuse

# What is never let through, whoever asks.
ABSOLUTE = frozenset({"last-active-key", "plane"})

# Kinds that change an agent that is live already; adoption changes nothing but the mark.
_CHANGING = frozenset({"update_agent", "set_scopes", "suspend_agent", "resume_agent", "revoke_agent"})


def refusals(facts: Facts, operations: Sequence[Operation]) -> tuple[Blocked, ...]:
    """Everything that the guards refuse and the user did not allow, in the order of guards."""
    return tuple(
        blocked
        for name, guard in GUARDS.items()
        for blocked in guard(facts, operations)
        if name in ABSOLUTE or not facts.allow.permits(name, blocked.agent)
    )


def _wrong_app(facts: Facts, operations: Sequence[Operation]) -> Iterator[Blocked]:
    """The key opens another app than the one that the configuration is for: nothing at all is done."""
    app, owners = facts.desired.app.name, {facts.desired.owner, *facts.desired.former_owners}
    strangers = {
        name: mark.app
        for name, live in facts.live.items()
        if (mark := live.mark) and mark.owner in owners and mark.app != app
        if not facts.allow.permits("wrong-app", name)
    }
    if not strangers:
        return
    first = min(strangers)
    reason = (
        f"{len(strangers)} live agents of this owner, e.g. {first}, are marked for app "
        f"{strangers[first]!r}, but the configuration is for {app!r}: check the key in "
        f"{facts.desired.app.api_key_env}, or app.name if the app was renamed"
    )
    yield from (refuse("wrong-app", op, reason, whole=True) for op in operations)
    planned = {operation.agent for operation in operations}
    for name in sorted(strangers.keys() - planned):
        yield Blocked("wrong-app", name, reason, "--allow wrong-app")


def _foreign_owner(facts: Facts, operations: Sequence[Operation]) -> Iterator[Blocked]:
    """The live agent belongs to another configuration."""
    owners = {facts.desired.owner, *facts.desired.former_owners}
    for operation in of_kinds(operations, "adopt_agent"):
        mark = facts.mark_of(operation.agent)
        if mark and mark.owner not in owners:
            reason = (
                f"owned by {mark.owner!r}; if that was this configuration's name, list it in former_owners"
            )
            yield refuse("foreign-owner", operation, reason)


def _unowned(facts: Facts, operations: Sequence[Operation]) -> Iterator[Blocked]:
    """The live agent carries no mark: somebody made it by hand."""
    for operation in of_kinds(operations, "adopt_agent"):
        if facts.mark_of(operation.agent) is None:
            reason = (
                "a live agent of this name was not made by alter-sync; `alter-sync adopt` puts it under this "
                "owner and changes nothing else"
            )
            yield refuse("unowned", operation, reason)


def _empty_config(facts: Facts, operations: Sequence[Operation]) -> Iterator[Blocked]:
    """No agent is declared while live ones are owned."""
    owned = len(facts.owned())
    if facts.desired.agents or not owned:
        return
    reason = f"the configuration declares no agents, but {owned} live ones belong to it"
    yield from (refuse("empty-config", op, reason, whole=True) for op in of_kinds(operations, "revoke_agent"))


def _max_revocations(facts: Facts, operations: Sequence[Operation]) -> Iterator[Blocked]:
    """Too many agents revoked at once."""
    doomed = [op for op in of_kinds(operations, "revoke_agent") if _counts(facts, "max-revocations", op)]
    limit, total = facts.desired.guards.max_revocations, len(facts.owned())
    if limit.exceeded(len(doomed), total):
        reason = _too_many(len(doomed), total, limit, "owned agents would be revoked")
        yield from (refuse("max-revocations", op, reason, whole=True) for op in doomed)


def _max_changes(facts: Facts, operations: Sequence[Operation]) -> Iterator[Blocked]:
    """Too many agents changed at once."""
    changing = [
        op for op in operations if op.kind in _CHANGING and op.agent_id and _counts(facts, "max-changes", op)
    ]
    owned = facts.owned()
    agents = {op.agent for op in changing if op.agent in owned}
    limit = facts.desired.guards.max_changes
    if limit.exceeded(len(agents), len(owned)):
        reason = _too_many(len(agents), len(owned), limit, "owned agents would be changed")
        yield from (refuse("max-changes", op, reason, whole=True) for op in changing)


def _max_scope_removals(facts: Facts, operations: Sequence[Operation]) -> Iterator[Blocked]:
    """Too many granted scopes taken away at once."""
    narrowing = [
        op
        for op in of_kinds(operations, "set_scopes")
        if _counts(facts, "max-scope-removals", op) and _pairs(op, gained=False)
    ]
    removed = sum(len(_pairs(op, gained=False)) for op in narrowing)
    concerned = {**facts.owned(), **{op.agent: facts.live[op.agent] for op in narrowing}}
    total = sum(len(live.target_scopes) for live in concerned.values())
    limit = facts.desired.guards.max_scope_removals
    if limit.exceeded(removed, total):
        reason = _too_many(removed, total, limit, "granted scopes would be removed")
        yield from (refuse("max-scope-removals", op, reason, whole=True) for op in narrowing)


def _protected(facts: Facts, operations: Sequence[Operation]) -> Iterator[Blocked]:
    """The agent is protected, by its live mark or by its block: deleting the block does not unprotect."""
    for operation in of_kinds(operations, "revoke_agent", "suspend_agent"):
        if operation.agent_id is None:
            continue  # about to be created as declared: suspended, and protected from then on
        declared = facts.desired.agents.get(operation.agent)
        mark = facts.mark_of(operation.agent)
        by_block = declared is not None and declared.protect is True
        if by_block or (mark and mark.protect):
            where = "its block" if by_block else "its live mark"
            hint = "declare it with `protect: false` and apply first"
            yield refuse("protected", operation, f"{where} says protect; to unprotect it, {hint}")


def _revoke_in_use(facts: Facts, operations: Sequence[Operation]) -> Iterator[Blocked]:
    """The agent was used a short time ago. A time in the future tells nothing, so it counts as use."""
    window = facts.desired.guards.revoke_in_use
    for operation in of_kinds(operations, "revoke_agent"):
        live = facts.live.get(operation.agent)
        used = live.last_used_at if live else None
        if used is not None and facts.now - used < window:
            hours = window.total_seconds() / 3600
            reason = f"last used at {format_time(used)}, within the last {hours:g} h"
            yield refuse("revoke-in-use", operation, reason)


def _sensitive_scopes(facts: Facts, operations: Sequence[Operation]) -> Iterator[Blocked]:
    """A scope that matches a listed pattern would be granted. Upper and lower case are the same here."""
    patterns = [(pattern, pattern.lower()) for pattern in facts.desired.guards.sensitive_scopes]
    for operation in of_kinds(operations, "create_agent", "set_scopes"):
        granted = (f"{provider}:{name}" for provider, name in sorted(_pairs(operation, gained=True)))
        hits = [
            f"{scope} ({pattern})"
            for scope in granted
            for pattern, lowered in patterns
            if fnmatchcase(scope.lower(), lowered)
        ]
        if hits:
            yield refuse("sensitive-scopes", operation, "would grant " + ", ".join(hits))


def _replace(_facts: Facts, operations: Sequence[Operation]) -> Iterator[Blocked]:
    """A change of ``type`` needs revoke and create: the agent and its keys are gone in between."""
    for operation in of_kinds(operations, "revoke_agent"):
        for change in operation.changes:
            if change.path == "type":
                reason = f"type {change.before} → {change.after} needs revoke and create, with new keys"
                yield refuse("replace", operation, reason)


def _freeze(facts: Facts, operations: Sequence[Operation]) -> Iterator[Blocked]:
    """Inside a freeze window nothing changes."""
    for window in facts.desired.freeze:
        if window.start <= facts.now < window.end:
            why = f" ({window.reason})" if window.reason else ""
            reason = f"frozen until {format_time(window.end)}{why}, see {window.position}"
            yield from (refuse("freeze", op, reason) for op in operations)
            return


# The registry is the list of guards.
GUARDS: Mapping[str, Guard] = {
    "wrong-app": _wrong_app,
    "plane": plane,
    "foreign-owner": _foreign_owner,
    "unowned": _unowned,
    "empty-config": _empty_config,
    "max-revocations": _max_revocations,
    "max-changes": _max_changes,
    "max-scope-removals": _max_scope_removals,
    "protected": _protected,
    "revoke-in-use": _revoke_in_use,
    "sensitive-scopes": _sensitive_scopes,
    "replace": _replace,
    "last-active-key": last_active_key,
    IN_USE_GUARD: key_in_use,
    "key-cap": key_cap,
    "rotation-pace": rotation_pace,
    "freeze": _freeze,
}
# Every name that a refusal may carry and that `--allow` takes.
REFUSERS = (*GUARDS, POLICY_GUARD)


def _counts(facts: Facts, guard: str, operation: Operation) -> bool:
    # What the user let through by name does not use up the number of the others, nor does a replacement
    # that is refused anyway, nor the cleaning up after a run that was cut off.
    if any(change.path == "type" for change in operation.changes):
        return facts.allow.permits("replace", operation.agent) and not facts.allow.permits(
            guard, operation.agent
        )
    is_clean_up = all(change.path in {"claim", "retiring"} for change in operation.changes) and bool(
        operation.changes
    )
    return not is_clean_up and not facts.allow.permits(guard, operation.agent)


def _too_many(affected: int, total: int, limit: CountLimit, what: str) -> str:
    share = affected * 100 / total if total else 100
    return (
        f"{affected} of {total} {what} at once ({share:.0f} %): "
        f"more than {limit.count} and more than {limit.percent:g} %"
    )


def _pairs(operation: Operation, *, gained: bool) -> frozenset[tuple[str, str]]:
    """The scopes that an operation grants, or takes away."""
    found = set()
    for change in operation.changes:
        root, _, provider = change.path.partition(".")
        if root == "scopes":
            before, after = set(change.before or ()), set(change.after or ())
            found |= {(provider, name) for name in (after - before if gained else before - after)}
    return frozenset(found)
