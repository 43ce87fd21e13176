"""One run as metrics: what Prometheus reads is what was found."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from reconciler.errors import ExitCode
from reconciler.model.agent import AgentName
from reconciler.model.drift import DRIFT_KINDS, SEVERITIES, Drift, DriftFinding, IgnoredDrift
from reconciler.model.outcome import OperationOutcome, Outcome
from reconciler.planning.rotation import Rotation
from reconciler.reports.metrics import RunRecord, metrics_text
from reconciler.reports.view import StatusRow
from tests.support.builders import NOW, configuration, declared, owned, planned

ALPHA = AgentName("alpha")


def record(command: str = "plan", exit_code: ExitCode = ExitCode.OK, **fields: object) -> RunRecord:
    return replace(
        RunRecord(
            command, exit_code, NOW, 1.5, owner="o", app="a", requests=7, retries=1, waited_seconds=0.25
        ),
        **fields,  # type: ignore[arg-type]
    )


def read(text: str) -> dict[str, dict[tuple[str, ...], float]]:
    """Name → values of the labels besides the common ones → value."""
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(text):
        assert family.documentation
        assert family.type == "gauge"
        assert family.name not in found
        samples = found.setdefault(family.name, {})
        for sample in family.samples:
            assert list(sample.labels)[:3] == ["owner", "app", "command"]
            key = tuple(list(sample.labels.values())[3:])
            assert key not in samples
            samples[key] = sample.value
    return found


def row(name: str, stage: str | None = "steady", **fields: object) -> StatusRow:
    base = StatusRow(name, True, True, "agent", "active", 1, 0, rotation=Rotation(stage) if stage else None)  # type: ignore[arg-type]
    return replace(base, **fields)  # type: ignore[arg-type]


def finding(kind: str, severity: str) -> DriftFinding:
    return DriftFinding(kind, severity, ALPHA, "scopes", "m")  # type: ignore[arg-type]


def test_every_run_tells_how_it_went() -> None:
    found = read(metrics_text(record()))
    assert found["alter_sync_last_run_timestamp_seconds"] == {(): NOW.timestamp()}
    assert found["alter_sync_last_success_timestamp_seconds"] == {(): NOW.timestamp()}
    assert found["alter_sync_last_run_exit_code"] == {(): 0}
    assert found["alter_sync_run_duration_seconds"] == {(): 1.5}
    assert found["alter_sync_api_requests"] == {(): 7}
    assert found["alter_sync_api_retries"] == {(): 1}
    assert found["alter_sync_api_waited_seconds"] == {(): 0.25}
    assert len(found) == 7


def test_a_plan_tells_operations_agents_keys_and_refusals() -> None:
    desired = configuration(declared("new", deliver_to=("vault",)), declared("still"))
    plan = planned(desired, owned("still"), owned("gone", protect=True))
    found = read(metrics_text(record(plan=plan)))
    kinds = found["alter_sync_planned_operations"]
    assert (kinds[("create_agent",)], kinds[("mint_key",)], kinds[("revoke_agent",)]) == (1, 1, 0)
    assert found["alter_sync_blocked"] == {(): 1}
    assert found["alter_sync_blocked_by_guard"] == {("protected",): 1}
    assert found["alter_sync_waiting"] == {(): 0}
    assert found["alter_sync_agents"] == {
        ("in_sync",): 1,
        ("changing",): 1,
        ("blocked",): 1,
        ("waiting",): 0,
        ("unmanaged",): 0,
    }
    assert found["alter_sync_keys"] == {("due",): 1, ("overdue",): 0}


def test_an_apply_tells_what_became_of_its_operations() -> None:
    done = OperationOutcome("1", "create_agent", ALPHA, "done")
    outcome = Outcome("run", "digest", (done, replace(done, id="2", status="failed")))
    found = read(metrics_text(record("apply", outcome=outcome)))
    assert found["alter_sync_operations"] == {("done",): 1, ("failed",): 1, ("not_tried",): 0}


def test_drift_is_told_by_kind_and_severity_with_its_zeros() -> None:
    findings = (
        finding("changed_outside", "high"),
        finding("changed_outside", "low"),
        finding("not_applied", "low"),
    )
    ignored = (IgnoredDrift(finding("shadow_agent", "high"), "known"),)
    drift = Drift("o", "a", NOW, findings, ignored, unmanaged=(ALPHA,), in_sync=4)
    found = read(metrics_text(record("drift", drift=drift)))
    assert found["alter_sync_drift"] == {(): 2}
    assert found["alter_sync_drift_ignored"] == {(): 1}
    by_kind = found["alter_sync_drift_findings"]
    assert len(by_kind) == len(DRIFT_KINDS) * len(SEVERITIES)
    assert {key for key, value in by_kind.items() if value} == {
        ("changed_outside", "high"),
        ("changed_outside", "low"),
        ("not_applied", "low"),
    }
    assert found["alter_sync_agents"] == {("in_sync",): 4, ("unmanaged",): 1}


def test_status_tells_agents_stages_and_the_next_date() -> None:
    rows = [
        row("a", due_at=NOW + timedelta(days=2)),
        row("b", "due", due_at=NOW + timedelta(days=1)),
        row("c", "overdue", status="inactive"),
        row("d", None, version=0, status="not live"),
    ]
    found = read(metrics_text(record("status", rows=rows)))
    assert found["alter_sync_agents"] == {("active",): 2, ("inactive",): 1, ("not_live",): 1}
    assert found["alter_sync_keys"] == {("due",): 1, ("overdue",): 1}
    assert found["alter_sync_rotation_agents"][("steady",)] == 1
    assert found["alter_sync_next_key_due_timestamp_seconds"] == {(): (NOW + timedelta(days=1)).timestamp()}
    assert "alter_sync_next_key_due_timestamp_seconds" not in read(metrics_text(record("status", rows=[])))


@pytest.mark.parametrize("exit_code", [ExitCode.ERROR, ExitCode.REFUSED, ExitCode.PARTIAL])
def test_a_run_that_failed_keeps_the_last_success(exit_code: ExitCode) -> None:
    before = metrics_text(record())
    later = record(exit_code=exit_code, finished_at=NOW + timedelta(hours=1))
    for failed in (later, replace(later, owner="", app="")):
        text = metrics_text(failed, former=before)
        found = read(text)
        assert found["alter_sync_last_success_timestamp_seconds"] == {(): NOW.timestamp()}
        assert found["alter_sync_last_run_exit_code"] == {(): exit_code}
        assert read(metrics_text(failed, former=text)) == found
    assert "alter_sync_last_success_timestamp_seconds" not in read(metrics_text(later, former="odd {"))


def test_differences_that_were_asked_about_are_a_success() -> None:
    found = read(metrics_text(record(exit_code=ExitCode.CHANGES), former=metrics_text(record())))
    assert found["alter_sync_last_success_timestamp_seconds"] == {(): NOW.timestamp()}


@given(st.text(), st.text())
def test_whatever_a_configuration_is_called_it_is_read_back(owner: str, app: str) -> None:
    text = metrics_text(record(owner=owner, app=app))
    families: Iterable[object] = text_string_to_metric_families(text)
    labels = [sample.labels for family in families for sample in family.samples]  # type: ignore[attr-defined]
    assert {(one["owner"], one["app"]) for one in labels} == {(owner, app)}
    failed = metrics_text(record(exit_code=ExitCode.ERROR), former=text)
    assert "alter_sync_last_success_timestamp_seconds" in read(failed)
