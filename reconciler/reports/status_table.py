"""``status`` as a table for a terminal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from reconciler.model.key import AgentKey
from reconciler.model.secret import concealed
from reconciler.reports.columns import align, display_width, join
from reconciler.reports.escaping import MESSAGE_LIMIT, for_terminal
from reconciler.reports.styles import Style
from reconciler.reports.view import StatusRow, moment_text

_HEADER = (
    "AGENT", "TYPE", "STATUS", "SCOPES", "VERSION", "KEYS", "STAGE", "DUE", "DELIVERED",
    "LAST USED (UTC)", "NOTE",
)  # fmt: skip
# What gives way on a narrow terminal: columns that get shorter, and columns that go, first to last.
_ELASTIC = ("NOTE", "DELIVERED")
_SPARE = ("VERSION", "TYPE", "SCOPES", "LAST USED (UTC)")
# Of these there is nothing to say but what the line of the agent says.
_QUIET_STAGES = frozenset({"steady", "undelivered"})
_UNKNOWN = "?"
_NONE = "-"


# As much of a key's id as tells it apart for a reader; the whole one is in the JSON.
_ID_START = 8


def status_text(
    rows: Sequence[StatusRow], *, style: Style, width: int | None = None, with_keys: bool = False
) -> str:
    """One line for each agent, in the order given; last, how many. ``width`` is that of a TTY.

    Below an agent whose stage is not steady, or ``with_keys`` below each, a line for every live key.
    """
    if not rows:
        return "No agents."
    names, lines = _aligned([_HEADER, *map(_cells, rows)], width)
    status = names.index("STATUS")
    text = [style.bold(join(lines[0]))]
    for row, cells in zip(rows, lines[1:], strict=True):
        cells[status] = _paint(row, style)(cells[status])
        text.append(join(cells))
        if with_keys or (row.rotation and row.rotation.stage not in _QUIET_STAGES):
            text += [style.dim(line) for line in _key_lines(row)]
    return "\n".join([*text, "", _counts(rows)])


def _aligned(table: Sequence[Sequence[str]], width: int | None) -> tuple[list[str], list[list[str]]]:
    """The names of the columns that are shown, and all lines."""
    spare = list(_SPARE)
    while True:
        kept = [at for at, name in enumerate(_HEADER) if name not in _SPARE or name in spare]
        names = [_HEADER[at] for at in kept]
        elastic = [names.index(name) for name in _ELASTIC]
        lines = align([[row[at] for at in kept] for row in table], width=width, elastic=elastic)
        if width is None or not spare or max(display_width(join(line)) for line in lines) <= width:
            return names, lines
        spare.pop(0)


def _cells(row: StatusRow) -> tuple[str, ...]:
    delivered = _NONE
    if row.delivered:
        sinks = ", ".join(row.delivered.sinks) or "no sink"
        delivered = f"{_start_of(row.delivered.key_id)} → {sinks}"
    raw = (
        row.name,
        row.type,
        row.status,
        str(row.scopes),
        str(row.version),
        _keys(row.keys),
        row.rotation.stage if row.rotation else _NONE,
        f"{row.due_at.astimezone(UTC):%Y-%m-%d}" if row.due_at else _NONE,
        delivered,
        _moment(row.last_used_at),
        "; ".join(_notes(row)),
    )
    return tuple(for_terminal(concealed(text)) for text in raw)


def _key_lines(row: StatusRow) -> list[str]:
    """What each live key is for, and what it waits for."""
    lines = []
    explained = [(step.key, step.reason) for step in row.rotation.steps] if row.rotation else []
    unexplained = [(key, row.note) for key in row.keys or () if key.is_live and not row.rotation]
    for key, reason in explained or unexplained:
        age = f", {_age(row.read_at - key.created_at)} old" if row.read_at else ""
        used = f"last used {_moment(key.last_used_at)}" if key.last_used_at else "never used"
        text = f"key {_start_of(key.key_id)}{age}, {used}: {reason}"
        lines.append(f"    {for_terminal(concealed(text), limit=MESSAGE_LIMIT)}")
    return lines


def _age(age: timedelta) -> str:
    hours = max(0, int(age.total_seconds() // 3600))
    return f"{hours // 24} days" if hours >= 48 else f"{hours} h"


def _start_of(key_id: str) -> str:
    return key_id if len(key_id) <= _ID_START else key_id[:_ID_START] + "…"


def _keys(keys: tuple[AgentKey, ...] | None) -> str:
    if keys is None:
        return _UNKNOWN
    live = [key for key in keys if key.is_live]
    deprecated = sum(key.deprecated_at is not None for key in live)
    return f"{len(live)} live, {deprecated} deprecated" if deprecated else f"{len(live)} live"


def _moment(moment: datetime | None) -> str:
    return moment_text(moment).removesuffix(" UTC") if moment else "never"


def _notes(row: StatusRow) -> list[str]:
    """Whose the agent is comes first: it decides whether anything will ever be done to it."""
    whose = "" if row.owned or not row.is_live else f"owned by {row.owner}" if row.owner else "unmanaged"
    undeclared = "" if row.declared or not row.owned else "not declared"
    pending = f"scopes narrow at {moment_text(row.pending_until)}" if row.pending_until else ""
    return [note for note in (whose, undeclared, pending, row.note, _rotation_note(row)) if note]


def _rotation_note(row: StatusRow) -> str:
    rotation = row.rotation
    if rotation is None or rotation.stage in _QUIET_STAGES:
        return ""
    # Of older keys their own lines tell; that a key is due, or in the hands of a run, nothing else does.
    reason = rotation.reason if rotation.stage in {"due", "claimed"} else ""
    until = f"waits until {moment_text(rotation.until)}" if rotation.until else ""
    return ", ".join(filter(None, (reason, until)))


def _paint(row: StatusRow, style: Style) -> Callable[[str], str]:
    match row.status:
        case "active":
            return style.green
        case "revoked":
            return style.red
        case _:
            return style.yellow


def _counts(rows: Sequence[StatusRow]) -> str:
    counts = {
        "declared": sum(row.declared for row in rows),
        "owned and not declared": sum(row.owned and not row.declared for row in rows),
        "of other owners": sum(bool(row.owner) and not row.owned for row in rows),
        "unmanaged": sum(row.is_live and not row.owner and not row.owned for row in rows),
        "not live": sum(not row.is_live for row in rows),
    }
    details = ", ".join(f"{count} {what}" for what, count in counts.items() if count)
    return f"{len(rows)} agent{'' if len(rows) == 1 else 's'}: {details}"
