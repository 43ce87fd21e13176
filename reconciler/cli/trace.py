"""Where spans of a run go; nowhere, unless OpenTelemetry is configured by its own environment variables."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reconciler.alter.retry import ApiEvent, Exchange
    from reconciler.errors import ExitCode
    from reconciler.model.outcome import OperationOutcome
    from reconciler.model.plan import Operation

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


class Trace:
    """What can be told of a run. Called from whatever thread does the work; this one keeps nothing."""

    def exchanged(self, exchange: Exchange) -> None:
        """One attempt of a request is over."""

    def retried(self, event: ApiEvent) -> None:
        """The next attempt in this thread repeats the last one."""

    def begin_agent(self, operations: Sequence[Operation]) -> None:
        """The work on one agent begins."""

    def end_agent(self, outcomes: Sequence[OperationOutcome]) -> None:
        """It is over, as told."""

    def end_run(self, exit_code: ExitCode) -> None:
        """How the run ends."""


NO_TRACE = Trace()


@contextmanager
def open_trace(command: str, environ: Mapping[str, str], alarm: Callable[[str], None]) -> Iterator[Trace]:
    """The trace of one run, sent when it is over; ``alarm`` is told when that was not possible."""
    if not is_wanted(environ):
        yield NO_TRACE
        return
    try:
        from reconciler.cli.open_telemetry import open_telemetry
    except ImportError:  # the extra is not installed: the variables were set for other programs
        yield NO_TRACE
        return
    with open_telemetry(command, alarm) as trace:
        yield trace


def is_wanted(environ: Mapping[str, str]) -> bool:
    """Whether somebody configured an exporter. ``none`` and a disabled SDK switch it off, as anywhere.

    Source: opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables.
    """
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    exporters = {name.strip() for name in environ.get("OTEL_TRACES_EXPORTER", "").split(",") if name.strip()}
    return "otlp" in exporters if exporters else any(environ.get(name) for name in _ENDPOINTS)
