"""Writes one key into one sink and does not believe it before the sink shows it."""

from __future__ import annotations

from collections.abc import Callable

from reconciler.errors import SinkError
from reconciler.ports import Clock, Delivery, SecretSink

_ATTEMPTS = 3
_PAUSE_SECONDS = 0.5


def write_key(
    clock: Clock,
    sink: SecretSink,
    delivery: Delivery,
    *,
    acknowledged: list[SecretSink],
    before_each: Callable[[], None] = lambda: None,
) -> None:
    """Delivers and reads back, a few times if need be; what ``before_each`` raises ends it at once.

    A sink that once said that it has the key is added to ``acknowledged``, even if it denies it later.
    """
    for attempt in range(_ATTEMPTS):
        before_each()
        try:
            sink.deliver(delivery)
            acknowledged.append(sink)
            _verify(sink, delivery)
            return
        except SinkError:
            if attempt == _ATTEMPTS - 1:
                raise
            clock.sleep(_PAUSE_SECONDS * 2**attempt)
    raise AssertionError("the loop returns or raises")


def _verify(sink: SecretSink, delivery: Delivery) -> None:
    if not sink.is_readable:
        return
    reading = sink.read_back(delivery.agent)
    wrong_key = reading is not None and reading.key_id not in {None, delivery.key_id}
    if reading is None or wrong_key or reading.fingerprint not in {None, delivery.plaintext.fingerprint()}:
        raise SinkError(
            f"sink {sink.name!r} does not hold what was just written to {sink.place(delivery.agent)}",
            hint="another process may be writing to the same place",
        )
