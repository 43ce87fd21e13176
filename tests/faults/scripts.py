"""Scripts of misfortune: which requests of a scenario fail, and how. Each is data, and its name says it all.

`create/merging/drop-after@2+stale@3..` is the scenario `create` on a server that merges metadata; the answer
to the second request is lost, and every GET from the third on is answered from the past. The environment
variable ALTER_SYNC_FAULTS says how many are played: a part of them when it is not set, `all`, or one by name.
What is drawn by lot is drawn from ALTER_SYNC_SEED, a number, 0 when it is not set.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from reconciler.sandbox.faults import Fault
from tests.faults.scenarios import SCENARIOS, Scenario
from tests.support.fleet import LATE_SECONDS

T = TypeVar("T")

CHOICE = os.environ.get("ALTER_SYNC_FAULTS", "")
PLAY_ALL = CHOICE == "all"
SEED = int(os.environ.get("ALTER_SYNC_SEED", "0"))

KINDS: Mapping[str, Fault] = {
    "drop-before": Fault("drop_before"),
    "drop-after": Fault("drop_after"),
    "truncate": Fault("truncate"),
    "html-before": Fault("html"),
    "html-after": Fault("html", after_commit=True),
    "500-before": Fault("status", status=500),
    "500-after": Fault("status", status=500, after_commit=True),
    "503-before": Fault("status", status=503, headers={"retry-after": "1"}),
    "503-after": Fault("status", status=503, after_commit=True),
    "429": Fault("status", status=429, body={"error": "rate_limit_exceeded", "retry_after": 2}),
    "409": Fault("status", status=409, body={"error": "agent_concurrent_update", "message": "moved"}),
    "403": Fault("status", status=403, body={"error": "insufficient_scope", "missing": ["agents:write"]}),
    "401": Fault("status", status=401, body={"error": "invalid_key", "message": "no such key"}),
    "stale": Fault("stale"),
    "late": Fault("delay", seconds=LATE_SECONDS),
}

SERVERS: Mapping[str, Mapping[str, Any]] = {
    "plain": {},
    "merging": {"metadata_merge": True},
    "unversioned": {"honours_version_without_scopes": False},
    "merging-unversioned": {"metadata_merge": True, "honours_version_without_scopes": False},
}
"""Settings of the sandbox, for what is not documented of Alter."""

# A disturbed run makes more requests than an undisturbed one: it repeats, and it looks.
_EXTRA_CALLS = 6


@dataclass(frozen=True, slots=True)
class Hit:
    """A kind of fault at one request, the first being 1, or from there on for ever."""

    kind: str
    nth: int
    forever: bool = False

    def __str__(self) -> str:
        return f"{self.kind}@{self.nth}{'..' if self.forever else ''}"

    @classmethod
    def parse(cls, text: str) -> Hit:
        kind, _, place = text.partition("@")
        return cls(kind, int(place.removesuffix("..")), forever=place.endswith(".."))

    def fault(self) -> Fault:
        return replace(KINDS[self.kind], nth=self.nth, times=None if self.forever else 1)


@dataclass(frozen=True, slots=True)
class Script:
    """One story with its faults."""

    scenario: str
    server: str
    hits: tuple[Hit, ...]

    def __str__(self) -> str:
        return f"{self.scenario}/{self.server}/{'+'.join(map(str, self.hits))}"

    @classmethod
    def parse(cls, text: str) -> Script:
        scenario, server, hits = text.split("/")
        return cls(scenario, server, tuple(Hit.parse(hit) for hit in hits.split("+")))

    @property
    def is_late(self) -> bool:
        """Whether requests come after the client has given them up: that takes one without patience."""
        return any(hit.kind == "late" for hit in self.hits)

    @property
    def misleads(self) -> bool:
        """Whether a run can end well as far as it knows, and not be at its goal all the same."""
        return self.is_late or any(hit.kind == "stale" for hit in self.hits)


def single_faults(scenario: Scenario, server: str) -> Iterator[Script]:
    """Every kind at every request, once and for ever."""
    for kind in KINDS:
        for nth in range(1, 1 + (scenario.reads if kind == "stale" else scenario.calls)):
            for forever in (False, True):
                yield Script(scenario.name, server, (Hit(kind, nth, forever),))


def pair_of_faults(seed: int) -> Script:
    """Two faults, one after the other, in a story: all drawn from the seed."""
    draw = random.Random(seed)
    scenario = draw.choice(list(SCENARIOS.values()))
    first = Hit(draw.choice(list(KINDS)), draw.randint(1, scenario.calls))
    kind = draw.choice(list(KINDS))
    # Only reads can be answered from the past, and only they count then.
    earliest, latest = (1, scenario.reads) if kind == "stale" else (first.nth + 1, scenario.calls)
    second = Hit(kind, draw.randint(earliest, latest + _EXTRA_CALLS), forever=draw.random() < 0.3)
    return Script(scenario.name, draw.choice(list(SERVERS)), (first, second))


def pairs_of_faults(count: int) -> tuple[Script, ...]:
    """So many different pairs, by the seed of this session."""
    pairs = map(pair_of_faults, range(SEED, SEED + 2 * count))
    return tuple(dict.fromkeys(pairs))[:count]


def sample(plans: Sequence[T], *, one_in: int) -> Sequence[T]:
    """A part of the plans that is the same each time, mixed from all over; all of them when asked for."""
    if PLAY_ALL:
        return plans
    return random.Random(len(plans) + SEED).sample(plans, k=-(-len(plans) // one_in))
