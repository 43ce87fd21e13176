"""A real HTTP server on loopback that speaks KV version 2 as Vault and OpenBao do, and fails where told to.

Written from the published API and the behaviour of OpenBao's engine, with no code of the client. It knows
one mount, tokens with policies, a namespace, versions with soft deletion and destruction, check-and-set, the
limits of custom metadata, and the answers that each of these gives.
"""

from __future__ import annotations

import json
import socket
import ssl
import struct
import threading
import time
import urllib.parse
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

ROOT = "s.root-token-of-the-test"
_CAPABILITIES = {"GET": "read", "PATCH": "patch", "DELETE": "delete", "LIST": "list"}
_WHEN = "2026-01-02T03:04:05.678901234Z"


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it arrived. Header names are in lower case."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body) if self.body else {}

    @property
    def is_write(self) -> bool:
        return self.method not in ("GET", "LIST") and "/sys/" not in self.path


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens to one request. ``carried_out`` says whether the store saw it before."""

    status: int = 0
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    carried_out: bool = False
    trickle_seconds: float = 0.0
    delay_seconds: float = 0.0


@dataclass(slots=True)
class Version:
    data: dict[str, Any] | None
    deletion_time: str = ""
    destroyed: bool = False

    def described(self, number: int) -> dict[str, Any]:
        return {
            "version": number,
            "created_time": _WHEN,
            "deletion_time": self.deletion_time,
            "destroyed": self.destroyed,
        }


@dataclass(slots=True)
class Entry:
    versions: dict[int, Version] = field(default_factory=dict)
    current: int = 0
    max_versions: int = 0
    cas_required: bool = False
    delete_version_after: str = "0s"
    custom: dict[str, str] = field(default_factory=dict)

    def live(self, number: int) -> Version | None:
        version = self.versions.get(number)
        return version if version and not (version.deletion_time or version.destroyed) else None


class Refusal(Exception):
    """An answer other than success."""

    def __init__(self, status: int, *errors: str, body: Any = None) -> None:
        super().__init__(status)
        self.status = status
        self.body = {"errors": list(errors)} if body is None else body


class Kv2Server:
    """The store, and the HTTP server before it. ``policies``: token → pattern of paths → capabilities."""

    def __init__(
        self, *, mount: str = "secret", namespace: str = "", context: ssl.SSLContext | None = None
    ) -> None:
        self.mount, self.namespace = mount, namespace
        self.entries: dict[str, Entry] = {}
        self.policies: dict[str, dict[str, set[str]]] = {ROOT: {"*": {"root"}}}
        self.received: list[Request] = []
        self.sealed = False
        self.writes = 0
        self.before: Callable[[Request], None] = lambda request: None
        self._faults: dict[int, Fault] = {}
        self._always: Fault | None = None
        self._lock = threading.RLock()
        handler = type("BoundHandler", (_Handler,), {"vault": self})
        self._http = _Quiet(("127.0.0.1", 0), handler)
        if context is not None:
            self._http.socket = context.wrap_socket(self._http.socket, server_side=True)
        self._scheme = "http" if context is None else "https"
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01})

    @property
    def url(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self._http.server_address[1]}"

    def fail(self, fault: Fault, *, nth: int | None = None) -> None:
        """Fails the nth request from now on (from 1), or every one."""
        if nth is None:
            self._always = fault
        else:
            self._faults[len(self.received) + nth] = fault

    def recover(self) -> None:
        self._faults.clear()
        self._always = None

    def put(self, path: str, **data: Any) -> int:
        """What a user does with ``vault kv put``: a new version with these fields alone."""
        with self._lock:
            answer = self._write_data(path, {"data": data})
            return int(answer["data"]["version"])

    def value(self, path: str) -> dict[str, Any] | None:
        """The live value, as a consumer sees it."""
        entry = self.entries.get(path, Entry())
        version = entry.live(entry.current)
        return version.data if version else None

    def state(self) -> object:
        """Differs after every write."""
        return self.writes, repr(self.entries)

    def reply_to(self, request: Request) -> tuple[int, bytes, Fault | None]:
        self.before(request)
        with self._lock:
            self.received.append(request)
            fault = self._faults.pop(len(self.received), self._always)
            if fault is not None and not fault.carried_out:
                return fault.status, fault.body, fault
            try:
                answer = self._carry_out(request)
                status = 204 if answer is None else 200
            except Refusal as refusal:
                answer, status = refusal.body, refusal.status
            if fault is not None:
                return fault.status, fault.body, fault
            return status, b"" if answer is None else json.dumps(answer).encode(), None

    def _carry_out(self, request: Request) -> Any:
        if self.sealed:
            raise Refusal(503, "Vault is sealed")
        namespace = request.headers.get("x-vault-namespace", "").strip("/")
        policy = self.policies.get(request.headers.get("x-vault-token", ""))
        path = urllib.parse.unquote(request.path.removeprefix("/v1/"))
        if path == "sys/health":
            return {"initialized": True, "sealed": False, "standby": False}
        if policy is None:
            raise Refusal(403, "permission denied", "invalid token")
        if request.headers.get("x-vault-request") != "true":
            raise Refusal(412, "missing required X-Vault-Request header")
        if path == "sys/capabilities-self":
            self._demand(policy, path, "update")
            told = {one: sorted(self._capabilities(policy, one)) for one in request.json["paths"]}
            return {**told, "data": told, "capabilities": next(iter(told.values()))}
        area, _, name = path.removeprefix(f"{self.mount}/").partition("/")
        if not path.startswith(f"{self.mount}/") or namespace != self.namespace:
            raise Refusal(404, f'no handler for route "{path}". route entry not found.')
        exists = area in ("data", "metadata") and name in self.entries
        write = "update" if exists or area not in ("data", "metadata") else "create"
        self._demand(policy, path, _CAPABILITIES.get(request.method, write))
        return self._dispatch(request, area, name=name)

    def _dispatch(self, request: Request, area: str, *, name: str) -> Any:
        match area, request.method:
            case "data", "GET":
                return self._read_data(name, int(request.query.get("version", "0")))
            case "data", "POST" | "PUT":
                return self._write_data(name, request.json)
            case "data", "DELETE":
                return self._each_version(name, [self.entries[name].current], _delete)
            case "metadata", "GET":
                return self._read_metadata(name)
            case "metadata", "LIST":
                found = {key.removeprefix(name) for key in self.entries if key.startswith(name)}
                return {"data": {"keys": sorted(found)}}
            case "metadata", "POST" | "PUT":
                return self._write_metadata(name, request.json)
            case "metadata", "PATCH":
                return self._patch_metadata(name, request)
            case "metadata", "DELETE":
                self.writes += 1
                self.entries.pop(name, None)
                return None
            case "delete" | "undelete" | "destroy", "POST" | "PUT":
                act = {"delete": _delete, "undelete": _undelete, "destroy": _destroy}[area]
                return self._each_version(name, request.json.get("versions", []), act)
            case _:
                raise Refusal(405, "1 error occurred:\n\t* unsupported operation\n\n")

    def _demand(self, policy: Mapping[str, set[str]], path: str, capability: str) -> None:
        if not {capability, "root"} & self._capabilities(policy, path):
            raise Refusal(403, "1 error occurred:\n\t* permission denied\n\n")

    def _capabilities(self, policy: Mapping[str, set[str]], path: str) -> set[str]:
        return next((rights for pattern, rights in policy.items() if fnmatchcase(path, pattern)), {"deny"})

    def _read_data(self, name: str, number: int) -> Any:
        entry = self.entries.get(name, Entry())
        number = number or entry.current
        version = entry.versions.get(number)
        if version is None:
            raise Refusal(404)
        told = {
            "data": None,
            "metadata": {**version.described(number), "custom_metadata": entry.custom or None},
        }
        if entry.live(number) is None:
            raise Refusal(404, body={"request_id": "1", "data": told})
        return {"request_id": "1", "data": {**told, "data": version.data}}

    def _write_data(self, name: str, body: Any) -> Any:
        if not isinstance(body.get("data"), dict):
            raise Refusal(400, "no data provided")
        entry = self.entries.get(name, Entry())
        cas = body.get("options", {}).get("cas")
        if cas is None and entry.cas_required:
            raise Refusal(400, "check-and-set parameter required for this call")
        if cas is not None and cas != entry.current:
            raise Refusal(400, "check-and-set parameter did not match the current version")
        self.writes += 1
        self.entries[name] = entry
        entry.current += 1
        entry.versions[entry.current] = version = Version(json.loads(json.dumps(body["data"])))
        for old in sorted(entry.versions)[: -(entry.max_versions or 10)]:
            del entry.versions[old]
        return {"data": {**version.described(entry.current), "custom_metadata": entry.custom or None}}

    def _each_version(self, name: str, numbers: Any, act: Callable[[Version], None]) -> None:
        if not numbers:
            raise Refusal(400, "no version number provided")
        entry = self.entries.get(name)
        if entry is not None:
            self.writes += 1
            for number in numbers:
                if number in entry.versions:
                    act(entry.versions[number])

    def _read_metadata(self, name: str) -> Any:
        if name not in self.entries:
            raise Refusal(404)
        entry = self.entries[name]
        versions = {str(number): version.described(number) for number, version in entry.versions.items()}
        for version in versions.values():
            del version["version"]
        return {
            "data": {
                "cas_required": entry.cas_required,
                "created_time": _WHEN,
                "current_version": entry.current,
                "custom_metadata": entry.custom or None,
                "delete_version_after": entry.delete_version_after,
                "max_versions": entry.max_versions,
                "oldest_version": min(entry.versions, default=0),
                "updated_time": _WHEN,
                "versions": versions,
            }
        }

    def _write_metadata(self, name: str, body: Any) -> None:
        known = {"max_versions", "cas_required", "delete_version_after", "custom_metadata"} & {*body}
        custom = body.get("custom_metadata")
        _check_custom(custom or {})
        if known:
            self.writes += 1
            entry = self.entries.setdefault(name, Entry())
            for setting in known - {"custom_metadata"}:
                setattr(entry, setting, body[setting])
            entry.custom = dict(custom) if custom is not None else entry.custom

    def _patch_metadata(self, name: str, request: Request) -> None:
        if request.headers.get("content-type") != "application/merge-patch+json":
            raise Refusal(415, "PATCH requires Content-Type of application/merge-patch+json")
        custom = request.json.get("custom_metadata") or {}
        _check_custom({key: text for key, text in custom.items() if text is not None})
        if name not in self.entries:
            raise Refusal(404)
        self.writes += 1
        entry = self.entries[name]
        merged = {**entry.custom, **custom}
        entry.custom = {key: text for key, text in merged.items() if text is not None}

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()


def _check_custom(custom: Mapping[str, Any]) -> None:
    prefix = "custom_metadata validation failed"
    if len(custom) > 64:
        raise Refusal(400, f"{prefix}: payload must contain at most 64 keys, provided {len(custom)}")
    for key, text in custom.items():
        if not isinstance(text, str) or not 0 < len(text.encode()) <= 512 or not text.isprintable():
            raise Refusal(400, f"{prefix}: length of value for key {key!r} or its characters")
        if not 0 < len(key.encode()) <= 128 or not key.isprintable():
            raise Refusal(400, f"{prefix}: length of key {key!r} or its characters")


def _delete(version: Version) -> None:
    version.deletion_time = version.deletion_time or _WHEN


def _undelete(version: Version) -> None:
    version.deletion_time = ""


def _destroy(version: Version) -> None:
    version.destroyed, version.data = True, None


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request: Any, client_address: Any) -> None:
        # Dropped connections are what these tests are about.
        return


class _Handler(BaseHTTPRequestHandler):
    vault: Kv2Server
    protocol_version = "HTTP/1.1"
    # Head and body in one packet, or the client's delayed acknowledgement costs 40 ms for each request.
    wbufsize = -1
    disable_nagle_algorithm = True
    timeout = 20

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path, _, query = self.path.partition("?")
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.command, path, dict(urllib.parse.parse_qsl(query)), headers, body)
        status, answer, fault = self.vault.reply_to(request)
        if fault is not None:
            time.sleep(fault.delay_seconds)
        if not status:
            # A linger time of zero turns the close into a reset, which no client can take for an answer.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
            return
        self.send_response(status)
        given = fault.headers if fault is not None else {}
        for name, value in {
            "Content-Type": "application/json",
            "Content-Length": str(len(answer)),
            **given,
        }.items():
            self.send_header(name, value)
        self.end_headers()
        if fault is not None and fault.trickle_seconds:
            for place in range(len(answer)):
                self.wfile.write(answer[place : place + 1])
                self.wfile.flush()
                time.sleep(fault.trickle_seconds)
        else:
            self.wfile.write(answer)
        self.wfile.flush()

    do_POST = do_PUT = do_PATCH = do_DELETE = do_LIST = do_GET  # noqa: N815

    def log_message(self, format: str, *args: Any) -> None:
        return
