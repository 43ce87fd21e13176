"""The embedded Alter: a local server that speaks the SDK plane over real HTTP."""

from reconciler.sandbox.server import SandboxServer
from reconciler.sandbox.settings import SandboxSettings

__all__ = ["SandboxServer", "SandboxSettings"]
