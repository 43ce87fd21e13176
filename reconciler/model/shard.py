"""One of several parts of all agents, so that several jobs can share the work."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256


@dataclass(frozen=True, slots=True)
class Shard:
    """Part ``index`` of ``count``, counted from 1; the whole is one part of one.

    Which part an agent is in depends on its name and the count alone: new agents move no others.
    """

    index: int = 1
    count: int = 1

    @property
    def is_whole(self) -> bool:
        """Whether every agent is in it."""
        return self.count == 1

    def holds(self, name: str) -> bool:
        """Whether the agent of this name is in it."""
        digest = sha256(name.encode("utf-8", "surrogatepass")).digest()
        return int.from_bytes(digest[:8], "big") % self.count == self.index - 1

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"


EVERYTHING = Shard()
