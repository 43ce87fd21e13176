"""Which columns of an agent a PATCH really changes."""

import json
import sqlite3
from typing import Any

from reconciler.sandbox.answers import Refusal, canonical, compact
from reconciler.sandbox.narrowing import Enforced, enforce
from reconciler.sandbox.store import Store
from reconciler.sandbox.validation import AgentChange, Scopes

LEGACY_PROVIDER = "managed_secrets"


def changed_columns(store: Store, row: sqlite3.Row, change: AgentChange) -> dict[str, Any]:
    fields = change.fields
    new_values: dict[str, Any] = {
        column: fields[column]
        for column in ("display_name", "status")
        if column in fields and fields[column] != row[column]
    }
    for column in ("metadata", "policy"):
        if column not in fields:
            continue
        stored, wanted = json.loads(row[column]), fields[column]
        if column == "metadata" and store.settings.metadata_merge:
            wanted = {**stored, **wanted}
        if canonical(wanted) != canonical(stored):
            new_values[column] = compact(wanted)
    if "scopes" in fields:
        new_values |= _changed_scopes(store, row, fields["scopes"], change.grace_seconds)
    return new_values


def refuse_legacy_secrets(scopes: Scopes, *, stored: list[str]) -> None:
    rejected = sorted(set(scopes.get(LEGACY_PROVIDER, [])) - set(stored))
    if rejected:
        raise Refusal(
            422,
            "legacy_managed_secret_name_rejected",
            message=f"managed_secrets takes no new entries: {', '.join(rejected)}.",
            hint="Use managed_secret_slugs.",
            extra={"rejected": rejected},
        )


def _changed_scopes(
    store: Store, row: sqlite3.Row, wanted: Scopes, grace_seconds: int | None
) -> dict[str, Any]:
    scopes = json.loads(row["scopes"])
    refuse_legacy_secrets(wanted, stored=scopes.get(LEGACY_PROVIDER, []))
    pending = row["scopes_pending"]
    current = Enforced(scopes, None if pending is None else json.loads(pending), row["scopes_applies_at"])
    after = enforce(
        current,
        wanted,
        grace_seconds=store.settings.default_grace_seconds if grace_seconds is None else grace_seconds,
        now=store.now(),
        staged=store.settings.supports_narrowing,
    )
    if after is current:
        return {}
    return {
        "scopes": compact(after.scopes),
        "scopes_pending": None if after.pending is None else compact(after.pending),
        "scopes_applies_at": after.applies_at,
    }
