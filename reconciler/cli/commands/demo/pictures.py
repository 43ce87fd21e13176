"""Draws what the demo shows: the loop that the tool closes, and the life of an agent's keys."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from reconciler.model.key import AgentKey
from reconciler.reports.styles import Style

_WIDTH = 48


def loop(style: Style) -> list[str]:
    """How the commands work together."""
    plan, apply, drift = style.bold("plan"), style.bold("apply"), style.bold("drift")
    return [
        f"agents.yaml ──▶ {plan} ──▶ {apply} ──▶ Alter, and the sinks that hold the keys",
        "     ▲                              │",
        f"     ╰────── repair ◀── {drift} ◀─────╯  somebody changes something by hand",
    ]


def key_lives(keys: Sequence[AgentKey], *, now: datetime, style: Style) -> list[str]:
    """A line of time for each key, oldest first: working, deprecated but working, revoked."""
    first = min(key.created_at for key in keys)
    span = max((now - first).total_seconds(), 1.0)

    def column(moment: datetime) -> int:
        return round(_WIDTH * max((min(moment, now) - first).total_seconds(), 0.0) / span)

    lines = []
    for key in keys:
        # Two changes in one minute are in one column, and each is worth one.
        born = min(column(key.created_at), _WIDTH - 3)
        ends = max(column(key.revoked_at or now), born + 2)
        fades = ends if key.deprecated_at is None else min(max(column(key.deprecated_at), born + 1), ends)
        bar = style.green("━" * (fades - born)) + style.yellow("╌" * (ends - fades))
        end = style.green("▶ works") if key.is_live else style.red("✕ revoked")
        lines.append(f"{key.key_id[:8]}  {' ' * born}●{bar}{end}")
    hours = span / 3600
    axis = f"{'now':>{_WIDTH + 1}}"
    lines.append(
        style.dim(f"{hours:.0f} h ago  {axis}   ╌ deprecated: it works until its workload has moved on")
    )
    return lines
