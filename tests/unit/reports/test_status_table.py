"""The status table lines up and says of each agent whose it is."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta

from reconciler.model.key import AgentKey, KeyId
from reconciler.model.mark import Delivered
from reconciler.reports.columns import display_width
from reconciler.reports.styles import Style
from reconciler.reports.terminal import status_text
from reconciler.reports.view import StatusRow
from tests.unit.reports.golden import assert_golden
from tests.unit.reports.samples import HOSTILE, NOW

PLAIN = Style.plain()
KEY = AgentKey(KeyId("key-1"), "alt_1", "first", NOW - timedelta(days=90))
OLD = replace(KEY, key_id=KeyId("key-0"), deprecated_at=NOW)
GONE = replace(KEY, key_id=KeyId("key-g"), revoked_at=NOW)
ROW = StatusRow("nightly-sync", True, True, "agent", "active", 7, 3, owner="payments/agents")
ROWS = (
    replace(
        ROW,
        pending_until=NOW,
        keys=(GONE, OLD, KEY),
        delivered=Delivered(KeyId("key-1"), NOW, ("vault", "local")),
        last_used_at=NOW,
        note="observing: the new key has not been used yet",
    ),
    replace(
        ROW, name="東京-ボット", status="inactive", keys=(KEY,), delivered=Delivered(KeyId("key-1"), NOW, ())
    ),
    replace(ROW, name="left-over", declared=False, keys=()),
    replace(ROW, name="theirs", declared=False, owned=False, owner="other/team", status="revoked"),
    replace(ROW, name="clicked", declared=False, owned=False, owner=""),
)


def test_a_status_table_has_one_line_for_each_agent() -> None:
    assert_golden("status", status_text(ROWS, style=PLAIN))


def test_a_status_table_fits_the_terminal_and_keeps_names_whole() -> None:
    text = status_text(ROWS, style=PLAIN, width=112)
    assert_golden("status_narrow", text)
    assert all(display_width(line) <= 112 for line in text.split("\n"))


def test_a_narrow_terminal_does_without_version_and_type() -> None:
    header = status_text(ROWS, style=PLAIN, width=95).split("\n")[0]
    assert header.split() == [
        "AGENT",
        "STATUS",
        "SCOPES",
        "KEYS",
        "DELIVERED",
        "LAST",
        "USED",
        "(UTC)",
        "NOTE",
    ]
    assert status_text(ROWS, style=PLAIN, width=20).count("nightly-sync") == 1


def test_colours_do_not_move_the_columns() -> None:
    coloured = status_text(ROWS, style=Style.ansi())
    assert re.sub(r"\x1b\[\d+m", "", coloured) == status_text(ROWS, style=PLAIN)


def test_no_agents_is_an_answer_too() -> None:
    assert status_text((), style=PLAIN) == "No agents."


def test_one_agent_is_counted_in_the_singular() -> None:
    assert status_text((ROW,), style=PLAIN).endswith("\n1 agent: 1 declared")


def test_hostile_names_are_inert_in_the_table() -> None:
    rows = [replace(ROW, name=text, type=text, owner=text, note=text, owned=False) for text in HOSTILE]
    lines = status_text(rows, style=PLAIN).split("\n")
    assert len(lines) == len(rows) + 3
    assert all(line.isprintable() and not line.lstrip().startswith("::") for line in lines)
