"""The least that a first apply has to do: create each agent, keep its key, record that in the mark."""

from __future__ import annotations

import json
import os
import secrets
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx

from reconciler.alter.signing import derive_signing_key, sign

_MARK = {
    "owner": "bench/fleet",
    "app": "bench",
    "spec": dict.fromkeys(
        (
            "display_name",
            "metadata.cost_center",
            "metadata.purpose",
            "metadata.team",
            "policy",
            "scopes.google",
            "scopes.slack",
            "status",
        ),
        "0123456789ab",
    ),
}
_CLAIM = {"run": "0" * 32, "at": "2026-01-01T00:00:00Z", "keys": [], "sinks": ["files"]}


class _Caller:
    def __init__(self, client: httpx.Client, key: str) -> None:
        self._client = client
        self._key = key
        self._signing_key = derive_signing_key(key.encode())

    def call(self, method: str, path: str, document: Any = None) -> Any:
        body = b"" if document is None else json.dumps(document, separators=(",", ":")).encode()
        headers = sign(
            self._signing_key,
            method=method,
            path_with_query=path,
            body=body,
            timestamp=int(time.time()),
            nonce=secrets.token_hex(16),
            identity={},
        )
        headers |= {"x-api-key": self._key, "Content-Type": "application/json"}
        return json.loads(self._client.request(method, path, content=body, headers=headers).content)


def main(agents: int, parallelism: int, folder: Path) -> None:
    """Makes the requests of an apply of ``write_fleet``, as many at once, over the same library."""
    folder.mkdir(mode=0o700)
    limits = httpx.Limits(max_connections=parallelism, max_keepalive_connections=parallelism)
    with httpx.Client(base_url=os.environ["ALTER_BASE_URL"], trust_env=False, limits=limits) as client:
        caller = _Caller(client, os.environ["ALTER_API_KEY"])
        assert caller.call("GET", "/sdk/agents?include_revoked=false&limit=1000&offset=0")["items"] == []
        caller.call("GET", "/sdk/oauth/provider-catalog")
        with ThreadPoolExecutor(parallelism) as pool:
            list(pool.map(lambda number: _create(caller, number, folder), range(agents)))


def _create(caller: _Caller, number: int, folder: Path) -> None:
    metadata = {"team": "payments", "cost_center": str(number), "purpose": "a benchmark"}
    made = caller.call(
        "POST",
        "/sdk/agents",
        {
            "name": f"agent-{number:06d}",
            "type": "service",
            "scopes": {
                "google": ["calendar", "drive.readonly", "gmail.readonly"],
                "slack": ["channels:read", "chat:write"],
            },
            "metadata": {**metadata, "alter-sync": {**_MARK, "claim": _CLAIM}},
            "display_name": f"Agent number {number}",
            "policy": {},
        },
    )
    _keep(folder / f"{made['name']}.env", f"AGENT_API_KEY={made['api_key']}\n".encode())
    delivered = {"key_id": made["key_id"], "at": "2026-01-01T00:00:00Z", "sinks": ["files"]}
    changed = caller.call(
        "PATCH",
        f"/sdk/agents/{made['id']}?expected_version={made['version']}",
        {"metadata": {**metadata, "alter-sync": {**_MARK, "delivered": delivered}}},
    )
    assert changed["version"] == made["version"] + 1


def _keep(path: Path, content: bytes) -> None:
    # As safe as a key has to be: whole or not there, also when the power fails.
    temporary = path.with_suffix(".tmp")
    with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(path)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
