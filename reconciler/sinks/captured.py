"""What a program of the user's prints as its answer, up to a limit, until it ends."""

from __future__ import annotations

import os
import selectors
from time import monotonic
from typing import IO, Protocol

from reconciler.model.secret import Secret

_OUTPUT_LIMIT_BYTES = 65_536
_TICK_SECONDS = 0.01


class Running(Protocol):
    """A started program; ``stdout`` is ``None`` when nobody listens to it."""

    @property
    def stdout(self) -> IO[bytes] | None: ...

    def poll(self) -> int | None: ...


class Captured:
    """The beginning of the output, whatever the program prints after it."""

    __slots__ = ("_output", "is_cut")

    def __init__(self) -> None:
        self._output = bytearray()
        self.is_cut = False

    def output(self) -> Secret | None:
        """The output without the newline that programs print at the end; ``None`` when there was none."""
        text = self._output.decode(errors="replace").rstrip("\r\n")
        return Secret(text) if text else None

    def read_until_end_of(self, process: Running, deadline: float) -> bool:
        """Reads until the program has ended; ``False`` when it still runs at the deadline.

        What it left running in the background may hold the stream open: nobody waits for that.
        """
        with selectors.DefaultSelector() as selector:
            if process.stdout is not None:
                selector.register(process.stdout, selectors.EVENT_READ)
            while True:
                # Asked first: what the program printed before it ended is then ready to be read.
                ended = process.poll() is not None
                ready = selector.select(0 if ended else _TICK_SECONDS)
                for key, _events in ready:
                    if not self._take(os.read(key.fd, _OUTPUT_LIMIT_BYTES)):
                        selector.unregister(key.fileobj)
                if (ended and not ready) or monotonic() >= deadline:
                    return ended

    def _take(self, data: bytes) -> bool:
        self._output += data
        if len(self._output) > _OUTPUT_LIMIT_BYTES:
            del self._output[_OUTPUT_LIMIT_BYTES:]
            self.is_cut = True
        return bool(data)
