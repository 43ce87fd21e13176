"""Managed agents: what the server does to their rows, and how it shows them."""

import json
import sqlite3
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict

from reconciler.sandbox import agent_keys
from reconciler.sandbox.agent_changes import LEGACY_PROVIDER, changed_columns, refuse_legacy_secrets
from reconciler.sandbox.answers import Json, Refusal, canonical, compact, page_of
from reconciler.sandbox.clock import to_text
from reconciler.sandbox.keys import digest
from reconciler.sandbox.store import Actor, Store
from reconciler.sandbox.validation import AgentChange, NewAgent, Page


def create_agent(
    store: Store, actor: Actor, new: NewAgent, *, idempotency_key: str | None
) -> tuple[dict[str, Json], bool]:
    """The answer's body, and whether it repeats an earlier one. The plaintext is in the first answer only."""
    body_digest = digest(canonical(asdict(new)))
    with store.mutation() as connection:
        if idempotency_key is not None:
            replay = _replay(store, actor, idempotency_key, body_digest)
            if replay is not None:
                return replay, True
        refuse_legacy_secrets(new.scopes, stored=[])
        if _named(store, actor, new.name):
            raise Refusal(
                409,
                "agent_name_exists",
                message=f"A non-revoked agent named {new.name} exists in this app.",
                hint="Choose another name, or revoke that agent first.",
            )
        agent_id = str(uuid.uuid4())
        connection.execute(
            "INSERT INTO agents (id, app_id, name, display_name, type, scopes, policy, metadata, created_at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                agent_id,
                actor.app_id,
                new.name,
                new.display_name,
                new.type,
                compact(new.scopes),
                compact(new.policy),
                compact(new.metadata),
                store.now(),
            ),
        )
        store.record(actor, "agent.create", agent_id=agent_id)
        key, plaintext = agent_keys.insert_key(store, actor, agent_id, agent_name=new.name)
        if idempotency_key is not None:
            connection.execute(
                "INSERT INTO idempotency (app_id, key, body_digest, agent_id, key_id) VALUES (?, ?, ?, ?, ?)",
                (actor.app_id, idempotency_key, body_digest, agent_id, key["id"]),
            )
        agent = show_agent(store, find_agent(store, actor, agent_id))
        return {**agent, "api_key": plaintext, "key_id": key["id"]}, False


def list_agents(store: Store, actor: Actor, page: Page) -> dict[str, Json]:
    if page.name is not None:
        apply_due_narrowings(store)
        named = _named(store, actor, page.name)
        shown = [show_agent(store, row) for row in named[page.offset :][: page.limit]]
        return page_of(shown, total=len(named), limit=page.limit, offset=page.offset)
    condition = "1" if page.include_revoked else "status <> 'revoked'"
    return select_agents(store, actor, condition, limit=page.limit, offset=page.offset)


def select_agents(
    store: Store, actor: Actor, condition: str, *values: object, limit: int, offset: int
) -> dict[str, Json]:
    """One page of the app's agents that fulfil a condition of ours, oldest first."""
    apply_due_narrowings(store)
    chosen = f"FROM agents WHERE app_id = ? AND ({condition})"
    total = store.count(f"SELECT count(*) {chosen}", actor.app_id, *values)
    found = store.rows(
        f"SELECT * {chosen} ORDER BY seq LIMIT ? OFFSET ?", actor.app_id, *values, limit, offset
    )
    return page_of([show_agent(store, row) for row in found], total=total, limit=limit, offset=offset)


def find_agent(store: Store, actor: Actor, agent_id: str, *, living: bool = False) -> sqlite3.Row:
    """Another app's agent is not found, like one that never was. `living` refuses a revoked one too."""
    apply_due_narrowings(store)
    row = store.row("SELECT * FROM agents WHERE id = ? AND app_id = ?", agent_id.lower(), actor.app_id)
    if row is None or (living and row["status"] == "revoked"):
        raise Refusal(404, "agent_not_found", message="No such agent in this app.")
    return row


@contextmanager
def living_agent(store: Store, actor: Actor, agent_id: str) -> Iterator[sqlite3.Row]:
    """An agent that nobody, also no other process, revokes while this is open."""
    with store.transaction():
        yield find_agent(store, actor, agent_id, living=True)


def update_agent(store: Store, actor: Actor, agent_id: str, change: AgentChange) -> dict[str, Json]:
    with store.mutation(agent_id.lower()) as connection:
        row = find_agent(store, actor, agent_id, living=True)
        honoured = "scopes" in change.fields or store.settings.honours_version_without_scopes
        if honoured and change.expected_version not in (None, row["version"]):
            raise Refusal(
                409,
                "agent_concurrent_update",
                message=f"The agent is at version {row['version']}, not {change.expected_version}.",
                hint="Read the agent again and decide anew.",
                extra={"current_version": row["version"]},
            )
        new_values = changed_columns(store, row, change)
        if new_values:
            assignments = ", ".join(f"{column} = ?" for column in new_values)
            connection.execute(
                f"UPDATE agents SET {assignments}, version = version + 1 WHERE seq = ?",  # noqa: S608
                (*new_values.values(), row["seq"]),
            )
            store.record(actor, "agent.update", agent_id=row["id"], detail={"changed": sorted(new_values)})
        return show_agent(store, find_agent(store, actor, agent_id))


