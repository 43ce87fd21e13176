"""The tables of the sandbox."""

import sqlite3

TABLES = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS apps (id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS agents (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  app_id TEXT NOT NULL,
  name TEXT NOT NULL,
  display_name TEXT,
  type TEXT NOT NULL,
  status TEXT NOT NULL DEFAULT 'active',
  scopes TEXT NOT NULL,
  scopes_pending TEXT,
  scopes_applies_at REAL,
  policy TEXT NOT NULL,
  metadata TEXT NOT NULL,
  rate_limit_per_minute INTEGER,
  version INTEGER NOT NULL DEFAULT 1,
  created_at REAL NOT NULL,
  last_used_at REAL,
  unwritten_use_at REAL,
  unwritten_since REAL
);
CREATE UNIQUE INDEX IF NOT EXISTS agents_by_name ON agents (app_id, name) WHERE status <> 'revoked';
CREATE INDEX IF NOT EXISTS agents_by_app ON agents (app_id, seq);
CREATE INDEX IF NOT EXISTS agents_narrowing ON agents (scopes_applies_at) WHERE scopes_applies_at IS NOT NULL;
CREATE TABLE IF NOT EXISTS keys (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  app_id TEXT NOT NULL,
  agent_id TEXT,
  digest TEXT NOT NULL UNIQUE,
  prefix TEXT NOT NULL,
  name TEXT NOT NULL,
  permissions TEXT NOT NULL DEFAULT '[]',
  state TEXT NOT NULL DEFAULT 'active',
  created_at REAL NOT NULL,
  deprecated_at REAL,
  revoked_at REAL,
  last_used_at REAL,
  unwritten_use_at REAL,
  unwritten_since REAL
);
CREATE INDEX IF NOT EXISTS keys_by_agent ON keys (agent_id, seq);
CREATE TABLE IF NOT EXISTS idempotency (
  app_id TEXT NOT NULL, key TEXT NOT NULL, body_digest TEXT NOT NULL, agent_id TEXT NOT NULL,
  key_id TEXT NOT NULL, PRIMARY KEY (app_id, key)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS audit (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  at REAL NOT NULL, app_id TEXT NOT NULL, action TEXT NOT NULL, agent_id TEXT, target_key_id TEXT,
  actor_key_id TEXT, caller TEXT, request_id TEXT, detail TEXT NOT NULL DEFAULT '{}',
  caller_type TEXT, user TEXT
);
CREATE INDEX IF NOT EXISTS audit_by_agent ON audit (agent_id, seq);
CREATE TABLE IF NOT EXISTS pats (
  id TEXT PRIMARY KEY, app_id TEXT NOT NULL, digest TEXT NOT NULL UNIQUE, user TEXT NOT NULL,
  permissions TEXT NOT NULL, state TEXT NOT NULL DEFAULT 'active', created_at REAL NOT NULL,
  used_window INTEGER NOT NULL DEFAULT 0, used_count INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS actors (
  app_id TEXT NOT NULL, actor_id TEXT NOT NULL, name TEXT NOT NULL, type TEXT NOT NULL,
  last_activity_at REAL NOT NULL, PRIMARY KEY (app_id, actor_id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS activity (
  app_id TEXT NOT NULL, actor_id TEXT NOT NULL, day INTEGER NOT NULL, count INTEGER NOT NULL,
  PRIMARY KEY (app_id, actor_id, day)
) WITHOUT ROWID;
"""
# A sandbox that was made before these were there keeps its state and gets them.
_LATER_COLUMNS = (("audit", "caller_type", "TEXT"), ("audit", "user", "TEXT"))


def create(connection: sqlite3.Connection) -> None:
    connection.executescript(TABLES)
    if not _missing(connection):
        return
    connection.execute("BEGIN IMMEDIATE")
    for table, column, kind in _missing(connection):  # another process may have been first
        connection.execute(f"ALTER TABLE {table} ADD COLUMN {column} {kind}")
    connection.execute("COMMIT")


def _missing(connection: sqlite3.Connection) -> list[tuple[str, str, str]]:
    return [
        (table, column, kind)
        for table, column, kind in _LATER_COLUMNS
        if all(row[1] != column for row in connection.execute(f"PRAGMA table_info({table})"))
    ]
