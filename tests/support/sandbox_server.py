"""A running sandbox for a test, and requests signed by hand, which a test can spoil before they are sent."""

import hashlib
import hmac
import io
import json
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO
from urllib.parse import parse_qsl, unquote, urlencode

import httpx

from reconciler.sandbox import SandboxServer, SandboxSettings, alter_cli
from tests.support.commands import Result

RunWithApp = Callable[..., Any]
"""`with_app(story, key=…, caller=…)` runs an async story that takes the official client."""


@contextmanager
def running_sandbox(folder: Path, **settings: Any) -> Iterator[SandboxServer]:
    """`settings` are the fields of SandboxSettings. The database is `sandbox.db` in the folder."""
    with SandboxServer(folder / "sandbox.db", settings=SandboxSettings(**settings)) as server:
        yield server


def signed_headers(
    key: str,
    method: str,
    target: str,
    *,
    body: bytes = b"",
    timestamp: int | None = None,
    nonce: str | None = None,
    labelled: Mapping[str, str] | None = None,
    constraints: str = "",
) -> dict[str, str]:
    """`labelled` maps header names to values, in the order of their lines in the signed text."""
    labels = {
        "X-Alter-Request-Rule": "request-rule",
        "X-Alter-Caller": "caller",
        "X-Alter-Caller-Type": "caller-type",
        "X-Alter-Actor-ID": "actor-id",
        "X-Alter-Context": "actor-context",
    }
    path, _, query = target.partition("?")
    canonical_path = unquote(path)
    if query:
        canonical_path += "?" + urlencode(sorted(parse_qsl(query, keep_blank_values=True)))
    headers = {
        "x-api-key": key,
        "X-Alter-Timestamp": str(int(time.time()) if timestamp is None else timestamp),
        "X-Alter-Nonce": nonce or secrets.token_hex(16),
        "X-Alter-Content-SHA256": hashlib.sha256(body).hexdigest(),
    }
    lines = [method, canonical_path, *list(headers.values())[1:], constraints]
    lines += [f"{labels[name]}:{value}" for name, value in (labelled or {}).items()]
    signing_key = hmac.new(key.encode(), b"alter-signing-v1", "sha256").digest()
    signature = hmac.new(signing_key, "\n".join(lines).encode(), "sha256").hexdigest()
    headers |= {**(labelled or {}), "X-Alter-Signature": signature}
    if constraints:
        headers["X-Alter-Scope-Constraints"] = constraints
    if any(name != "X-Alter-Request-Rule" for name in labelled or {}):
        headers["X-Alter-Signature-V2"] = signature
    return headers


class SignedClient:
    """Signs each request with one key. Close it, or use it in a `with` block."""

    def __init__(self, server: SandboxServer, key: str | None = None) -> None:
        self.key = key or server.app_key()
        # Not from the environment: a proxy set on the machine must not see loopback requests.
        self.http = httpx.Client(base_url=server.base_url, timeout=10, trust_env=False)

    def __enter__(self) -> "SignedClient":
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    def send(
        self,
        method: str,
        target: str,
        *,
        document: Any = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        **signing: Any,
    ) -> httpx.Response:
        """`headers` are added after signing; `signing` goes to `signed_headers`."""
        body = content or (b"" if document is None else json.dumps(document).encode())
        signed = signed_headers(self.key, method, target, body=body, **signing)
        return self.http.request(method, target, content=body, headers={**signed, **(headers or {})})

    def get(self, target: str, **options: Any) -> httpx.Response:
        return self.send("GET", target, **options)

    def create(self, name: str, **fields: Any) -> dict[str, Any]:
        """The answer of a create that must succeed: the agent with `api_key` and `key_id`."""
        answer = self.send("POST", "/sdk/agents", document={"name": name, "scopes": {}, **fields})
        assert answer.status_code == 201, answer.text
        created: dict[str, Any] = answer.json()
        return created


def run_alter(server: SandboxServer, *words: str, stdin: TextIO | None = None, **variables: str) -> Result:
    """`alter agents …` in this process, with all permissions unless `variables` say otherwise.

    Without `stdin` nobody is there to answer. A variable that is empty is as good as none.
    """
    stdout, stderr = io.StringIO(), io.StringIO()
    code = alter_cli.main(
        ["agents", *words],
        stdin=stdin or io.StringIO(),
        stdout=stdout,
        stderr=stderr,
        environ=server.alter_environment() | variables,
    )
    return Result(code, stdout.getvalue(), stderr.getvalue())


def alter(server: SandboxServer, *words: str, **options: Any) -> Any:
    """The JSON that a command answers which has to succeed."""
    result = run_alter(server, *words, "--output", "json", **options)
    assert (result.code, result.stderr) == (0, "")
    return result.document
