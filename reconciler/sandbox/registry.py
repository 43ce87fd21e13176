"""The observed registry: which agents and callers were seen at work, and how much in the last thirty days."""

import sqlite3
import threading
import uuid
from collections.abc import Iterable
from dataclasses import dataclass

from reconciler.sandbox.answers import Json, Refusal, page_of
from reconciler.sandbox.clock import to_text
from reconciler.sandbox.database import Database

ACTIVITY_DAYS = 30
FLUSH_SECONDS = 1.0
"""How long a sighting waits in memory, and no other process sees it."""
_DAY_SECONDS = 86_400
_ACTOR_IDS = uuid.UUID("6f0c0d2c-6a1e-5c9b-9a53-5f0c1d9f3b7e")
_SEEN = (
    "SELECT actors.*, (SELECT coalesce(sum(count), 0) FROM activity"
    " WHERE activity.app_id = actors.app_id AND activity.actor_id = actors.actor_id"
    " AND day > ?) AS recent FROM actors WHERE app_id = ?"
)


@dataclass(frozen=True, slots=True)
class SeenActor:
    """Who was seen: an agent by its id, or a caller by an id that is made of its name."""

    app_id: str
    actor_id: str
    name: str
    type: str


def caller_id(app_id: str, caller: str) -> str:
    """The same for the same caller in the same app, for ever."""
    return str(uuid.uuid5(_ACTOR_IDS, f"{app_id}/{caller}"))


def note(database: Database, seen: SeenActor, *, at: float, count: int = 1) -> None:
    """Call it inside a transaction. `at` is the sandbox's time."""
    database.connection.execute(
        "INSERT INTO actors (app_id, actor_id, name, type, last_activity_at) VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT DO UPDATE SET name = excluded.name, type = excluded.type,"
        " last_activity_at = max(last_activity_at, excluded.last_activity_at)",
        (seen.app_id, seen.actor_id, seen.name, seen.type, at),
    )
    database.connection.execute(
        "INSERT INTO activity (app_id, actor_id, day, count) VALUES (?, ?, ?, ?)"
        " ON CONFLICT DO UPDATE SET count = count + excluded.count",
        (seen.app_id, seen.actor_id, _day(at), count),
    )


@dataclass(slots=True)
class _Waiting:
    seen: SeenActor
    at: float
    count: int = 0


class Sightings:
    """Collects callers in memory: a run of thousands of requests must not become thousands of writes."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._known: set[tuple[str, str]] = set()
        self._waiting: dict[tuple[str, str, int], _Waiting] = {}
        self._is_due = False

    def add(self, seen: SeenActor, *, at: float) -> bool:
        """Counts one request. True if somebody has to call `flush` soon; False if that is so already.

        An actor that was not seen before is written at once.
        """
        with self._lock:
            waiting = self._waiting.setdefault((seen.app_id, seen.actor_id, _day(at)), _Waiting(seen, at))
            waiting.seen, waiting.at, waiting.count = seen, at, waiting.count + 1
            is_known = (seen.app_id, seen.actor_id) in self._known
            self._known.add((seen.app_id, seen.actor_id))
            if is_known:
                was_due, self._is_due = self._is_due, True
                return not was_due
        self.flush()
        return False

    def flush(self) -> None:
        """Writes what waits. What cannot be written now waits on."""
        self._is_due = False
        if not self._waiting or self._database.closed:
            return
        with self._database.transaction(), self._lock:
            for waiting in self._waiting.values():
                note(self._database, waiting.seen, at=waiting.at, count=waiting.count)
            self._waiting.clear()

    def forget(self) -> None:
        with self._lock:
            self._known.clear()
            self._waiting.clear()


def list_actors(database: Database, app_id: str, *, now: float, limit: int, offset: int) -> dict[str, Json]:
    """Those seen last come first."""
    total = database.count("SELECT count(*) FROM actors WHERE app_id = ?", app_id)
    query = f"{_SEEN} ORDER BY last_activity_at DESC, actor_id LIMIT ? OFFSET ?"
    found = database.rows(query, _first_day(now), app_id, limit, offset)
    return page_of(_shown(found), total=total, limit=limit, offset=offset)


def find_actor(database: Database, app_id: str, actor_id: str, *, now: float) -> dict[str, Json]:
    found = database.rows(f"{_SEEN} AND actor_id = ?", _first_day(now), app_id, actor_id.lower())
    if not found:
        raise Refusal(404, "actor_not_found", message="No such actor was seen in this app.")
    return _shown(found)[0]


def _shown(rows: Iterable[sqlite3.Row]) -> list[dict[str, Json]]:
    return [
        {
            "actor_id": row["actor_id"],
            "name": row["name"],
            "type": row["type"],
            "last_activity_at": to_text(row["last_activity_at"]),
            "activity_count_30d": row["recent"],
        }
        for row in rows
    ]


def _day(moment: float) -> int:
    return int(moment // _DAY_SECONDS)


def _first_day(now: float) -> int:
    """The last day that no longer counts."""
    return _day(now) - ACTIVITY_DAYS
