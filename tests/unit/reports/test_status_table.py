"""The status table lines up and says of each agent whose it is."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta

import pytest

from reconciler.model.key import AgentKey, KeyId
from reconciler.model.mark import Delivered
from reconciler.planning.rotation import KeyStep, Rotation, Stage
from reconciler.reports.columns import display_width
from reconciler.reports.styles import Style
from reconciler.reports.terminal import status_text
from reconciler.reports.view import StatusRow
from tests.unit.reports.golden import assert_golden
from tests.unit.reports.samples import HOSTILE, NOW

PLAIN = Style.plain()
KEY = AgentKey(KeyId("key-1"), "alt_1", "first", NOW - timedelta(hours=47), last_used_at=NOW)
OLD = replace(
    KEY, key_id=KeyId("key-0-with-a-long-id"), created_at=NOW - timedelta(days=90), deprecated_at=NOW
)
ODD = replace(KEY, key_id=KeyId("key-odd"), created_at=NOW + timedelta(hours=1), last_used_at=None)
GONE = replace(KEY, key_id=KeyId("key-g"), revoked_at=NOW)
ROW = StatusRow("nightly-sync", True, True, "agent", "active", 7, 3, owner="payments/agents", read_at=NOW)
HELD = KeyStep(KEY, "keep", "delivered to vault, local at 2026-11-24T09:00:00Z", NOW + timedelta(days=81))
USED = "was used at 2026-11-24T09:00:00Z; quiet until 2026-11-25T09:00:00Z at the earliest (quiet_for)"
OBSERVING = Rotation(
    "observing",
    f"key {OLD.key_id} {USED}",
    NOW + timedelta(days=1),
    steps=(HELD, KeyStep(OLD, "wait", USED, NOW + timedelta(days=1))),
)
STEADY = Rotation("steady", HELD.reason, HELD.until, steps=(HELD,))
UNDELIVERED = Rotation("undelivered", "no sink", steps=(KeyStep(KEY, "keep", "no sink is declared for it"),))
ORPHANED = Rotation(
    "orphaned",
    "key key-odd is in no sink",
    steps=(HELD, KeyStep(ODD, "deprecate", "is in no sink and not in the mark: minted outside, or lost")),
)
ROWS = (
    replace(
        ROW,
        pending_until=NOW,
        keys=(GONE, OLD, KEY),
        delivered=Delivered(KeyId("key-1"), NOW, ("vault", "local")),
        last_used_at=NOW,
        rotation=OBSERVING,
        due_at=HELD.until,
    ),
    replace(
        ROW,
        name="東京-ボット",
        status="inactive",
        keys=(KEY,),
        delivered=Delivered(KeyId("key-1"), NOW, ("vault", "local")),
        rotation=STEADY,
        due_at=HELD.until,
    ),
    replace(ROW, name="own-keys", keys=(KEY,), rotation=UNDELIVERED),
    replace(
        ROW,
        name="surprised",
        keys=(KEY, ODD),
        delivered=Delivered(KeyId("key-1"), NOW, ()),
        rotation=ORPHANED,
    ),
    replace(ROW, name="left-over", declared=False, keys=(), note="its keys are left alone"),
    replace(ROW, name="theirs", declared=False, owned=False, owner="other/team", status="revoked"),
    replace(ROW, name="clicked", declared=False, owned=False, owner=""),
)


def key_lines(*rows: StatusRow, with_keys: bool = False) -> list[str]:
    """The lines about keys."""
    lines = status_text(rows, style=PLAIN, with_keys=with_keys).split("\n")
    return [line for line in lines if line.startswith("    key ")]


def test_a_status_table_has_one_line_for_each_agent_and_explains_the_keys_of_unsteady_ones() -> None:
    assert_golden("status", status_text(ROWS, style=PLAIN))


def test_a_status_table_explains_every_key_on_request() -> None:
    assert_golden("status_with_keys", status_text(ROWS, style=PLAIN, with_keys=True))


def test_a_status_table_fits_the_terminal_and_keeps_names_whole() -> None:
    text = status_text(ROWS, style=PLAIN, width=132)
    assert_golden("status_narrow", text)
    rows = [line for line in text.split("\n") if not line.startswith("    key ")]
    assert all(display_width(line) <= 132 for line in rows)


def test_nothing_is_said_of_keys_that_are_as_they_should_be_or_their_owners_business() -> None:
    steady, undelivered = ROWS[1], ROWS[2]
    assert key_lines(steady, undelivered) == []
    assert len(key_lines(steady, undelivered, with_keys=True)) == 2


def test_a_key_has_its_age_its_last_use_and_its_explanation() -> None:
    new, old = key_lines(ROWS[0])
    assert new == f"    key key-1, 47 h old, last used 2026-11-24 09:00: {HELD.reason}"
    assert old == f"    key key-0-wi…, 90 days old, last used 2026-11-24 09:00: {USED}"


def test_a_key_from_the_future_is_not_of_a_negative_age() -> None:
    assert key_lines(ROWS[3])[1].startswith("    key key-odd, 0 h old, never used: is in no sink")
    undated = replace(ROWS[3], read_at=None)
    assert key_lines(undated)[1].startswith("    key key-odd, never used: ")


def test_a_revoked_key_has_no_line() -> None:
    assert not any("key-g" in line for line in key_lines(*ROWS, with_keys=True))


@pytest.mark.parametrize(("stage", "shown"), [("observing", True), ("steady", False)])
def test_until_when_an_agent_waits_is_a_note_and_when_it_is_due_a_column(stage: Stage, shown: bool) -> None:
    row = replace(ROWS[0], pending_until=None, rotation=replace(OBSERVING, stage=stage))
    line = status_text((row,), style=PLAIN).split("\n")[1]
    assert "  2027-02-13  " in line
    assert line.endswith("until 2026-11-25 09:00 UTC") is shown


@pytest.mark.parametrize("stage", ["due", "claimed"])
def test_what_no_key_tells_is_a_note(stage: Stage) -> None:
    rotation = Rotation(stage, "nothing is delivered to vault yet", NOW, steps=(HELD,))
    line = status_text((replace(ROWS[1], rotation=rotation),), style=PLAIN).split("\n")[1]
    assert line.endswith("  nothing is delivered to vault yet, waits until 2026-11-24 09:00 UTC")


def test_without_a_date_nothing_is_due() -> None:
    line = status_text((replace(ROWS[0], due_at=None, rotation=None),), style=PLAIN).split("\n")[1]
    assert line.split()[9:12] == ["-", "-", "key-1"]


def test_a_narrow_terminal_does_without_what_matters_least() -> None:
    header = status_text(ROWS, style=PLAIN, width=95).split("\n")[0]
    assert header.split() == ["AGENT", "STATUS", "KEYS", "STAGE", "DUE", "DELIVERED", "NOTE"]
    assert status_text(ROWS, style=PLAIN, width=20).count("nightly-sync") == 1


def test_colours_do_not_move_the_columns() -> None:
    coloured = status_text(ROWS, style=Style.ansi())
    assert re.sub(r"\x1b\[\d+m", "", coloured) == status_text(ROWS, style=PLAIN)


def test_no_agents_is_an_answer_too() -> None:
    assert status_text((), style=PLAIN) == "No agents."


def test_one_agent_is_counted_in_the_singular() -> None:
    assert status_text((ROW,), style=PLAIN).endswith("\n1 agent: 1 declared")


def test_hostile_names_are_inert_in_the_table() -> None:
    rows = [
        replace(
            ROW, name=text, type=text, owner=text, note=text, owned=False, rotation=_hostile_rotation(text)
        )
        for text in HOSTILE
    ]
    lines = status_text(rows, style=PLAIN).split("\n")
    assert len(lines) == 2 * len(rows) + 3
    assert all(line.isprintable() and not line.lstrip().startswith("::") for line in lines)


def _hostile_rotation(text: str) -> Rotation:
    return Rotation("due", text, steps=(KeyStep(replace(KEY, key_id=KeyId(text)), "wait", text),))
