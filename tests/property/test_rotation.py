"""Whatever keys, marks, policies and clocks there are: rotation never takes away what somebody may use."""

import json
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from reconciler.model.agent import AgentName, LiveAgent
from reconciler.model.desired import Desired, GuardSettings, RotationPolicy
from reconciler.model.key import AgentKey, KeyId
from reconciler.model.mark import Claim, Delivered, Mark, RunId
from reconciler.model.plan import Plan
from reconciler.planning.claims import appeared_inside
from reconciler.planning.facts import Facts
from reconciler.planning.guards import refusals
from reconciler.planning.key_facts import KeyFacts, due_date
from reconciler.planning.plan_document import plan_document
from reconciler.planning.planner import needs_keys
from reconciler.planning.retirement import may_revoke
from reconciler.planning.rotation import KeyStep, Rotation, rotation_of
from tests.support.builders import NOW, allowing, configuration, declared, live, mark_of, planned, sink

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)
IDS = [KeyId(f"k-{number}") for number in range(5)]
READABLE, WRITE_ONLY = sink("vault"), sink("hub", "github_actions")


def examples(count: int) -> settings:
    return settings(
        max_examples=count,
        derandomize=True,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )


# Ages around every boundary there is, the future, and times that make no sense at all.
boundaries = [0 * DAY, MINUTE, 14 * MINUTE, 15 * MINUTE, HOUR, DAY, 3 * DAY, 14 * DAY, 28 * DAY, 30 * DAY]
sensible = st.builds(
    lambda age, seconds: NOW - age + timedelta(seconds=seconds),
    st.sampled_from([*boundaries, 90 * DAY]),
    st.sampled_from([-1, 0, 0, 1]),
)
nonsense = st.sampled_from(
    [datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC), NOW + HOUR, NOW + 90 * DAY]
) | st.datetimes(timezones=st.just(UTC))
moments = st.one_of(sensible, sensible, sensible, nonsense)
clocks = st.one_of(
    st.just(NOW), sensible, st.integers(-13_000, 100_000).map(lambda days: NOW + timedelta(days=days))
)
durations = st.sampled_from([timedelta(), MINUTE, HOUR, DAY, 14 * DAY, 36_525 * DAY])
key_ids = st.sampled_from(IDS)


@st.composite
def keys(draw: st.DrawFn, key_id: KeyId) -> AgentKey:
    return AgentKey(
        key_id=key_id,
        key_prefix=f"alter_ak_{key_id}",
        name=key_id,
        created_at=draw(moments),
        deprecated_at=draw(st.none() | moments),
        revoked_at=draw(st.sampled_from([None, None, None, NOW])),
        last_used_at=draw(st.none() | moments),
        tells_use=draw(st.sampled_from([True, True, True, False])),
    )


key_lists = st.lists(key_ids, unique=True, max_size=5).flatmap(
    lambda names: st.tuples(*(keys(name) for name in names))
)
deliveries = st.builds(
    Delivered, key_ids, moments, st.sampled_from([("vault",), (), ("vault", "hub")]), st.none() | moments
)
claims = st.builds(
    Claim,
    st.sampled_from([RunId("run-1"), RunId("dead"), RunId("")]),
    moments,
    st.lists(key_ids, max_size=3).map(tuple),
)
marks = st.builds(
    mark_of,
    delivered=st.none() | deliveries,
    claim=st.none() | st.none() | claims,
    retiring=st.lists(key_ids, max_size=3),
)
policies = st.builds(
    RotationPolicy,
    max_age=st.none() | durations,
    min_overlap=durations,
    max_overlap=durations,
    quiet_for=durations,
    require_use=st.booleans(),
    rotate_keys_before=st.none() | moments,
    on_overdue=st.sampled_from(["warn", "block", "revoke"]),
)
wild_states = st.builds(
    KeyFacts,
    agent=st.sampled_from([AgentName("alpha"), AgentName("beta")]),
    keys=key_lists,
    mark=marks,
    now=clocks,
    policy=policies,
    sinks=st.sampled_from([("vault",), ("vault",), ("vault", "hub"), ()]),
    sinks_are_readable=st.booleans(),
    is_suspended=st.sampled_from([False, False, True]),
    is_requested=st.booleans(),
    is_again=st.booleans(),
    is_hurried=st.sampled_from([False, False, True]),
    dead_runs=st.sampled_from([frozenset(), frozenset({RunId("dead")})]),
)


ages = st.sampled_from([MINUTE, 20 * MINUTE, HOUR, DAY, 3 * DAY, 15 * DAY, 20 * DAY])
past = st.builds(lambda age, seconds: NOW - age - timedelta(seconds=seconds), ages, st.integers(0, 1))
fresh_claims = st.builds(
    Claim,
    st.sampled_from([RunId("run-1"), RunId("dead"), RunId("")]),
    st.just(NOW - 20 * MINUTE),
    st.sampled_from([(), (IDS[0],), (IDS[1],), (IDS[0], IDS[1])]),
)


