"""The AWS Secrets Manager sink over a moto server, behind a gate that can refuse, lose or garble requests."""

from __future__ import annotations

import functools
import http.client
import json
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock, Thread
from typing import Any

from reconciler.ports import SecretSink
from reconciler.sinks.aws_secrets_manager import open_aws_secrets_manager_sink
from tests.unit.sinks.cases import Case, files_with
from tests.unit.sinks.samples import AGENT, reference

REGION = "eu-central-1"
ACCOUNT = "123456789012"
ACCESS_KEY, SECRET_ACCESS_KEY, SESSION_TOKEN = "AKIAEXAMPLE", "very-secret-access-key", "very-secret-session"
READS = ("DescribeSecret", "GetSecretValue")


@dataclass(frozen=True)
class Fault:
    """What a client gets instead of the answer, before or after the request was carried out.

    ``status`` 0 closes the connection without a word.
    """

    status: int
    body: bytes = b""
    content_type: str = "application/x-amz-json-1.1"
    is_carried_out: bool = False


def error(code: str, status: int = 400, *, is_carried_out: bool = False) -> Fault:
    """An error as AWS words it, with more in it than anybody should repeat."""
    body = {"__type": code, "message": f"{SECRET_ACCESS_KEY} {SESSION_TOKEN}"}
    return Fault(status, json.dumps(body).encode(), is_carried_out=is_carried_out)


@dataclass
class Gate:
    """Where the sink sends its requests; ``rule`` may name a fault for an operation, which has a number."""

    url: str
    store: tuple[str, int]
    rule: Callable[[str, int], Fault | None] = lambda operation, number: None
    requests: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    lock: Lock = field(default_factory=Lock)

    def fault(self, operation: str, body: bytes) -> Fault | None:
        with self.lock:
            number = len(self.requests)
            self.requests.append((operation, json.loads(body)))
        return self.rule(operation, number)

    def operations(self) -> list[str]:
        return [operation for operation, _ in self.requests]

    def writes(self) -> list[str]:
        return [operation for operation in self.operations() if operation not in READS]

    def reset(self) -> None:
        self.requests.clear()
        self.rule = lambda operation, number: None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    gate: Gate

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        fault = self.gate.fault(self.headers["X-Amz-Target"].rpartition(".")[2], body)
        status, kind, request_id, answer = 0, "", "", b""
        if fault is None or fault.is_carried_out:
            store = http.client.HTTPConnection(*self.gate.store, timeout=20)
            store.request("POST", "/", body, dict(self.headers))
            response = store.getresponse()
            status, kind, answer = response.status, "application/x-amz-json-1.1", response.read()
            request_id = response.headers["x-amzn-RequestId"]
            store.close()
        if fault is not None:
            status, kind, request_id, answer = fault.status, fault.content_type, "", fault.body
        if not status:
            self.close_connection = True
            return
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(answer)))
        if request_id:
            self.send_header("x-amzn-RequestId", request_id)
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *args: object) -> None:
        """Says nothing."""


@functools.cache
def running_gate() -> Gate:
    """Starts both servers, once in a process; they end with it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # what moto imports, it imports once
        from moto.server import ThreadedMotoServer
    _move_the_current_version_as_aws_does()
    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    gate = Gate("", moto.get_host_and_port())
    handler = type("Handler", (_Handler,), {"gate": gate})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    Thread(target=server.serve_forever, daemon=True).start()
    gate.url = f"http://127.0.0.1:{server.server_port}"
    return gate


def _move_the_current_version_as_aws_does() -> None:
    """In moto the next write after a move takes AWSCURRENT from the version that had it before the move."""
    from moto.secretsmanager.models import SecretsManagerBackend

    move = SecretsManagerBackend.update_secret_version_stage

    def moved(backend: Any, secret_id: str, version_stage: str, *versions: str, **more: str) -> Any:
        answer = move(backend, secret_id, version_stage, *versions, **more)
        to = more.get("move_to_version_id")
        if version_stage == "AWSCURRENT" and to:
            backend.secrets[secret_id].set_default_version_id(to)
        return answer

    setattr(SecretsManagerBackend, "update_secret_version_stage", moved)  # noqa: B010


def secrets() -> dict[str, Any]:
    """What the store holds, by name: moto's own objects, in memory."""
    from moto.secretsmanager.models import secretsmanager_backends

    return {secret.name: secret for secret in secretsmanager_backends[ACCOUNT][REGION].secrets.values()}


def empty() -> None:
    """Deletes everything from the store."""
    from moto.secretsmanager.models import secretsmanager_backends

    secretsmanager_backends[ACCOUNT][REGION].reset()


def contents(name: str) -> dict[str, str | None]:
    """What a consumer reads from one secret, by label."""
    versions = secrets()[name].versions.values()
    return {
        label: version.get("secret_string") for version in versions for label in version["version_stages"]
    }


def tags(name: str) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in secrets()[name].tags or ()}


@functools.cache
def consumer() -> Any:
    """A client of the store itself, past the gate; also the user who prepares secrets."""
    import boto3

    host, port = running_gate().store
    return boto3.client(
        "secretsmanager",
        region_name=REGION,
        endpoint_url=f"http://{host}:{port}",
        aws_access_key_id="consumer",
        aws_secret_access_key="of-the-consumer",
    )


def held(agent: str) -> str | None:
    try:
        return str(consumer().get_secret_value(SecretId=f"agents/{agent}")["SecretString"])
    except consumer().exceptions.ResourceNotFoundException:
        return None


def places_with(root: Path, text: str) -> set[str]:
    """Labels of versions, and tags: what has no label any more AWS deletes in time."""
    found = {
        f"{name} {label}"
        for name in secrets()
        for label, content in contents(name).items()
        if content and text in content
    }
    return found | {name for name in secrets() if text in str(tags(name))} | files_with(root, text)


def snapshot(gate: Gate) -> object:
    return gate.writes(), {name: (contents(name), tags(name)) for name in secrets()}


def aws_sink(*, former_owners: tuple[str, ...] = (), **settings: Any) -> SecretSink:
    settings = {"region": REGION, "endpoint_url": running_gate().url, **settings}
    return open_aws_secrets_manager_sink(reference("aws_secrets_manager", **settings), former_owners)


@contextmanager
def empty_store(root: Path) -> Iterator[Gate]:
    """An empty store, and an environment with its credentials and nothing else of AWS."""
    gate = running_gate()
    gate.reset()
    empty()
    before = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    for name in before:
        del os.environ[name]
    ours = {
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_ACCESS_KEY,
        "AWS_SESSION_TOKEN": SESSION_TOKEN,
        "AWS_CONFIG_FILE": str(root / "no-config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(root / "no-credentials"),
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    os.environ.update(ours)
    try:
        yield gate
    finally:
        for name in ours:
            os.environ.pop(name, None)
        os.environ.update(before)


@contextmanager
def aws_secrets_manager_case(root: Path) -> Iterator[Case]:
    """Each agent's key is a whole secret."""
    with empty_store(root) as gate:

        def break_store() -> None:
            gate.rule = lambda operation, number: (
                None if operation in READS else error("AccessDeniedException")
            )

        yield Case(
            sink=aws_sink(),
            held=held,
            places_with=lambda text: places_with(root, text),
            holders=lambda agent: {f"agents/{agent} AWSCURRENT"},
            state=lambda: snapshot(gate),
            break_store=break_store,
            place_shows=f"agents/{AGENT} in {REGION}",
        )
