"""The official client, the file of vectors and our own signing say the same, byte for byte.

``UPDATE_VECTORS=1`` writes the file anew from the official client.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import alter_sdk.client
import httpx
import pytest
from alter_sdk._context import _alter_context_var
from alter_sdk.providers.enums import CallerType
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.alter.signing import derive_signing_key, sign
from reconciler.model.values import Json

VECTORS_PATH = Path(__file__).parents[2] / "schemas" / "signing-vectors.json"
RUNTIME_KEY = "alter_rk_abcdefghijklmnopqrstuv_iwpykn"
LEGACY_KEY = "alter_key_" + "Ab3-_" * 8
NONCE = "0123456789abcdef0123456789abcdef"
AGENT = "/sdk/agents/00000000-0000-4000-8000-000000000001"
CALLER = "alter-sync/payments"
IDENTITY = ("X-Alter-Caller", "X-Alter-Caller-Type", "X-Alter-Actor-ID", "X-Alter-Context")
SIGNATURE = (
    "X-Alter-Timestamp",
    "X-Alter-Nonce",
    "X-Alter-Content-SHA256",
    "X-Alter-Signature",
    "X-Alter-Signature-V2",
)

ACTOR = "00000000-0000-4000-8000-00000000000a"

# name, method, path with query, body, caller
CASES: tuple[tuple[str, str, str, Json, str | None], ...] = (
    ("plain GET", "GET", "/sdk/scopes", None, None),
    ("GET with caller", "GET", "/sdk/scopes", None, CALLER),
    ("method in lower case", "get", "/sdk/scopes", None, CALLER),
    ("list, query in order", "GET", "/sdk/agents?include_revoked=false&limit=1000&offset=0", None, CALLER),
    (
        "list, query out of order",
        "GET",
        "/sdk/agents?offset=0&limit=1000&include_revoked=false",
        None,
        CALLER,
    ),
    ("list, without caller", "GET", "/sdk/agents?offset=0&limit=1000&include_revoked=false", None, None),
    ("by name", "GET", "/sdk/agents?name=mail-sorter_2", None, CALLER),
    ("duplicate parameters", "GET", "/sdk/agents?b=2&a=9&b=1&a=1", None, CALLER),
    ("blank values", "GET", "/sdk/agents?name=&limit=", None, CALLER),
    ("parameter without a sign", "GET", "/sdk/agents?name&limit=5", None, CALLER),
    ("empty query", "GET", "/sdk/agents?", None, CALLER),
    ("query of separators", "GET", "/sdk/agents?&&", None, CALLER),
    ("plus means space", "GET", "/sdk/agents?name=a+b", None, CALLER),
    ("encoded plus", "GET", "/sdk/agents?name=a%2Bb", None, CALLER),
    ("encoded space", "GET", "/sdk/agents?name=a%20b", None, CALLER),
    ("semicolon is no separator", "GET", "/sdk/agents?name=a;limit=2", None, CALLER),
    ("colon and slash in a value", "GET", "/sdk/agents?name=post:/emails", None, CALLER),
    ("unicode in a value", "GET", "/sdk/agents?name=gr%C3%BC%C3%9Fe", None, CALLER),
    ("raw unicode in a value", "GET", "/sdk/agents?name=grüße", None, CALLER),
    ("question mark in a value", "GET", "/sdk/agents?name=a?b", None, CALLER),
    ("percent-encoded path", "GET", "/sdk/agents/post%3A%2Femails", None, CALLER),
    ("unicode path", "GET", "/sdk/agents/gr%C3%BC%C3%9Fe", None, CALLER),
    ("raw unicode path", "GET", "/sdk/agents/grüße", None, CALLER),
    ("broken escape in the path", "GET", "/sdk/agents/100%zz", None, CALLER),
    ("bytes that are no UTF-8", "GET", "/sdk/agents/%ff%fe", None, CALLER),
    ("plus in the path stays", "GET", "/sdk/agents/a+b", None, CALLER),
    ("create", "POST", "/sdk/agents", {"name": "a", "type": "agent", "scopes": {}, "metadata": {}}, CALLER),
    ("create, without caller", "POST", "/sdk/agents", {"name": "a", "scopes": {"slack": ["x"]}}, None),
    ("unicode body", "POST", "/sdk/agents", {"display_name": "Grüße 👋"}, CALLER),
    ("empty object", "POST", f"{AGENT}/keys", {}, CALLER),
    ("patch", "PATCH", f"{AGENT}?expected_version=7&grace_seconds=0", {"status": "inactive"}, CALLER),
    ("patch, query out of order", "PATCH", f"{AGENT}?grace_seconds=86400&expected_version=7", {}, CALLER),
    ("patch, without caller", "PATCH", f"{AGENT}?expected_version=7", {"status": "active"}, None),
    ("deprecate", "PATCH", f"{AGENT}/keys/00000000-0000-4000-9000-000000000001/deprecate", {}, CALLER),
    ("delete", "DELETE", AGENT, None, CALLER),
    ("delete with force", "DELETE", f"{AGENT}/keys/k?force=true", None, CALLER),
    ("caller with escapes", "GET", "/sdk/scopes", None, "alter-sync/gr%C3%BC%C3%9Fe"),
    ("caller with spaces", "GET", "/sdk/scopes", None, "alter-sync/a b"),
)


class Official:
    """The official client with its clock, its randomness and its network replaced; nothing of ours is."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._patch = monkeypatch
        self._clients: dict[tuple[str, str | None], Any] = {}
        self._sent: list[httpx.Request] = []
        self._answer_headers: dict[str, str] = {}
        monkeypatch.setattr(httpx.AsyncClient, "send", self._send)

    async def _send(self, request: httpx.Request, **options: Any) -> httpx.Response:
        self._sent.append(request)
        return httpx.Response(200, json={}, headers=self._answer_headers, request=request)

    def vector(
        self, name: str, method: str, path: str, body: Json, caller: str | None, *, key: str = RUNTIME_KEY
    ) -> dict[str, Any]:
        """One request as the official client signs it."""
        timestamp = 1_795_521_600 + len(self._sent)
        self._patch.setattr(alter_sdk.client, "time", SimpleNamespace(time=lambda: timestamp + 0.9))
        self._patch.setattr(alter_sdk.client, "secrets", SimpleNamespace(token_hex=lambda _size: NONCE))
        asyncio.run(self._client(key, caller)._authed_backend_request(method, path, body=body))
        sent = self._sent[-1]
        return {
            "name": name,
            "api_key": key,
            "method": method,
            "path": path,
            "body": sent.content.decode(),
            "timestamp": timestamp,
            "nonce": NONCE,
            "identity": {header: sent.headers[header] for header in IDENTITY if header in sent.headers},
            "headers": {header: sent.headers[header] for header in SIGNATURE if header in sent.headers},
        }

    def register_actor(self, caller: str) -> None:
        """Lets the server hand out an actor id, which the client then sends along."""
        self._answer_headers = {"X-Alter-Actor-ID": ACTOR}
        self.vector("", "GET", "/sdk/scopes", None, caller)
        self._answer_headers = {}

    def close(self) -> None:
        for client in self._clients.values():
            asyncio.run(client.close())

    def _client(self, key: str, caller: str | None) -> Any:
        if (key, caller) not in self._clients:
            self._clients[key, caller] = alter_sdk.client._VaultClient(
                api_key=key,
                base_url="https://alter.invalid",
                caller=caller,
                caller_type=CallerType.SERVICE,
            )
        return self._clients[key, caller]