@st.composite
def likely_states(draw: st.DrawFn) -> KeyFacts:
    """A delivered key and some older ones, as rotations leave them, in the stages that wild states miss."""
    held = AgentKey(
        IDS[0], "alter_ak_k-0", "k-0", NOW - 25 * DAY, last_used_at=draw(st.none() | past | moments)
    )
    others = [
        AgentKey(
            key_id=key_id,
            key_prefix=f"alter_ak_{key_id}",
            name=key_id,
            created_at=draw(st.sampled_from([NOW - 40 * DAY, NOW - 20 * MINUTE])),
            deprecated_at=draw(past | past | st.none() | moments),
            last_used_at=draw(st.none() | past | past | moments),
            tells_use=draw(st.sampled_from([True, True, True, False])),
        )
        for key_id in IDS[1 : draw(st.integers(1, 4))]
    ]
    policy = RotationPolicy(
        max_age=draw(st.sampled_from([None, None, 25 * DAY])),
        min_overlap=draw(st.sampled_from([timedelta(), DAY])),
        max_overlap=draw(st.sampled_from([DAY, 14 * DAY])),
        quiet_for=draw(st.sampled_from([timedelta(), DAY])),
        require_use=draw(st.booleans()),
        on_overdue=draw(st.sampled_from(["warn", "block", "revoke"])),
    )
    at = NOW - draw(st.sampled_from([timedelta(), 10 * MINUTE, 2 * DAY, 25 * DAY]))
    return KeyFacts(
        agent=AgentName("alpha"),
        keys=tuple(draw(st.permutations([held, *others]))),
        mark=mark_of(
            delivered=Delivered(held.key_id, at, ("vault",), held.created_at),
            claim=draw(st.none() | fresh_claims),
            retiring=draw(st.sampled_from([(), IDS[1:2], IDS[1:]])),
        ),
        now=NOW,
        policy=policy,
        sinks=("vault",),
        sinks_are_readable=draw(st.sampled_from([True, True, False])),
        is_suspended=draw(st.sampled_from([False] * 5 + [True])),
        is_requested=draw(st.sampled_from([False] * 4 + [True])),
        is_again=draw(st.booleans()),
        is_hurried=draw(st.sampled_from([False] * 4 + [True])),
        dead_runs=draw(st.sampled_from([frozenset(), frozenset({RunId("dead")})])),
    )


states = st.one_of(wild_states, likely_states(), likely_states())


def taking(rotation: Rotation, *kinds: str) -> list[KeyStep]:
    return [step for step in rotation.steps if step.action in kinds]


def may_be_in_use(known: KeyFacts, key: AgentKey) -> bool:
    """Whether the key was used within the quiet time, or what is told of its use makes no sense."""
    used = key.last_used_at
    if used is None:
        return not key.tells_use
    return used > known.now or used < key.created_at or known.now - used < max(known.policy.quiet_for, HOUR)


def is_lost(known: KeyFacts, key: AgentKey) -> bool:
    """Whether nobody but a sink can hold the key, by the claim that stands in the mark."""
    claim = known.mark.claim
    return claim is not None and appeared_inside(claim, key) and key.last_used_at is None and key.tells_use


@examples(150)
@given(known=states)
def test_every_live_key_is_explained_by_one_step_with_a_reason(known: KeyFacts) -> None:
    rotation = rotation_of(known)
    assert Counter(step.key.key_id for step in rotation.steps) == Counter(
        key.key_id for key in known.keys if key.is_live
    )
    assert rotation.reason
    assert all(step.reason for step in rotation.steps)
    assert rotation == rotation_of(replace(known, keys=tuple(reversed(known.keys))))


@examples(400)
@given(known=states)
def test_no_key_is_revoked_that_is_delivered_or_not_deprecated_or_may_be_in_use(known: KeyFacts) -> None:
    rotation = rotation_of(known)
    delivered = known.delivered
    for step in taking(rotation, "revoke"):
        assert step.key is not delivered
        assert delivered is not None
        assert step.key.deprecated_at is not None
        # What the policy wants to be refused is asked for, so that the guard refuses it.
        is_asked_for = rotation.stage == "overdue" and known.policy.on_overdue != "warn"
        assert known.is_hurried or is_asked_for or not may_be_in_use(known, step.key)
        assert known.is_hurried or is_asked_for or may_revoke(known, step.key)
    for step in taking(rotation, "finish"):
        assert step.key is not delivered
        assert is_lost(known, step.key)
        assert known.sinks_are_readable
    assert len(taking(rotation, "revoke")) <= 1
    if taking(rotation, "revoke", "finish"):
        assert delivered is not None or rotation.mints
    if rotation.stage in {"claimed", "undelivered"} or (known.is_suspended and not rotation.mints):
        assert not taking(rotation, "revoke", "finish", "deprecate", "undeprecate")
    assert not (rotation.mints and taking(rotation, "revoke"))
    assert not [step for step in taking(rotation, "deprecate") if step.key.deprecated_at is not None]


