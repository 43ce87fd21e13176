"""The sandbox's past: how to take back each change of an agent or a key, for answers that are out of date."""

import sqlite3
from collections import deque

MARKS_KEPT = 10_000
_TABLES = ("agents", "keys")


class History:
    """Notes undo statements in memory, for as long as the connection lives.

    The recipe is SQLite's own (sqlite.org/undoredo.html); temporary triggers keep it out of the file.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        # (sandbox time, agent, last undo entry before the mutation), oldest first
        self._marks: deque[tuple[float, str | None, int]] = deque()
        _watch(connection)

    def position(self) -> int:
        return int(self._connection.execute("SELECT coalesce(max(seq), 0) FROM undo").fetchone()[0])

    def mark(self, before: int, *, at: float, agent_id: str | None) -> None:
        """Remembers that a mutation began at the position `before`, if it changed anything."""
        if self.position() == before:
            return
        self._marks.append((at, agent_id, before))
        if len(self._marks) > MARKS_KEPT:
            _, _, forgotten = self._marks.popleft()
            self._connection.execute("DELETE FROM undo WHERE seq <= ?", (forgotten,))

    def before(self, moment: float) -> int:
        """The position at that time."""
        return next((position for at, _, position in self._marks if at > moment), self.position())

    def before_last(self, agent_id: str | None) -> int:
        """The position before the last mutation, of that agent if one is given."""
        fitting = (position for _, marked, position in reversed(self._marks) if agent_id in (None, marked))
        return next(fitting, self.position())

    def copy_at(self, position: int) -> sqlite3.Connection:
        """A database in memory in which every later change is taken back."""
        copy = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
        copy.row_factory = sqlite3.Row
        self._connection.backup(copy)
        later = self._connection.execute(
            "SELECT statement FROM undo WHERE seq > ? ORDER BY seq DESC", (position,)
        )
        for (statement,) in later.fetchall():
            copy.execute(statement)
        return copy

    def forget(self) -> None:
        self._marks.clear()
        self._connection.execute("DELETE FROM undo")


def _watch(connection: sqlite3.Connection) -> None:
    connection.execute("CREATE TEMP TABLE undo (seq INTEGER PRIMARY KEY AUTOINCREMENT, statement TEXT)")
    for table in _TABLES:
        columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
        # The names come from TABLES above, never from a request.
        assignments = " || ', ' || ".join(f"'{name}=' || quote(old.{name})" for name in columns)
        deletion = f"'DELETE FROM {table} WHERE seq=' || new.seq"  # noqa: S608
        update = f"'UPDATE {table} SET ' || {assignments} || ' WHERE seq=' || old.seq"  # noqa: S608
        for event, statement in (("INSERT", deletion), ("UPDATE", update)):
            connection.execute(
                f"CREATE TEMP TRIGGER undo_{event}_{table} AFTER {event} ON main.{table} BEGIN"  # noqa: S608
                f" INSERT INTO undo (statement) VALUES ({statement}); END"
            )
