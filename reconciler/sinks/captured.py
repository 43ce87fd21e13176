"""What a program of the user's prints: bounded, and never shown with a key in it."""

from __future__ import annotations

import os
import re
import selectors
from time import monotonic
from typing import IO, Protocol

from reconciler.model.secret import KEY_SHAPE, Secret

_OUTPUT_LIMIT_BYTES = 65_536
_ERRORS_LIMIT_BYTES = 16_384
_SHOWN_LINES, _SHOWN_CHARS = 5, 600
_TICK_SECONDS = 0.01
_FIRST_WORD = re.compile(r"\A\S+")
_PLACEHOLDER = "(secret)"


class Running(Protocol):
    """A started program with the streams that it prints to."""

    @property
    def stdout(self) -> IO[bytes] | None: ...

    @property
    def stderr(self) -> IO[bytes] | None: ...

    def poll(self) -> int | None: ...


class Captured:
    """The beginning of the output and the end of the errors, whatever the program prints in between."""

    __slots__ = ("_errors", "_errors_are_cut", "_output", "is_cut")

    def __init__(self) -> None:
        self._output = bytearray()
        self._errors = bytearray()
        self.is_cut = False
        self._errors_are_cut = False

    def output(self) -> Secret | None:
        """The output without the newline that programs print at the end; ``None`` when there was none."""
        text = self._output.decode(errors="replace").rstrip("\r\n")
        return Secret(text) if text else None

    def errors(self) -> str:
        """The last of what was printed as errors.

        When the beginning was cut off, the word there is dropped as well: it may be half a key, which nothing
        could recognise as one.
        """
        text = self._errors.decode(errors="replace")
        return _FIRST_WORD.sub("", text) if self._errors_are_cut else text

    def read_until_end_of(self, process: Running, deadline: float) -> bool:
        """Reads until the program has ended; ``False`` when it still runs at the deadline.

        What it left running in the background may hold the streams open: nobody waits for that.
        """
        with selectors.DefaultSelector() as selector:
            for stream, take in ((process.stdout, self._take_output), (process.stderr, self._take_errors)):
                if stream is not None:
                    selector.register(stream, selectors.EVENT_READ, take)
            while True:
                # Asked first: what the program printed before it ended is then ready to be read.
                ended = process.poll() is not None
                ready = selector.select(0 if ended else _TICK_SECONDS)
                for key, _events in ready:
                    if not key.data(os.read(key.fd, _OUTPUT_LIMIT_BYTES)):
                        selector.unregister(key.fileobj)
                if (ended and not ready) or monotonic() >= deadline:
                    return ended

    def _take_output(self, data: bytes) -> bool:
        self._output += data
        if len(self._output) > _OUTPUT_LIMIT_BYTES:
            del self._output[_OUTPUT_LIMIT_BYTES:]
            self.is_cut = True
        return bool(data)

    def _take_errors(self, data: bytes) -> bool:
        self._errors += data
        if len(self._errors) > _ERRORS_LIMIT_BYTES:
            del self._errors[:-_ERRORS_LIMIT_BYTES]
            self._errors_are_cut = True
        return bool(data)


def shown(captured: Captured, key: Secret | None) -> str:
    """The last lines of the errors for people, after a colon; nothing when there are none.

    Masked are this key and everything shaped like a key of Alter, before control characters go and after,
    for they may have stood inside of one.
    """
    masked = _masked(captured.errors(), key).splitlines()
    printable = ("".join(filter(str.isprintable, line)) for line in masked)
    lines = [line.strip() for line in printable if line.strip()]
    joined = _masked(" / ".join(lines[-_SHOWN_LINES:]), key)
    if len(joined) > _SHOWN_CHARS:
        joined = "…" + joined[-_SHOWN_CHARS:]
    return f": {joined}" if joined else ""


def _masked(text: str, key: Secret | None) -> str:
    if key is not None:
        text = text.replace(key.reveal(), _PLACEHOLDER)
    return KEY_SHAPE.sub(_PLACEHOLDER, text)
