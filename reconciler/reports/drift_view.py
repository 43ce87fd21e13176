"""The neutral view of drift that every report is made from: what was done, by whom, and what is to be done.

Its texts are as the API and the configuration gave them. Whoever shows one escapes it for the place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from reconciler.model.drift import MARK_PATH, SEVERITIES, Drift, DriftFinding, DriftKind, Severity
from reconciler.model.plan import Change
from reconciler.planning.fingerprint import canonical
from reconciler.reports.changes import ChangeView, ValueChange, change_view
from reconciler.reports.view import moment_text

_COUNTED: Mapping[DriftKind, tuple[str, str]] = {
    "agent_revoked_outside": ("agent revoked outside", "agents revoked outside"),
    "changed_outside": ("field changed outside", "fields changed outside"),
    "key_minted_outside": ("key minted outside", "keys minted outside"),
    "key_revoked_outside": ("key revoked outside", "keys revoked outside"),
    "key_deprecated_outside": ("key deprecated outside", "keys deprecated outside"),
    "orphaned_key": ("orphaned key", "orphaned keys"),
    "unmarked_agent": ("field of an unmarked agent", "fields of unmarked agents"),
    "shadow_agent": ("shadow agent", "shadow agents"),
}
_HEADINGS: Mapping[Severity, str] = {
    "high": "High: somebody may do more than declared, or a workload has no key",
    "medium": "Medium: less than declared, or a key that nobody holds",
    "low": "Low: everything else that was changed outside",
}
# What `apply --only-drift` does something about.
_REPAIRED = frozenset[DriftKind](
    {"changed_outside", "key_minted_outside", "key_revoked_outside", "key_deprecated_outside"}
)


@dataclass(frozen=True, slots=True)
class Doing:
    """What the audit feed tells of a change: who did it, when, and what the feed calls it."""

    actor: str
    at: str
    action: str


@dataclass(frozen=True, slots=True)
class DriftFindingView:
    """One difference as it is read.

    ``change`` goes from what is declared to what is live; of what is not applied yet, from live to declared.
    It is ``None`` where ``message`` says it all. ``message`` is empty where the change does. Of an agent that
    no place declares only ``change.after`` is known: what it was before is known by a fingerprint alone.
    """

    finding: DriftFinding
    path: str
    change: ChangeView | None
    message: str
    doing: Doing | None
    is_undeclared: bool

    @property
    def is_grave(self) -> bool:
        """Whether no report may leave it out: somebody may do more, or an agent is gone."""
        return self.finding.effect == "widening" or self.finding.kind in {
            "agent_revoked_outside",
            "shadow_agent",
        }


@dataclass(frozen=True, slots=True)
class DriftSection:
    """Findings under one heading."""

    title: str
    findings: tuple[DriftFindingView, ...]
    is_drift: bool


@dataclass(frozen=True, slots=True)
class DriftView:
    """Drift as it is read, gravest first; sections with nothing in them are left out.

    ``repair`` is the command that puts back what can be put back; empty when there is nothing.
    """

    counts: str
    sections: tuple[DriftSection, ...]
    next_step: str
    repair: str


def drift_view_of(drift: Drift, *, command: str) -> DriftView:
    """The view of drift. ``command`` is how this user would call apply."""
    found = [finding for finding in drift.findings if finding.is_drift]
    sections = [
        _section(_HEADINGS[severity], [one for one in found if one.severity == severity])
        for severity in SEVERITIES
    ]
    sections += [
        _section("Not applied yet: the configuration is ahead", _of_kind(drift, "not_applied")),
        _section("Unused agents", _of_kind(drift, "unused_agent")),
    ]
    repair = f"{command} --only-drift" if any(map(_is_repaired, drift.findings)) else ""
    return DriftView(
        counts=_counts(drift),
        sections=tuple(section for section in sections if section.findings),
        next_step=_next_step(drift, command),
        repair=repair,
    )


def path_of(finding: DriftFinding) -> str:
    """What of the agent differs, in a word."""
    return finding.path


def _of_kind(drift: Drift, kind: DriftKind) -> Sequence[DriftFinding]:
    return [finding for finding in drift.findings if finding.kind == kind]


def _section(title: str, findings: Sequence[DriftFinding]) -> DriftSection:
    return DriftSection(
        title, tuple(map(finding_view, findings)), any(finding.is_drift for finding in findings)
    )


def finding_view(finding: DriftFinding) -> DriftFindingView:
    """How one difference is read."""
    is_undeclared = _is_undeclared(finding)
    change = None
    if not finding.key_id and finding.path not in {"agent", MARK_PATH}:
        change = _change(finding, is_undeclared=is_undeclared)
    says_more = change is None or finding.is_both or is_undeclared or finding.kind == "unmarked_agent"
    return DriftFindingView(
        finding=finding,
        path=path_of(finding),
        change=change,
        message=finding.message if says_more else "",
        doing=_doing(finding),
        is_undeclared=is_undeclared,
    )


def _change(finding: DriftFinding, *, is_undeclared: bool) -> ChangeView:
    before, after = finding.declared, finding.live
    if finding.kind == "not_applied":
        before, after = after, before
    if finding.is_both and isinstance(before, list) and isinstance(after, list):
        # What is declared and not live was perhaps never granted, so nobody took it away.
        before = [name for name in before if name in after]
    if is_undeclared:
        return ValueChange(finding.path, finding.effect, "", None, canonical(after))
    return change_view(Change(finding.path, before, after, finding.effect), "update_agent")


def _is_undeclared(finding: DriftFinding) -> bool:
    """Whether it is about an agent that no place of the configuration declares."""
    return finding.kind == "changed_outside" and finding.source is None


def _doing(finding: DriftFinding) -> Doing | None:
    event = finding.event
    if event is None:
        return None
    return Doing(event.actor or "somebody whom the feed does not name", moment_text(event.at), event.action)


def _counts(drift: Drift) -> str:
    summary = drift.summary()
    found = [
        f"{summary[kind]} {names[summary[kind] != 1]}" for kind, names in _COUNTED.items() if summary[kind]
    ]
    rest = {
        "not applied yet": summary["not_applied"],
        "unused": summary["unused_agent"],
        "ignored": summary["ignored"],
        "in sync": summary["in_sync"],
        "unmanaged": summary["unmanaged"],
    }
    parts = [", ".join(found) or "none", *(f"{count} {what}" for what, count in rest.items() if count)]
    return "Drift: " + "; ".join(parts)


def _next_step(drift: Drift, command: str) -> str:
    kinds = {finding.kind for finding in drift.findings if not _is_undeclared(finding)}
    if any(map(_is_repaired, drift.findings)):
        return f"Run `{command} --only-drift` to put back what was changed outside, and nothing else."
    if "unmarked_agent" in kinds:
        return "A person has to decide whose agents these are: `alter-sync adopt NAME` takes one over."
    if "agent_revoked_outside" in kinds:
        return f"Run `{command}` to create again what was revoked, with new keys."
    if "orphaned_key" in kinds:
        return f"Run `{command}` to finish what a run of this tool left behind."
    if drift.has_drift:
        return "What differs needs a person: apply does not put it back by itself."
    if "not_applied" in kinds:
        return f"No drift. Run `{command}` to apply what the configuration is ahead of."
    return "No drift: nothing was changed outside."


def _is_repaired(finding: DriftFinding) -> bool:
    if finding.kind == "orphaned_key":
        return finding.event is not None  # without a claim, which is for a whole apply to end
    if finding.is_after_cut_off:
        return False
    return finding.kind in _REPAIRED and finding.source is not None and finding.path != MARK_PATH
