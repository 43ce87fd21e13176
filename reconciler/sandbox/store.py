"""The sandbox's database: one SQLite file behind one lock, with its clock, apps, logs and past."""

import json
import sqlite3
import threading
import uuid
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reconciler.sandbox import schema
from reconciler.sandbox.catalog import APP_PERMISSIONS
from reconciler.sandbox.clock import Clock, to_text
from reconciler.sandbox.history import History
from reconciler.sandbox.keys import PREFIX_LENGTH, digest, mint_plaintext
from reconciler.sandbox.settings import SandboxSettings

REQUEST_LOG_SIZE = 200_000


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts: the key's app and row, the agent it belongs to (agent keys), and the caller header."""

    app_id: str
    key_id: str | None = None
    agent_id: str | None = None
    caller: str | None = None
    request_id: str | None = None


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


class Store:
    def __init__(self, database: Path | sqlite3.Connection, settings: SandboxSettings) -> None:
        self.settings = settings
        self.lock = threading.RLock()
        self.closed = False
        self._requests: deque[LoggedRequest] = deque(maxlen=REQUEST_LOG_SIZE)
        self._history: History | None = None
        if isinstance(database, Path):
            database.parent.mkdir(parents=True, exist_ok=True)
            self.connection = _open(database)
            schema.create(self.connection)
            self._history = History(self.connection)
        else:
            self.connection = database
        self.clock = Clock(float(self._meta("clock_offset_seconds") or 0))

    def close(self) -> None:
        with self.lock:
            self.closed = True
            self.connection.close()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing, and nobody else meanwhile. Opened again inside itself it joins the outer one."""
        with self.lock:
            if self.connection.in_transaction:
                yield self.connection
                return
            self.connection.execute("BEGIN IMMEDIATE")
            try:
                yield self.connection
            except BaseException:
                self.connection.execute("ROLLBACK")
                raise
            self.connection.execute("COMMIT")

    @contextmanager
    def mutation(self, agent_id: str | None = None) -> Iterator[sqlite3.Connection]:
        """A transaction that `as_it_was` can go back to the start of."""
        with self.transaction() as connection:
            history = self._own_history()
            before = history.position()
            yield connection
            history.mark(before, at=self.now(), agent_id=agent_id)

    def rows(self, query: str, *values: object) -> list[sqlite3.Row]:
        with self.lock:
            return self.connection.execute(query, values).fetchall()

    def row(self, query: str, *values: object) -> sqlite3.Row | None:
        found = self.rows(query, *values)
        return found[0] if found else None

    def now(self) -> float:
        # Another process may have moved the clock of a database that is being served.
        if self._history is not None:
            self.clock.offset_seconds = float(self._meta("clock_offset_seconds") or 0)
        return self.clock.now()

    def advance_clock(self, seconds: float) -> float:
        """Returns the new time. It never goes back but with `reset`."""
        if not 0 <= seconds <= 10 * 366 * 86_400:
            raise ValueError("the clock advances by 0 seconds to 10 years at once")
        with self.lock:
            self.clock.offset_seconds += seconds
            self._set_meta("clock_offset_seconds", str(self.clock.offset_seconds))
            return self.clock.now()

    def app_id(self, name: str) -> str:
        """The id of an app, which is made if it is not there."""
        with self.transaction() as connection:
            found = connection.execute("SELECT id FROM apps WHERE name = ?", (name,)).fetchone()
            if found is not None:
                return str(found["id"])
            app_id = str(uuid.uuid4())
            connection.execute("INSERT INTO apps (id, name) VALUES (?, ?)", (app_id, name))
            return app_id

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

    def bootstrap_key(self, *, app: str) -> str:
        """The full-permission key of the first app, the same for as long as the file lives.

        Its plaintext is kept: this is a sandbox, and whoever reads the file may use it anyway.
        """
        with self.transaction():
            known = self._meta("bootstrap_key")
            if known is not None:
                return known
            plaintext = self.create_app_key(APP_PERMISSIONS, app=app)
            self._set_meta("bootstrap_key", plaintext)
            return plaintext

    def set_key_state(self, plaintext: str, state: str) -> None:
        """`active`, `revoked`, `expired`, `rotated`, or anything else for a key that is merely not active."""
        with self.transaction() as connection:
            connection.execute("UPDATE keys SET state = ? WHERE digest = ?", (state, digest(plaintext)))

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
        who = (actor.key_id, actor.caller, actor.request_id, json.dumps(detail or {}))
        self.connection.execute(
            "INSERT INTO audit (at, app_id, action, agent_id, target_key_id,"
            " actor_key_id, caller, request_id, detail) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            values + who,
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
        """Empties everything but the apps and their runtime keys, which clients hold."""
        with self.transaction() as connection:
            for table in ("agents", "idempotency", "audit"):
                connection.execute(f"DELETE FROM {table}")  # noqa: S608 - names from the line above
            connection.execute("DELETE FROM keys WHERE agent_id IS NOT NULL")
            self.clock.offset_seconds = 0.0
            self._set_meta("clock_offset_seconds", "0")
            self._own_history().forget()
        self.clear_request_log()

    def _meta(self, name: str) -> str | None:
        found = self.row("SELECT value FROM meta WHERE name = ?", name)
        return None if found is None else str(found["value"])

    def _set_meta(self, name: str, value: str) -> None:
        self.connection.execute("INSERT OR REPLACE INTO meta (name, value) VALUES (?, ?)", (name, value))


def _open(database: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(database, check_same_thread=False, isolation_level=None, timeout=5)
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA temp_store = MEMORY")
    return connection
