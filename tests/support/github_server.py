"""A strict stand-in for GitHub's API of Actions secrets, which decrypts what arrives with a real key pair."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from urllib.parse import unquote

from nacl.exceptions import CryptoError
from nacl.public import PrivateKey, SealedBox

from tests.support.wire_server import Received, Reply, WireServer

TOKEN = "ghp_aTokenOfTheTests0123456789"
REPOSITORY = "acme/payments"
ENVIRONMENT = "prod/eu west"

_REPOSITORY_PATH = re.compile(r"/repos/([^/]+/[^/]+)/actions/secrets/([^/]+)")
_ENVIRONMENT_PATH = re.compile(r"/repos/([^/]+/[^/]+)/environments/([^/]+)/secrets/([^/]+)")


class GitHubServer(WireServer):
    """One repository with one environment.

    ``secrets`` holds what was decrypted, by environment (or nothing) and name. One of ``faults`` answers
    the request of its number, counted from 1; it may call ``carry_out`` first.
    """

    def __init__(self) -> None:
        super().__init__(api_key="")
        handler = self._http.RequestHandlerClass
        setattr(handler, "do_PUT", getattr(handler, "do_GET"))  # noqa: B009, B010 (all verbs are read alike)
        self.secrets: dict[tuple[str, str], str] = {}
        self.writes = 0
        self.is_broken = False
        self.faults: dict[int, Callable[[Received], Reply]] = {}
        self.rotate()

    def rotate(self) -> None:
        """A new key pair, as GitHub makes one from time to time."""
        self._private = PrivateKey.generate()
        self.key_id = str(int.from_bytes(bytes(self._private.public_key)[:6], "big"))

    def reply_to(self, request: Received) -> Reply:
        with self._lock:
            self.received.append(request)
            fault = self.faults.get(len(self.received))
            return fault(request) if fault else self.carry_out(request)

    def carry_out(self, request: Received) -> Reply:
        """What GitHub does."""
        headers = request.headers
        if headers.get("authorization") != f"Bearer {TOKEN}":
            return _error(401, "Bad credentials")
        if not headers.get("user-agent"):
            return _error(403, "Request forbidden by administrative rules.")
        if headers.get("accept") != "application/vnd.github+json":
            return _error(415, "Must accept 'application/json'")
        if headers.get("x-github-api-version") != "2022-11-28":
            return _error(400, "unknown version")
        in_repository = _REPOSITORY_PATH.fullmatch(request.path)
        in_environment = _ENVIRONMENT_PATH.fullmatch(request.path)
        if in_repository:
            repository, environment, name = in_repository[1], "", in_repository[2]
        elif in_environment:
            repository, environment, name = in_environment[1], unquote(in_environment[2]), in_environment[3]
        else:
            return _error(404, "Not Found")
        if repository != REPOSITORY or environment not in ("", ENVIRONMENT):
            return _error(404, "Not Found")
        if request.method == "GET" and name == "public-key":
            key = base64.b64encode(bytes(self._private.public_key)).decode()
            return Reply(200, {"key_id": self.key_id, "key": key})
        return self._put(request, environment, name) if request.method == "PUT" else _error(404, "Not Found")

    def _put(self, request: Received, environment: str, name: str) -> Reply:
        if self.is_broken:
            return _error(503, "Service unavailable")
        if not re.fullmatch(r"(?!GITHUB_)[A-Z_][A-Z0-9_]*", name):
            return _error(422, "Secret names can only contain alphanumeric characters or underscores")
        body = request.json
        if set(body) != {"encrypted_value", "key_id"} or body["key_id"] != self.key_id:
            return _error(422, "Bad request - key_id is not the current one")
        try:
            sealed = base64.b64decode(body["encrypted_value"], validate=True)
            value = SealedBox(self._private).decrypt(sealed).decode()
        except (ValueError, CryptoError):
            return _error(422, "encrypted_value cannot be decrypted")
        is_new = (environment, name) not in self.secrets
        self.secrets[environment, name] = value
        self.writes += 1
        return Reply(201, {}) if is_new else Reply(204, body=b"")


def _error(status: int, message: str) -> Reply:
    return Reply(status, {"message": message, "documentation_url": "https://docs.github.com/rest"})
