"""Whatever is declared and whatever is live: a plan leads there, harms nobody, and is the same every time."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, get_args

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reconciler.model.agent import AgentId, AgentName, AgentStatus, AgentType, LiveAgent
from reconciler.model.desired import CountLimit, Desired, DesiredAgent, GuardSettings
from reconciler.model.mark import Mark
from reconciler.model.plan import Operation, Plan
from reconciler.model.scopes import Scopes
from reconciler.model.values import Json
from reconciler.planning.agent_diff import ignores_key, policy_in_sync
from reconciler.planning.fingerprint import same
from reconciler.planning.guards import GUARDS
from reconciler.planning.ordering import work_units
from reconciler.planning.ownership import our_mark
from reconciler.planning.plan_document import plan_document, read_plan
from reconciler.planning.request import PatchRequest, applied_spec, new_agent, patch_request
from tests.support.builders import APP, NOW, OWNER, configuration, declared, live, mark_of, planned

NAMES = ("ant", "bee", "cat", "dog", "elk")
EVERYTHING = tuple(GUARDS)


def examples(count: int) -> settings:
    return settings(
        max_examples=count,
        derandomize=True,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )


leaves = st.sampled_from([None, True, False, 0, 1, 1.0, 0.5, "", "text"])
values = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["a", "a.b", "__p"]), inner, max_size=2)
    ),
    max_leaves=4,
)
blocks = st.dictionaries(st.sampled_from(["team", "cost", "x.y"]), values, max_size=3)
policies = st.dictionaries(st.sampled_from(["hours", "approvers", "strict"]), values, max_size=2)
scope_lists = st.dictionaries(
    st.sampled_from(["google", "slack"]), st.sets(st.sampled_from(["admin", "mail", "read"])), max_size=2
).map(lambda found: {provider: sorted(names) for provider, names in found.items()})
titles = st.sampled_from(["One", "Two"])
types: st.SearchStrategy[AgentType] = st.sampled_from(get_args(AgentType))
statuses: st.SearchStrategy[AgentStatus] = st.sampled_from(get_args(AgentStatus)[:2])
ignorable = ["display_name", "scopes", "status", "policy", "type", "metadata", "metadata.team"]


@st.composite
def declared_agents(draw: st.DrawFn, name: str) -> DesiredAgent:
    return declared(
        name,
        scopes=draw(scope_lists),
        type=draw(st.none() | types),
        display_name=draw(st.none() | titles),
        status=draw(statuses),
        metadata=draw(blocks),
        policy=draw(st.none() | policies),
        protect=draw(st.sampled_from([None, None, True, False])),
        deliver_to=draw(st.sampled_from([(), ("vault",)])),
        ignore=draw(st.just([]) | st.lists(st.sampled_from(ignorable), max_size=2)),
        narrowing_grace=timedelta(),
    )


@st.composite
def marks(draw: st.DrawFn, name: str) -> Mark | None:
    owner, app = draw(
        st.sampled_from([(OWNER, APP)] * 4 + [("former", APP), ("foreign", APP), (OWNER, "old-app"), None])
    ) or (None, None)
    if owner is None or app is None:
        return None
    applied = draw(st.none() | declared_agents(name))
    return mark_of(applied, owner=owner, app=app, protect=draw(st.sampled_from([None, None, True, False])))


@st.composite
def live_agents(draw: st.DrawFn, name: str) -> LiveAgent:
    scopes = draw(scope_lists)
    pending = draw(
        st.none() | st.sampled_from([{}, {provider: names[:1] for provider, names in scopes.items()}])
    )
    return live(
        name,
        mark=draw(marks(name)),
        scopes=scopes,
        pending=pending,
        type=draw(types),
        display_name=draw(st.none() | titles),
        status=draw(statuses),
        metadata=draw(blocks),
        policy=draw(policies),
        version=draw(st.integers(1, 3)),
        last_used_at=draw(st.sampled_from([None, NOW, NOW - timedelta(days=9)])),
    )


@st.composite
def configurations(draw: st.DrawFn) -> Desired:
    names = draw(st.lists(st.sampled_from(NAMES), unique=True, max_size=4))
    return configuration(
        *[draw(declared_agents(name)) for name in names],
        former_owners=("former",),
        guards=GuardSettings(
            max_revocations=CountLimit(draw(st.integers(0, 2)), 10),
            max_changes=CountLimit(draw(st.integers(0, 3)), 10),
            max_scope_removals=CountLimit(draw(st.integers(0, 4)), 10),
            sensitive_scopes=draw(st.sampled_from([(), ("*:admin",)])),
        ),
    )


fleets = st.lists(st.sampled_from(NAMES), unique=True, max_size=5).flatmap(
    lambda names: st.tuples(*(live_agents(name) for name in names))
)
allowances = st.lists(
    st.sampled_from([*GUARDS, *(f"{guard}={name}" for guard in GUARDS for name in NAMES[:2])]), max_size=4
).map(tuple)


@dataclass
class Reference:
    """The server as it is documented, without time: what is taken away with no grace is gone at once."""

    agents: dict[AgentName, LiveAgent]
    created: int = field(default=0)

    def carry_out(self, desired: Desired, plan: Plan) -> None:
        for unit in work_units(plan.operations):
            name = unit[0].agent
            kinds = {operation.kind for operation in unit}
            for operation in unit:
                if operation.agent_id is not None:
                    assert self.agents[name].id == operation.agent_id
                    assert self.agents[name].version == operation.version
            if "revoke_agent" in kinds:
                del self.agents[name]
            if "create_agent" in kinds:
                assert name not in self.agents
                self._create(desired, desired.agents[name])
                self._patch(desired, [operation for operation in unit if operation.kind == "suspend_agent"])
            elif "revoke_agent" not in kinds:
                self._patch(desired, unit)

    def _create(self, desired: Desired, agent: DesiredAgent) -> None:
        body = new_agent(desired, agent, claim=None)
        self.created += 1
        self.agents[body.name] = LiveAgent(
            id=AgentId(f"new-{self.created}"),
            name=body.name,
            type=body.type,
            status="active",
            version=1,
            created_at=NOW,
            scopes=body.scopes,
            display_name=body.display_name,
            policy=body.policy or {},
            metadata=body.metadata,
        )

    def _patch(self, desired: Desired, operations: Iterable[Operation]) -> None:
        operations = list(operations)
        if not operations:
            return
        name = operations[0].agent
        before = self.agents[name]
        request = patch_request(desired, desired.agents[name], before, operations, claim=None)
        after = _patched(before, request)
        self.agents[name] = after if same(before, after) else replace(after, version=before.version + 1)


def _patched(before: LiveAgent, request: PatchRequest) -> LiveAgent:
    body = request.body
    after = replace(
        before,
        display_name=before.display_name if body.display_name is None else body.display_name,
        metadata=before.metadata if body.metadata is None else body.metadata,
        policy=before.policy if body.policy is None else body.policy,
        status=body.status or before.status,
    )
    if body.scopes is None:
        return after
    if before.scopes.pairs() <= body.scopes.pairs():
        return replace(after, scopes=body.scopes, scopes_pending=None)
    if request.grace_seconds == 0:
        return replace(after, scopes=body.scopes, scopes_pending=None)
    both = Scopes.of_pairs(before.scopes.pairs() | body.scopes.pairs())
    return replace(after, scopes=both, scopes_pending=body.scopes)


def assert_as_declared(desired: Desired, agent: DesiredAgent, found: LiveAgent, *, applied: bool) -> None:
    mark = our_mark(desired, found)
    assert mark is not None
    if "scopes" not in agent.ignore:
        assert found.target_scopes == agent.scopes
    if "status" not in agent.ignore:
        assert found.status == agent.status
    if agent.type is not None and "type" not in agent.ignore:
        assert found.type == agent.type
    if agent.display_name is not None and "display_name" not in agent.ignore:
        assert found.display_name == agent.display_name
    if agent.policy is not None and "policy" not in agent.ignore:
        assert policy_in_sync(agent.policy, found.policy, mark.spec.get("policy"))
    for key, value in agent.metadata.items():
        assert ignores_key(agent, key) or same(found.own_metadata.get(key), value)
    if agent.protect is not None:
        assert bool(mark.protect) is agent.protect
    if applied:
        assert mark.spec == applied_spec(agent)


def kept_by_others(before: LiveAgent, agent: DesiredAgent) -> Mapping[str, Json]:
    """The metadata that neither the configuration nor any mark knows."""
    remembered = before.mark.spec if before.mark else {}
    return {
        key: value
        for key, value in before.own_metadata.items()
        if key not in agent.metadata and f"metadata.{key}" not in remembered
    }


@examples(250)
@given(desired=configurations(), fleet=fleets)
def test_carrying_a_plan_out_leads_to_what_is_declared_and_to_rest(
    desired: Desired, fleet: tuple[LiveAgent, ...]
) -> None:
    server = Reference({agent.name: agent for agent in fleet})
    first = planned(desired, *fleet, allow=EVERYTHING)
    assert not first.blocked
    server.carry_out(desired, first)
    second = planned(desired, *server.agents.values(), allow=EVERYTHING)
    # An adopted agent of another type is ours only from then on, so it is replaced by the next plan.
    adopted = {operation.agent for operation in first.operations if operation.kind == "adopt_agent"}
    assert set(second.replaced) == {operation.agent for operation in second.operations} <= adopted
    server.carry_out(desired, second)
    assert planned(desired, *server.agents.values(), allow=EVERYTHING).operations == ()

    for operation in (*first.operations, *second.operations):
        if operation.kind == "set_scopes":  # with no grace nothing stays staged
            assert server.agents[operation.agent].scopes_pending is None
    worked_on = {operation.agent for operation in (*first.operations, *second.operations)}
    replaced = {*first.replaced, *second.replaced}
    for name, agent in desired.agents.items():
        assert_as_declared(desired, agent, server.agents[name], applied=name in worked_on)
    for before in fleet:
        after = server.agents.get(before.name)
        declared_now = desired.agents.get(before.name)
        if declared_now is None:
            # Everything is allowed here, `wrong-app` too: an agent of this owner is ours whatever its app.
            is_ours = before.mark is not None and before.mark.owner == desired.owner
            assert after == (None if is_ours else before)
        elif before.name not in replaced:
            assert after is not None
            for key, value in kept_by_others(before, declared_now).items():
                assert same(after.own_metadata[key], value)


def reordered(value: Any) -> Any:
    """The same value with every mapping built in the other order."""
    if isinstance(value, dict):
        return {key: reordered(item) for key, item in reversed(value.items())}
    return [reordered(item) for item in value] if isinstance(value, list) else value


def turned_live(agent: LiveAgent) -> LiveAgent:
    return replace(agent, metadata=reordered(agent.metadata), policy=reordered(agent.policy))


def turned_declared(agent: DesiredAgent) -> DesiredAgent:
    return replace(agent, metadata=reordered(agent.metadata), policy=reordered(agent.policy))


@examples(120)
@given(desired=configurations(), fleet=fleets, allow=allowances, data=st.data())
def test_the_bytes_of_a_plan_do_not_depend_on_the_order_of_anything(
    desired: Desired, fleet: tuple[LiveAgent, ...], allow: tuple[str, ...], data: st.DataObject
) -> None:
    names = data.draw(st.permutations(list(desired.agents)))
    turned = replace(desired, agents={name: turned_declared(desired.agents[name]) for name in names})
    turned_fleet = [turned_live(agent) for agent in data.draw(st.permutations(fleet))]
    one = planned(desired, *fleet, allow=allow)
    other = planned(turned, *turned_fleet, allow=allow[::-1])
    assert json.dumps(plan_document(one)) == json.dumps(plan_document(other))


@examples(150)
@given(desired=configurations(), fleet=fleets)
def test_without_a_word_nobody_is_revoked_who_is_declared_or_not_ours(
    desired: Desired, fleet: tuple[LiveAgent, ...]
) -> None:
    by_name = {agent.name: agent for agent in fleet}
    for operation in planned(desired, *fleet).operations:
        if operation.kind == "revoke_agent":
            assert our_mark(desired, by_name[operation.agent]) is not None
            assert operation.agent not in desired.agents
        elif operation.kind != "create_agent" and operation.agent_id is not None:
            mark = by_name[operation.agent].mark
            assert mark is not None
            assert mark.owner in {desired.owner, *desired.former_owners}


@examples(150)
@given(desired=configurations(), fleet=fleets, allow=allowances)
def test_what_is_refused_is_not_in_the_plan_and_neither_is_what_depends_on_it(
    desired: Desired, fleet: tuple[LiveAgent, ...], allow: tuple[str, ...]
) -> None:
    plan = planned(desired, *fleet, allow=allow)
    kept = {operation.id for operation in plan.operations}
    assert len(kept) == len(plan.operations)
    refused = {entry.operation.id: entry.operation for entry in plan.blocked if entry.operation}
    assert not kept & set(refused)
    seen: set[str] = set()
    for operation in plan.operations:
        assert seen.issuperset(operation.depends_on)
        seen.add(operation.id)
    # An agent is never revoked for a successor that may not be created.
    replaced = {operation.agent for operation in refused.values() if operation.kind == "create_agent"}
    assert not any(f"revoke_agent:{name}" in kept for name in replaced)


@examples(60)
@given(desired=configurations(), fleet=fleets, allow=allowances)
def test_a_plan_survives_its_file(
    desired: Desired, fleet: tuple[LiveAgent, ...], allow: tuple[str, ...]
) -> None:
    document = json.loads(json.dumps(plan_document(planned(desired, *fleet, allow=allow))))
    again = plan_document(read_plan(document))
    for name in ("operations", "blocked", "replaced", "allowed", "config_digest", "live_digest"):
        assert again[name] == document[name]
