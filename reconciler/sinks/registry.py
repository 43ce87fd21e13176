"""Which types of sink there are, and how each is opened."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from reconciler.errors import SinkError
from reconciler.model.desired import SinkRef
from reconciler.ports import SecretSink
from reconciler.sinks.command import open_command_sink
from reconciler.sinks.file import open_file_sink

# A builder takes the reference and the former owners, whose places this configuration may take over. One that
# needs a library of an extra imports it inside, so that nobody pays for sinks that they do not use.
_BUILDERS: Mapping[str, Callable[[SinkRef, tuple[str, ...]], SecretSink]] = {
    "file": open_file_sink,
    "command": open_command_sink,
}

AVAILABLE_TYPES: tuple[str, ...] = tuple(_BUILDERS)


def open_sink(ref: SinkRef, *, former_owners: tuple[str, ...] = ()) -> SecretSink:
    """Opens a sink of the configuration. Touches nothing yet; ``probe`` finds out whether it works."""
    builder = _BUILDERS.get(ref.type)
    if builder is None:
        raise SinkError(
            f"there is no type of sink {ref.type!r} (sink {ref.name!r} at {ref.position})",
            hint=f"known: {', '.join(AVAILABLE_TYPES)}",
        )
    return builder(ref, former_owners)