@examples(150)
@given(known=states)
def test_without_leave_no_overlap_is_cut_short(known: KeyFacts) -> None:
    rotation = rotation_of(replace(known, is_hurried=False))
    for step in taking(rotation, "revoke"):
        deprecated = step.key.deprecated_at
        assert deprecated is not None
        if rotation.stage == "retiring":
            assert known.now - deprecated >= known.policy.min_overlap


@examples(150)
@given(known=states)
def test_a_key_is_due_by_age_within_its_longest_age(known: KeyFacts) -> None:
    date, delivered, max_age = due_date(known), known.delivered, known.policy.max_age
    assert (date is None) is (delivered is None or max_age is None)
    if date is not None and delivered is not None and max_age is not None:
        made = min(delivered.created_at, known.now)
        assert max_age * 0.9 - timedelta(seconds=1) <= date - made <= max_age
        assert date == due_date(replace(known, keys=tuple(reversed(known.keys))))


def carried_out(known: KeyFacts, rotation: Rotation) -> KeyFacts:
    """What is there after a run did all that the stage asks for."""
    found = {key.key_id: key for key in known.keys}
    mark = known.mark
    if rotation.mints:
        name = KeyId(f"k-new-{len(found)}")
        found[name] = AgentKey(name, f"alter_ak_{name}", name, created_at=known.now)
        mark = replace(mark, delivered=Delivered(name, known.now, known.sinks, known.now))
    for step in rotation.steps:
        change = {
            "deprecate": {"deprecated_at": known.now},
            "undeprecate": {"deprecated_at": None},
            "revoke": {"revoked_at": known.now},
            "finish": {"revoked_at": known.now},
        }.get(step.action, {})
        found[step.key.key_id] = replace(found[step.key.key_id], **change)  # type: ignore[arg-type]
    if rotation.mints or taking(rotation, "deprecate", "undeprecate", "revoke", "finish"):
        held = mark.delivered.key_id if mark.delivered else None
        others = tuple(key.key_id for key in found.values() if key.is_live and key.key_id != held)
        mark = replace(mark, claim=None, retiring=others)
    return replace(known, keys=tuple(found.values()), mark=mark)


@examples(150)
@given(known=states)
def test_after_any_step_a_live_key_is_left(known: KeyFacts) -> None:
    for _ in range(3):
        had_one = any(key.is_live for key in known.keys)
        rotation = rotation_of(known)
        after = carried_out(known, rotation)
        assert any(key.is_live for key in after.keys) or not had_one
        if known.delivered is not None or rotation.mints:
            assert after.delivered is not None
        known = replace(after, now=known.now + DAY)


@examples(150)
@given(known=states)
def test_at_one_moment_the_steps_come_to_an_end(known: KeyFacts) -> None:
    """Without a clock that goes on, and without requests, at most a few runs have something to do."""
    known = replace(known, is_requested=False)
    before = known.policy.rotate_keys_before
    assume(before is None or before <= known.now)
    for _ in range(len(known.keys) + 3):
        rotation = rotation_of(known)
        if not rotation.mints and not taking(rotation, "deprecate", "undeprecate", "revoke", "finish"):
            return
        if rotation.stage == "overdue" and taking(rotation, "revoke"):
            return  # for a guard to refuse
        known = carried_out(known, rotation)
    assert known.policy.max_age == timedelta()


# --- plans ---


def desired_of(known: KeyFacts, guards: GuardSettings) -> Desired:
    status = "inactive" if known.is_suspended else "active"
    agent = declared(known.agent, deliver_to=known.sinks, rotation=known.policy, status=status)  # type: ignore[arg-type]
    return configuration(agent, sinks=(READABLE, WRITE_ONLY), guards=guards)


def live_of(known: KeyFacts, desired: Desired) -> LiveAgent:
    agent = desired.agents[known.agent]
    mark: Mark = replace(known.mark, spec=mark_of(agent).spec)
    return live(known.agent, mark=mark, status=agent.status)


