"""``--report html=…``: what is read for it, and that it changes nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from reconciler.errors import ExitCode
from reconciler.sandbox import SandboxServer
from tests.support.commands import TO_FILES, declare, readers, run


def declared_and_applied(*names: str) -> None:
    declare(readers(*names), **TO_FILES)
    assert run("apply", "--yes").code == ExitCode.OK


def keys_read(server: SandboxServer) -> int:
    return sum(one.method == "GET" and one.path.endswith("/keys") for one in server.store.request_log())


def data_of(path: str | Path) -> dict[str, Any]:
    """The data of a report, with the names of its agents."""
    block = Path(path).read_text(encoding="utf-8").partition('id="data">')[2].partition("</script>")[0]
    data: dict[str, Any] = json.loads(block)
    return {data["strings"][row["name"]]: row for row in data["agents"]} | {"texts": data["strings"]}


def test_a_plan_for_an_html_report_reads_the_keys_of_every_agent_once(alter: SandboxServer) -> None:
    declared_and_applied("alpha", "beta", "gamma")
    before = keys_read(alter)
    assert run("plan", "--report", "json=plan.json").code == ExitCode.OK
    assert keys_read(alter) == before
    assert run("plan", "--report", "html=plan.html").code == ExitCode.OK
    assert keys_read(alter) == before + 3
    data = data_of("plan.html")
    assert [len(data[name]["keys"]) for name in ("alpha", "beta", "gamma")] == [1, 1, 1]
    assert data["texts"][data["alpha"]["stage"]] == "steady"


def test_the_plan_is_the_same_whatever_reports_are_asked_for(alter: SandboxServer) -> None:
    declared_and_applied("alpha")
    declare(readers("alpha", "beta"), **TO_FILES)
    plain = run("plan", "--output", "json").document
    reported = run("plan", "--output", "json", "--report", "html=plan.html").document
    assert plain["plan_digest"] == reported["plan_digest"]


def test_targets_limit_what_is_read(alter: SandboxServer) -> None:
    declared_and_applied("alpha", "beta", "gamma")
    before = keys_read(alter)
    run("plan", "--target", "b*", "--report", "html=plan.html")
    assert keys_read(alter) == before + 1
    assert {"beta"} == data_of("plan.html").keys() - {"texts"}


def test_an_apply_shows_the_keys_as_they_are_afterwards(alter: SandboxServer) -> None:
    declare(readers("alpha"), **TO_FILES)
    assert run("apply", "--yes", "--report", "html=apply.html").code == ExitCode.OK
    data = data_of("apply.html")
    (key,) = data["alpha"]["keys"]
    assert key["delivered"] is True
    assert [data["texts"][step["status"]] for step in data["alpha"]["steps"]] == ["done", "done"]


def test_drift_reads_nothing_twice(alter: SandboxServer) -> None:
    declared_and_applied("alpha", "beta")
    before = len(alter.store.request_log())
    run("drift")
    cost = len(alter.store.request_log()) - before
    assert run("drift", "--report", "html=drift.html").code == ExitCode.OK
    assert len(alter.store.request_log()) == before + 2 * cost
    assert len(data_of("drift.html")["beta"]["keys"]) == 1


def test_a_failure_is_in_the_report_too(workplace: Path) -> None:
    Path("agents.yaml").write_text("agents: 1\n")
    assert run("validate", "--report", "html=report.html").code == ExitCode.USAGE
    assert "What ended the run" in Path("report.html").read_text()


def test_keys_that_cannot_be_read_do_not_change_how_a_run_ends(alter: SandboxServer) -> None:
    declared_and_applied("alpha")
    alter.faults.add("status", method="GET", path="/keys$", status=403, times=None)
    result = run("plan", "--report", "html=plan.html")
    assert result.code == ExitCode.OK
    assert "not in the report: keys: " in result.stderr
    assert "Keys not read" in Path("plan.html").read_text()
    # What the list of agents tells is still there.
    assert data_of("plan.html")["alpha"]["access"]
    assert "keys" not in data_of("plan.html")["alpha"]


def test_a_server_that_answers_no_more_changes_nothing_either(alter: SandboxServer) -> None:
    declared_and_applied("alpha")
    # The second list is the one for the report.
    alter.faults.add("status", method="GET", path="/agents$", nth=2, status=403, times=None)
    result = run("plan", "--report", "html=plan.html")
    assert result.code == ExitCode.OK
    assert "not in the report: keys: " in result.stderr
    assert data_of("plan.html").keys() == {"texts"}


def test_no_secret_is_in_a_report(alter: SandboxServer) -> None:
    declare(readers("alpha"), **TO_FILES)
    run("apply", "--yes", "--report", "html=apply.html")
    secret = Path("secrets/alpha.env").read_text().partition("=")[2].strip().strip("'\"")
    assert len(secret) > 20
    assert secret not in Path("apply.html").read_text()
