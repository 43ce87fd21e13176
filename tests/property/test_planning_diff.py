"""What a plan shows of a nested value is all that differs in it."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.planning.agent_diff import diff_agent
from reconciler.planning.fingerprint import same
from tests.support.builders import declared, live

thorough = settings(max_examples=200, derandomize=True, deadline=None)

leaves = st.sampled_from([None, True, False, 0, 1, 1.0, 0.5, 1e-13, "", "1", "text", [1], [True, "x"], []])
objects: st.SearchStrategy[dict[str, Any]] = st.recursive(
    st.dictionaries(st.sampled_from(["a", "b", "__c"]), leaves, max_size=3),
    lambda inner: st.dictionaries(st.sampled_from(["a", "b", "__c"]), inner | leaves, max_size=3),
    max_leaves=6,
)


def without_nulls(value: Any) -> Any:
    """A value that is not there reads like ``null`` in a plan."""
    if isinstance(value, dict):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    return value


def put(target: dict[str, Any], path: list[str], value: Any) -> None:
    for name in path[:-1]:
        target = target.setdefault(name, {})
    target[path[-1]] = value


def copied(value: Any) -> Any:
    return {key: copied(item) for key, item in value.items()} if isinstance(value, dict) else value


@thorough
@given(before=objects, after=objects)
def test_the_changes_shown_lead_from_the_live_value_to_the_declared_one(
    before: dict[str, Any], after: dict[str, Any]
) -> None:
    changes = diff_agent(declared(metadata={"k": after}), live(metadata={"k": before}), None).update
    rebuilt = {"metadata": {"k": copied(before)}}
    for change in changes:
        # A place inside of a list stands for the whole list here.
        place = change.path.partition("[")[0].split(".")
        value: Any = change.after
        if "[" in change.path:
            value = after
            for name in place[2:]:
                value = value[name]
        put(rebuilt, place, value)
    assert same(without_nulls(rebuilt["metadata"]["k"]), without_nulls(after))
    assert bool(changes) is not same(without_nulls(before), without_nulls(after))
