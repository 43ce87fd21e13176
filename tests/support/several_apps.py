"""Apps of one sandbox, each with a configuration in `apps/` and a key of its own in the environment."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from reconciler.sandbox import SandboxServer
from reconciler.sandbox.catalog import APP_PERMISSIONS
from tests.support.commands import TO_FILES, declare, readers
from tests.support.sandbox_server import SignedClient

APPS = ("bank", "mill", "shop")


def variable_of(app: str) -> str:
    return f"{app.upper()}_KEY"


def declare_app(app: str, agents: Mapping[str, Any], *, owner: str = "", **sections: Any) -> Path:
    """The configuration of an app, in `apps/<app>.yaml`."""
    about = {"name": app, "api_key_env": variable_of(app)}
    return declare(agents, file=f"apps/{app}.yaml", owner=owner or f"{app}/agents", app=about, **sections)


def declare_delivering(app: str, *agents: str) -> Path:
    """One whose keys go to `secrets/<app>/{agent}.env`."""
    sinks = {"env": {"type": "file", "path": f"secrets/{app}/{{agent}}.env", "format": "dotenv"}}
    return declare_app(app, readers(*agents), **{**TO_FILES, "sinks": sinks})


class Fleet:
    """The apps and who may do what there."""

    def __init__(self, server: SandboxServer, monkeypatch: pytest.MonkeyPatch) -> None:
        self.server = server
        self.keys: dict[str, str] = {}
        self._monkeypatch = monkeypatch
        monkeypatch.delenv("ALTER_API_KEY")
        for app in APPS:
            self.use_key(app, *APP_PERMISSIONS)

    def use_key(self, app: str, *permissions: str) -> None:
        """From now on commands have this key for the app."""
        self.keys[app] = self.server.create_app_key(permissions, app=app)
        self._monkeypatch.setenv(variable_of(app), self.keys[app])

    def client(self, app: str) -> SignedClient:
        """Somebody who works in the app by hand."""
        return SignedClient(self.server, self.keys[app])

    def live(self) -> dict[str, list[str]]:
        """The names of the agents of each app."""
        found = self.server.store.rows(
            "SELECT apps.name AS app, agents.name AS agent FROM agents JOIN apps ON apps.id = agents.app_id"
            " WHERE agents.status != 'revoked' ORDER BY agents.name"
        )
        return {app: [row["agent"] for row in found if row["app"] == app] for app in APPS}
