"""What the configuration declares, after defaults, templates and loops are applied."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from reconciler.model.agent import AgentName, AgentStatus, AgentType
from reconciler.model.diagnostic import Position
from reconciler.model.scopes import Scopes
from reconciler.model.values import JsonObject

DEFAULT_BASE_URL = "https://backend.alterauth.com"
DEFAULT_API_KEY_ENV = "ALTER_API_KEY"


@dataclass(frozen=True, slots=True)
class AppRef:
    """Which Alter app the configuration is for, and where its key is found."""

    name: str
    id: str | None = None
    base_url: str | None = None
    api_key_env: str = DEFAULT_API_KEY_ENV


@dataclass(frozen=True, slots=True)
class RotationPolicy:
    """When an agent's keys rotate. ``max_age`` of ``None`` means never by age."""

    max_age: timedelta | None = None
    min_overlap: timedelta = timedelta(hours=24)
    max_overlap: timedelta = timedelta(days=14)
    quiet_for: timedelta = timedelta(hours=24)
    require_use: bool = True
    rotate_keys_before: datetime | None = None
    on_overdue: str = "warn"


@dataclass(frozen=True, slots=True)
class SinkRef:
    """One place where keys are delivered: its name, its type, and the type's own settings."""

    name: str
    type: str
    settings: JsonObject
    position: Position

    @property
    def is_readable(self) -> bool:
        """Whether it can tell which key it holds; the others are believed on their acknowledgement."""
        if self.type == "command":
            return bool(self.settings.get("read"))
        return self.type != "github_actions"


@dataclass(frozen=True, slots=True)
class CountLimit:
    """A guard's threshold: it refuses when more than ``count`` *and* more than ``percent`` are concerned."""

    count: int
    percent: float

    def exceeded(self, affected: int, total: int) -> bool:
        """Whether ``affected`` of ``total`` is too much at once."""
        return affected > self.count and affected * 100 > self.percent * total


@dataclass(frozen=True, slots=True)
class GuardSettings:
    """The thresholds of the guards, see docs of each in ``planning/guards.py``."""

    max_revocations: CountLimit = CountLimit(3, 10)
    max_changes: CountLimit = CountLimit(10, 50)
    max_scope_removals: CountLimit = CountLimit(10, 30)
    revoke_in_use: timedelta = timedelta(hours=24)
    sensitive_scopes: tuple[str, ...] = ()
    max_rotations_per_run: int = 50
    # Alter limits the live keys of an agent, and does not say at how many.
    key_cap: int = 5


@dataclass(frozen=True, slots=True)
class FreezeWindow:
    """No changes from ``start`` up to, not including, ``end`` (a day given as an end counts whole)."""

    start: datetime
    end: datetime
    reason: str
    position: Position


@dataclass(frozen=True, slots=True)
class DriftIgnore:
    """Drift that is known and not counted: ``agent`` and ``path`` are globs, ``until`` is its end if any."""

    agent: str
    path: str
    reason: str
    until: datetime | None
    position: Position


@dataclass(frozen=True, slots=True)
class DesiredAgent:
    """One declared agent. ``None`` means "not declared": that field is left as it is."""

    name: AgentName
    scopes: Scopes
    position: Position
    type: AgentType | None = None
    display_name: str | None = None
    status: AgentStatus = "active"
    metadata: JsonObject = field(default_factory=dict)
    policy: JsonObject | None = None
    protect: bool | None = None
    # The moment from which the agent counts as expired; for a day, the midnight (UTC) that ends it.
    expires_at: datetime | None = None
    rotation: RotationPolicy | None = None
    deliver_to: tuple[str, ...] = ()
    ignore: frozenset[str] = frozenset()
    narrowing_grace: timedelta | None = None
    # Paths of which the mark keeps what it says. Only a repair names any: it does not carry them out.
    left_alone: frozenset[str] = frozenset()
    # Where single fields stand, by path ("scopes", "scopes.google", "display_name", "metadata.team", …).
    positions: Mapping[str, Position] = field(default_factory=dict)

    def position_of(self, path: str) -> Position:
        """The place of a field, or of its nearest declared parent, or of the agent itself."""
        while path:
            if path in self.positions:
                return self.positions[path]
            path = path.rpartition(".")[0]
        return self.position


@dataclass(frozen=True, slots=True)
class Desired:
    """One whole configuration."""

    owner: str
    app: AppRef
    agents: Mapping[AgentName, DesiredAgent]
    # The place of the `agents` key, for what concerns no single agent.
    position: Position
    former_owners: tuple[str, ...] = ()
    sinks: Mapping[str, SinkRef] = field(default_factory=dict)
    guards: GuardSettings = GuardSettings()
    freeze: tuple[FreezeWindow, ...] = ()
    ignore_drift: tuple[DriftIgnore, ...] = ()
