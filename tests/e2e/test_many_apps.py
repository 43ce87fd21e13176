"""A fleet of many apps, shared out over processes: together they do what there is to do, and no more."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.many_apps import converge


@pytest.mark.parametrize("by", ["app", "agent"])
def test_four_processes_bring_twenty_apps_to_what_is_declared(tmp_path: Path, by: str) -> None:
    applied, planned, whole = converge(tmp_path, apps=20, agents=25, processes=4, by=by)
    assert [part.exit_code for part in applied.parts] == [0, 0, 0, 0]
    # Shared out by apps, no agent and no list of an app is asked for by two; else each reads all of them.
    reads = 20 * 2 * (1 if by == "app" else 4)
    assert applied.requests == 20 * 25 + reads
    assert (planned.requests, whole.requests) == (reads, 40)
    # With --detailed-exitcode 0 says that nothing is left.
    assert {part.exit_code for phase in (planned, whole) for part in phase.parts} == {0}
    assert whole.parts[0].last_line == "20 apps: 20 ok"
