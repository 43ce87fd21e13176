"""The data behind the HTML report: rows, cells and keys, gravest first."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from reconciler.model.access import Access, AgentAccess
from reconciler.model.agent import AgentName
from reconciler.model.outcome import OperationOutcome, Outcome
from reconciler.model.plan import Change
from reconciler.model.scopes import Scopes
from reconciler.reports.html_rows import Rows, rows_of
from reconciler.reports.html_strings import TIGHT, Lengths
from reconciler.reports.subject import Subject
from reconciler.reports.view import view_of
from tests.support.many_agents import many_agents
from tests.unit.reports import subjects
from tests.unit.reports.golden import assert_golden
from tests.unit.reports.samples import EMPTY, NOW, operation

LONG = Lengths()
# Numbers that are numbers. Everything else is a text of the table.
_NUMBERS = {
    *("rank", "more", "refused", "until", "at", "used", "due", "minted", "deprecated", "revoked", "quiet"),
    *("delivered", "retryable", "seen"),
}


def made(subject: Subject, lengths: Lengths = LONG) -> Rows:
    plan = view_of(subject.plan, command=subject.apply_command) if subject.plan else None
    return rows_of(subject, plan, lengths)


def spelled(rows: Rows) -> dict[str, Any]:
    """The data with its texts in their places."""
    texts = rows.data["strings"]

    def spell(part: Any) -> Any:
        if isinstance(part, dict):
            return {key: one if key in _NUMBERS else spell(one) for key, one in part.items()}
        if isinstance(part, list):
            return [spell(one) for one in part]
        return texts[part] if isinstance(part, int) and not isinstance(part, bool) else part

    return {key: spell(part) for key, part in rows.data.items() if key not in {"strings", "seen"}}


def agents(subject: Subject, lengths: Lengths = LONG) -> dict[str, Any]:
    return {row["name"]: row for row in spelled(made(subject, lengths))["agents"]}


def with_access(subject: Subject, name: str, scopes: dict[str, list[str]]) -> Subject:
    held = AgentAccess(AgentName(name), "agent", "active", Scopes.of(scopes))
    return replace(subject, access=Access(NOW, (held,)))


def test_all_that_reports_show_reads_like_this() -> None:
    text = {
        name: spelled(made(one))
        for name, one in subjects.SAMPLES.items()
        if name in {"plan", "apply", "drift"}
    }
    assert_golden("html_rows", json.dumps(text, indent=1, ensure_ascii=False))


def test_rows_come_gravest_first_and_what_failed_before_all() -> None:
    ranks = [row["rank"] for row in spelled(made(subjects.APPLIED))["agents"]]
    assert ranks == sorted(ranks)
    assert ranks[0] == -2
    first = [row["name"] for row in spelled(made(subjects.PLAN))["agents"][:3]]
    assert first == ["mailer", "old-bot", "shifter"]


def test_a_cell_tells_kept_gained_and_lost_apart() -> None:
    plan = replace(
        EMPTY,
        operations=(
            operation("set_scopes", "a", "x", Change("scopes.google", ["b", "c"], ["c", "d"], "widening")),
        ),
    )
    (row,) = agents(
        with_access(subjects.subject("plan", plan=plan), "a", {"google": ["b", "c"], "x": ["y"]})
    ).values()
    assert row["access"] == [
        {"provider": "google", "kept": ["c"], "gained": ["d"], "lost": ["b"]},
        {"provider": "x", "kept": ["y"]},
    ]
    # What a step takes away is there, also when nobody read the rest.
    (row,) = agents(subjects.subject("plan", plan=plan)).values()
    assert row["access"] == [{"provider": "google", "gained": ["d"], "lost": ["b"]}]


def test_a_revoked_agent_loses_everything_and_a_replaced_one_keeps_what_it_gets_again() -> None:
    revoke = operation("revoke_agent", "a", "gone")
    held = {"google": ["b", "c"]}
    (row,) = agents(
        with_access(subjects.subject("plan", plan=replace(EMPTY, operations=(revoke,))), "a", held)
    ).values()
    assert row["access"] == [{"provider": "google", "lost": ["b", "c"]}]
    create = operation("create_agent", "a", "again", Change("scopes.google", None, ["c", "d"], "widening"))
    plan = replace(EMPTY, operations=(revoke, create), replaced=(AgentName("a"),))
    (row,) = agents(with_access(subjects.subject("plan", plan=plan), "a", held)).values()
    assert row["access"] == [{"provider": "google", "kept": ["c"], "gained": ["d"], "lost": ["b"]}]


def test_after_an_apply_only_what_was_done_counts_as_gained() -> None:
    steps = tuple(
        operation("set_scopes", name, "x", Change("scopes.google", ["b"], ["b", "d"], "widening"))
        for name in ("done-one", "failed-one")
    )
    outcome = Outcome(
        "run-1",
        "sha256:p",
        (
            OperationOutcome(steps[0].id, "set_scopes", AgentName("done-one"), "done"),
            OperationOutcome(steps[1].id, "set_scopes", AgentName("failed-one"), "failed"),
        ),
    )
    held = (
        AgentAccess(AgentName("done-one"), "agent", "active", Scopes.of({"google": ["b", "d"]})),
        AgentAccess(AgentName("failed-one"), "agent", "active", Scopes.of({"google": ["b"]})),
    )
    plan = replace(EMPTY, operations=steps)
    found = agents(subjects.subject("apply", plan=plan, outcome=outcome, access=Access(NOW, held)))
    assert found["done-one"]["access"] == [{"provider": "google", "kept": ["b"], "gained": ["d"]}]
    assert found["failed-one"]["access"] == [{"provider": "google", "kept": ["b"]}]


def test_drift_shows_what_somebody_gave_and_took_against_what_is_declared() -> None:
    subject = with_access(subjects.DRIFT, "nightly-sync", {"google": ["drive", "gmail.readonly"]})
    assert agents(subject)["nightly-sync"]["access"] == [
        {"provider": "google", "kept": ["gmail.readonly"], "gained": ["drive"], "lost": ["calendar"]}
    ]


def test_filters_offer_what_there_is_and_how_often() -> None:
    rows = made(many_agents(100))
    kinds = {group: [(name, count) for _, name, count in found] for group, found in rows.kinds}
    assert kinds["Risk"] == [("revocation", 1), ("widening", 25)]
    assert ("google", 30) in [(name, count) for _, name, count in rows.providers]
    assert [name for _, name, _ in rows.stages] == ["due", "observing", "orphaned", "overdue", "steady"]


def test_a_list_that_is_cut_says_how_much_is_missing() -> None:
    names = [f"s{number:02}" for number in range(20)]
    plan = replace(
        EMPTY,
        operations=(
            operation("set_scopes", "a", "x", Change("scopes.google", names[:9], names, "widening")),
        ),
    )
    subject = with_access(subjects.subject("plan", plan=plan), "a", {"google": names[:9]})
    (row,) = agents(subject, TIGHT).values()
    assert len(row["access"][0]["kept"]) == len(row["access"][0]["gained"]) == TIGHT.items
    assert row["access"][0]["more"] == [9 - TIGHT.items, 11 - TIGHT.items, 0]
    assert row["steps"][0]["changes"][0]["more"] == [11 - TIGHT.items, 0]


def test_who_gains_and_loses_is_found_by_both() -> None:
    change = Change("scopes.google", ["b"], ["c"], "widening")
    moved = replace(operation("set_scopes", "a", "x", change), risk="widening")
    gone = replace(operation("revoke_agent", "z", "x", change), risk="destructive")
    found = agents(subjects.subject("plan", plan=replace(EMPTY, operations=(moved, gone))))
    assert set(found["a"]["tags"]) == {"update", "widening", "narrowing"}
    assert set(found["z"]["tags"]) == {"revoke", "revocation"}
