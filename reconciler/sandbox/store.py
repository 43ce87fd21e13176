"""The sandbox's state in its database: its clock, apps, credentials, logs and past."""

import json
import sqlite3
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reconciler.sandbox import schema
from reconciler.sandbox.catalog import APP_PERMISSIONS, DASHBOARD_PERMISSIONS
from reconciler.sandbox.clock import Clock, to_text
from reconciler.sandbox.database import Database, open_file
from reconciler.sandbox.history import History
from reconciler.sandbox.keys import PREFIX_LENGTH, digest, mint_plaintext
from reconciler.sandbox.registry import Sightings
from reconciler.sandbox.settings import SandboxSettings

REQUEST_LOG_SIZE = 200_000


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts: the app and row of the key or the token, and what is known of who holds it.

    `agent_id` is of an agent's key, `caller` and `caller_type` are headers, `user` is the person of a token.
    """

    app_id: str
    key_id: str | None = None
    agent_id: str | None = None
    caller: str | None = None
    request_id: str | None = None
    caller_type: str | None = None
    user: str | None = None


@dataclass(frozen=True, slots=True)
class LoggedRequest:
    """One request to the SDK plane. `status` is what the client was sent, None if nothing."""

    at: float
    """Real time, unix seconds: when the answer was ready."""
    request_id: str
    method: str
    path: str
    query: str
    status: int | None
    key_id: str | None
    caller: str | None
    fault: str | None

    @property
    def mutating(self) -> bool:
        return self.method != "GET"


class Store(Database):
    def __init__(self, database: Path | sqlite3.Connection, settings: SandboxSettings) -> None:
        self.settings = settings
        self.sightings = Sightings(self)
        self._requests: deque[LoggedRequest] = deque(maxlen=REQUEST_LOG_SIZE)
        self._history: History | None = None
        if isinstance(database, Path):
            super().__init__(open_file(database))
            schema.create(self.connection)
            self._history = History(self.connection)
        else:
            super().__init__(database)
        self.clock = Clock(self._clock_offset())

    def close(self) -> None:
        try:
            self.sightings.flush()
        finally:
            super().close()

    @contextmanager
    def mutation(self, agent_id: str | None = None) -> Iterator[sqlite3.Connection]:
        """A transaction that `as_it_was` can go back to the start of."""
        with self.transaction() as connection:
            history = self._own_history()
            before = history.position()
            yield connection
            history.mark(before, at=self.now(), agent_id=agent_id)

    def now(self) -> float:
        # Another process may have moved the clock of a database that is being served.
        if self._history is not None:
            self.clock.offset_seconds = self._clock_offset()
        return self.clock.now()

    def advance_clock(self, seconds: float) -> float:
        """Returns the new time. It never goes back but with `reset`."""
        if not 0 <= seconds <= 10 * 366 * 86_400:
            raise ValueError("the clock advances by 0 seconds to 10 years at once")
        with self.transaction():
            self.clock.offset_seconds = self._clock_offset() + seconds
            self.set_meta("clock_offset_seconds", str(self.clock.offset_seconds))
            return self.clock.now()

    def _clock_offset(self) -> float:
        return float(self.meta("clock_offset_seconds") or 0)

    def app_id(self, name: str) -> str:
        """The id of an app, which is made if it is not there."""
        with self.transaction() as connection:
            found = connection.execute("SELECT id FROM apps WHERE name = ?", (name,)).fetchone()
            if found is not None:
                return str(found["id"])
            app_id = str(uuid.uuid4())
            connection.execute("INSERT INTO apps (id, name) VALUES (?, ?)", (app_id, name))
            return app_id

    def has_app(self, name: str) -> bool:
        return self.row("SELECT id FROM apps WHERE name = ?", name) is not None

    def delete_app(self, name: str) -> None:
        """Its keys stay, and from now on answer `app_not_found_for_key`."""
        with self.transaction() as connection:
            connection.execute("DELETE FROM apps WHERE name = ?", (name,))

    def create_app_key(self, permissions: Iterable[str], *, app: str) -> str:
        plaintext = mint_plaintext("rk")
        with self.transaction() as connection:
            connection.execute(
                "INSERT INTO keys (id, app_id, digest, prefix, name, permissions, created_at)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    str(uuid.uuid4()),
                    self.app_id(app),
                    digest(plaintext),
                    plaintext[:PREFIX_LENGTH],
                    f"{app} runtime key",
                    json.dumps(sorted(set(permissions))),
                    self.now(),
                ),
            )
        return plaintext

    def bootstrap_key(self, *, app: str, of: str = "") -> str:
        """A full-permission key, the same for as long as the file lives; `of` tells those of apps apart."""
        return self._kept(f"bootstrap_key{of}", lambda: self.create_app_key(APP_PERMISSIONS, app=app))

    def create_pat(self, permissions: Iterable[str], *, user: str, app: str) -> str:
        """Plaintext of a new personal access token: what `user` may do in this app's dashboard."""
        plaintext = mint_plaintext("pk")
        with self.transaction() as connection:
            granted = json.dumps(sorted(set(permissions)))
            connection.execute(
                "INSERT INTO pats (id, app_id, digest, user, permissions, created_at)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (str(uuid.uuid4()), self.app_id(app), digest(plaintext), user, granted, self.now()),
            )
        return plaintext

    def bootstrap_pat(self, *, user: str, app: str, of: str = "") -> str:
        """A full-permission token, likewise."""
        make = lambda: self.create_pat(DASHBOARD_PERMISSIONS, user=user, app=app)  # noqa: E731
        return self._kept(f"bootstrap_pat{of}", make)

    def _kept(self, name: str, make: Callable[[], str]) -> str:
        """A plaintext that is kept: this is a sandbox, and whoever reads the file may use it anyway."""
        with self.transaction():
            known = self.meta(name)
            if known is None:
                known = make()
                self.set_meta(name, known)
            return known

    def set_key_state(self, plaintext: str, state: str) -> None:
        """Of a key or a token: `active`, `revoked`, `expired`, `rotated`; anything else is not active."""
        with self.transaction() as connection:
            for table in ("keys", "pats"):
                connection.execute(
                    f"UPDATE {table} SET state = ? WHERE digest = ?",  # noqa: S608 - names from above
                    (state, digest(plaintext)),
                )

    def record(
        self,
        actor: Actor,
        action: str,
        *,
        agent_id: str | None = None,
        key_id: str | None = None,
        detail: Any = None,
    ) -> None:
        """One audit row for one mutation, inside the transaction that makes it."""
        values = (self.now(), actor.app_id, action, agent_id, key_id)
        who = (actor.key_id, actor.caller, actor.caller_type, actor.user, actor.request_id)
        self.connection.execute(
            "INSERT INTO audit (at, app_id, action, agent_id, target_key_id, actor_key_id, caller,"
            " caller_type, user, request_id, detail) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (*values, *who, json.dumps(detail or {})),
        )

    def audit_log(self, agent_id: str | None = None) -> list[dict[str, Any]]:
        """Oldest first."""
        found = self.rows("SELECT * FROM audit WHERE ?1 IS NULL OR agent_id = ?1 ORDER BY seq", agent_id)
        return [{**dict(row), "at": to_text(row["at"]), "detail": json.loads(row["detail"])} for row in found]

    def log_request(self, request: LoggedRequest) -> None:
        self._requests.append(request)

    def request_log(self) -> list[LoggedRequest]:
        """Oldest first, since the start or the last `clear_request_log`."""
        return list(self._requests)

    def clear_request_log(self) -> None:
        self._requests.clear()

    def as_it_was(self, *, seconds_ago: float | None, agent_id: str | None) -> "Store":
        """A copy in memory; without `seconds_ago` before the last mutation, of that agent if one is given."""
        with self.lock:
            history = self._own_history()
            position = (
                history.before_last(agent_id)
                if seconds_ago is None
                else history.before(self.now() - seconds_ago)
            )
            return Store(history.copy_at(position), self.settings)

    def _own_history(self) -> History:
        if self._history is None:
            raise RuntimeError("a copy of the past has no past of its own")
        return self._history

    def reset(self) -> None:
        """Empties everything but the apps with their runtime keys and tokens, which clients hold."""
        with self.transaction() as connection:
            for table in ("agents", "idempotency", "audit", "actors", "activity"):
                connection.execute(f"DELETE FROM {table}")  # noqa: S608 - names from the line above
            connection.execute("DELETE FROM keys WHERE agent_id IS NOT NULL")
            self.clock.offset_seconds = 0.0
            self.set_meta("clock_offset_seconds", "0")
            self._own_history().forget()
            self.sightings.forget()
        self.clear_request_log()
