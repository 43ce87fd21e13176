"""A real HTTP server on loopback that says exactly what a test scripts, and checks every signature itself."""

from __future__ import annotations

import hashlib
import hmac
import json
import socket
import ssl
import struct
import threading
import time
import urllib.parse
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self, TypeAlias


@dataclass(frozen=True, slots=True)
class Received:
    """One request as it arrived. Header names are in lower case; ``path`` has the query."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def query(self) -> dict[str, str]:
        return dict(urllib.parse.parse_qsl(self.path.partition("?")[2], keep_blank_values=True))

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer. ``json`` unless ``body`` is given; the rest are the ways in which networks fail."""

    status: int = 200
    json: Any = None
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    delay_seconds: float = 0.0
    # Closes the connection without a word: after the request was read, and maybe carried out.
    drop: bool = False
    # Closes the connection in the middle of the body.
    truncate: bool = False
    # Sends the body in pieces of one byte with this pause between them.
    trickle_seconds: float = 0.0


Script: TypeAlias = Reply | Callable[[Received], Reply]
NOT_SCRIPTED = Reply(599, {"error": "not_scripted", "message": "the test did not expect this request"})


class WireServer:
    """Answers from scripts: for each route a queue, whose last entry stays."""

    def __init__(self, *, api_key: str, context: ssl.SSLContext | None = None) -> None:
        self.api_key = api_key
        self.received: list[Received] = []
        self.signature_faults: list[str] = []
        self._scripts: dict[tuple[str, str], list[Script]] = defaultdict(list)
        self._nonces: set[str] = set()
        self._lock = threading.Lock()
        handler = type("BoundHandler", (_Handler,), {"wire": self})
        self._http = _Quiet(("127.0.0.1", 0), handler)
        if context is not None:
            self._http.socket = context.wrap_socket(self._http.socket, server_side=True)
        self._scheme = "http" if context is None else "https"
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01})

    @property
    def port(self) -> int:
        return int(self._http.server_address[1])

    @property
    def url(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self.port}"

    def on(self, method: str, path: str, *scripts: Script) -> None:
        """What to answer to a route (a path without its query), one after the other."""
        self._scripts[method, path].extend(scripts)

    def requests(self, method: str, path: str) -> list[Received]:
        """What arrived at a route."""
        return [r for r in self.received if r.method == method and r.path.partition("?")[0] == path]

    def reply_to(self, request: Received) -> Reply:
        with self._lock:
            self.received.append(request)
            fault = self._signature_fault(request)
            if fault:
                self.signature_faults.append(f"{request.method} {request.path}: {fault}")
            scripts = self._scripts.get((request.method, request.path.partition("?")[0]), [])
            script = (scripts.pop(0) if len(scripts) > 1 else scripts[0]) if scripts else NOT_SCRIPTED
        return script if isinstance(script, Reply) else script(request)

    def _signature_fault(self, request: Received) -> str:
        """Checks from the text of the contract, with no code of the client."""
        sent = request.headers
        if sent.get("x-api-key") != self.api_key:
            return "wrong or no x-api-key"
        nonce = sent.get("x-alter-nonce", "")
        if len(nonce) != 32 or nonce in self._nonces:
            return "nonce malformed or reused"
        self._nonces.add(nonce)
        if abs(time.time() - int(sent.get("x-alter-timestamp", "0"))) > 300:
            return "timestamp out of range"
        digest = hashlib.sha256(request.body).hexdigest()
        if sent.get("x-alter-content-sha256") != digest:
            return "content hash"
        path, _, query = request.path.partition("?")
        target = urllib.parse.unquote(path)
        if query:
            pairs = urllib.parse.parse_qsl(query, keep_blank_values=True)
            target += "?" + urllib.parse.urlencode(sorted(pairs))
        text = "\n".join([request.method, target, sent["x-alter-timestamp"], nonce, digest, ""])
        for name, label in (("x-alter-caller", "caller"), ("x-alter-caller-type", "caller-type")):
            text += f"\n{label}:{sent[name]}" if name in sent else ""
        key = hmac.new(self.api_key.encode(), b"alter-signing-v1", "sha256").digest()
        expected = hmac.new(key, text.encode(), "sha256").hexdigest()
        both = (sent.get("x-alter-signature"), sent.get("x-alter-signature-v2"))
        return "" if both == (expected, expected) else "signature"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request: Any, client_address: Any) -> None:
        # Dropped connections are what these tests are about.
        return


class _Handler(BaseHTTPRequestHandler):
    wire: WireServer
    protocol_version = "HTTP/1.1"
    # Head and body in one packet, or the client's delayed acknowledgement costs 40 ms for each request.
    wbufsize = -1
    disable_nagle_algorithm = True
    timeout = 20

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        reply = self.wire.reply_to(Received(self.command, self.path, headers, body))
        if reply.delay_seconds:
            time.sleep(reply.delay_seconds)
        if reply.drop:
            self._reset()
            return
        self._answer(reply)

    do_POST = do_PATCH = do_DELETE = do_CONNECT = do_GET  # noqa: N815

    def _answer(self, reply: Reply) -> None:
        body = json.dumps(reply.json).encode() if reply.body is None else reply.body
        if "Date" in reply.headers:
            self.send_response_only(reply.status)  # it would send its own as well
        else:
            self.send_response(reply.status)
        headers = {"Content-Type": "application/json", "Content-Length": str(len(body)), **reply.headers}
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if reply.truncate:
            self.wfile.write(body[: len(body) // 2])
            self.wfile.flush()
            self.close_connection = True
            return
        if reply.trickle_seconds:
            for place in range(len(body)):
                self.wfile.write(body[place : place + 1])
                self.wfile.flush()
                time.sleep(reply.trickle_seconds)
            return
        self.wfile.write(body)
        self.wfile.flush()

    def _reset(self) -> None:
        # A linger time of zero turns the close into a reset, which no client can take for an answer.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        return
