"""Credentials for either plane of a running sandbox."""

from collections.abc import Iterable
from typing import Literal

import pytest

from reconciler.cli.embedded import write_alter
from reconciler.sandbox import SandboxServer
from tests.support.commands import use_key_of

Plane = Literal["sdk", "dashboard"]


def use_token(
    monkeypatch: pytest.MonkeyPatch,
    server: SandboxServer,
    *,
    permissions: Iterable[str] | None = None,
) -> str:
    """From now on commands have a token for the executable, which is written beside its database."""
    token = server.pat() if permissions is None else server.create_pat(permissions)
    monkeypatch.setenv("ALTER_CLI", str(write_alter(server.database)))
    monkeypatch.setenv("ALTER_PAT", token)
    monkeypatch.setenv("ALTER_APP_ID", server.app_id())
    return token


def allow_only(monkeypatch: pytest.MonkeyPatch, server: SandboxServer, plane: Plane, *verbs: str) -> None:
    """From now on commands may do no more than this on that plane: ``read``, ``write``, ``admin``."""
    if plane == "sdk":
        use_key_of(monkeypatch, server, *(f"agents:{verb}" for verb in verbs))
    else:
        permissions = [f"dashboard_agents:{verb}" for verb in verbs]
        use_token(monkeypatch, server, permissions=permissions)
