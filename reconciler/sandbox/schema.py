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
  actor_key_id TEXT, caller TEXT, request_id TEXT, detail TEXT NOT NULL DEFAULT '{}'
);
CREATE INDEX IF NOT EXISTS audit_by_agent ON audit (agent_id, seq);
"""


def create(connection: sqlite3.Connection) -> None:
    connection.executescript(TABLES)
