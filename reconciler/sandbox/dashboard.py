"""The dashboard plane: what a person's token may do to the agents of one app."""

import json
import sqlite3
import uuid
from collections.abc import Collection, Mapping

from reconciler.sandbox import access, agent_keys, agents, registry, validation
from reconciler.sandbox.answers import Json, Refusal, page_of
from reconciler.sandbox.clock import to_text
from reconciler.sandbox.keys import digest
from reconciler.sandbox.limits import RateLimiter
from reconciler.sandbox.store import Actor, Store

READ = "dashboard_agents:read"
WRITE = "dashboard_agents:write"
ADMIN = "dashboard_agents:admin"
AUDIT = "dashboard_audit:read"


class Dashboard:
    """Another door to the store that the SDK plane serves. Every method raises Refusal, in the same words.

    `app` is an id or a name. An app that the token is not for is not found, like one that never was.
    """

    def __init__(self, store: Store, token: str, app: str) -> None:
        pat = store.row("SELECT * FROM pats WHERE digest = ?", digest(token))
        if pat is None:
            raise access.unknown("token")
        access.check_state(pat["state"], "token")
        _admit(store, pat)
        if store.row("SELECT 1 FROM apps WHERE id = ? AND ? IN (id, name)", pat["app_id"], app) is None:
            raise Refusal(404, "app_not_found", message="No such app, or the token is not for it.")
        self._store = store
        self._granted = access.granted_to(pat)
        self._actor = Actor(
            app_id=pat["app_id"], key_id=pat["id"], user=pat["user"], request_id=uuid.uuid4().hex
        )

    def list_agents(
        self,
        *,
        limit: int,
        offset: int,
        statuses: Collection[str] = (),
        type: str | None = None,
        provider: str | None = None,
        search: str | None = None,
    ) -> dict[str, Json]:
        """`search` is part of a name or a display name; the case of ASCII letters does not matter."""
        self._need(READ)
        filters: list[tuple[str, list[str]]] = []
        if statuses:
            filters.append((f"status IN ({', '.join('?' * len(statuses))})", [*statuses]))
        if type is not None:
            filters.append(("type = ?", [type]))
        if provider is not None:
            filters.append(("EXISTS (SELECT 1 FROM json_each(scopes) WHERE key = ?)", [provider]))
        if search is not None:
            shown = "instr(lower(name), lower(?)) OR instr(lower(coalesce(display_name, '')), lower(?))"
            filters.append((f"({shown})", [search, search]))
        condition = " AND ".join(text for text, _ in filters) or "1"
        values = [value for _, given in filters for value in given]
        return agents.select_agents(self._store, self._actor, condition, *values, limit=limit, offset=offset)

    def create_agent(self, body: Mapping[str, Json]) -> dict[str, Json]:
        self._need(WRITE)
        new = validation.new_agent({"scopes": {}, **body})
        return agents.create_agent(self._store, self._actor, new, idempotency_key=None)[0]

    def show_agent(self, agent_id: str) -> dict[str, Json]:
        self._need(READ)
        return agents.show_agent(self._store, self._agent(agent_id))

    def update_agent(self, agent_id: str, body: Mapping[str, Json]) -> dict[str, Json]:
        self._need(WRITE)
        change = validation.agent_change(body, {})
        return agents.update_agent(self._store, self._actor, agent_id, change)

    def revoke_agent(self, agent_id: str) -> dict[str, Json]:
        self._need(ADMIN)
        return agents.revoke_agent(self._store, self._actor, agent_id)

    def mint_key(self, agent_id: str) -> dict[str, Json]:
        self._need(WRITE)
        with agents.living_agent(self._store, self._actor, agent_id) as agent:
            return agent_keys.mint_key(self._store, self._actor, agent)

    def list_keys(self, agent_id: str) -> dict[str, Json]:
        """All of them on one page."""
        self._need(READ)
        items = agent_keys.list_keys(self._store, self._agent(agent_id))["items"]
        return page_of(items, total=len(items), limit=len(items), offset=0)

    def revoke_key(self, agent_id: str, key_id: str, *, force: bool) -> dict[str, Json]:
        self._need(ADMIN)
        with agents.living_agent(self._store, self._actor, agent_id) as agent:
            return agent_keys.revoke_key(self._store, self._actor, agent, key_id, force=force)

    def set_deprecated(self, agent_id: str, key_id: str, *, deprecated: bool) -> dict[str, Json]:
        self._need(WRITE)
        with agents.living_agent(self._store, self._actor, agent_id) as agent:
            return agent_keys.set_deprecated(self._store, self._actor, agent, key_id, deprecated=deprecated)

    def audit_feed(self, agent_id: str, *, limit: int, offset: int) -> dict[str, Json]:
        """What was done to one agent on either plane, newest first."""
        self._need(AUDIT)
        agent = self._agent(agent_id)
        total = self._store.count("SELECT count(*) FROM audit WHERE agent_id = ?", agent["id"])
        found = self._store.rows(
            "SELECT audit.*, keys.name AS key_name FROM audit LEFT JOIN keys ON keys.id = audit.actor_key_id"
            " WHERE audit.agent_id = ? ORDER BY audit.seq DESC LIMIT ? OFFSET ?",
            agent["id"],
            limit,
            offset,
        )
        return page_of([_show_event(row) for row in found], total=total, limit=limit, offset=offset)

    def list_actors(self, *, limit: int, offset: int) -> dict[str, Json]:
        self._need(READ)
        now = self._store.now()
        return registry.list_actors(self._store, self._actor.app_id, now=now, limit=limit, offset=offset)

    def show_actor(self, actor_id: str) -> dict[str, Json]:
        self._need(READ)
        return registry.find_actor(self._store, self._actor.app_id, actor_id, now=self._store.now())

    def _need(self, permission: str) -> None:
        access.check_permission(permission, granted=self._granted, what="token")

    def _agent(self, agent_id: str) -> sqlite3.Row:
        return agents.find_agent(self._store, self._actor, agent_id)


def _admit(store: Store, pat: sqlite3.Row) -> None:
    """Each command is a process of its own, so the token's budget is counted in the database."""
    if store.settings.rate_limit_per_minute is None:
        return
    with store.transaction() as connection:
        row = store.rows("SELECT used_window, used_count FROM pats WHERE id = ?", pat["id"])[0]
        used = {pat["id"]: (row["used_window"], row["used_count"])}
        window = store.settings.rate_limit_window_seconds
        RateLimiter(store.settings.rate_limit_per_minute, window_seconds=window, used=used).admit(pat["id"])
        connection.execute(
            "UPDATE pats SET used_window = ?, used_count = ? WHERE id = ?", (*used[pat["id"]], pat["id"])
        )


def _show_event(row: sqlite3.Row) -> dict[str, Json]:
    actor, actor_type = _who(row)
    return {
        "at": to_text(row["at"]),
        "action": row["action"],
        "actor": actor,
        "actor_type": actor_type,
        "agent_id": row["agent_id"],
        "key_id": row["target_key_id"],
        "changed": json.loads(row["detail"]).get("changed"),
        "request_id": row["request_id"],
    }


def _who(event: sqlite3.Row) -> tuple[str | None, str]:
    if event["user"] is not None:
        return event["user"], "user"
    if event["caller"] is not None:
        return event["caller"], event["caller_type"] or "agent"
    # What falls due is done by nobody.
    return event["key_name"], "key" if event["key_name"] is not None else "system"
