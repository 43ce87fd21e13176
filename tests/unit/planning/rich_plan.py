"""Inputs that give a plan with something of everything."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from reconciler.model.agent import LiveAgent
from reconciler.model.desired import Desired, RotationPolicy
from tests.support.builders import (
    aged_key,
    claim_of,
    configuration,
    declared,
    delivered_ago,
    live,
    mark_of,
    owned,
    sink,
)

OURS = mark_of()
DAY = timedelta(days=1)
BY_AGE = RotationPolicy(max_age=30 * DAY)


def rich() -> tuple[Desired, list[LiveAgent]]:
    """A configuration and live agents that, with ``RICH_KEYS``, give a plan with something of everything."""
    desired = configuration(
        declared("new", scopes={"slack": ["b", "a"]}, metadata={"n": {"b": 1, "a": [2]}}, deliver_to=("v",)),
        declared("wider", scopes={"slack": ["a", "b"]}, metadata={"n": {"y": {"d": 1, "c": 2}, "x": 2}}),
        declared("narrower", scopes={"slack": ["a"]}),
        declared("paused", status="inactive"),
        declared("back"),
        declared("mine", scopes={"slack": ["a"]}),
        declared("claimed"),
        declared("retyped", type="service"),
        declared("done"),
        declared("theirs"),
        declared("turning", deliver_to=("v",), rotation=BY_AGE),
        declared("turned", deliver_to=("v",), rotation=BY_AGE),
        sinks=(sink("v"),),
    )  # fmt: skip
    agents = [
        live("wider", scopes={"slack": ["a"]}, metadata={"n": {"x": 1, "z": {"f": 1, "e": 1}}}, mark=OURS),
        owned("narrower", scopes={"slack": ["a", "b"]}),
        owned("paused"),
        replace(owned("back"), status="inactive"),
        live("mine"),
        live("claimed", mark=mark_of(claim=claim_of())),
        owned("retyped"),
        owned("done"),
        live("theirs", mark=mark_of(owner="others")),
        owned("gone"),
        live("unmanaged"),
        live("turning", mark=mark_of(delivered=delivered_ago("t-1", age=30 * DAY, sinks=("v",)))),
        live("turned", mark=mark_of(delivered=delivered_ago("t-3", sinks=("v",)), retiring=("t-2",))),
    ]  # fmt: skip
    return desired, agents


# What has to be let through for it.
RICH_ALLOW = ("unowned=mine", "replace=retyped")

# What was read of keys, by name of agent.
RICH_KEYS = {
    "claimed": (),
    "turning": (aged_key("t-1", made=30 * DAY),),
    "turned": (
        aged_key("t-2", made=40 * DAY, deprecated=2 * DAY, used=3 * DAY),
        aged_key("t-3", made=2 * DAY, used=DAY / 2),
    ),
}
