"""Which agents a command is about: by name, by glob, by part."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from fnmatch import fnmatchcase

from reconciler.model.plan import Blocked
from reconciler.model.shard import Shard


def matches(name: str, targets: Collection[str]) -> bool:
    """Whether a name is one of the targets, or matches one that is a glob."""
    return any(name == target or fnmatchcase(name, target) for target in targets)


def refused_in(shard: Shard, blocked: Iterable[Blocked]) -> tuple[Blocked, ...]:
    """What was refused of the agents in a part; what is of no agent is of every part."""
    return tuple(entry for entry in blocked if entry.agent is None or shard.holds(entry.agent))