def plan_of(known: KeyFacts, desired: Desired, found: LiveAgent, *allow: str, order: int = 1) -> Plan:
    is_read = found.id in needs_keys(
        desired, [found], now=known.now, rotate=[known.agent] if known.is_requested else ()
    )
    return planned(
        desired,
        found,
        now=known.now,
        keys={known.agent: known.keys[::order]} if is_read else {},
        dead_runs=known.dead_runs,
        rotate=[known.agent] if known.is_requested and known.sinks else (),
        again=known.is_again,
        allow=allow,
    )


guard_settings = st.builds(
    GuardSettings, max_rotations_per_run=st.integers(0, 2), key_cap=st.sampled_from([1, 2, 5])
)
leaves = st.sampled_from(["key-in-use=alpha", "key-cap", "rotation-pace", "last-active-key=alpha"])


@examples(300)
@given(known=states, guards=guard_settings, allow=st.lists(leaves, max_size=2).map(tuple))
def test_a_plan_revokes_no_key_that_a_guard_refuses_or_that_may_be_in_use(
    known: KeyFacts, guards: GuardSettings, allow: tuple[str, ...]
) -> None:
    desired = desired_of(known, guards)
    found = live_of(known, desired)
    plan = plan_of(known, desired, found, *allow)
    facts = Facts(
        desired,
        {found.name: found},
        known.now,
        allowing(*allow),
        {found.id: known.keys},
        frozenset(known.dead_runs),
    )
    assert refusals(facts, plan.operations) == ()
    by_id = {key.key_id: key for key in known.keys}
    mints = [operation.id for operation in plan.operations if operation.kind == "mint_key"]
    revocations = [operation for operation in plan.operations if operation.kind == "revoke_key"]
    for operation in revocations:
        key = by_id[operation.named_key()]
        assert key is not known.delivered
        assert known.delivered is not None or operation.depends_on == tuple(mints) != ()
        is_hurried = f"key-in-use={known.agent}" in allow
        assert is_hurried or not may_be_in_use(known, key)
        assert is_hurried or may_revoke(replace(known, is_hurried=False), key) or is_lost(known, key)
    for operation in plan.operations:
        assert set(operation.depends_on) <= {other.id for other in plan.operations}
    assert len(mints) <= guards.max_rotations_per_run or "rotation-pace" in allow


@examples(100)
@given(known=states, guards=guard_settings)
def test_a_plan_about_keys_is_the_same_whatever_the_order_of_the_list(
    known: KeyFacts, guards: GuardSettings
) -> None:
    desired = desired_of(known, guards)
    found = live_of(known, desired)
    one, other = (plan_of(known, desired, found, order=order) for order in (1, -1))
    assert _without_lists(one) == _without_lists(other)


def _without_lists(plan: Plan) -> str:
    # A refusal by the key cap names the holders in the order of the list, which is the server's.
    document = dict(plan_document(plan))
    if any(entry.guard == "key-cap" for entry in plan.blocked):
        document |= {"blocked": None, "plan_digest": None}
    return json.dumps(document)


@st.composite
def converged(draw: st.DrawFn) -> KeyFacts:
    """A young delivered key, in use or not, and nothing else but keys that are gone."""
    made = draw(st.sampled_from([MINUTE, HOUR, DAY, 26 * DAY]))
    used = draw(st.none() | st.just(NOW - MINUTE))
    held = AgentKey(IDS[0], "alter_ak_k-0", "k-0", NOW - made, last_used_at=used)
    gone = AgentKey(IDS[1], "alter_ak_k-1", "k-1", NOW - 60 * DAY, NOW - 40 * DAY, revoked_at=NOW - 30 * DAY)
    at = NOW - made + draw(st.sampled_from([timedelta(), MINUTE]))
    mark = mark_of(
        delivered=Delivered(held.key_id, at, ("vault",), draw(st.sampled_from([None, NOW - made])))
    )
    policy = RotationPolicy(
        max_age=draw(st.sampled_from([None, 30 * DAY])),
        min_overlap=draw(durations),
        quiet_for=draw(durations),
        on_overdue=draw(st.sampled_from(["warn", "block", "revoke"])),
        rotate_keys_before=draw(st.sampled_from([None, NOW - 90 * DAY, NOW + DAY])),
    )
    keys = draw(st.permutations([held, gone]) | st.just([held]))
    return KeyFacts(AgentName("alpha"), tuple(keys), mark, NOW, policy, ("vault",))


@examples(80)
@given(known=converged(), is_read=st.booleans())
def test_a_converged_agent_needs_nothing_whether_its_keys_are_read_or_not(
    known: KeyFacts, is_read: bool
) -> None:
    desired = desired_of(known, GuardSettings())
    found = live_of(known, desired)
    assert needs_keys(desired, [found], now=NOW) == ()
    plan = planned(desired, found, keys={"alpha": known.keys} if is_read else {})
    assert (plan.operations, plan.waiting, plan.blocked, plan.in_sync) == ((), (), (), 1)
