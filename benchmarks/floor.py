"""The least that a plan has to do: compose the YAML, list the pages, decode them, compare the scopes."""

from __future__ import annotations

import gc
import json
import os
import secrets
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import yaml

from reconciler.alter.signing import derive_signing_key, sign


def main(config: Path) -> None:
    """Exits with 1 when the live agents are not those of the file."""
    gc.disable()
    root: Any = yaml.compose(config.read_text(), Loader=yaml.CSafeLoader)
    agents = next(value for key, value in root.value if key.value == "agents")
    wanted = {name.value: _scopes(block) for name, block in agents.value}
    live = {agent["name"]: agent["scopes"] for agent in _pages()}
    sys.exit(0 if wanted == live else 1)


def _scopes(block: yaml.Node) -> dict[str, list[str]]:
    scopes = next(value for key, value in block.value if key.value == "scopes")
    return {provider.value: sorted(name.value for name in names.value) for provider, names in scopes.value}


def _pages() -> list[dict[str, Any]]:
    key, base_url = os.environ["ALTER_API_KEY"], os.environ["ALTER_BASE_URL"]
    signing_key = derive_signing_key(key.encode())
    found: list[dict[str, Any]] = []
    with httpx.Client(base_url=base_url, trust_env=False) as client:
        more = True
        while more:
            path = f"/sdk/agents?include_revoked=false&limit=1000&offset={len(found)}"
            headers = sign(
                signing_key,
                method="GET",
                path_with_query=path,
                body=b"",
                timestamp=int(time.time()),
                nonce=secrets.token_hex(16),
                identity={},
            )
            page = json.loads(client.get(path, headers={"x-api-key": key, **headers}).content)
            found += page["items"]
            more = page["has_more"]
    for agent in found:
        agent["scopes"] = {provider: sorted(names) for provider, names in agent["scopes"].items()}
    return found


if __name__ == "__main__":
    main(Path(sys.argv[1]))