def revoke_agent(store: Store, actor: Actor, agent_id: str) -> dict[str, Json]:
    with store.mutation(agent_id.lower()) as connection:
        row = find_agent(store, actor, agent_id)
        if row["status"] != "revoked":
            connection.execute(
                "UPDATE agents SET status = 'revoked', scopes_pending = NULL, scopes_applies_at = NULL,"
                " version = version + 1 WHERE seq = ?",
                (row["seq"],),
            )
            connection.execute(
                "UPDATE keys SET revoked_at = ? WHERE agent_id = ? AND revoked_at IS NULL",
                (store.now(), row["id"]),
            )
            store.record(actor, "agent.revoke", agent_id=row["id"])
        return show_agent(store, find_agent(store, actor, agent_id))


def store_legacy_secrets(store: Store, agent_id: str, names: list[str]) -> None:
    """Puts entries where no request can put them any more: an agent from before slugs."""
    with store.transaction() as connection:
        row = store.rows("SELECT scopes FROM agents WHERE id = ?", agent_id)[0]
        scopes = {**json.loads(row["scopes"]), LEGACY_PROVIDER: names}
        connection.execute("UPDATE agents SET scopes = ? WHERE id = ?", (compact(scopes), agent_id))


def apply_due_narrowings(store: Store) -> None:
    """There is no sweeper: what is due is applied when somebody looks."""
    query = "SELECT * FROM agents WHERE scopes_applies_at <= ?"
    if not store.rows(query, store.now()):
        return
    with store.transaction() as connection:
        for row in store.rows(query, store.now()):  # again: another process may have been faster
            connection.execute(
                "UPDATE agents SET scopes = scopes_pending, scopes_pending = NULL, scopes_applies_at = NULL,"
                " version = version + 1 WHERE seq = ?",
                (row["seq"],),
            )
            store.record(Actor(app_id=row["app_id"]), "agent.narrowing_applied", agent_id=row["id"])


def show_agent(store: Store, row: sqlite3.Row) -> dict[str, Json]:
    scopes = json.loads(row["scopes"])
    pending = row["scopes_pending"]
    return {
        "id": row["id"],
        "name": row["name"],
        "display_name": row["display_name"],
        "type": row["type"],
        "status": row["status"],
        "scopes": scopes,
        "scopes_pending": None if pending is None else json.loads(pending),
        "scopes_applies_at": to_text(row["scopes_applies_at"]),
        "policy": _redacted(json.loads(row["policy"])),
        "metadata": json.loads(row["metadata"]),
        "rate_limit_per_minute": row["rate_limit_per_minute"],
        "version": row["version"],
        "created_at": to_text(row["created_at"]),
        "last_used_at": to_text(agent_keys.visible_use(store, row)),
        "parent_agent_id": None,
        "stored_legacy_managed_secret_names": scopes.get(LEGACY_PROVIDER, []),
    }


def _replay(store: Store, actor: Actor, key: str, body_digest: str) -> dict[str, Json] | None:
    seen = store.row("SELECT * FROM idempotency WHERE app_id = ? AND key = ?", actor.app_id, key)
    if seen is None:
        return None
    if seen["body_digest"] != body_digest:
        raise Refusal(
            409, "idempotency_key_body_mismatch", message="This Idempotency-Key was used with another body."
        )
    row = find_agent(store, actor, seen["agent_id"])
    if row["status"] != "active":
        raise Refusal(
            409,
            f"idempotency_key_agent_{row['status']}",
            message=f"The agent made with this Idempotency-Key is {row['status']}.",
            hint="Use a fresh Idempotency-Key.",
        )
    return {**show_agent(store, row), "api_key": None, "key_id": seen["key_id"]}


def _named(store: Store, actor: Actor, name: str) -> list[sqlite3.Row]:
    return store.rows(
        "SELECT * FROM agents WHERE app_id = ? AND name = ? AND status <> 'revoked'", actor.app_id, name
    )


def _redacted(policy: Mapping[str, Json]) -> dict[str, Json]:
    """Addresses of approvers never leave the server."""
    rule = policy.get("requires_approval")
    if not isinstance(rule, dict) or "approvers" not in rule:
        return dict(policy)
    shown = {name: value for name, value in rule.items() if name != "approvers"}
    return {**policy, "requires_approval": {**shown, "approvers_count": len(rule["approvers"])}}
