"""Plans and outcomes that the tests of the reports show."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from reconciler.errors import ExitCode
from reconciler.model.agent import AgentName
from reconciler.model.diagnostic import Diagnostic, Position
from reconciler.model.key import KeyId
from reconciler.model.outcome import Failure, OperationOutcome, Outcome
from reconciler.model.plan import Blocked, Change, Operation, OperationKind, Plan, Waiting

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)

EMPTY = Plan(
    tool_version="0.1.0",
    owner="payments/agents",
    app="payments-prod",
    base_url="https://backend.alterauth.com",
    created_at=NOW,
    expires_at=NOW,
    config_digest="sha256:c",
    live_digest="sha256:l",
    plan_digest="sha256:p",
)


def at(line: int) -> Position:
    return Position("agents.yaml", line, 3)


def operation(
    kind: OperationKind, agent: str, reason: str = "differs from the configuration", *changes: Change
) -> Operation:
    return Operation(f"{kind}:{agent}", kind, AgentName(agent), reason, changes=changes)


def _create() -> tuple[Operation, ...]:
    create = operation(
        "create_agent",
        "nightly-sync",
        "declared, not live",
        Change("display_name", None, "Nightly Sync", cause="new"),
        Change("metadata.cost_center", None, {"unit": "4711", "split": [1, 2]}, cause="new"),
        Change("scopes.google", None, ["gmail.readonly", "calendar"], "widening", "new"),
    )
    where = Change("key", None, "mint and deliver to vault, local", cause="new")
    mint = operation("mint_key", "nightly-sync", "first key of a new agent", where)
    return replace(create, risk="widening", source=at(31)), replace(mint, source=at(40))


def _update() -> tuple[Operation, ...]:
    update = operation(
        "update_agent",
        "billing-bot",
        "differs from the configuration",
        Change("display_name", "Billing", "Billing bot", cause="outside"),
        Change("metadata.team", "payments", None, cause="config"),
        Change("policy.limits[0]", {"rate": 5}, {"rate": 10}, cause="both"),
    )
    scopes = operation(
        "set_scopes",
        "billing-bot",
        "differs from the configuration",
        Change("scopes.slack", ["channels:read", "users:read"], ["users:read", "chat:write"], "widening"),
    )
    return replace(update, source=at(50)), replace(scopes, risk="widening", source=at(52))


def _revocations() -> tuple[Operation, ...]:
    return (
        replace(
            operation("revoke_agent", "old-bot", "owned by this configuration and no longer declared"),
            risk="destructive",
            source=at(12),
        ),
        replace(
            operation(
                "revoke_key",
                "mailer",
                "retired 9 days ago and quiet since",
                Change("key", "alt_9f… (key-9)", None),
            ),
            risk="destructive",
            key_id=KeyId("key-9"),
        ),
        operation("deprecate_key", "mailer", "a newer key is delivered"),
    )


def _others() -> tuple[Operation, ...]:
    status = Change("status", "active", "inactive", "narrowing")
    back = Change("status", "inactive", "active", "widening", "outside")
    type_ = Change("type", "agent", "service")
    return (
        replace(operation("suspend_agent", "sleeper", "declared inactive", status), risk="narrowing"),
        replace(operation("resume_agent", "riser", "declared active", back), risk="widening"),
        replace(operation("revoke_agent", "shifter", "type differs", type_), risk="destructive"),
        replace(
            operation("create_agent", "shifter", "replaced by an agent of the new type"), depends_on=("x",)
        ),
        operation(
            "adopt_agent",
            "foundling",
            "declared; live without an owner",
            Change("mark", None, {"owner": "payments"}),
        ),
        operation(
            "update_agent",
            "東京-ボット",
            "differs from the configuration",
            Change("display_name", "東京", "大阪"),
        ),
        operation("set_scopes", "hermit", "differs from the configuration", Change("scopes", None, {})),
        replace(
            operation(
                "set_scopes", "leaver", "differs", Change("scopes.google", ["drive"], None, "narrowing")
            ),
            risk="narrowing",
        ),
        operation("undeprecate_key", "returner", "rolled back"),
        operation(
            "mint_key",
            "turner",
            "the delivered key is 92 days old",
            Change("key", None, "mint and deliver to vault"),
        ),
    )


BLOCKED = (
    Blocked(
        "revoke-in-use",
        AgentName("busy-bot"),
        "last used at 2026-11-24T08:10:00Z, within the last 24 h",
        "--allow revoke-in-use=busy-bot",
        replace(operation("revoke_agent", "busy-bot"), risk="destructive"),
    ),
    *(
        Blocked(
            "max-revocations",
            AgentName(f"mass-{n:02}"),
            "12 of 40 owned agents at once (30 %)",
            "--allow max-revocations",
        )
        for n in range(12)
    ),
    Blocked("last-active-key", AgentName("lonely"), "it is the only key that works", ""),
    Blocked("empty-config", None, "the configuration declares no agents", "--allow empty-config"),
)
WAITING = (
    Waiting(
        AgentName("turner"),
        "observing",
        "the new key has not been used yet",
        datetime(2026, 11, 25, 4, 10, tzinfo=UTC),
    ),
    Waiting(AgentName("foundling"), "orphaned", "key key-3 is in use but no sink holds it"),
)
FINDINGS = (
    Diagnostic(
        "warning",
        "unused-template",
        "template `writer` is never used",
        at(9),
        "delete it",
        "  writer: {scopes: {}}",
    ),
)
RICH = replace(
    EMPTY,
    operations=(*_create(), *_update(), *_others(), *_revocations()),
    waiting=WAITING,
    blocked=BLOCKED,
    unmanaged=tuple(AgentName(f"dashboard-{n:02}") for n in range(14)),
    in_sync=12,
    replaced=(AgentName("shifter"),),
    findings=FINDINGS,
)

# What somebody might call an agent who wants the report to say, or to do, something else.
HOSTILE = (
    "\x1b[2J\x1b[31mred",
    "\x9b31mC1",
    "\u202egnp.tob",
    "two\nlines\r\n::add-mask::x",
    "::set-output name=a::b",
    "##[add-mask]x ##vso[task.setvariable]y",
    "[click](javascript:alert(1)) `code` | table <!-- -->",
    "<script>alert(1)</script>",
    "zero\u200bwidth\ufeff\u2060",
    "lone\ud800surrogate",
    "tab\tand\u2028separator",
    "z" + "\u0334" * 50 + "algo",
    "$(reboot) && `reboot`; 'quote",
    "x" * 5_000,
)


def hostile_plan() -> Plan:
    """Every text that can come from outside, hostile."""
    operations = []
    for at_, text in enumerate(HOSTILE):
        change = Change(f"metadata.{text}", text, {text: [text]}, cause="both")
        scopes = Change(f"scopes.{text}", [text], [text + "2"], "widening")
        doomed = replace(operation("revoke_agent", f"{at_}" + text, text), risk="destructive")
        where = Change("key", None, text)
        operations += [
            operation("update_agent", text, text, change),
            operation("set_scopes", text, text, scopes),
            operation("mint_key", text, text, where),
            replace(doomed, source=Position(text, 1, 1)),
        ]
    return replace(
        EMPTY,
        operations=tuple(operations),
        waiting=tuple(Waiting(AgentName(text), text, text) for text in HOSTILE),
        blocked=tuple(Blocked(text, AgentName(text), text, f"--allow replace={text}") for text in HOSTILE),
        unmanaged=tuple(map(AgentName, HOSTILE)),
        targets=HOSTILE,
        findings=tuple(
            Diagnostic("warning", text, text, Position(text, 1, 5), text, text) for text in HOSTILE
        ),
    )


def long_plan() -> Plan:
    """300 agents: most with a neutral change, some that gain, lose or go."""
    operations: list[Operation] = []
    for number in range(300):
        name = f"agent-{number:03}"
        if number % 60 == 0:
            operations.append(
                replace(operation("revoke_agent", name, "no longer declared"), risk="destructive")
            )
        elif number % 60 == 1:
            change = Change("scopes.google", [], ["drive"], "widening")
            operations.append(replace(operation("set_scopes", name, "differs", change), risk="widening"))
        elif number % 60 == 2:
            change = Change("scopes.google", ["drive"], None, "narrowing")
            operations.append(replace(operation("set_scopes", name, "differs", change), risk="narrowing"))
        else:
            changes = Change("display_name", "a", "b"), Change("metadata.team", None, "c")
            operations.append(
                replace(operation("update_agent", name, "differs", *changes), source=at(number + 1))
            )
    return replace(EMPTY, operations=tuple(operations))


PARTIAL = Outcome(
    run="run-7",
    plan_digest="sha256:p",
    operations=(
        OperationOutcome("1", "create_agent", AgentName("nightly-sync"), "done"),
        OperationOutcome("2", "mint_key", AgentName("nightly-sync"), "done", "delivered to vault, local"),
        OperationOutcome(
            "3",
            "update_agent",
            AgentName("billing-bot"),
            "failed",
            failure=Failure(
                ExitCode.CONFLICT,
                "agent_concurrent_update",
                "somebody changed the agent since it was read",
                "plan again and look at what they did",
                retryable=True,
            ),
        ),
        OperationOutcome("4", "mint_key", AgentName("billing-bot"), "not_tried", "waits for the update"),
        OperationOutcome("5", "suspend_agent", AgentName("sleeper"), "not_tried", "the run was stopped"),
        OperationOutcome(
            "6",
            "revoke_agent",
            AgentName("old-bot"),
            "failed",
            failure=Failure(ExitCode.ERROR, "error", "no"),
        ),
        OperationOutcome("7", "update_agent", AgentName("mixed"), "done"),
        OperationOutcome("8", "mint_key", AgentName("mixed"), "not_tried", "waits for its sink"),
    ),
    blocked=BLOCKED[:1],
    interrupted=ExitCode.INTERRUPTED,
    resume="alter-sync apply --target billing-bot --target sleeper",
)
