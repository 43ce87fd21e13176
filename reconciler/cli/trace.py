"""Who is told what happens in a run: nobody, unless a log is asked for or OpenTelemetry is configured."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from reconciler.alter.retry import ApiEvent, Exchange
    from reconciler.errors import ExitCode
    from reconciler.model.outcome import OperationOutcome
    from reconciler.model.plan import Operation

SinkAction = Literal["deliver", "restore_previous", "forget_previous"]

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


class Trace:
    """What can be told of a run. Called from whatever thread does the work; this one keeps nothing."""

    def for_app(self, app: str) -> Trace:  # noqa: ARG002
        """The trace of what is done for one of several apps."""
        return self

    def exchanged(self, exchange: Exchange) -> None:
        """One attempt of a request is over."""

    def retried(self, event: ApiEvent) -> None:
        """A wait begins: before the next attempt in this thread, or for the rate limit."""

    def begin_agent(self, operations: Sequence[Operation]) -> None:
        """The work on one agent begins."""

    def end_agent(self, outcomes: Sequence[OperationOutcome]) -> None:
        """It is over, as told."""

    def sink_used(self, action: SinkAction, *, sink: str, agent: str, error: str) -> None:
        """A sink changed what it holds for an agent, or failed to: the code of that, else nothing."""

    def end_run(self, exit_code: ExitCode) -> None:
        """How the run ends."""


NO_TRACE = Trace()


class Traces(Trace):
    """Several at once."""

    def __init__(self, *traces: Trace) -> None:
        self._traces = traces

    def for_app(self, app: str) -> Trace:
        """Each for that app."""
        return Traces(*(trace.for_app(app) for trace in self._traces))

    def exchanged(self, exchange: Exchange) -> None:
        """Tells each."""
        for trace in self._traces:
            trace.exchanged(exchange)

    def retried(self, event: ApiEvent) -> None:
        """Tells each."""
        for trace in self._traces:
            trace.retried(event)

    def begin_agent(self, operations: Sequence[Operation]) -> None:
        """Tells each."""
        for trace in self._traces:
            trace.begin_agent(operations)

    def end_agent(self, outcomes: Sequence[OperationOutcome]) -> None:
        """Tells each."""
        for trace in self._traces:
            trace.end_agent(outcomes)

    def sink_used(self, action: SinkAction, *, sink: str, agent: str, error: str) -> None:
        """Tells each."""
        for trace in self._traces:
            trace.sink_used(action, sink=sink, agent=agent, error=error)

    def end_run(self, exit_code: ExitCode) -> None:
        """Tells each."""
        for trace in self._traces:
            trace.end_run(exit_code)


@contextmanager
def open_trace(
    command: str,
    environ: Mapping[str, str],
    alarm: Callable[[str], None],
    *,
    log: Path | None = None,
    options: Mapping[str, Any] | None = None,
) -> Iterator[Trace]:
    """The trace of one run: a log in a file, spans that are sent when it is over, both or none.

    ``alarm`` is told what could not be kept or sent; a log that cannot be begun is ``UsageError``.
    ``options`` are what the log may show of the command line.
    """
    with ExitStack() as stack:
        traces: list[Trace] = []
        if log is not None:
            from reconciler.cli.trace_log import trace_log

            traces.append(stack.enter_context(trace_log(log, command, options or {}, alarm)))
        if is_wanted(environ):
            try:
                from reconciler.cli.open_telemetry import open_telemetry
            except ImportError:  # the extra is not installed: the variables were set for other programs
                pass
            else:
                traces.append(stack.enter_context(open_telemetry(command, alarm)))
        match traces:
            case []:
                yield NO_TRACE
            case [one]:
                yield one
            case _:
                yield Traces(*traces)


def is_wanted(environ: Mapping[str, str]) -> bool:
    """Whether somebody configured an exporter. ``none`` and a disabled SDK switch it off, as anywhere.

    Source: opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables.
    """
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    exporters = {name.strip() for name in environ.get("OTEL_TRACES_EXPORTER", "").split(",") if name.strip()}
    return "otlp" in exporters if exporters else any(environ.get(name) for name in _ENDPOINTS)
