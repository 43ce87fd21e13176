"""The keys of agents: minting, retiring and using them."""

import sqlite3
import uuid

from reconciler.sandbox import registry
from reconciler.sandbox.answers import Json, Refusal
from reconciler.sandbox.clock import to_text
from reconciler.sandbox.keys import PREFIX_LENGTH, digest, mint_plaintext
from reconciler.sandbox.registry import SeenActor
from reconciler.sandbox.store import Actor, Store


def insert_key(store: Store, actor: Actor, agent_id: str, *, agent_name: str) -> tuple[sqlite3.Row, str]:
    """The new row and its plaintext, which is not stored. Call it inside a transaction."""
    plaintext = mint_plaintext("ak")
    key_id = str(uuid.uuid4())
    number = store.count("SELECT count(*) FROM keys WHERE agent_id = ?", agent_id) + 1
    store.connection.execute(
        "INSERT INTO keys (id, app_id, agent_id, digest, prefix, name, created_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            key_id,
            actor.app_id,
            agent_id,
            digest(plaintext),
            plaintext[:PREFIX_LENGTH],
            f"{agent_name}-{number}",
            store.now(),
        ),
    )
    store.record(actor, "key.mint", agent_id=agent_id, key_id=key_id)
    return store.rows("SELECT * FROM keys WHERE id = ?", key_id)[0], plaintext


def mint_key(store: Store, actor: Actor, agent: sqlite3.Row) -> dict[str, Json]:
    with store.mutation(agent["id"]):
        if _living_keys(store, agent["id"]) >= store.settings.key_cap:
            raise Refusal(
                409,
                "agent_key_limit_reached",
                message=f"The agent holds {store.settings.key_cap} non-revoked keys, which is the limit.",
                hint="Revoke a key that is no longer used.",
                extra={"limit": store.settings.key_cap},
            )
        row, plaintext = insert_key(store, actor, agent["id"], agent_name=agent["name"])
        return {**show_key(store, row), "api_key": plaintext}


def list_keys(store: Store, agent: sqlite3.Row) -> dict[str, Json]:
    rows = store.rows("SELECT * FROM keys WHERE agent_id = ? ORDER BY seq", agent["id"])
    return {"items": [show_key(store, row) for row in rows]}


def set_deprecated(
    store: Store, actor: Actor, agent: sqlite3.Row, key_id: str, *, deprecated: bool
) -> dict[str, Json]:
    with store.mutation(agent["id"]) as connection:
        row = _find_key(store, agent, key_id)
        if row["revoked_at"] is not None:
            raise Refusal(
                409,
                "key_revoked",
                message="The key is revoked, and that is final.",
                hint="Mint a fresh key.",
            )
        if (row["deprecated_at"] is not None) != deprecated:
            moment = store.now() if deprecated else None
            connection.execute("UPDATE keys SET deprecated_at = ? WHERE seq = ?", (moment, row["seq"]))
            action = "key.deprecate" if deprecated else "key.undeprecate"
            store.record(actor, action, agent_id=agent["id"], key_id=row["id"])
        return show_key(store, _find_key(store, agent, key_id))


def revoke_key(
    store: Store, actor: Actor, agent: sqlite3.Row, key_id: str, *, force: bool
) -> dict[str, Json]:
    with store.mutation(agent["id"]) as connection:
        row = _find_key(store, agent, key_id)
        if row["revoked_at"] is None:
            if not force and _living_keys(store, agent["id"]) == 1:
                raise Refusal(
                    409,
                    "last_active_key",
                    message="This is the agent's only non-revoked key.",
                    hint="Mint and deploy another key first, or send force=true to leave it without one.",
                )
            connection.execute("UPDATE keys SET revoked_at = ? WHERE seq = ?", (store.now(), row["seq"]))
            store.record(
                actor, "key.revoke", agent_id=agent["id"], key_id=row["id"], detail={"forced": force}
            )
        return show_key(store, _find_key(store, agent, key_id))


def use_key(store: Store, key: sqlite3.Row) -> None:
    """Notes that an agent's key was used now; when that shows depends on `last_used_lag_seconds`."""
    now = store.now()
    with store.transaction() as connection:
        for table, row_id in (("keys", key["id"]), ("agents", key["agent_id"])):
            row = store.rows(f"SELECT * FROM {table} WHERE id = ?", row_id)[0]  # noqa: S608 - names from above
            collecting = row["unwritten_since"] is not None and not _lag_is_over(store, row)
            connection.execute(
                f"UPDATE {table} SET last_used_at = ?, unwritten_use_at = ?, unwritten_since = ?"  # noqa: S608
                " WHERE id = ?",
                (visible_use(store, row), now, row["unwritten_since"] if collecting else now, row_id),
            )
        agent = store.rows("SELECT id, app_id, name, type FROM agents WHERE id = ?", key["agent_id"])[0]
        seen = SeenActor(agent["app_id"], agent["id"], agent["name"], agent["type"])
        registry.note(store, seen, at=now)


def use_plaintext(store: Store, api_key: str) -> dict[str, Json]:
    """A workload in one call: finds the key as a server would, and uses it."""
    key = store.row("SELECT * FROM keys WHERE digest = ?", digest(api_key))
    if key is None or key["agent_id"] is None:
        raise Refusal(401, "invalid_key", message="No agent's key matches the one that was sent.")
    if key["revoked_at"] is not None:
        raise Refusal(401, "key_revoked", message="The API key is revoked.")
    use_key(store, key)
    deprecated = key["deprecated_at"] is not None
    return {"agent_id": key["agent_id"], "key_id": key["id"], "deprecated": deprecated}


def visible_use(store: Store, row: sqlite3.Row) -> float | None:
    """Uses are collected for the length of the lag and then show at once, like a write-behind buffer."""
    shown = row["last_used_at"]
    if row["unwritten_since"] is not None and _lag_is_over(store, row):
        shown = row["unwritten_use_at"]
    return None if shown is None else float(shown)


def _lag_is_over(store: Store, row: sqlite3.Row) -> bool:
    return bool(store.now() - row["unwritten_since"] >= store.settings.last_used_lag_seconds)


def show_key(store: Store, row: sqlite3.Row) -> dict[str, Json]:
    return {
        "key_id": row["id"],
        "key_prefix": row["prefix"],
        "name": row["name"],
        "created_at": to_text(row["created_at"]),
        "deprecated_at": to_text(row["deprecated_at"]),
        "revoked_at": to_text(row["revoked_at"]),
        "last_used_at": to_text(visible_use(store, row)),
    }


def _find_key(store: Store, agent: sqlite3.Row, key_id: str) -> sqlite3.Row:
    row = store.row("SELECT * FROM keys WHERE id = ? AND agent_id = ?", key_id.lower(), agent["id"])
    if row is None:
        raise Refusal(404, "key_not_found", message="No such key of this agent.")
    return row


def _living_keys(store: Store, agent_id: str) -> int:
    return store.count("SELECT count(*) FROM keys WHERE agent_id = ? AND revoked_at IS NULL", agent_id)
