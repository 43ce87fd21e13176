"""``apply --only-drift``, whatever is declared and live: it puts back what others did, and nothing else."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from reconciler.model.agent import AgentName, LiveAgent
from reconciler.model.desired import Desired, DesiredAgent, RotationPolicy
from reconciler.model.mark import Mark
from reconciler.model.plan import Change, Operation, Plan
from reconciler.planning.agent_diff import diff_agent
from reconciler.planning.fingerprint import same
from reconciler.planning.ownership import our_mark
from tests.property.test_planning import (
    EVERYTHING,
    NAMES,
    Reference,
    blocks,
    declared_agents,
    examples,
    policies,
    scope_lists,
    statuses,
    titles,
)
from tests.support.builders import (
    aged_key,
    configuration,
    delivered_ago,
    live,
    mark_of,
    planned,
    sink,
)
from tests.support.drift import Keys, drift_in, repair_plan

# What a policy looks like to us is not what was sent, so of it only "we declared it so" is remembered.
OUTSIDE = frozenset({"outside", "both"})
World = tuple[Desired, tuple[LiveAgent, ...], Keys]
POLICY = RotationPolicy(max_age=timedelta(days=30))


# Strategies are made once: making them anew for each example takes most of the time.
# "x.y" is a key of its own and a place in the value of "x".
_DOTTED = st.fixed_dictionaries(
    {},
    optional={
        "x": st.fixed_dictionaries({"y": st.integers(1, 3), "z": st.integers(1, 2)}),
        "x.y": st.integers(1, 3),
    },
)
_METADATA = blocks | _DOTTED
_DECLARED = {
    name: st.builds(
        lambda agent, metadata: replace(agent, rotation=POLICY, metadata=metadata),
        declared_agents(name),
        _METADATA,
    )
    for name in NAMES
}
_OTHERS: Mapping[str, st.SearchStrategy[object]] = {
    "scopes": scope_lists,
    "display_name": st.none() | titles,
    "status": statuses,
    "metadata": _METADATA,
    "policy": policies,
}
_MOVED = st.lists(st.sampled_from(sorted(_OTHERS)), unique=True, max_size=3)
_DELIVERED = st.sampled_from([None, delivered_ago("k-1", age=timedelta(days=40))])
_RETIRING = st.sampled_from([(), (), ("k-0",)])
_LIVE_NAMES = st.lists(st.sampled_from(NAMES), unique=True, min_size=1, max_size=3)
_DECLARED_NAMES = st.lists(st.sampled_from(NAMES), unique=True, max_size=4)
_KEYS = st.lists(
    st.sampled_from(
        [
            aged_key("k-0", made=timedelta(days=80), deprecated=timedelta(days=40)),
            aged_key("k-0", made=timedelta(days=80), revoked=timedelta(days=2)),
            aged_key("k-1", made=timedelta(days=40)),
            aged_key("k-1", made=timedelta(days=40), revoked=timedelta(days=1)),
            aged_key("k-1", made=timedelta(days=40), deprecated=timedelta(days=1)),
            aged_key("k-9", made=timedelta(days=1)),
        ]
    ),
    unique_by=lambda key: key.key_id,
    max_size=3,
)


@st.composite
def changed_agents(draw: st.DrawFn, name: str) -> LiveAgent:
    """Ours, applied in one way, and after that changed by whoever wants to, in any way."""
    applied = draw(_DECLARED[name])
    values: dict[str, Any] = {
        "scopes": {provider: list(names) for provider, names in applied.scopes.by_provider},
        "display_name": applied.display_name,
        "status": applied.status,
        "metadata": dict(applied.metadata),
        "policy": applied.policy or {},
    }
    values |= {field: draw(_OTHERS[field]) for field in draw(_MOVED)}
    return live(name, mark=mark_of(applied, delivered=draw(_DELIVERED), retiring=draw(_RETIRING)), **values)


_CHANGED = {name: changed_agents(name) for name in NAMES}


@st.composite
def owned_fleets(draw: st.DrawFn) -> World:
    """Some are declared as they were, some otherwise, some no more, and some are declared and not live."""
    names = draw(_LIVE_NAMES)
    fleet = tuple(draw(_CHANGED[name]) for name in names)
    wanted = [draw(_DECLARED[name]) for name in draw(_DECLARED_NAMES)]
    return configuration(*wanted, sinks=(sink("vault"),)), fleet, {name: draw(_KEYS) for name in names}


def changes_of(agent: DesiredAgent, found: LiveAgent, mark: Mark) -> Iterator[Change]:
    diff = diff_agent(agent, found, mark)
    yield from (*diff.update, *diff.scopes, *filter(None, (diff.status, diff.type)))


def field_of(found: LiveAgent, path: str) -> object:
    """The live value of a field; of metadata the whole key, and of a policy all of it."""
    head, _, rest = path.partition(".")
    match head:
        case "metadata":
            return found.own_metadata.get(rest)
        case "scopes":
            return found.target_scopes.of_provider(rest)
        case _:
            return getattr(found, head)


def fields_of(agent: DesiredAgent, found: LiveAgent) -> set[str]:
    providers = {*agent.scopes.providers(), *found.target_scopes.providers()}
    keys = {*agent.metadata, *found.own_metadata}
    single = {"display_name", "status", "policy", "type"}
    return single | {f"scopes.{name}" for name in providers} | {f"metadata.{key}" for key in keys}


def field_at(path: str, fields: Iterable[str]) -> set[str]:
    """The fields that a change may be in: a key with dots of its own and a place in a value read the same."""
    return {field for field in fields if path == field or path.startswith((f"{field}.", f"{field}["))}


def outside_fields(desired: Desired, found: LiveAgent) -> set[str]:
    """The fields of an agent that somebody else moved."""
    agent, mark = desired.agents.get(found.name), our_mark(desired, found)
    if agent is None or mark is None:
        return set()
    fields = fields_of(agent, found)
    return {
        field
        for change in changes_of(agent, found, mark)
        if change.cause in OUTSIDE
        for field in field_at(change.path, fields)
    }


def rest(plan: Plan) -> Mapping[str, object]:
    """What a plan does to fields, by agent and field, without what the versions say."""
    return {
        f"{operation.agent}:{operation.kind}:{change.path}": (change.before, change.after, change.effect)
        for operation in plan.operations
        for change in operation.changes
        if operation.key_id is None and operation.kind != "mint_key"
    }


def on_keys(plan: Plan) -> list[Operation]:
    return [op for op in plan.operations if op.kind == "mint_key" or op.key_id is not None]


@examples(400)
@given(world=owned_fleets())
def test_it_creates_adopts_and_revokes_nothing_and_no_age_makes_it_rotate(
    world: World,
) -> None:
    desired, fleet, keys = world
    _, plan = repair_plan(desired, *fleet, keys=keys, allow=EVERYTHING)
    kinds = {operation.kind for operation in plan.operations}
    assert kinds <= {
        "update_agent",
        "set_scopes",
        "suspend_agent",
        "resume_agent",
        "mint_key",
        "deprecate_key",
        "undeprecate_key",
    }
    marks = {agent.name: agent.mark for agent in fleet}
    for operation in on_keys(plan):
        mark, found = marks[operation.agent], {key.key_id: key for key in keys[operation.agent]}
        assert mark is not None
        assert mark.delivered is not None
        match operation.kind:
            case "mint_key":
                assert not found[mark.delivered.key_id].is_live
            case "deprecate_key":
                assert operation.key_id not in {mark.delivered.key_id, *mark.retiring}
            case _:
                assert operation.key_id == mark.delivered.key_id
    assert {operation.agent for operation in plan.operations} <= set(desired.agents)


@examples(400)
@given(world=owned_fleets())
def test_a_field_that_only_the_configuration_moved_stays_as_it_is(
    world: World,
) -> None:
    desired, fleet, _ = world
    applied, plan = repair_plan(desired, *fleet, allow=EVERYTHING)
    server = Reference({agent.name: agent for agent in fleet})
    server.carry_out(applied, plan)
    for before in fleet:
        after = server.agents[before.name]
        agent = desired.agents.get(before.name)
        if agent is None:
            assert same(before, after)
            continue
        moved = outside_fields(desired, before)
        for field in fields_of(agent, before) - moved:
            assert same(field_of(before, field), field_of(after, field)), field
        assert before.mark is not None
        assert after.mark is not None
        assert after.mark.protect == before.mark.protect


@examples(400)
@given(world=owned_fleets())
def test_afterwards_nothing_of_it_is_left_and_a_whole_plan_does_the_rest_as_before(
    world: World,
) -> None:
    desired, fleet, _ = world
    whole = planned(desired, *fleet, allow=EVERYTHING)
    applied, plan = repair_plan(desired, *fleet, allow=EVERYTHING)
    server = Reference({agent.name: agent for agent in fleet})
    server.carry_out(applied, plan)
    after = tuple(server.agents.values())
    assert repair_plan(desired, *after, allow=EVERYTHING)[1].operations == ()
    assert [
        one
        for one in drift_in(desired, *after)
        if one.kind == "changed_outside" and _declared(desired, one.agent)
    ] == []

    done = rest(plan)
    left = rest(planned(desired, *after, allow=EVERYTHING))
    assert left == {what: values for what, values in rest(whole).items() if what not in done}
    # Done is exactly what somebody else did, as the report says.
    told = {
        (one.agent, one.path)
        for one in drift_in(desired, *fleet)
        if one.kind == "changed_outside" and _declared(desired, one.agent)
    }
    assert {(op.agent, change.path) for op in plan.operations for change in op.changes} == told


def _declared(desired: Desired, name: AgentName) -> bool:
    return name in desired.agents


@examples(60)
@given(world=owned_fleets())
def test_an_agent_of_somebody_else_is_never_in_it(
    world: World,
) -> None:
    desired, fleet, keys = world
    theirs = tuple(
        live(agent.name, mark=replace(agent.mark, owner="other") if agent.mark else None, scopes={"x": ["y"]})
        for agent in fleet
    )
    assert repair_plan(desired, *theirs, keys=keys, allow=EVERYTHING)[1].operations == ()


@examples(400)
@given(world=owned_fleets())
def test_what_it_does_to_keys_is_what_was_found_and_was_found_is_done(
    world: World,
) -> None:
    desired, fleet, keys = world
    active = tuple(replace(agent, status="active") for agent in fleet)
    awake = replace(
        desired, agents={name: replace(agent, status="active") for name, agent in desired.agents.items()}
    )
    _, plan = repair_plan(awake, *active, keys=keys, allow=EVERYTHING)
    found = [
        one
        for one in drift_in(awake, *active, keys=keys)
        if one.path == "keys" and _declared(awake, one.agent)
    ]
    by_kind: dict[str, set[tuple[str, str | None]]] = {}
    for one in found:
        by_kind.setdefault(one.kind, set()).add((one.agent, one.key_id))
    done: dict[str, set[tuple[str, str | None]]] = {}
    for operation in on_keys(plan):
        done.setdefault(operation.kind, set()).add((operation.agent, operation.key_id))
    listed = {agent.name: {key.key_id for key in keys[agent.name]} for agent in active}
    minted = {agent for agent, _ in done.get("mint_key", set())}
    lost = {
        one.agent
        for one in found
        if one.kind == "key_revoked_outside" and one.severity == "high" and one.key_id in listed[one.agent]
    }
    assert minted == lost
    assert done.get("undeprecate_key", set()) == by_kind.get("key_deprecated_outside", set())
    # Where the list of keys lacks the delivered one, it may be an old list: nothing is done.
    unseen = {
        one.agent
        for one in found
        if one.kind == "key_revoked_outside" and one.severity == "high" and one.agent not in lost
    }
    # A stranger that is deprecated already goes the way of every older key, with a whole apply.
    waiting = {(name, key.key_id) for name, found in keys.items() for key in found if key.deprecated_at}
    strangers = {pair for pair in by_kind.get("key_minted_outside", set()) if pair[0] not in unseen}
    assert done.get("deprecate_key", set()) == strangers - waiting
