"""``apply --only-drift``: puts back what was changed outside, and carries out nothing else.

The configuration is taken as it was when it was applied last, as far as that is known: a field in which only
the configuration moved counts as declared the way it is live. So planner, guards and apply stay the same.
What moved on both sides cannot be put back, for the mark holds fingerprints and no values: it becomes what
the configuration says now.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

from reconciler.model.agent import AgentName, LiveAgent
from reconciler.model.desired import Desired, DesiredAgent, RotationPolicy
from reconciler.model.key import KeyId
from reconciler.model.mark import Mark
from reconciler.model.plan import Change, Operation
from reconciler.model.scopes import Scopes
from reconciler.model.values import Json
from reconciler.planning.agent_diff import AgentDiff, diff_agent
from reconciler.planning.facts import Facts
from reconciler.planning.fingerprint import fingerprint
from reconciler.planning.operations import reason_of
from reconciler.planning.ownership import our_mark

_BY_SOMEBODY = frozenset({"outside", "both"})


def as_applied(desired: Desired, live: Mapping[AgentName, LiveAgent]) -> Desired:
    """The configuration of the owned and declared agents, without what it is ahead of what was applied."""
    agents = {
        name: _agent_as_applied(agent, live[name], mark)
        for name, agent in desired.agents.items()
        if name in live and (mark := our_mark(desired, live[name]))
    }
    return replace(desired, agents=agents)


def repairing(facts: Facts, operation: Operation) -> Operation | None:
    """The operation as far as it puts something back; ``None`` when it does not."""
    known = facts.key_facts(operation.agent)
    match operation.kind:
        case "update_agent" | "set_scopes" | "suspend_agent" | "resume_agent":
            changes = tuple(change for change in operation.changes if _puts_back(change))
            if changes == operation.changes:
                return operation
            return replace(operation, changes=changes, reason=reason_of(changes)) if changes else None
        case "mint_key":
            # The delivered key was revoked: the workload has none.
            return operation if known and known.delivered is None else None
        case "deprecate_key":
            # The delivered one is deprecated for the sake of a new one, which is not minted here.
            return operation if known and operation.key_id not in _known_keys(known.mark) else None
        case "undeprecate_key":
            return operation
        case _:
            return None


def _agent_as_applied(agent: DesiredAgent, live: LiveAgent, mark: Mark) -> DesiredAgent:
    diff = diff_agent(agent, live, mark)
    ahead = {change.path: change for change in (*diff.update, *diff.scopes) if _is_ahead(change)}
    status_ahead = diff.status is not None and _is_ahead(diff.status)
    policy_ahead = any(_head(path) == "policy" for path in ahead)
    return replace(
        agent,
        type=None,
        protect=None,
        expires_at=None,
        status=live.status if status_ahead and live.status != "revoked" else agent.status,
        display_name=live.display_name if "display_name" in ahead else agent.display_name,
        # What is live of it may be redacted, so it cannot be declared that way. The mark has to remember what
        # was applied: without it, what the server redacts would look as if it were what is declared now.
        policy=None if policy_ahead else agent.policy,
        left_alone=frozenset({"policy"} if policy_ahead else ()),
        scopes=_scopes_as_applied(agent, live, ahead),
        narrowing_grace=_narrowing_grace(agent, live, diff),
        metadata=_metadata_as_applied(agent, live, mark),
        rotation=_without_age(agent.rotation),
        deliver_to=_sinks_as_applied(agent, mark),
    )


def _known_keys(mark: Mark) -> set[KeyId]:
    return {*mark.retiring, *([mark.delivered.key_id] if mark.delivered else ())}


def _puts_back(change: Change) -> bool:
    # What cannot be put back is an older key that somebody revoked: the mark is to forget it.
    return change.cause in _BY_SOMEBODY or change.path == "retiring"


def _is_ahead(change: Change) -> bool:
    """Whether only the configuration moved."""
    return change.cause not in _BY_SOMEBODY


def _head(path: str) -> str:
    return path.partition(".")[0].partition("[")[0]


def _scopes_as_applied(agent: DesiredAgent, live: LiveAgent, ahead: Mapping[str, Change]) -> Scopes:
    providers = {*agent.scopes.providers(), *live.target_scopes.providers()}
    return Scopes.of(
        {
            provider: (live.target_scopes if f"scopes.{provider}" in ahead else agent.scopes).of_provider(
                provider
            )
            for provider in providers
        }
    )


def _metadata_as_applied(agent: DesiredAgent, live: LiveAgent, mark: Mark) -> dict[str, Json]:
    """Key by key, and not by the paths of changes: keys with dots and places inside values read the same."""
    have = live.own_metadata
    known = {*agent.metadata, *(key for key in have if f"metadata.{key}" in mark.spec)}
    untouched = {key for key in known if _is_as_applied(mark, f"metadata.{key}", have.get(key))}
    declared = {key: value for key, value in agent.metadata.items() if key not in untouched}
    return declared | {key: have[key] for key in untouched if key in have}


def _narrowing_grace(agent: DesiredAgent, live: LiveAgent, diff: AgentDiff) -> timedelta | None:
    """What somebody granted outside ends at once, unless it would take scopes along that we are narrowing.

    The server's own grace is for workloads that use what was declared until now.
    """
    if agent.narrowing_grace is not None or live.scopes_pending is not None:
        return agent.narrowing_grace
    return timedelta() if all(change.cause != "both" for change in diff.scopes) else None


def _is_as_applied(mark: Mark, path: str, current: Json) -> bool:
    applied = mark.spec.get(path)
    return current is None if applied is None else fingerprint(current) == applied


def _without_age(policy: RotationPolicy | None) -> RotationPolicy | None:
    return policy and replace(policy, max_age=None, rotate_keys_before=None)


def _sinks_as_applied(agent: DesiredAgent, mark: Mark) -> tuple[str, ...]:
    """The sinks that have the delivered key; none, so that keys are left alone, without a whole delivery."""
    if mark.delivered is None or mark.claim is not None:
        return ()
    return tuple(sink for sink in agent.deliver_to if sink in mark.delivered.sinks)
