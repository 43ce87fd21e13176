"""Small states of one agent's keys, with times given as ages."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from reconciler.model.agent import AgentName
from reconciler.model.desired import RotationPolicy
from reconciler.model.key import AgentKey
from reconciler.model.mark import Claim, Delivered
from reconciler.planning.key_facts import KeyFacts
from reconciler.planning.rotation import KeyStep, Rotation
from tests.support.builders import NOW, aged_key, delivered_ago, mark_of

SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)

# The delivered key of these states: of two days, delivered a day ago, used half a day ago.
NEWER = aged_key("k-1", made=2 * DAY, used=DAY / 2)
DELIVERED = delivered_ago("k-1")
# An older one that may go: deprecated for two days, quiet for three.
OLDER = aged_key("k-0", made=40 * DAY, deprecated=2 * DAY, used=3 * DAY)


def state(
    *keys: AgentKey,
    delivered: Delivered | None = DELIVERED,
    claim: Claim | None = None,
    retiring: Iterable[str] = ("k-0",),
    policy: RotationPolicy | None = None,
    sinks: tuple[str, ...] = ("vault",),
    now: datetime = NOW,
    **more: Any,
) -> KeyFacts:
    """What is known of ``alpha``'s keys; ``more`` are further fields."""
    mark = mark_of(delivered=delivered, claim=claim, retiring=retiring)
    policy = policy or RotationPolicy()
    return KeyFacts(AgentName("alpha"), keys, mark, now, policy, sinks, **more)


def older(**changes: Any) -> AgentKey:
    """``OLDER`` with some fields changed."""
    return replace(OLDER, **changes)


def policy(**fields: Any) -> RotationPolicy:
    return RotationPolicy(**fields)


def step_of(rotation: Rotation, key_id: str) -> KeyStep:
    """The step of one key."""
    [step] = [step for step in rotation.steps if step.key.key_id == key_id]
    return step


def actions(rotation: Rotation) -> dict[str, str]:
    """The next action of each key."""
    return {step.key.key_id: step.action for step in rotation.steps}
