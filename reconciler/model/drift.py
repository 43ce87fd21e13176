"""Drift: what somebody else did to what a configuration owns, as a value."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, get_args

from reconciler.model.activity import AuditEvent
from reconciler.model.agent import AgentId, AgentName
from reconciler.model.desired import DriftIgnore
from reconciler.model.diagnostic import Position
from reconciler.model.key import KeyId
from reconciler.model.plan import Effect
from reconciler.model.shard import EVERYTHING, Shard
from reconciler.model.values import Json

DRIFT_FORMAT = "alter-sync.drift/1"

DriftKind = Literal[
    "agent_revoked_outside",  # declared, was ours, and somebody revoked it
    "changed_outside",  # a field of an owned agent is not what was applied last
    "key_minted_outside",  # a live key that no sink holds and the mark does not know
    "key_revoked_outside",  # a key that the mark knows as live is revoked or gone
    "key_deprecated_outside",  # the delivered key is marked as to be retired
    "orphaned_key",  # a live key of a run of ours that was cut off
    "unmarked_agent",  # declared, live, not as declared, and without a mark of this owner
    "shadow_agent",  # at work in this app, and neither declared nor known
    "not_applied",  # the configuration is ahead of what was applied last
    "unused_agent",  # owned, and not used for a month
]
DRIFT_KINDS: tuple[DriftKind, ...] = get_args(DriftKind)
# Reported, but no drift: nobody did anything outside.
NOTICES = frozenset[DriftKind]({"not_applied", "unused_agent"})

# The path of a finding about our mark itself, which whoever replaces an agent's metadata takes away.
MARK_PATH = "mark"

Severity = Literal["high", "medium", "low"]
SEVERITIES: tuple[Severity, ...] = get_args(Severity)


@dataclass(frozen=True, slots=True)
class DriftFinding:
    """One difference. ``path`` says what of the agent: a field, ``keys``, ``mark``, or ``agent`` for it all.

    ``live`` is what it is now and ``declared`` what the configuration says; ``None`` is "no value". ``event``
    is what the audit feed tells of it, ``None`` when there is no feed or it knows nothing.
    """

    kind: DriftKind
    severity: Severity
    agent: AgentName
    path: str
    message: str
    agent_id: AgentId | None = None
    live: Json = None
    declared: Json = None
    effect: Effect = "neutral"
    key_id: KeyId | None = None
    event: AuditEvent | None = None
    source: Position | None = None
    # Whether the configuration moved as well, so that what was applied last cannot be put back.
    is_both: bool = False
    # Whether a run of ours was cut off there, which a whole apply has to see to first.
    is_after_cut_off: bool = False

    @property
    def id(self) -> str:
        """The same for the same difference, whatever its values are."""
        # What shadow agents are called is their own affair: two may have one name.
        who = self.live["actor_id"] if self.kind == "shadow_agent" else self.agent
        return ":".join((self.kind, who, self.key_id or self.path))

    @property
    def is_drift(self) -> bool:
        """Whether somebody did something outside; the others are notices."""
        return self.kind not in NOTICES


@dataclass(frozen=True, slots=True)
class IgnoredDrift:
    """A finding that is not counted, and why: a rule of the configuration, or a baseline."""

    finding: DriftFinding
    reason: str
    rule: DriftIgnore | None = None


@dataclass(frozen=True, slots=True)
class Drift:
    """Everything that was found, gravest first. ``feed`` is empty, or says what is not told, and why."""

    owner: str
    app: str
    seen_at: datetime
    findings: tuple[DriftFinding, ...] = ()
    ignored: tuple[IgnoredDrift, ...] = ()
    unmanaged: tuple[AgentName, ...] = ()
    in_sync: int = 0
    feed: str = ""
    # What the check was limited to.
    targets: tuple[str, ...] = ()
    shard: Shard = EVERYTHING

    @property
    def has_drift(self) -> bool:
        """Whether anything counts as drift."""
        return any(finding.is_drift for finding in self.findings)

    def summary(self) -> Mapping[str, int]:
        """How many findings of each kind and severity, what is ignored, unmanaged and in order."""
        kinds = Counter(finding.kind for finding in self.findings)
        severities = Counter(finding.severity for finding in self.findings if finding.is_drift)
        return {
            "drift": sum(finding.is_drift for finding in self.findings),
            **{severity: severities[severity] for severity in SEVERITIES},
            **{kind: kinds[kind] for kind in DRIFT_KINDS},
            "ignored": len(self.ignored),
            "unmanaged": len(self.unmanaged),
            "in_sync": self.in_sync,
        }
