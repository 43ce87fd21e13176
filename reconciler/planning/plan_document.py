"""The plan as a JSON document and back, as described by ``schemas/plan.schema.json``."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from reconciler.errors import StalePlan
from reconciler.model.agent import AgentId, AgentName
from reconciler.model.diagnostic import Position
from reconciler.model.key import KeyId
from reconciler.model.mark import format_time, parse_time
from reconciler.model.plan import PLAN_FORMAT, Blocked, Change, Operation, Plan, Waiting
from reconciler.model.shard import EVERYTHING, Shard
from reconciler.model.values import Json
from reconciler.planning.fingerprint import digest, plain
from reconciler.planning.operations import permissions_for

# Two plans of the same inputs differ in these and in nothing else.
_TIMES = ("created_at", "expires_at")


def plan_document(plan: Plan) -> dict[str, Any]:
    """The document: fields in the order of the schema, lists in the order of the plan."""
    document = {
        "format": PLAN_FORMAT,
        "tool_version": plan.tool_version,
        "created_at": format_time(plan.created_at),
        "expires_at": format_time(plan.expires_at),
        "owner": plan.owner,
        "app": {"name": plan.app, "base_url": plan.base_url, "plane": plan.plane},
        "config_digest": plan.config_digest,
        "live_digest": plan.live_digest,
        "plan_digest": plan.plan_digest,
        "summary": dict(plan.summary()),
        "operations": [operation_document(operation) for operation in plan.operations],
        "waiting": [waiting_document(entry) for entry in plan.waiting],
        "blocked": [blocked_document(entry) for entry in plan.blocked],
        "unmanaged": list(plan.unmanaged),
        "replaced": list(plan.replaced),
        "permissions": list(permissions_for(plan.operations, plane=plan.plane)),
        "targets": list(plan.targets),
        "allowed": list(plan.allowed),
        "findings": [finding.as_json() for finding in plan.findings],
    }
    return document if plan.shard.is_whole else {**document, "shard": str(plan.shard)}


def plan_digest(plan: Plan) -> str:
    """The digest of everything in a plan but its times and the digest itself."""
    return _digest_of(plan_document(plan))


def read_plan(document: Json) -> Plan:
    """The plan of a document that the schema accepts; ``StalePlan`` when it is not what was written.

    ``findings`` and ``waiting`` are for people and are not read back: they are made anew.
    """
    if _digest_of(document) != document["plan_digest"]:
        raise StalePlan(
            "the saved plan was changed after it was written: its digest does not fit its content",
            hint="make a new one with `alter-sync plan --save`",
        )
    return Plan(
        tool_version=document["tool_version"],
        owner=document["owner"],
        app=document["app"]["name"],
        base_url=document["app"]["base_url"],
        created_at=parse_time(document["created_at"]),
        expires_at=parse_time(document["expires_at"]),
        config_digest=document["config_digest"],
        live_digest=document["live_digest"],
        plan_digest=document["plan_digest"],
        operations=tuple(_operation(entry) for entry in document["operations"]),
        blocked=tuple(_blocked(entry) for entry in document["blocked"]),
        replaced=tuple(AgentName(name) for name in document["replaced"]),
        targets=tuple(document["targets"]),
        allowed=tuple(document["allowed"]),
        in_sync=document["summary"]["in_sync"],
        plane=document["app"]["plane"],
        shard=Shard(*map(int, document["shard"].split("/"))) if "shard" in document else EVERYTHING,
    )


def operation_document(operation: Operation) -> dict[str, Any]:
    """One operation."""
    where = operation.source
    document: dict[str, Any] = {
        "id": operation.id,
        "kind": operation.kind,
        "agent": operation.agent,
        "agent_id": operation.agent_id,
        "precondition": {"version": operation.version},
        "depends_on": list(operation.depends_on),
        "risk": operation.risk,
        "reason": operation.reason,
        "changes": [_change(change) for change in operation.changes],
        "source": {"file": where.file, "line": where.line, "column": where.column} if where else None,
    }
    if operation.key_id is not None:
        document["key_id"] = operation.key_id
    return document


def blocked_document(entry: Blocked) -> dict[str, Any]:
    """One refusal, with the operation that it refused."""
    return {
        "guard": entry.guard,
        "agent": entry.agent,
        "reason": entry.reason,
        "allow": entry.allow,
        "operation": operation_document(entry.operation) if entry.operation else None,
    }


def _digest_of(document: Mapping[str, Json]) -> str:
    return digest({key: value for key, value in document.items() if key not in (*_TIMES, "plan_digest")})


def _change(change: Change) -> dict[str, Any]:
    return {
        "path": change.path,
        "before": plain(change.before),
        "after": plain(change.after),
        "effect": change.effect,
        "cause": change.cause,
    }


def waiting_document(entry: Waiting) -> dict[str, Any]:
    """Something that needs time."""
    return {
        "agent": entry.agent,
        "stage": entry.stage,
        "reason": entry.reason,
        "until": _time(entry.until),
    }


def _blocked(document: Json) -> Blocked:
    agent, operation = document["agent"], document["operation"]
    return Blocked(
        guard=document["guard"],
        agent=AgentName(agent) if agent else None,
        reason=document["reason"],
        allow=document["allow"],
        operation=_operation(operation) if operation else None,
    )


def _time(moment: datetime | None) -> str | None:
    return format_time(moment) if moment else None


def _operation(document: Json) -> Operation:
    source = document["source"]
    key_id = document.get("key_id")
    return Operation(
        id=document["id"],
        kind=document["kind"],
        agent=AgentName(document["agent"]),
        reason=document["reason"],
        agent_id=AgentId(document["agent_id"]) if document["agent_id"] else None,
        version=document["precondition"]["version"],
        depends_on=tuple(document["depends_on"]),
        risk=document["risk"],
        changes=tuple(Change(**change) for change in document["changes"]),
        source=Position(source["file"], source["line"], source["column"]) if source else None,
        key_id=KeyId(key_id) if key_id else None,
    )
