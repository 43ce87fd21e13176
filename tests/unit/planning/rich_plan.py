"""Inputs that give a plan with something of everything."""

from __future__ import annotations

from dataclasses import replace

from reconciler.model.agent import LiveAgent
from reconciler.model.desired import Desired
from tests.support.builders import claim_of, configuration, declared, live, mark_of, owned

OURS = mark_of()


def rich() -> tuple[Desired, list[LiveAgent]]:
    """A configuration and live agents that give a plan with something of everything."""
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
    ]  # fmt: skip
    return desired, agents


# What has to be let through for it.
RICH_ALLOW = ("unowned=mine", "replace=retyped")
