"""Spans over OTLP: off unless the environment asks for them, and then one for each thing that took time."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.cli.trace import is_wanted
from reconciler.errors import ExitCode
from reconciler.sandbox import SandboxServer
from tests.support.commands import declare, readers, run
from tests.support.otlp_receiver import OtlpReceiver, otlp_receiver
from tests.support.planes import use_token


@pytest.fixture
def receiver(alter: SandboxServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[OtlpReceiver]:
    with otlp_receiver() as server:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", server.url)
        yield server


def test_an_apply_is_a_run_with_its_agents_and_their_requests(
    receiver: OtlpReceiver, alter: SandboxServer
) -> None:
    declare(readers("alpha", "beta"))
    assert run("apply", "--yes").code == ExitCode.OK
    spans = receiver.spans()
    assert {request.path for request in receiver.received} == {"/v1/traces"}
    (root,) = (span for span in spans if not span.parent)
    assert root.name == "alter-sync apply"
    assert root.attributes["process.exit.code"] == 0
    assert root.resource["service.name"] == "alter-sync"
    agents = {span.name: span for span in spans if span.name.startswith("apply ")}
    assert set(agents) == {"apply alpha", "apply beta"}
    for span in agents.values():
        assert span.parent == root.id
        assert span.attributes["alter_sync.operations"] == ["create_agent"]
        assert span.attributes["alter_sync.done"] == 1
        created = [one for one in spans if one.parent == span.id]
        assert "POST /sdk/agents" in {one.name for one in created}
    requests = [span for span in spans if "url.template" in span.attributes]
    assert len(requests) == len(alter.store.request_log())
    assert all(span.attributes["http.response.status_code"] in (200, 201) for span in requests)
    assert all(span.attributes["alter_sync.attempt"] == 1 for span in requests)


def test_spans_and_a_log_are_written_side_by_side(receiver: OtlpReceiver, alter: SandboxServer) -> None:
    sinks = {"env": {"type": "file", "path": "secrets/{agent}.env"}}
    declare({"alpha": {"scopes": {}, "deliver_to": ["env"]}}, sinks=sinks)
    assert run("apply", "--yes", "--trace", "run.jsonl").code == ExitCode.OK
    logged = [json.loads(line) for line in Path("run.jsonl").read_text().splitlines()]
    requests = sorted(line["route"] for line in logged if line["event"] == "request")
    assert requests == sorted(span.name for span in receiver.spans() if "url.template" in span.attributes)
    assert {"agent_begin", "sink", "agent_end", "run_end"} <= {line["event"] for line in logged}
    assert "apply alpha" in {span.name for span in receiver.spans()}


def test_neither_ids_nor_keys_stand_in_a_span(receiver: OtlpReceiver, alter: SandboxServer) -> None:
    declare({"alpha": {"scopes": {}, "display_name": "One"}})
    run("apply", "--yes")
    declare({"alpha": {"scopes": {}, "display_name": "Two"}})
    run("apply", "--yes")
    names = {span.name for span in receiver.spans()}
    assert "PATCH /sdk/agents/{id}" in names
    ids = [str(row["id"]) for row in alter.store.rows("SELECT id FROM agents")]
    text = repr(receiver.spans())
    assert ids
    assert not any(one in text for one in ids)
    assert alter.app_key() not in text
    assert "alter_rk_" not in text


def test_a_failure_and_its_repeats_are_seen(receiver: OtlpReceiver, monkeypatch: pytest.MonkeyPatch) -> None:
    declare(readers("alpha"))
    monkeypatch.setenv("ALTER_BASE_URL", "http://127.0.0.1:9")
    code = run("plan").code
    assert code == ExitCode.ERROR
    spans = receiver.spans()
    (root,) = (span for span in spans if not span.parent)
    assert root.is_error
    assert root.attributes["process.exit.code"] == code
    requests = [span for span in spans if "url.template" in span.attributes]
    assert [span.attributes["alter_sync.attempt"] for span in requests] == [1, 2, 3, 4]
    assert {span.attributes["error.type"] for span in requests} == {"unreachable"}
    assert all(span.is_error for span in requests)


def test_commands_of_the_dashboard_plane_are_seen(
    receiver: OtlpReceiver, alter: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(readers("alpha"))
    monkeypatch.delenv("ALTER_API_KEY")
    use_token(monkeypatch, alter)
    assert run("plan").code == ExitCode.OK
    assert "alter agents list" in {span.name for span in receiver.spans()}


def test_an_agent_that_fails_is_an_error(receiver: OtlpReceiver, alter: SandboxServer) -> None:
    declare(readers("alpha"))
    key = alter.create_app_key(["agents:read"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ALTER_API_KEY", key)
        assert run("apply", "--yes").code == ExitCode.AUTH
    (agent,) = (span for span in receiver.spans() if span.name == "apply alpha")
    assert agent.is_error
    assert agent.attributes["error.type"] == "insufficient_scope"


def test_the_environment_names_the_service(receiver: OtlpReceiver, monkeypatch: pytest.MonkeyPatch) -> None:
    declare(readers("alpha"))
    monkeypatch.setenv("OTEL_SERVICE_NAME", "agents-ci")
    run("plan")
    assert {span.resource["service.name"] for span in receiver.spans()} == {"agents-ci"}


def test_a_collector_that_is_not_there_changes_nothing(
    alter: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(readers("alpha"))
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    began = time.monotonic()
    result = run("plan")
    assert result.code == ExitCode.OK
    assert time.monotonic() - began < 10
    assert result.stderr == (
        "warning: the spans of this run were not delivered to the OpenTelemetry collector\n"
    )


def test_without_the_extra_the_variables_are_for_others(
    receiver: OtlpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(readers("alpha"))
    monkeypatch.delitem(sys.modules, "reconciler.cli.open_telemetry", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    assert run("plan").code == ExitCode.OK
    assert receiver.received == []


@pytest.mark.parametrize(
    ("environ", "wanted"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://x"}, True),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, True),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://x"}, False),
        ({"OTEL_TRACES_EXPORTER": "console"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_SDK_DISABLED": "true"}, False),
        ({"OTEL_SERVICE_NAME": "x"}, False),
    ],
)
def test_the_standard_variables_switch_it_on_and_off(environ: dict[str, str], wanted: bool) -> None:
    assert is_wanted(environ) is wanted
