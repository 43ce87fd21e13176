"""Checks what the schema cannot say about the fields of agents, where they are written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import timedelta

from reconciler.config.combine import Combined, Entry
from reconciler.config.findings import Findings, shown
from reconciler.config.times import parse_duration, parse_moment, written
from reconciler.model.mark import MARK_KEY
from reconciler.model.scopes import LEGACY_PROVIDER, SLUGS_PROVIDER
from reconciler.model.values import JsonObject

# alter-sdk 0.29: grace_seconds is 0 to 604,800.
MAX_GRACE = timedelta(days=7)
# `last_used_at` is written lazily: useful in hours, not in minutes.
MIN_QUIET = timedelta(hours=1)
ROTATION_DURATIONS = ("max_age", "min_overlap", "max_overlap", "quiet_for")


def lint(combined: Combined, findings: Findings) -> None:
    """Checks defaults, templates, policies and agents, used or not."""
    for policy in combined.policies.values():
        _lint_rotation_fields(policy, (), policy.data, findings=findings)
    for entry in (*filter(None, (combined.defaults,)), *combined.templates.values(), *combined.agents):
        fields = entry.data or {}
        if "rotation" in fields:
            _lint_rotation(entry, combined, findings)
        if "scopes" in fields:
            _lint_scopes(entry, fields["scopes"] or {}, findings)
        if MARK_KEY in (fields.get("metadata") or {}):
            at = entry.place("metadata", MARK_KEY, prefers_key=True)
            hint = "Remove it: alter-sync keeps its own notes there."
            findings.error("reserved-metadata-key", f"the metadata key {MARK_KEY} is reserved", at, hint=hint)
        if fields.get("narrowing_grace") is not None:
            grace = lint_duration(entry, ("narrowing_grace",), fields["narrowing_grace"], findings=findings)
            if grace is not None and grace > MAX_GRACE:
                message = f"narrowing_grace is {written(grace)}; allowed: 0s to 7d"
                findings.error("out-of-range", message, entry.place("narrowing_grace"))
        if fields.get("expires_at") is not None:
            lint_moment(entry, ("expires_at",), fields["expires_at"], findings=findings)
        if isinstance(fields.get("deliver_to"), list):
            _lint_repetition(entry, ("deliver_to",), fields["deliver_to"], findings=findings)
        for index, ignored in enumerate(fields.get("ignore") or ()):
            if isinstance(ignored, dict) and "until" in ignored:
                lint_moment(entry, ("ignore", index, "until"), ignored["until"], findings=findings)


def lint_duration(
    entry: Entry, path: tuple[str | int, ...], text: str, *, findings: Findings
) -> timedelta | None:
    """The duration, or a finding that it is longer than anything that makes sense."""
    duration = parse_duration(text)
    if duration is None:
        message = f"{path[-1]} is {shown(text)}; durations are at most 100 years"
        findings.error("bad-duration", message, entry.place(*path))
    return duration


def lint_moment(entry: Entry, path: tuple[str | int, ...], text: str, *, findings: Findings) -> None:
    """Reports a day or a time that the calendar does not have."""
    if parse_moment(text, ends_day=True) is None:
        message = f"{path[-1]} is {shown(text)}: the calendar has no such day or time"
        findings.error("bad-date", message, entry.place(*path))


def overlap_fits(fields: JsonObject) -> bool:
    """Whether ``min_overlap`` is at most ``max_overlap``, their defaults included."""
    low, high = fields.get("min_overlap") or "24h", fields.get("max_overlap") or "14d"
    shortest, longest = parse_duration(low), parse_duration(high)
    return shortest is None or longest is None or shortest <= longest


def _lint_rotation(entry: Entry, combined: Combined, findings: Findings) -> None:
    rotation = entry.data["rotation"]
    name = rotation.get("policy") if isinstance(rotation, dict) else rotation
    path = ("rotation", "policy") if isinstance(rotation, dict) else ("rotation",)
    known: Mapping[str, Entry] = combined.policies
    if name is not None and name not in known and not combined.is_broken("rotation_policies", name):
        otherwise = "There are none: add `rotation_policies`."
        hint = findings.suggest(name, known, listing="There are", otherwise=otherwise)
        findings.error(
            "unknown-policy", f"there is no rotation policy {shown(name)}", entry.place(*path), hint=hint
        )
    if isinstance(rotation, dict):
        _lint_rotation_fields(entry, ("rotation",), rotation, findings=findings)


def _lint_rotation_fields(
    entry: Entry, path: tuple[str, ...], fields: JsonObject, *, findings: Findings
) -> None:
    for name in ROTATION_DURATIONS:
        if fields.get(name) is None:
            continue
        duration = lint_duration(entry, (*path, name), fields[name], findings=findings)
        if name == "quiet_for" and duration is not None and duration < MIN_QUIET:
            message = f"quiet_for is {written(duration)}; it has to be at least 1h"
            hint = "The time of last use is written lazily: within an hour it proves nothing."
            findings.error("out-of-range", message, entry.place(*path, name), hint=hint)
        if name == "max_age" and duration == timedelta(0):
            hint = "Use `rotate_keys_before` to rotate everything once."
            findings.error(
                "out-of-range", "max_age has to be more than 0s", entry.place(*path, name), hint=hint
            )
    if fields.get("rotate_keys_before") is not None:
        lint_moment(entry, (*path, "rotate_keys_before"), fields["rotate_keys_before"], findings=findings)
    if not path and not overlap_fits(fields):
        findings.error("overlap-order", "min_overlap is longer than max_overlap", entry.at)


def _lint_scopes(entry: Entry, scopes: JsonObject, findings: Findings) -> None:
    for provider, names in scopes.items():
        if names is not None:
            _lint_repetition(entry, ("scopes", provider), names, findings=findings)
    if scopes.get(LEGACY_PROVIDER) is not None:
        message = f"Alter accepts no new entries under {LEGACY_PROVIDER}; those that it stores may stay"
        at = entry.place("scopes", LEGACY_PROVIDER, prefers_key=True)
        findings.warning("legacy-secrets", message, at, hint=f"Use {SLUGS_PROVIDER}.")


def _lint_repetition(entry: Entry, path: tuple[str, ...], names: list[str], *, findings: Findings) -> None:
    if len(set(names)) == len(names):
        return
    counts = Counter[str]()
    for index, name in enumerate(names):
        counts[name] += 1
        if counts[name] == 2:
            message = f"{shown(name)} stands here more than once"
            findings.warning(
                "repeated-item", message, entry.place(*path, index), hint="Remove the repetition."
            )
