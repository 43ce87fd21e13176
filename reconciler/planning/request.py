"""What one request carries for an agent's planned operations, and whether the answer shows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from reconciler.model.agent import AgentPatch, AgentStatus, LiveAgent, NewAgent
from reconciler.model.desired import Desired, DesiredAgent
from reconciler.model.mark import MARK_KEY, Claim, Mark
from reconciler.model.plan import Operation, OperationKind
from reconciler.model.values import Json, JsonObject, without_nulls
from reconciler.planning.agent_diff import (
    AgentDiff,
    diff_agent,
    ignores_key,
    policy_fingerprint,
    policy_in_sync,
    removed_metadata,
)
from reconciler.planning.fingerprint import fingerprint, same
from reconciler.planning.ownership import inherited_mark

# What "active" is called in the mark is the value itself; a new agent starts with it.
_INITIAL_STATUS = "active"


@dataclass(frozen=True, slots=True)
class PatchRequest:
    """One PATCH: its body and how long removed scopes still work (``None``: as long as the server says)."""

    body: AgentPatch
    grace_seconds: int | None = None


def new_agent(desired: Desired, agent: DesiredAgent, *, claim: Claim | None) -> NewAgent:
    """The body of a create. The mark goes with it, so a crash right after leaves no agent without owner."""
    spec = applied_spec(agent) | ({"status": fingerprint(_INITIAL_STATUS)} if _manages_status(agent) else {})
    mark = Mark(desired.owner, desired.app.name, spec, protect=agent.protect, claim=claim)
    return NewAgent(
        name=agent.name,
        type=agent.type or "agent",
        scopes=agent.scopes,
        metadata={**agent.metadata, MARK_KEY: mark.as_json()},
        display_name=agent.display_name,
        policy=agent.policy,
    )


def applied_spec(agent: DesiredAgent) -> dict[str, str]:
    """The fingerprints of everything that is declared and not left to the dashboard."""
    fields: dict[str, Json] = {}
    if agent.display_name is not None:
        fields["display_name"] = agent.display_name
    if agent.policy is not None:
        fields["policy"] = agent.policy
    if "scopes" not in agent.ignore:
        fields |= {f"scopes.{provider}": list(names) for provider, names in agent.scopes.by_provider}
    fields |= {
        f"metadata.{key}": value for key, value in agent.metadata.items() if not ignores_key(agent, key)
    }
    if _manages_status(agent):
        fields["status"] = agent.status
    return {path: fingerprint(value) for path, value in fields.items() if path not in agent.ignore}


def patch_request(
    desired: Desired,
    agent: DesiredAgent,
    live: LiveAgent,
    operations: Sequence[Operation],
    *,
    claim: Claim | None,
) -> PatchRequest:
    """One PATCH for all planned changes of an agent, its mark included.

    ``operations`` are those that may be carried out: a refused one leaves its fields, and what the mark says
    of them, as they are. ``claim`` is the one to stand in the mark afterwards.
    """
    kinds = {operation.kind for operation in operations}
    diff = diff_agent(agent, live, inherited_mark(desired, live))
    updates = diff.update if "update_agent" in kinds else ()
    changed = {change.path.split(".")[0].split("[")[0] for change in updates}
    metadata = _metadata_after(agent, live, desired) if "metadata" in changed else dict(live.metadata)
    mark = _mark_after(desired, agent, live, diff=diff, kinds=kinds, claim=claim)
    if any(change.path == "retiring" for operation in operations for change in operation.changes):
        mark = replace(mark, retiring=())
    sets_scopes = "set_scopes" in kinds
    # Scopes on their way out still work: keeping them out is narrowing, too.
    narrows = sets_scopes and bool(live.scopes.pairs() - agent.scopes.pairs())
    grace = agent.narrowing_grace if narrows else None
    return PatchRequest(
        AgentPatch(
            display_name=agent.display_name if "display_name" in changed else None,
            metadata={**metadata, MARK_KEY: mark.as_json()},
            scopes=agent.scopes if sets_scopes else None,
            policy=agent.policy if "policy" in changed else None,
            status=_status_after(kinds),
        ),
        grace_seconds=None if grace is None else int(grace.total_seconds()),
    )


def mark_patch(live: LiveAgent, mark: Mark) -> AgentPatch:
    """A PATCH that replaces the mark and nothing else."""
    return AgentPatch(metadata={**live.metadata, MARK_KEY: mark.as_json()})


def unmet(sent: AgentPatch, answer: LiveAgent) -> tuple[str, ...]:
    """The fields that the answer does not show as they were sent; empty when all is well."""
    missing = []
    if sent.display_name is not None and answer.display_name != sent.display_name:
        missing.append("display_name")
    if sent.metadata is not None and not same(without_nulls(sent.metadata), without_nulls(answer.metadata)):
        missing.append("metadata")
    if sent.scopes is not None and answer.target_scopes != sent.scopes:
        missing.append("scopes")
    if sent.status is not None and answer.status != sent.status:
        missing.append("status")
    return tuple(missing)


def clearing_nulls(sent: JsonObject, answered: JsonObject) -> dict[str, Json]:
    """``sent`` with ``null`` for whatever the answer still has besides: for servers that merge metadata."""
    result = dict(sent)
    for key, value in answered.items():
        if key not in sent:
            result[key] = None
        elif isinstance(value, Mapping) and isinstance(sent[key], Mapping):
            result[key] = clearing_nulls(sent[key], value)
    return result


def policy_note(agent: DesiredAgent, answer: LiveAgent, mark: Mark) -> Mark | None:
    """The mark that remembers the server's additions to our policy, when it made any."""
    if agent.policy is None or "policy" in agent.ignore:
        return None
    if policy_in_sync(agent.policy, answer.policy, mark.spec.get("policy")):
        return None
    note = policy_fingerprint(agent.policy, answer.policy)
    return replace(mark, spec={**mark.spec, "policy": note})


