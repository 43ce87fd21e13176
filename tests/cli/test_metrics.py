"""``--metrics FILE``: how a run went, for Prometheus, also when it failed."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from reconciler.errors import ExitCode
from reconciler.sandbox import SandboxServer
from tests.support.commands import declare, declare_rotating, readers, run
from tests.support.sandbox_server import SignedClient


def metrics(path: str = "run.prom") -> dict[tuple[str, ...], float]:
    text = Path(path).read_text(encoding="utf-8")
    return {
        (sample.name, *list(sample.labels.values())[2:]): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@pytest.mark.parametrize(
    ("command", "name"),
    [
        (("plan",), "alter_sync_planned_operations"),
        (("apply", "--yes"), "alter_sync_operations"),
        (("drift",), "alter_sync_drift"),
        (("status",), "alter_sync_rotation_agents"),
    ],
)
def test_each_command_writes_what_it_found(alter: SandboxServer, command: tuple[str, ...], name: str) -> None:
    declare_rotating("alpha")
    assert run(*command, "--metrics", "run.prom").code == ExitCode.OK
    found = metrics()
    assert any(key[0] == name for key in found)
    assert {key[1] for key in found} == {command[0]}
    assert found["alter_sync_api_requests", command[0]] == len(alter.store.request_log())
    assert found["alter_sync_last_run_exit_code", command[0]] == 0
    assert stat.S_IMODE(Path("run.prom").stat().st_mode) == 0o644
    assert {path.name for path in Path().iterdir()} <= {"run.prom", "agents.yaml", "secrets", ".alter-sync"}


def test_drift_and_refusals_are_counted(alter: SandboxServer) -> None:
    declare({"alpha": {"scopes": {}, "display_name": "One"}})
    run("apply", "--yes")
    with SignedClient(alter) as somebody:
        (agent,) = somebody.get("/sdk/agents").json()["items"]
        somebody.send("PATCH", f"/sdk/agents/{agent['id']}", document={"display_name": "Two"})
    assert run("drift", "--exit-code", "--metrics", "run.prom").code == ExitCode.CHANGES
    found = metrics()
    assert found["alter_sync_drift", "drift"] == 1
    assert found["alter_sync_drift_findings", "drift", "changed_outside", "low"] == 1
    assert ("alter_sync_last_success_timestamp_seconds", "drift") in found
    declare(readers("alpha", "beta"), freeze=[{"from": "2026-01-01", "to": "2090-01-01"}])
    assert run("apply", "--yes", "--metrics", "apply.prom").code == ExitCode.REFUSED
    assert metrics("apply.prom")["alter_sync_blocked_by_guard", "apply", "freeze"] >= 2


def test_a_failed_run_tells_its_exit_code_and_keeps_the_last_success(
    alter: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(readers("alpha"))
    run("plan", "--metrics", "run.prom")
    before = metrics()
    monkeypatch.setenv("ALTER_API_KEY", "alter_rk_wrong")
    failed = run("plan", "--metrics", "run.prom")
    after = metrics()
    assert after["alter_sync_last_run_exit_code", "plan"] == failed.code != 0
    success = ("alter_sync_last_success_timestamp_seconds", "plan")
    assert after[success] == before[success]
    assert not any(key[0] == "alter_sync_planned_operations" for key in after)


def test_metrics_that_cannot_be_written_are_a_warning(alter: SandboxServer) -> None:
    declare(readers("alpha"))
    Path("full").mkdir()
    Path("full/run.prom").symlink_to("/dev/full/nowhere")
    assert run("plan", "--metrics", "full/run.prom").code == ExitCode.OK
    Path("gone").mkdir()
    result = run("plan", "--metrics", "nowhere/run.prom")
    assert result.code == ExitCode.USAGE
    assert "in a folder that is not there" in result.stderr
    assert run("plan", "--metrics", "gone").code == ExitCode.USAGE


def test_a_folder_that_vanishes_meanwhile_costs_a_warning_and_not_the_exit_code(
    alter: SandboxServer, tmp_path: Path
) -> None:
    declare(readers("alpha"))
    long = "x" * 250  # no room for the name of a draft beside it
    result = run("plan", "--metrics", f"{long}/../{long}" if Path(long).exists() else "/proc/run.prom")
    assert result.code == ExitCode.OK
    assert "warning: the metrics were not written" in result.stderr
