"""Reads what concerns no single agent: rotation policies, guards, freeze windows, ignored drift."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from reconciler.config.combine import Entry
from reconciler.config.findings import Findings, shown
from reconciler.config.lint import ROTATION_DURATIONS, lint_duration, lint_moment
from reconciler.config.times import parse_duration, parse_moment
from reconciler.model.desired import CountLimit, DriftIgnore, FreezeWindow, GuardSettings, RotationPolicy
from reconciler.model.values import Json, JsonObject


def rotation_fields(layers: Iterable[Json], policies: Mapping[str, Entry]) -> JsonObject | None:
    """Folds the layers of one agent's ``rotation``: a name starts anew, a mapping overrides.

    ``None`` when a layer names a policy that does not exist, which ``lint`` reports.
    """
    fields: JsonObject = {}
    for layer in layers:
        own = {"policy": layer} if isinstance(layer, str) else layer
        if own.get("policy") is not None:
            if own["policy"] not in policies:
                return None
            fields = policies[own["policy"]].data
        merged = {**fields, **own}
        fields = {key: value for key, value in merged.items() if value is not None and key != "policy"}
    return fields


def rotation_policy(fields: JsonObject) -> RotationPolicy:
    """The policy of such fields. What was reported as wrong is left at its default."""
    durations: dict[str, timedelta] = {}
    for name in ROTATION_DURATIONS:
        if fields.get(name) is not None and (duration := parse_duration(fields[name])) is not None:
            durations[name] = duration
    before = fields.get("rotate_keys_before")
    policy = RotationPolicy(
        require_use=fields.get("require_use", True),
        rotate_keys_before=None if before is None else parse_moment(before, ends_day=False),
        on_overdue=fields.get("on_overdue", "warn"),
    )
    return replace(policy, **durations)  # type: ignore[arg-type]


def guard_settings(entry: Entry | None, findings: Findings) -> GuardSettings:
    """The thresholds, those that are not declared at their defaults."""
    default = GuardSettings()
    if entry is None:
        return default
    data: JsonObject = entry.data
    in_use = default.revoke_in_use
    if "revoke_in_use" in data:
        read = lint_duration(entry, ("revoke_in_use",), data["revoke_in_use"], findings=findings)
        in_use = in_use if read is None else read
    return GuardSettings(
        max_revocations=_limit(data.get("max_revocations"), default.max_revocations),
        max_changes=_limit(data.get("max_changes"), default.max_changes),
        max_scope_removals=_limit(data.get("max_scope_removals"), default.max_scope_removals),
        revoke_in_use=in_use,
        sensitive_scopes=tuple(sorted(set(data.get("sensitive_scopes", ())))),
        max_rotations_per_run=data.get("max_rotations_per_run", default.max_rotations_per_run),
        key_cap=data.get("key_cap", default.key_cap),
    )


def freeze_windows(entries: Iterable[Entry], findings: Findings) -> tuple[FreezeWindow, ...]:
    """The windows in order of time, each once."""
    windows: dict[tuple[datetime, datetime, str], FreezeWindow] = {}
    for entry in entries:
        lint_moment(entry, ("from",), entry.data["from"], findings=findings)
        lint_moment(entry, ("to",), entry.data["to"], findings=findings)
        start = parse_moment(entry.data["from"], ends_day=False)
        end = parse_moment(entry.data["to"], ends_day=True)
        if start is None or end is None:
            continue
        if start >= end:
            message = f"the window ends ({entry.data['to']}) before it begins ({entry.data['from']})"
            findings.error("bad-window", message, entry.place("to"), hint="Exchange `from` and `to`.")
            continue
        reason = entry.data.get("reason", "")
        windows.setdefault((start, end, reason), FreezeWindow(start, end, reason, entry.at))
    return tuple(windows[key] for key in sorted(windows))


def drift_ignores(entries: Iterable[Entry], now: datetime, findings: Findings) -> tuple[DriftIgnore, ...]:
    """The rules that have not ended, in a fixed order; those that have are reported."""
    rules = []
    for entry in entries:
        until = None
        if "until" in entry.data:
            lint_moment(entry, ("until",), entry.data["until"], findings=findings)
            until = parse_moment(entry.data["until"], ends_day=True)
        if until is not None and until <= now:
            message = f"the drift of {shown(entry.data['agent'])} is no longer ignored: the rule has ended"
            hint = "Remove it, or give it another day."
            findings.warning("ignore-ended", message, entry.place("until"), hint=hint)
            continue
        data = entry.data
        rules.append(DriftIgnore(data["agent"], data.get("path", "*"), data["reason"], until, entry.at))
    return tuple(sorted(rules, key=lambda rule: (rule.agent, rule.path, rule.reason)))


def _limit(data: JsonObject | None, default: CountLimit) -> CountLimit:
    given = data or {}
    return CountLimit(given.get("count", default.count), given.get("percent", default.percent))
