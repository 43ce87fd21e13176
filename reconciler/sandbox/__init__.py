"""The embedded Alter: a local server that speaks the SDK plane over real HTTP, and an `alter` executable."""

from typing import TYPE_CHECKING, Any

from reconciler.sandbox.settings import SandboxSettings

if TYPE_CHECKING:
    from reconciler.sandbox.server import SandboxServer

__all__ = ["SandboxServer", "SandboxSettings"]


def __getattr__(name: str) -> Any:
    # The executable lives in this package, too, and starts without the libraries of the server.
    if name != "SandboxServer":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from reconciler.sandbox.server import SandboxServer

    return SandboxServer
