"""A finished plan and drift hold no key, and neither what is compared nor what is sent is touched."""

from reconciler.model.drift import Drift
from reconciler.model.plan import Change
from reconciler.planning.freshness import refreshed
from reconciler.planning.request import patch_request
from reconciler.planning.telling import drift_without_keys
from tests.support.builders import APP, NOW, OWNER, configuration, declared, live, mark_of, planned
from tests.support.drift import drift_in

KEY = "alter_ak_abcdefghijklmnopqrstuv_234567"
OTHER = "alter_ak_vutsrqponmlkjihgfedcba_765432"
AGENT = declared("alpha", metadata={"team": "one"}, scopes={"s": ["a"]})
DESIRED = configuration(AGENT)
PASTED = live(
    "alpha",
    mark=mark_of(AGENT),
    metadata={"team": f"see {KEY}", "theirs": KEY},
    scopes={"s": ["a", KEY]},
)


def test_a_plan_shows_where_a_key_is_and_not_which() -> None:
    plan = planned(DESIRED, PASTED, live(KEY))
    assert [change for operation in plan.operations for change in operation.changes] == [
        Change("scopes.s", ["a", "(key)"], ["a"], "narrowing", "outside"),
        Change("metadata.team", "see (key)", "one", cause="outside"),
    ]
    assert plan.unmanaged == ("(key)",)
    assert KEY not in repr(plan)


def test_drift_tells_it_the_same_way() -> None:
    drift = drift_without_keys(Drift(OWNER, APP, NOW, drift_in(DESIRED, PASTED)))
    assert [(one.path, one.live, one.declared) for one in drift.findings if one.is_drift] == [
        ("metadata.team", "see (key)", "one"),
        ("scopes.s", ["a", "(key)"], ["a"]),
    ]


def test_such_a_plan_made_again_is_the_same() -> None:
    plan = planned(DESIRED, PASTED)
    assert refreshed(plan, planned(DESIRED, PASTED)) == plan


def test_one_key_in_the_place_of_another_is_still_a_difference() -> None:
    agent = declared("alpha", metadata={"team": OTHER})
    plan = planned(configuration(agent), live("alpha", mark=mark_of(agent), metadata={"team": KEY}))
    assert [operation.changes for operation in plan.operations] == [
        (Change("metadata.team", "(key)", "(key)", cause="outside"),)
    ]


def test_what_is_sent_keeps_what_is_theirs() -> None:
    plan = planned(DESIRED, PASTED)
    request = patch_request(DESIRED, AGENT, PASTED, plan.operations, claim=None)
    assert request.body.metadata is not None
    assert request.body.metadata["theirs"] == KEY
