"""How the `alter` executable words its answers: tables for people, JSON for programs."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from reconciler.sandbox.answers import Json, Refusal, compact

OutputFormat = Literal["table", "json", "jsonl"]
Row = Mapping[str, Json]
Columns = Sequence[tuple[str, Callable[[Row], Json]]]

KEY_IS_SHOWN_ONCE = "This key is shown once. Keep it now."


def _field(name: str) -> Callable[[Row], Json]:
    return lambda row: row[name]


def _list_of(name: str) -> Callable[[Row], Json]:
    return lambda row: ", ".join(row[name] or ())


def _key_status(key: Row) -> str:
    if key["revoked_at"] is not None:
        return "revoked"
    return "active" if key["deprecated_at"] is None else "deprecated"


AGENTS: Columns = (
    ("ID", _field("id")),
    ("NAME", _field("name")),
    ("DISPLAY NAME", _field("display_name")),
    ("TYPE", _field("type")),
    ("STATUS", _field("status")),
    ("PROVIDERS", _list_of("scopes")),
    ("LAST USED", _field("last_used_at")),
)
KEYS: Columns = (
    ("KEY ID", _field("key_id")),
    ("PREFIX", _field("key_prefix")),
    ("NAME", _field("name")),
    ("STATUS", _key_status),
    ("CREATED", _field("created_at")),
    ("LAST USED", _field("last_used_at")),
)
EVENTS: Columns = (
    ("AT", _field("at")),
    ("ACTION", _field("action")),
    ("ACTOR", _field("actor")),
    ("ACTOR TYPE", _field("actor_type")),
    ("KEY ID", _field("key_id")),
    ("CHANGED", _list_of("changed")),
)
ACTORS: Columns = (
    ("ACTOR ID", _field("actor_id")),
    ("NAME", _field("name")),
    ("TYPE", _field("type")),
    ("LAST ACTIVITY", _field("last_activity_at")),
    ("ACTIVITY (30 DAYS)", _field("activity_count_30d")),
)


def render(answer: Row, output: OutputFormat, *, columns: Columns = ()) -> str:
    """The text for standard output. An answer with columns is a page, any other a single object."""
    if output == "json":
        return json.dumps(answer, ensure_ascii=False, indent=2) + "\n"
    if output == "jsonl":
        return "".join(compact(row) + "\n" for row in (answer["items"] if columns else [answer]))
    return _table(answer, columns) if columns else _card(answer)


def failure_text(refusal: Refusal) -> str:
    error = refusal.error
    hint = f"hint: {error['hint']}\n" if error["hint"] else ""
    return _plain(f"error: {error['message']} ({refusal.code})") + "\n" + _plain(hint, keep="\n")


def failure_document(refusal: Refusal, output: OutputFormat) -> str:
    """For standard output; a table has no place for it."""
    return "" if output == "table" else render(refusal.error, output)


def _table(page: Row, columns: Columns) -> str:
    heads = [head for head, _ in columns]
    cells = [[_cell(value(row)) for _, value in columns] for row in page["items"]]
    widths = [max(map(len, column)) for column in zip(heads, *cells, strict=True)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in (heads, *cells)]
    if len(cells) < page["total"]:
        lines.append(f"{len(cells)} of {page['total']}, from {page['offset']} on")
    return "\n".join(lines) + "\n"


def _card(row: Row) -> str:
    width = max(map(len, row)) + 1
    return "".join(f"{name + ':':{width}} {_cell(value)}\n" for name, value in row.items())


def _cell(value: Json) -> str:
    if value is None or value == "":
        return "-"
    return _plain(value if isinstance(value, str) else compact(value))


def _plain(text: str, *, keep: str = "") -> str:
    """Names come from strangers: none of them may move the cursor of a terminal."""
    return "".join(one if one.isprintable() or one in keep else f"\\u{ord(one):04x}" for one in text)
