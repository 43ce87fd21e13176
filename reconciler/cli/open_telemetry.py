"""Spans of a run for OpenTelemetry, over OTLP/HTTP; the only module that knows its library.

One span for the run, one for each agent that is worked on, one for each request to Alter inside of them. They
hold names of agents, routes without ids, statuses and codes: no bodies, no headers, no addresses with ids.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from opentelemetry import trace as api
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExportResult
from opentelemetry.trace import Span, SpanKind, Status, StatusCode

from reconciler.cli.trace import Trace
from reconciler.cli.wiring import tool_version

if TYPE_CHECKING:
    from reconciler.alter.retry import Exchange
    from reconciler.errors import ExitCode
    from reconciler.model.outcome import OperationOutcome
    from reconciler.model.plan import Operation

# Nobody waits longer than this for a collector that does not answer, unless the environment says so.
_FLUSH_SECONDS = 3.0
_TIMEOUTS = ("OTEL_EXPORTER_OTLP_TIMEOUT", "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT")
_NANOSECONDS = 1_000_000_000
# 0 means done, and 10 that there are differences, which somebody asked to be told.
_FINE = (0, 10)


class OpenTelemetry(Trace):
    """The spans of one run. Each thread has its own agent."""

    def __init__(self, tracer: api.Tracer, run: Span) -> None:
        self._tracer = tracer
        self._run = run
        self._here = threading.local()

    def exchanged(self, exchange: Exchange) -> None:
        """A span for what is over, with the times that it took."""
        began = int(exchange.started_at * _NANOSECONDS)
        span = self._start(
            f"{exchange.route}", parent=self._agent() or self._run, kind=SpanKind.CLIENT, at=began
        )
        method, _, route = exchange.route.partition(" ")
        if route.startswith("/"):
            span.set_attributes({"http.request.method": method, "url.template": route})
        span.set_attribute("alter_sync.attempt", exchange.attempt)
        if exchange.status:
            span.set_attribute("http.response.status_code", exchange.status)
        if exchange.error or exchange.status >= 400:
            span.set_attribute("error.type", exchange.error or str(exchange.status))
            span.set_status(Status(StatusCode.ERROR))
        span.end(end_time=began + int(exchange.seconds * _NANOSECONDS))

    def begin_agent(self, operations: Sequence[Operation]) -> None:
        """What this thread asks from now on belongs to this agent."""
        span = self._start(f"apply {operations[0].agent}", parent=self._run)
        span.set_attribute("alter_sync.agent", operations[0].agent)
        span.set_attribute("alter_sync.operations", [operation.kind for operation in operations])
        self._here.agent = span

    def end_agent(self, outcomes: Sequence[OperationOutcome]) -> None:
        """Codes and not messages: those may quote what a server said."""
        span = self._agent()
        if span is None:
            return
        self._here.agent = None
        failures = [outcome.failure.code for outcome in outcomes if outcome.failure]
        span.set_attribute("alter_sync.done", sum(outcome.status == "done" for outcome in outcomes))
        if failures:
            span.set_attribute("error.type", failures[0])
            span.set_status(Status(StatusCode.ERROR))
        span.end()

    def end_run(self, exit_code: ExitCode) -> None:
        """Differences that were asked for are no error."""
        self._run.set_attribute("process.exit.code", int(exit_code))
        if exit_code not in _FINE:
            self._run.set_status(Status(StatusCode.ERROR))

    def _agent(self) -> Span | None:
        found: Span | None = getattr(self._here, "agent", None)
        return found

    def _start(
        self, name: str, *, parent: Span, kind: SpanKind = SpanKind.INTERNAL, at: int | None = None
    ) -> Span:
        context = api.set_span_in_context(parent)
        return self._tracer.start_span(name, context=context, kind=kind, start_time=at)


class _Exporter(OTLPSpanExporter):
    """Remembers whether something was not delivered. The library would log each attempt, with the address."""

    has_failed = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = super().export(spans)
        self.has_failed = self.has_failed or result is not SpanExportResult.SUCCESS
        return result


@contextmanager
def open_telemetry(command: str, alarm: Callable[[str], None]) -> Iterator[OpenTelemetry]:
    """Spans from here to the end, sent then. The environment configures all that it is meant to configure."""
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL + 1)
    # Not the detectors of the default: they look at the process and its arguments.
    mine = Resource({SERVICE_NAME: "alter-sync", "service.version": tool_version()})
    resource = mine.merge(OTELResourceDetector().detect())
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    timeout = None if any(os.environ.get(name) for name in _TIMEOUTS) else _FLUSH_SECONDS
    exporter = _Exporter(timeout=timeout)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    tracer = provider.get_tracer("alter-sync", tool_version())
    run = tracer.start_span(f"alter-sync {command}")
    run.set_attribute("alter_sync.command", command)
    try:
        yield OpenTelemetry(tracer, run)
    finally:
        run.end()
        provider.force_flush(int(_FLUSH_SECONDS * 1000))
        provider.shutdown()
        if exporter.has_failed:
            alarm("warning: the spans of this run were not delivered to the OpenTelemetry collector")
