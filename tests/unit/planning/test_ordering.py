"""Operations go by agent, dependencies first, and fall with what they depend on."""

from itertools import permutations

from reconciler.model.agent import AgentName
from reconciler.model.plan import Operation, OperationKind
from reconciler.planning.ordering import ordered, with_dependents, work_units


def step(id_: str, *after: str, agent: str = "a", kind: OperationKind = "update_agent") -> Operation:
    return Operation(id=id_, kind=kind, agent=AgentName(agent), reason="", depends_on=after)


REPLACEMENT = (
    step("revoke", kind="revoke_agent"),
    step("create", "revoke", kind="create_agent"),
    step("mint", "create", kind="mint_key"),
    step("other", kind="set_scopes"),
)


def test_operations_go_by_agent_and_dependencies_first_whatever_their_order_was() -> None:
    steps = (step("z"), step("a", "z"), step("m", agent="b"), step("b", "m", "missing", agent="b"))
    for order in permutations(steps):
        assert [operation.id for operation in ordered(order)] == ["z", "a", "m", "b"]


def test_work_is_one_unit_for_each_agent() -> None:
    units = work_units((step("x", agent="b"), step("z"), step("a", "z")))
    assert [[operation.id for operation in unit] for unit in units] == [["z", "a"], ["x"]]
    assert work_units(()) == ()


def test_what_depends_on_a_refused_operation_falls_with_it_down_to_the_last() -> None:
    steps = (step("a"), step("b", "a"), step("c", "b"), step("d"), step("e", "d", "c"))
    assert with_dependents({"b"}, steps) == {"b", "c", "e"}
    assert with_dependents({"d"}, steps[::-1]) == {"d", "e"}
    assert with_dependents((), steps) == frozenset()


def test_a_revocation_falls_with_the_successor_that_it_makes_room_for() -> None:
    for order in permutations(REPLACEMENT):
        assert with_dependents({"create"}, order) == {"revoke", "create", "mint"}
        assert with_dependents({"revoke"}, order) == {"revoke", "create", "mint"}
        assert with_dependents({"mint"}, order) == {"mint"}
