"""A plan of thousands of agents with their access and keys: every agent has something, a quarter changes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from reconciler.errors import ExitCode
from reconciler.model.access import Access, AgentAccess, KeyLine
from reconciler.model.agent import AgentName
from reconciler.model.diagnostic import Position
from reconciler.model.key import KeyId
from reconciler.model.plan import Blocked, Change, Operation, Plan, Waiting
from reconciler.model.scopes import Scopes
from reconciler.reports.subject import RunFacts, Subject

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
_PROVIDERS = (
    "google",
    "slack",
    "github",
    "stripe",
    "notion",
    "jira",
    "linear",
    "hubspot",
    "salesforce",
    "zoom",
)
_STAGES = ("steady", "steady", "steady", "steady", "due", "observing", "overdue", "orphaned")


def many_agents(count: int = 5_000) -> Subject:
    """A plan over ``count`` agents."""
    names = [AgentName(f"tenant-{number:05}-{_PROVIDERS[number % 10]}-worker") for number in range(count)]
    operations = tuple(one for number, name in enumerate(names) for one in _operations(number, name))
    plan = Plan(
        tool_version="0.1.0",
        owner="payments/agents",
        app="payments-prod",
        base_url="https://backend.alterauth.com",
        created_at=NOW,
        expires_at=NOW + timedelta(days=7),
        config_digest="sha256:" + "c" * 64,
        live_digest="sha256:" + "d" * 64,
        plan_digest="sha256:" + "e" * 64,
        operations=operations,
        waiting=tuple(
            Waiting(name, "observing", "the new key has not been used yet") for name in names[::16]
        ),
        blocked=tuple(
            Blocked("max-revocations", name, f"{count // 40} agents at once", "--allow max-revocations")
            for name in names[5::40]
        ),
        in_sync=count - len(operations),
    )
    access = Access(NOW, tuple(_access(number, name) for number, name in enumerate(names)))
    return Subject(
        "plan",
        NOW,
        "0.1.0",
        ExitCode.REFUSED,
        "payments/agents",
        "payments-prod",
        plan=plan,
        access=access,
        run=RunFacts("9f2c41d07be3a55c", "https://ci.example/run/7"),
    )


def _operations(number: int, name: AgentName) -> Iterator[Operation]:
    where = Position(f"agents/team-{number % 40}.yaml", number + 12, 3)
    if number % 100 == 0:
        reason = "owned by this configuration and no longer declared"
        yield Operation(
            f"revoke_agent:{name}", "revoke_agent", name, reason, risk="destructive", source=where
        )
    elif number % 4 == 1:
        provider = _PROVIDERS[number % 10]
        change = Change(f"scopes.{provider}", ["read"], ["read", f"write:{number % 300}"], "widening")
        yield Operation(
            f"set_scopes:{name}", "set_scopes", name, "configuration changed", risk="widening",
            changes=(change,), source=where,
        )  # fmt: skip
    elif number % 20 == 2:
        changes = (Change("display_name", f"Worker {number}", f"Worker No. {number}"),)
        yield Operation(
            f"update_agent:{name}",
            "update_agent",
            name,
            "configuration changed",
            changes=changes,
            source=where,
        )


def _access(number: int, name: AgentName) -> AgentAccess:
    provided = {
        _PROVIDERS[(number + step) % 10]: ["read", "list", f"write:{(number * 7 + step) % 400}"]
        for step in range(3)
    }
    age = timedelta(days=number % 60, minutes=number)
    stage = _STAGES[number % len(_STAGES)]
    return AgentAccess(
        agent=name,
        type="agent",
        status="active",
        scopes=Scopes.of(provided),
        last_used_at=NOW - timedelta(minutes=number),
        stage=stage,
        reason=f"delivered to vault at {NOW - age:%Y-%m-%dT%H:%M:%SZ}",
        due_at=NOW + timedelta(days=60) - age,
        sinks=("vault",),
        keys=tuple(_keys(number, age)),
    )


def _keys(number: int, age: timedelta) -> Iterator[KeyLine]:
    older = KeyId(f"{number:08x}-1b2c-4d3e-8f40-{number:012x}")
    newer = KeyId(f"{number:08x}-5b6c-4d7e-9f80-{number:012x}")
    minted = NOW - age
    yield KeyLine(
        older, f"alter_ak_o{number:05}", minted - timedelta(days=60), minted,
        minted + timedelta(days=2) if age > timedelta(days=2) else None, minted - timedelta(hours=1),
    )  # fmt: skip
    yield KeyLine(
        newer, f"alter_ak_n{number:05}", minted, last_used_at=NOW - timedelta(minutes=number),
        is_delivered=True, next="keep", reason="delivered to vault",
    )  # fmt: skip
