"""A collector on loopback: takes spans over OTLP/HTTP and keeps them."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.support.wire_server import Received, Reply, WireServer


@dataclass(frozen=True, slots=True)
class ReceivedSpan:
    """One span as it arrived."""

    name: str
    id: str
    parent: str
    is_error: bool
    seconds: float
    attributes: dict[str, Any]
    resource: dict[str, Any]


class OtlpReceiver(WireServer):
    """Answers 200 to everything."""

    def __init__(self) -> None:
        super().__init__(api_key="")

    def reply_to(self, request: Received) -> Reply:
        with self._lock:
            self.received.append(request)
        return Reply(200, body=b"", headers={"Content-Type": "application/x-protobuf"})

    def spans(self) -> list[ReceivedSpan]:
        """All spans so far."""
        return [span for request in self.received for span in _spans(request)]


@contextmanager
def otlp_receiver() -> Iterator[OtlpReceiver]:
    """A running one."""
    with OtlpReceiver() as receiver:
        yield receiver


def _spans(request: Received) -> Iterator[ReceivedSpan]:
    body = request.body
    if request.headers.get("content-encoding") == "gzip":
        body = gzip.decompress(body)
    message = ExportTraceServiceRequest.FromString(body)
    for group in message.resource_spans:
        resource = _attributes(group.resource.attributes)
        for scope in group.scope_spans:
            for span in scope.spans:
                yield ReceivedSpan(
                    span.name,
                    span.span_id.hex(),
                    span.parent_span_id.hex(),
                    span.status.code == 2,
                    (span.end_time_unix_nano - span.start_time_unix_nano) / 1e9,
                    _attributes(span.attributes),
                    resource,
                )


def _attributes(entries: Any) -> dict[str, Any]:
    return {entry.key: _value(entry.value) for entry in entries}


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(one) for one in value.array_value.values]
    return getattr(value, kind)
