"""The vault sink over a real HTTP server that speaks KV version 2."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from reconciler.sinks.vault import open_vault_sink
from tests.support.kv2_server import ROOT, Fault, Kv2Server
from tests.unit.sinks.cases import Case
from tests.unit.sinks.samples import AGENT, reference


@contextmanager
def vault_case(root: Path) -> Iterator[Case]:
    """An empty KV engine, and a token in a file."""
    token_file = root / "token"
    token_file.write_text(f"{ROOT}\n")
    with Kv2Server() as vault:
        ref = reference("vault", path="secret/agents/{agent}", address=vault.url, token_file=str(token_file))

        def held(agent: str) -> str | None:
            value = vault.value(f"agents/{agent}")
            return None if value is None else str(value["api_key"])

        def places_with(text: str) -> set[str]:
            stored = {
                path: json.dumps([entry.custom, [version.data for version in entry.versions.values()]])
                for path, entry in vault.entries.items()
            }
            beside = {path.name: path.read_text() for path in root.rglob("*") if path.is_file()}
            return {name for name, content in {**stored, **beside}.items() if text in content}

        yield Case(
            sink=open_vault_sink(ref, ()),
            held=held,
            places_with=places_with,
            holders=lambda agent: {f"agents/{agent}"},
            state=vault.state,
            break_store=lambda: vault.fail(Fault(503, b'{"errors":["Vault is sealed"]}')),
            place_shows=f"secret/agents/{AGENT}",
        )
