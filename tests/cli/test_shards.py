"""``--shard``: several jobs share the agents; together they do and refuse what one job would."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.errors import ExitCode
from reconciler.model.shard import EVERYTHING, Shard
from reconciler.sandbox import SandboxServer
from tests.support.commands import declare, mutations, readers, run
from tests.support.sandbox_server import SignedClient

NAMES = [f"tenant-{number:03}" for number in range(12)]
SHARDS = ("1/3", "2/3", "3/3")


def part(shard: str, names: list[str] = NAMES) -> set[str]:
    index, _, count = shard.partition("/")
    return {name for name in names if Shard(int(index), int(count)).holds(name)}


def planned(*options: str) -> dict[str, Any]:
    document: dict[str, Any] = run("plan", "--output", "json", *options).document
    return document


def agents_of(document: dict[str, Any]) -> set[str]:
    return {operation["agent"] for operation in document["operations"]}


@given(st.lists(st.text(min_size=1), unique=True), st.integers(1, 20))
def test_every_agent_is_in_one_part_whoever_else_is_there(names: list[str], count: int) -> None:
    shards = [Shard(index, count) for index in range(1, count + 1)]
    for name in names:
        assert sum(shard.holds(name) for shard in shards) == 1
    assert all(EVERYTHING.holds(name) for name in names)


def test_the_parts_stay_where_they_are_from_release_to_release() -> None:
    # Of SHA-256, so it is the same on every machine; another hash would move agents between jobs in flight.
    assert part("1/3") == {f"tenant-{number:03}" for number in (3, 4, 6, 7, 8, 11)}


@pytest.mark.usefixtures("alter")
def test_the_parts_of_a_plan_are_the_plan() -> None:
    declare(readers(*NAMES))
    plans = {shard: planned("--shard", shard) for shard in SHARDS}
    for shard, document in plans.items():
        assert agents_of(document) == part(shard)
        assert document["shard"] == shard
    assert set.union(*map(agents_of, plans.values())) == set(NAMES)
    assert "shard" not in planned()
    assert agents_of(planned("--shard", "1/1")) == set(NAMES)


def test_one_part_is_applied_and_the_rest_stays(alter: SandboxServer) -> None:
    declare(readers(*NAMES))
    assert run("apply", "--shard", "2/3", "--yes").code == ExitCode.OK
    with SignedClient(alter) as client:
        live = {agent["name"] for agent in client.get("/sdk/agents").json()["items"]}
    assert live == part("2/3")
    rows = {row["name"]: row["status"] for row in run("status", "--output", "jsonl", "--shard", "2/3").rows}
    assert rows == dict.fromkeys(part("2/3"), "active")


@pytest.mark.usefixtures("alter")
def test_what_is_shown_of_a_part_is_about_that_part() -> None:
    declare(readers(*NAMES))
    run("apply", "--shard", "1/3", "--yes")
    summary = planned("--shard", "1/3")["summary"]
    assert (summary["in_sync"], summary["create"]) == (len(part("1/3")), 0)
    assert planned("--shard", "2/3")["summary"]["in_sync"] == 0
    assert "--shard 2/3" in run("plan", "--shard", "2/3").stdout, (
        "the command to go on with is for the part, too"
    )


def test_guards_count_over_everything_and_not_over_a_part(alter: SandboxServer) -> None:
    declare(readers(*NAMES))
    assert run("apply", "--yes").code == ExitCode.OK
    # Five of twelve are too many at once, but no part has more than three of them.
    declare(readers(*NAMES[:7]))
    before = len(mutations(alter))
    for shard in SHARDS:
        refused = run("apply", "--shard", shard, "--yes", "--allow", "max-changes")
        gone = part(shard, NAMES[7:])
        assert len(gone) <= 3
        assert refused.code == (ExitCode.REFUSED if gone else ExitCode.OK)
        blocked = planned("--shard", shard)["blocked"]
        assert {entry["agent"] for entry in blocked} == gone
        assert {entry["guard"] for entry in blocked} == ({"max-revocations"} if gone else set())
    assert len(mutations(alter)) == before


@pytest.mark.usefixtures("alter")
def test_a_saved_plan_knows_its_part() -> None:
    declare(readers(*NAMES))
    assert run("plan", "--shard", "3/3", "--save", "plan.json").code == ExitCode.OK
    assert run("plan", "--check", "plan.json").code == ExitCode.OK
    refused = run("apply", "plan.json", "--shard", "3/3", "--yes")
    assert refused.code == ExitCode.USAGE
    assert "--shard" in refused.stderr
    assert run("apply", "plan.json", "--yes").code == ExitCode.OK
    assert planned("--shard", "3/3")["summary"]["in_sync"] == len(part("3/3"))


def test_drift_of_a_part_reads_the_keys_of_that_part_and_says_that_it_is_one(alter: SandboxServer) -> None:
    declare({name: {**block, "display_name": "As declared"} for name, block in readers(*NAMES).items()})
    run("apply", "--yes")
    with SignedClient(alter) as client:
        for agent in client.get("/sdk/agents").json()["items"]:
            client.send("PATCH", f"/sdk/agents/{agent['id']}", document={"display_name": "Renamed"})
    before = len(alter.store.request_log())
    document = run("drift", "--output", "json", "--shard", "1/3").document
    reads = [request for request in alter.store.request_log()[before:] if "keys" in request.path]
    assert {finding["agent"] for finding in document["findings"]} == part("1/3")
    assert len(reads) == len(part("1/3"))
    assert document["limited_to"] == {"targets": [], "shard": "1/3"}
    assert "limited_to" not in run("drift", "--output", "json").document
    named = run("drift", "--output", "json", "--target", "tenant-00*").document
    assert named["limited_to"] == {"targets": ["tenant-00*"], "shard": None}


@pytest.mark.usefixtures("alter")
def test_drift_of_a_part_is_put_back_by_the_job_of_that_part() -> None:
    declare({name: {**block, "display_name": "As declared"} for name, block in readers(*NAMES).items()})
    run("apply", "--yes")
    found = run("apply", "--only-drift", "--shard", "1/3", "--yes", "--output", "json")
    assert found.code == ExitCode.OK


@pytest.mark.usefixtures("alter")
def test_jobs_are_counted_by_kubernetes_or_gitlab(monkeypatch: pytest.MonkeyPatch) -> None:
    declare(readers(*NAMES))
    monkeypatch.setenv("CI_NODE_INDEX", "3")
    monkeypatch.setenv("CI_NODE_TOTAL", "3")
    assert planned("--shard", "auto")["shard"] == "3/3"
    monkeypatch.setenv("JOB_COMPLETION_INDEX", "0")
    monkeypatch.setenv("ALTER_SYNC_SHARDS", "4")
    assert planned("--shard", "auto")["shard"] == "1/4"


@pytest.mark.parametrize("shard", ["0/3", "4/3", "1", "1/0", "a/b", "1/2/3", "-1/3", "1/5000", "auto"])
def test_what_is_no_part_is_refused(alter: SandboxServer, shard: str) -> None:
    declare(readers(*NAMES))
    for command in ("plan", "apply", "drift", "status"):
        refused = run(command, f"--shard={shard}")
        assert refused.code == ExitCode.USAGE
        assert "--shard" in refused.stderr
    assert alter.store.request_log() == []
    assert list(Path().iterdir()) == [Path("agents.yaml")]
