"""Which types of sink there are, and how each is opened."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module

from reconciler.errors import SinkError
from reconciler.model.desired import SinkRef
from reconciler.ports import SecretSink

# A builder takes the reference and the former owners, whose places this configuration may take over.
_Builder = Callable[[SinkRef, tuple[str, ...]], SecretSink]

# Each is imported when it is opened, and its library inside: nobody pays for sinks that they do not use.
_BUILDERS: Mapping[str, tuple[str, str]] = {
    "file": ("reconciler.sinks.file", "open_file_sink"),
    "command": ("reconciler.sinks.command", "open_command_sink"),
    "age": ("reconciler.sinks.age", "open_age_sink"),
    "vault": ("reconciler.sinks.vault", "open_vault_sink"),
    "aws_secrets_manager": ("reconciler.sinks.aws_secrets_manager", "open_aws_secrets_manager_sink"),
    "kubernetes": ("reconciler.sinks.kubernetes", "open_kubernetes_sink"),
    "github_actions": ("reconciler.sinks.github_actions", "open_github_actions_sink"),
}

AVAILABLE_TYPES: tuple[str, ...] = tuple(_BUILDERS)


def open_sink(ref: SinkRef, *, former_owners: tuple[str, ...] = ()) -> SecretSink:
    """Opens a sink of the configuration. Touches nothing yet; ``probe`` finds out whether it works."""
    if ref.type not in _BUILDERS:
        raise SinkError(
            f"there is no type of sink {ref.type!r} (sink {ref.name!r} at {ref.position})",
            hint=f"known: {', '.join(AVAILABLE_TYPES)}",
        )
    module, function = _BUILDERS[ref.type]
    builder: _Builder = getattr(import_module(module), function)
    return builder(ref, former_owners)
