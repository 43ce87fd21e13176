"""Small values for tests of decisions: what is declared, what is live, what the marks say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta

from reconciler.model.agent import AgentId, AgentName, AgentStatus, AgentType, LiveAgent
from reconciler.model.desired import (
    AppRef,
    Desired,
    DesiredAgent,
    FreezeWindow,
    GuardSettings,
    RotationPolicy,
    SinkRef,
)
from reconciler.model.diagnostic import Position
from reconciler.model.key import AgentKey, KeyId
from reconciler.model.mark import MARK_KEY, Claim, Delivered, Mark, RunId
from reconciler.model.plan import Plan, Plane
from reconciler.model.scopes import Scopes
from reconciler.model.values import JsonObject
from reconciler.planning.facts import Allowances
from reconciler.planning.planner import LiveState, PlanOptions, make_plan
from reconciler.planning.request import applied_spec

OWNER = "payments/agents"
APP = "payments-prod"
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
BASE_URL = "https://alter.test"
AGENTS_KEY = Position("agents.yaml", 5, 1)

ScopeLists = Mapping[str, Iterable[str]]


def declared(
    name: str = "alpha",
    *,
    scopes: ScopeLists | None = None,
    type: AgentType | None = None,
    display_name: str | None = None,
    status: AgentStatus = "active",
    metadata: JsonObject | None = None,
    policy: JsonObject | None = None,
    protect: bool | None = None,
    expires_at: datetime | None = None,
    rotation: RotationPolicy | None = None,
    deliver_to: tuple[str, ...] = (),
    ignore: Iterable[str] = (),
    narrowing_grace: timedelta | None = None,
    position: Position | None = None,
    positions: Mapping[str, Position] | None = None,
) -> DesiredAgent:
    """An agent of the configuration; only what is given is declared."""
    return DesiredAgent(
        name=AgentName(name),
        scopes=Scopes.of(scopes or {}),
        position=position or Position("agents.yaml", 7, 3),
        type=type,
        display_name=display_name,
        status=status,
        metadata=metadata or {},
        policy=policy,
        protect=protect,
        expires_at=expires_at,
        rotation=rotation,
        deliver_to=deliver_to,
        ignore=frozenset(ignore),
        narrowing_grace=narrowing_grace,
        positions=positions or {},
    )


def configuration(
    *agents: DesiredAgent,
    owner: str = OWNER,
    app: str = APP,
    former_owners: tuple[str, ...] = (),
    sinks: Iterable[SinkRef] = (),
    guards: GuardSettings | None = None,
    freeze: tuple[FreezeWindow, ...] = (),
) -> Desired:
    """A configuration of these agents."""
    return Desired(
        owner=owner,
        app=AppRef(app),
        agents={agent.name: agent for agent in agents},
        position=AGENTS_KEY,
        former_owners=former_owners,
        sinks={sink.name: sink for sink in sinks},
        guards=guards or GuardSettings(),
        freeze=freeze,
    )


def mark_of(
    agent: DesiredAgent | None = None,
    *,
    owner: str = OWNER,
    app: str = APP,
    spec: Mapping[str, str] | None = None,
    protect: bool | None = None,
    delivered: Delivered | None = None,
    claim: Claim | None = None,
    retiring: Iterable[str] = (),
) -> Mark:
    """A mark that remembers ``agent`` as applied, or ``spec`` where that is given."""
    remembered = spec if spec is not None else applied_spec(agent) if agent else {}
    older = tuple(KeyId(key_id) for key_id in retiring)
    return Mark(owner, app, remembered, protect, delivered, claim, older)


def live(
    name: str = "alpha",
    *,
    mark: Mark | None = None,
    scopes: ScopeLists | None = None,
    pending: ScopeLists | None = None,
    applies_at: datetime | None = None,
    type: AgentType = "agent",
    display_name: str | None = None,
    status: AgentStatus = "active",
    metadata: JsonObject | None = None,
    policy: JsonObject | None = None,
    version: int = 3,
    last_used_at: datetime | None = None,
) -> LiveAgent:
    """An agent as the API shows it; without ``mark`` somebody made it by hand."""
    return LiveAgent(
        id=AgentId(f"id-{name}"),
        name=AgentName(name),
        type=type,
        status=status,
        version=version,
        created_at=NOW - timedelta(days=100),
        scopes=Scopes.of(scopes or {}),
        display_name=display_name,
        scopes_pending=None if pending is None else Scopes.of(pending),
        scopes_applies_at=applies_at,
        policy=policy or {},
        metadata={**(metadata or {}), **({MARK_KEY: mark.as_json()} if mark else {})},
        last_used_at=last_used_at,
    )


def owned(
    name: str = "alpha",
    *,
    scopes: ScopeLists | None = None,
    protect: bool | None = None,
    version: int = 3,
    last_used_at: datetime | None = None,
) -> LiveAgent:
    """A live agent with our mark, as ``declared(name, scopes=scopes)`` leaves it."""
    mark = mark_of(declared(name, scopes=scopes), protect=protect)
    return live(name, mark=mark, scopes=scopes, version=version, last_used_at=last_used_at)


def claim_of(
    run: str = "run-1",
    *,
    age: timedelta = timedelta(),
    keys: Iterable[str] = (),
    sinks: tuple[str, ...] = (),
    lost: Iterable[str] = (),
) -> Claim:
    """A claim that was made ``age`` before ``NOW``."""
    return Claim(RunId(run), NOW - age, tuple(map(KeyId, keys)), sinks, tuple(map(KeyId, lost)))


def delivery_of(key_id: str = "k-1", *, sinks: tuple[str, ...] = ("vault",)) -> Delivered:
    """The record of a delivery."""
    return Delivered(KeyId(key_id), NOW - timedelta(days=1), sinks)


def key(key_id: str = "k-1", *, used: bool = False, revoked: bool = False) -> AgentKey:
    """A key of an agent."""
    return AgentKey(
        key_id=KeyId(key_id),
        key_prefix=f"alter_ak_{key_id}",
        name=key_id,
        created_at=NOW - timedelta(days=2),
        revoked_at=NOW - timedelta(hours=3) if revoked else None,
        last_used_at=NOW - timedelta(hours=2) if used else None,
    )


def aged_key(
    key_id: str = "k-1",
    *,
    made: timedelta = timedelta(days=2),
    deprecated: timedelta | None = None,
    used: timedelta | None = None,
    revoked: timedelta | None = None,
    tells_use: bool = True,
) -> AgentKey:
    """A key whose times are given as ages: so long before ``NOW``. A negative age is in the future."""
    return AgentKey(
        key_id=KeyId(key_id),
        key_prefix=f"alter_ak_{key_id}",
        name=key_id,
        created_at=NOW - made,
        deprecated_at=None if deprecated is None else NOW - deprecated,
        revoked_at=None if revoked is None else NOW - revoked,
        last_used_at=None if used is None else NOW - used,
        tells_use=tells_use,
    )


def delivered_ago(
    key_id: str = "k-1",
    *,
    age: timedelta = timedelta(days=1),
    sinks: tuple[str, ...] = ("vault",),
    made: timedelta | None = None,
    previous: str | None = None,
) -> Delivered:
    """The record of a delivery ``age`` before ``NOW``, of a key made ``made`` before ``NOW``."""
    made_at = None if made is None else NOW - made
    return Delivered(KeyId(key_id), NOW - age, sinks, made_at, None if previous is None else KeyId(previous))


def sink(name: str = "vault", type: str = "file", **settings: str) -> SinkRef:
    """A sink of the configuration."""
    return SinkRef(name, type, settings, Position("agents.yaml", 30, 3))


def allowing(*texts: str) -> Allowances:
    """What ``--allow GUARD`` and ``--allow GUARD=AGENT`` let through."""
    pairs = (text.partition("=") for text in texts)
    return Allowances(frozenset((guard, agent or None) for guard, _, agent in pairs))


def planned(
    desired: Desired,
    *agents: LiveAgent,
    now: datetime = NOW,
    allow: tuple[str, ...] = (),
    targets: tuple[str, ...] = (),
    keys: Mapping[str, Iterable[AgentKey]] | None = None,
    dead_runs: Iterable[str] = (),
    rotate: Iterable[str] = (),
    again: bool = False,
    is_rollback: bool = False,
    plane: Plane = "sdk",
    adopt: tuple[str, ...] | None = None,
) -> Plan:
    """The plan for these live agents; ``keys`` is by name of agent."""
    state = LiveState(
        agents=agents,
        keys={AgentId(f"id-{name}"): tuple(found) for name, found in (keys or {}).items()},
        dead_runs=frozenset(RunId(run) for run in dead_runs),
    )
    options = PlanOptions(
        "1.2.3",
        base_url=BASE_URL,
        targets=targets,
        allow=allowing(*allow),
        rotate=frozenset(AgentName(name) for name in rotate),
        again=again,
        is_rollback=is_rollback,
        plane=plane,
        adopt=adopt,
    )
    return make_plan(desired, state, now=now, options=options)


def ids(plan: Plan) -> list[str]:
    """The ids of the plan's operations, in their order."""
    return [operation.id for operation in plan.operations]


def refused_ids(plan: Plan) -> set[tuple[str, str]]:
    """Pairs of a guard and the id of an operation that it refused."""
    return {(entry.guard, entry.operation.id) for entry in plan.blocked if entry.operation}
