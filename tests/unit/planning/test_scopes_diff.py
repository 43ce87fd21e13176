"""Scopes are compared as sets, and a narrowing on its way is no difference."""

from reconciler.model.agent import LiveAgent
from reconciler.model.desired import DesiredAgent
from reconciler.model.plan import Change
from reconciler.planning.agent_diff import diff_agent
from tests.support.builders import declared, live, mark_of


def changes(agent: DesiredAgent, found: LiveAgent) -> tuple[Change, ...]:
    return diff_agent(agent, found, found.mark).scopes


def test_order_and_repetition_of_scopes_are_no_difference() -> None:
    agent = declared(scopes={"slack": ["b", "a", "a"], "google": ["x"]})
    assert changes(agent, live(scopes={"google": ["x", "x"], "slack": ["a", "b"]})) == ()


def test_a_provider_without_scopes_is_no_provider() -> None:
    assert changes(declared(scopes={"slack": []}), live(scopes={"google": []})) == ()


def test_added_scopes_widen_and_removed_scopes_narrow() -> None:
    agent = declared(scopes={"added": ["a"], "more": ["a", "b"], "fewer": ["a"], "other": ["b"]})
    found = live(scopes={"more": ["a"], "fewer": ["a", "b"], "other": ["a"], "gone": ["a"]})
    assert changes(agent, found) == (
        Change("scopes.added", None, ["a"], "widening", "new"),
        Change("scopes.fewer", ["a", "b"], ["a"], "narrowing", "new"),
        Change("scopes.gone", ["a"], None, "narrowing", "new"),
        Change("scopes.more", ["a"], ["a", "b"], "widening", "new"),
        # One scope for another: the agent can do something that it could not do before.
        Change("scopes.other", ["a"], ["b"], "widening", "new"),
    )


def test_declaring_no_scopes_takes_all_away() -> None:
    [change] = changes(declared(scopes={}), live(scopes={"slack": ["a"]}))
    assert (change.before, change.after, change.effect) == (["a"], None, "narrowing")


def test_a_pending_set_equal_to_the_declared_one_is_in_progress() -> None:
    found = live(scopes={"slack": ["a", "b"]}, pending={"slack": ["a"]})
    assert changes(declared(scopes={"slack": ["a"]}), found) == ()


def test_an_empty_pending_set_means_that_everything_goes() -> None:
    found = live(scopes={"slack": ["a"]}, pending={})
    assert changes(declared(scopes={}), found) == ()
    [change] = changes(declared(scopes={"slack": ["a"]}), found)
    assert change == Change("scopes.slack", None, ["a"], "widening", "new")


def test_a_pending_set_other_than_the_declared_one_differs_from_what_will_be() -> None:
    found = live(scopes={"slack": ["a", "b", "c"]}, pending={"slack": ["a", "b"]})
    [narrower] = changes(declared(scopes={"slack": ["a"]}), found)
    assert (narrower.before, narrower.after, narrower.effect) == (["a", "b"], ["a"], "narrowing")
    [back] = changes(declared(scopes={"slack": ["a", "b", "c"]}), found)
    assert (back.before, back.after, back.effect) == (["a", "b"], ["a", "b", "c"], "widening")


def test_scopes_left_to_the_dashboard_are_not_compared() -> None:
    agent = declared(scopes={"slack": ["a"]}, ignore=["scopes"])
    assert changes(agent, live(scopes={"google": ["x"]})) == ()


def test_the_mark_tells_who_moved_the_scopes() -> None:
    before = declared(scopes={"slack": ["a"]})
    after = declared(scopes={"slack": ["a", "b"]})
    remembered = mark_of(before)
    [config] = changes(after, live(scopes={"slack": ["a"]}, mark=remembered))
    [outside] = changes(before, live(scopes={"slack": ["a", "z"]}, mark=remembered))
    [both] = changes(after, live(scopes={"slack": ["z"]}, mark=remembered))
    assert (config.cause, outside.cause, both.cause) == ("config", "outside", "both")


def test_a_provider_that_was_never_applied_was_applied_as_absent() -> None:
    remembered = mark_of(declared(scopes={"slack": ["a"]}))
    granted = live(scopes={"slack": ["a"], "google": ["x"]}, mark=remembered)
    [outside] = changes(declared(scopes={"slack": ["a"]}), granted)
    assert (outside.path, outside.cause) == ("scopes.google", "outside")
    [config] = changes(
        declared(scopes={"slack": ["a"], "google": ["x"]}), live(scopes={"slack": ["a"]}, mark=remembered)
    )
    assert (config.path, config.cause) == ("scopes.google", "config")
    [both] = changes(declared(scopes={"slack": ["a"], "google": ["y"]}), granted)
    assert (both.path, both.cause) == ("scopes.google", "both")


def test_a_provider_taken_away_outside_is_an_outside_change() -> None:
    agent = declared(scopes={"slack": ["a"]})
    [change] = changes(agent, live(mark=mark_of(agent)))
    assert change == Change("scopes.slack", None, ["a"], "widening", "outside")


def test_a_provider_taken_out_of_the_configuration_is_its_change() -> None:
    [change] = changes(
        declared(), live(scopes={"slack": ["a"]}, mark=mark_of(declared(scopes={"slack": ["a"]})))
    )
    assert change == Change("scopes.slack", ["a"], None, "narrowing", "config")