@pytest.fixture
def official(monkeypatch: pytest.MonkeyPatch) -> Iterator[Official]:
    official = Official(monkeypatch)
    yield official
    official.close()


@pytest.fixture
def vectors(official: Official) -> list[dict[str, Any]]:
    made = [official.vector(*case) for case in CASES]
    made += [official.vector(*case, key=LEGACY_KEY) for case in CASES[:4]]
    official.register_actor("with-actor")
    made.append(official.vector("caller and actor", "GET", "/sdk/scopes", None, "with-actor"))
    token = _alter_context_var.set({"run": "r1"})
    made.append(official.vector("caller, actor and context", "GET", "/sdk/scopes", None, "with-actor"))
    made.append(official.vector("context alone", "GET", "/sdk/scopes", None, None))
    _alter_context_var.reset(token)
    return made


def test_the_file_holds_what_the_official_client_sends(vectors: list[dict[str, Any]]) -> None:
    document = {"source": "alter-sdk 0.29.0", "vectors": vectors}
    if os.environ.get("UPDATE_VECTORS") == "1":
        VECTORS_PATH.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    assert json.loads(VECTORS_PATH.read_text(encoding="utf-8")) == document


def test_there_are_enough_vectors_and_each_has_its_name() -> None:
    vectors = json.loads(VECTORS_PATH.read_text(encoding="utf-8"))["vectors"]
    assert len({(vector["name"], vector["api_key"]) for vector in vectors}) == len(vectors) >= 25


def test_we_sign_every_vector_of_the_file_as_the_official_client_does() -> None:
    for vector in json.loads(VECTORS_PATH.read_text(encoding="utf-8"))["vectors"]:
        assert our_headers(vector) == vector["headers"], vector["name"]


def test_any_request_signs_as_in_the_official_client(official: Official) -> None:
    # What a URL cannot hold never gets as far as a signature.
    texts = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), max_size=40)

    @settings(max_examples=200, deadline=None, database=None)
    @given(method=st.sampled_from(["GET", "PATCH", "DELETE"]), path=texts, value=texts)
    def agrees(method: str, path: str, value: str) -> None:
        body = {"value": value} if method == "PATCH" else None
        vector = official.vector("", method, "/sdk/agents/" + path, body, CALLER)
        assert our_headers(vector) == vector["headers"]

    agrees()


def our_headers(vector: dict[str, Any]) -> dict[str, str]:
    return sign(
        derive_signing_key(vector["api_key"].encode()),
        method=vector["method"],
        path_with_query=vector["path"],
        body=vector["body"].encode(),
        timestamp=vector["timestamp"],
        nonce=vector["nonce"],
        identity=vector["identity"],
    )
