"""Drift as text for a terminal: what somebody did, the gravest first, and who; then the notices."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from reconciler.model.drift import MARK_PATH, SEVERITIES, Drift, DriftFinding, DriftKind, Severity
from reconciler.planning.fingerprint import canonical
from reconciler.reports.columns import display_width, fit, join, pad, wrap
from reconciler.reports.escaping import COMMAND_LIMIT, MESSAGE_LIMIT, TEXT_LIMIT, for_terminal
from reconciler.reports.styles import Style
from reconciler.reports.view import moment_text

_COUNTED: Mapping[DriftKind, tuple[str, str]] = {
    "agent_revoked_outside": ("agent revoked outside", "agents revoked outside"),
    "changed_outside": ("field changed outside", "fields changed outside"),
    "key_minted_outside": ("key minted outside", "keys minted outside"),
    "key_revoked_outside": ("key revoked outside", "keys revoked outside"),
    "key_deprecated_outside": ("key deprecated outside", "keys deprecated outside"),
    "orphaned_key": ("orphaned key", "orphaned keys"),
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
_FIRST_NAMES = 10
_FIRST_FINDINGS = 200
_LIST_WIDTH = 100
_WIDEST_NAME = 40
_WIDEST_PATH = 40


def drift_text(drift: Drift, *, style: Style, width: int | None, verbose: bool, command: str) -> str:
    """The whole report. ``command`` is how this user would call apply."""
    page = _Page(style, width, verbose)
    found = [finding for finding in drift.findings if finding.is_drift]
    sections = [[style.bold(_counts(drift))]]
    for severity in SEVERITIES:
        chosen = [finding for finding in found if finding.severity == severity]
        sections.append(page.findings(_HEADINGS[severity], chosen))
    pending = [finding for finding in drift.findings if finding.kind == "not_applied"]
    unused = [finding for finding in drift.findings if finding.kind == "unused_agent"]
    sections += [
        page.findings("Not applied yet: the configuration is ahead", pending),
        page.findings("Unused agents", unused),
        _ignored(page, drift),
        _unmanaged(page, drift),
        [f"Not told: {for_terminal(drift.feed, limit=MESSAGE_LIMIT)}"] if drift.feed else [],
        [for_terminal(_next_step(drift, command), limit=COMMAND_LIMIT)],
    ]
    return "\n\n".join("\n".join(lines) for lines in sections if lines)


@dataclass(frozen=True, slots=True)
class _Page:
    style: Style
    width: int | None
    verbose: bool

    def findings(self, heading: str, findings: Sequence[DriftFinding]) -> list[str]:
        """A section; nothing when there is nothing in it."""
        if not findings:
            return []
        shown = findings if self.verbose else findings[:_FIRST_FINDINGS]
        names = min(max(display_width(for_terminal(f.agent)) for f in shown), _WIDEST_NAME)
        paths = min(max(display_width(for_terminal(_path(f))) for f in shown), _WIDEST_PATH)
        lines = [self.heading(heading, len(findings))]
        for finding in shown:
            start = f"  {pad(for_terminal(finding.agent), names)}  {pad(for_terminal(_path(finding)), paths)}"
            room = None if self.width is None or self.verbose else self.width - display_width(start) - 2
            first, *more = _told(finding, self.style, room=room)
            lines.append(join([start, first]))
            lines += [" " * 6 + line for line in more]
        return [*lines, *_left_out(len(findings) - len(shown))]

    def heading(self, title: str, count: int) -> str:
        return self.style.bold(f"{title} ({count})")


def _path(finding: DriftFinding) -> str:
    return "key" if finding.key_id else finding.path


def _told(finding: DriftFinding, style: Style, *, room: int | None) -> list[str]:
    """What was done, and below it by whom. Values go from what is declared to what is live."""
    who = _who(finding)
    more = [style.dim(who)] if who else []
    message = for_terminal(finding.message, limit=MESSAGE_LIMIT)
    if finding.key_id:
        return [f"{for_terminal(finding.key_id)}: {message}", *more]
    if finding.path in {"agent", MARK_PATH}:
        return [message, *more]
    if finding.is_both or _is_undeclared(finding):
        more.insert(0, message)
    if _is_undeclared(finding):  # what it was before is known by a fingerprint alone
        return [f"now {_fitted(finding.live, max((room or TEXT_LIMIT) - 4, 10))}", *more]
    if finding.kind == "not_applied":
        return [_change(finding, finding.live, finding.declared, style, room=room), *more]
    return [_change(finding, finding.declared, finding.live, style, room=room), *more]


def _is_undeclared(finding: DriftFinding) -> bool:
    """Whether it is about an agent that no place of the configuration declares."""
    return finding.kind == "changed_outside" and finding.source is None


def _change(finding: DriftFinding, before: object, after: object, style: Style, *, room: int | None) -> str:
    if (
        finding.path.startswith("scopes.")
        and isinstance(before or [], list)
        and isinstance(after or [], list)
    ):
        old, new = set(_texts(before)), set(_texts(after))
        gained = [style.green(f"+ {for_terminal(name)}") for name in sorted(new - old)]
        lost = [style.red(f"− {for_terminal(name)}") for name in sorted(old - new)]
        return join([*gained, *lost])
    half = (room or TEXT_LIMIT) // 2 - 2
    texts = [_fitted(value, max(half, 10)) for value in (before, after)]
    return f"{style.red(texts[0])} → {style.green(texts[1])}"


def _texts(value: object) -> Iterable[str]:
    return map(str, value) if isinstance(value, list | tuple) else ()


def _fitted(value: object, room: int) -> str:
    return "no value" if value is None else fit(for_terminal(canonical(value), limit=MESSAGE_LIMIT), room)


def _who(finding: DriftFinding) -> str:
    event = finding.event
    if event is None:
        return ""
    actor = for_terminal(event.actor) if event.actor else "somebody whom the feed does not name"
    return f"by {actor} at {moment_text(event.at)} ({for_terminal(event.action)})"


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


def _ignored(page: _Page, drift: Drift) -> list[str]:
    if not drift.ignored:
        return []
    shown = drift.ignored if page.verbose else drift.ignored[:_FIRST_NAMES]
    lines = [page.heading("Ignored", len(drift.ignored))]
    for entry in shown:
        until = f", until {moment_text(entry.rule.until)}" if entry.rule and entry.rule.until else ""
        what = f"{for_terminal(entry.finding.agent)}  {for_terminal(_path(entry.finding))}"
        lines.append(f"  {what}  {for_terminal(entry.reason)}{until}")
    return [*lines, *_left_out(len(drift.ignored) - len(shown))]


def _unmanaged(page: _Page, drift: Drift) -> list[str]:
    if not drift.unmanaged:
        return []
    shown = drift.unmanaged if page.verbose else drift.unmanaged[:_FIRST_NAMES]
    lines = wrap([*map(for_terminal, shown)], indent=2, width=page.width or _LIST_WIDTH)
    heading = page.heading("Unmanaged: live, and left alone", len(drift.unmanaged))
    return [heading, *(f"  {join(line)}" for line in lines), *_left_out(len(drift.unmanaged) - len(shown))]


def _left_out(count: int) -> list[str]:
    return [f"  … and {count} more"] if count else []


def _next_step(drift: Drift, command: str) -> str:
    kinds = {finding.kind for finding in drift.findings if not _is_undeclared(finding)}
    if any(map(_is_repaired, drift.findings)):
        return f"Run `{command} --only-drift` to put back what was changed outside, and nothing else."
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
    return finding.kind in _REPAIRED and finding.source is not None and finding.path != MARK_PATH