def _metadata_after(agent: DesiredAgent, live: LiveAgent, desired: Desired) -> dict[str, Json]:
    removed = removed_metadata(agent, live, inherited_mark(desired, live))
    kept = {key: value for key, value in live.metadata.items() if key not in removed}
    declared = {key: value for key, value in agent.metadata.items() if not ignores_key(agent, key)}
    return kept | declared


def _mark_after(
    desired: Desired,
    agent: DesiredAgent,
    live: LiveAgent,
    *,
    diff: AgentDiff,
    kinds: set[OperationKind],
    claim: Claim | None,
) -> Mark:
    """The mark that is true once the PATCH is done: only what is applied, or was in sync, is in its spec."""
    before = inherited_mark(desired, live)
    # An agent that is adopted was applied by nobody: what differs is the configuration being ahead of it.
    old_spec = before.spec if before else _spec_of_live(agent, live)
    not_applied = _groups_left_alone(diff, kinds)
    spec = {path: mark for path, mark in applied_spec(agent).items() if _group(path) not in not_applied}
    spec |= {
        path: mark
        for path, mark in old_spec.items()
        if _group(path) in not_applied or path in agent.left_alone
    }
    if "policy" in spec and "policy" in old_spec and old_spec["policy"].partition(":")[0] == spec["policy"]:
        spec["policy"] = old_spec["policy"]
    protect = before.protect if before else None
    if agent.protect is not None and "update" not in not_applied:
        protect = agent.protect
    return Mark(
        owner=desired.owner,
        app=desired.app.name,
        spec=spec,
        protect=protect,
        delivered=before.delivered if before else None,
        claim=claim,
        retiring=before.retiring if before else (),
    )


def _spec_of_live(agent: DesiredAgent, live: LiveAgent) -> dict[str, str]:
    """The fingerprints of what a live agent has of the declared fields, as if that had been applied.

    A policy is shown with the server's own parts in it, so of that nothing is said.
    """
    seen = replace(
        agent,
        display_name=None if agent.display_name is None else live.display_name,
        status="inactive" if live.status == "inactive" else "active",
        scopes=live.target_scopes,
        metadata={key: live.own_metadata[key] for key in agent.metadata if key in live.own_metadata},
        policy=None,
    )
    return applied_spec(seen)


def _groups_left_alone(diff: AgentDiff, kinds: set[OperationKind]) -> set[str]:
    groups = set()
    if diff.update and "update_agent" not in kinds:
        groups.add("update")
    if diff.scopes and "set_scopes" not in kinds:
        groups.add("scopes")
    if diff.status and not kinds & {"suspend_agent", "resume_agent"}:
        groups.add("status")
    return groups


def _group(path: str) -> str:
    head = path.partition(".")[0]
    return head if head in {"scopes", "status"} else "update"


def _status_after(kinds: set[OperationKind]) -> AgentStatus | None:
    if "suspend_agent" in kinds:
        return "inactive"
    return "active" if "resume_agent" in kinds else None


def _manages_status(agent: DesiredAgent) -> bool:
    return "status" not in agent.ignore
