"""A strict stand-in for the part of the Kubernetes API that keeps Secrets, server-side apply included."""

from __future__ import annotations

import base64
import copy
import json
import re
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support.wire_server import Received, Reply, WireServer

TOKEN = "eyJhbGciOiJSUzI1NiJ9.tests-only.c2lnbmF0dXJl"
NAMESPACE = "payments"
_PATH = re.compile(r"/api/v1/namespaces/([^/]+)/secrets/([^/]+)")
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")

Document = dict[str, Any]
# The fields that managers own, such as ("data", "api_key") and ("type",), and their values.
Fields = dict[tuple[str, ...], Any]


class KubernetesServer(WireServer):
    """The Secrets of one namespace, by name.

    A function in ``faults`` answers the request of its number, counted from 1; it may ``carry_out`` first.
    """

    def __init__(self) -> None:
        super().__init__(api_key="")
        self.objects: dict[str, Document] = {}
        self.owned: dict[str, dict[str, Fields]] = {}
        self.faults: dict[int, Callable[[Received], Reply]] = {}
        self.is_broken = False
        self._version = 100

    def kubeconfig(self, path: Path, *, token: str = TOKEN) -> Path:
        """Writes a file that leads here."""
        path.write_text(
            json.dumps(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "current-context": "tests",
                    "contexts": [
                        {"name": "tests", "context": {"cluster": "tests", "user": "tests"}},
                        {"name": "other", "context": {"cluster": "tests", "user": "tests"}},
                    ],
                    "clusters": [{"name": "tests", "cluster": {"server": self.url}}],
                    "users": [{"name": "tests", "user": {"token": token}}],
                }
            )
        )
        return path

    def value(self, name: str, field: str = "api_key") -> str | None:
        """What a consumer of a Secret's field sees."""
        encoded = self.objects.get(name, {}).get("data", {}).get(field)
        return None if encoded is None else base64.b64decode(encoded, validate=True).decode()

    def edit(self, name: str, manager: str, *, kind: str = "Opaque", **data: str) -> None:
        """Somebody else writes fields by an update, which takes them over from who had them."""
        old = self.objects.get(name) or self._new(name, kind)
        encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
        owned = self.owned.setdefault(name, {})
        for fields in owned.values():
            for key in encoded:
                fields.pop(("data", key), None)
        owned.setdefault(manager, {}).update({("data", key): value for key, value in encoded.items()})
        self._keep(name, {**old, "data": {**old["data"], **encoded}})

    def reply_to(self, request: Received) -> Reply:
        with self._lock:
            self.received.append(request)
            fault = self.faults.get(len(self.received))
            return fault(request) if fault else self.carry_out(request)

    def carry_out(self, request: Received) -> Reply:
        """What an API server does."""
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            return status_reply(401, "Unauthorized", "Unauthorized")
        found = _PATH.fullmatch(request.path.partition("?")[0])
        if found is None:
            return Reply(404, body=b"404 page not found", headers={"Content-Type": "text/plain"})
        namespace, name = found[1], found[2]
        stored = self.objects.get(name) if namespace == NAMESPACE else None
        if request.method == "PATCH":
            return self._patch(request, namespace, name)
        if stored is None:
            return status_reply(404, "NotFound", f'secrets "{name}" not found')
        if request.method == "GET":
            return Reply(200, stored)
        return self._delete(request, name, stored) if request.method == "DELETE" else Reply(405, {})

    def _delete(self, request: Received, name: str, stored: Document) -> Reply:
        if self.is_broken:
            return status_reply(500, "InternalError", "etcdserver: no leader")
        for field, expected in (request.json or {}).get("preconditions", {}).items():
            if stored["metadata"][field] != expected:
                return status_reply(409, "Conflict", f"Precondition failed: {field}")
        del self.objects[name], self.owned[name]
        return status_reply(200, "", "")

    def _patch(self, request: Received, namespace: str, name: str) -> Reply:
        query, applied = request.query, json.loads(request.body)
        if request.headers.get("content-type") != "application/apply-patch+yaml":
            return status_reply(
                415, "UnsupportedMediaType", "the body of the request was in an unknown format"
            )
        if not query.get("fieldManager") or query.get("force", "").lower() != "false":
            return status_reply(422, "Invalid", "fieldManager is required for apply patch")
        wrong = _wrong(applied, name)
        if wrong:
            return status_reply(422, "Invalid", f'Secret "{name}" is invalid: {wrong}')
        if namespace != NAMESPACE:
            return status_reply(404, "NotFound", f'namespaces "{namespace}" not found')
        if self.is_broken:
            return status_reply(500, "InternalError", "etcdserver: no leader")
        return self._apply(name, query["fieldManager"], applied, is_trial=query.get("dryRun") == "All")

    def _apply(self, name: str, manager: str, applied: Document, *, is_trial: bool) -> Reply:
        stored = self.objects.get(name)
        now = copy.deepcopy(stored) if stored else self._new(name, applied.get("type", "Opaque"))
        version = applied["metadata"].get("resourceVersion")
        if version is not None and (stored is None or version != stored["metadata"]["resourceVersion"]):
            return status_reply(409, "Conflict", f"Operation cannot be fulfilled on secrets {name}: modified")
        owned, fields = self.owned.get(name, {}), _fields_of(applied)
        causes = [
            {
                "reason": "FieldManagerConflict",
                "message": f'conflict with "{other}"',
                "field": f".{'.'.join(path)}",
            }
            for other, theirs in owned.items()
            for path in theirs
            if other != manager and path in fields and fields[path] != _value_at(now, path)
        ]
        if causes:
            return status_reply(409, "Conflict", "Apply failed with conflicts", causes=causes)
        if now["type"] != applied.get("type", now["type"]):
            return status_reply(422, "Invalid", "type: Invalid value: field is immutable")
        for path in set(owned.get(manager, {})) - set(fields):
            if not any(path in theirs for other, theirs in owned.items() if other != manager):
                _parent_of(now, path).pop(path[-1], None)
        for path, value in fields.items():
            _parent_of(now, path)[path[-1]] = value
        if now.get("immutable") and stored and now["data"] != stored["data"]:
            return status_reply(422, "Invalid", "data: Forbidden: field is immutable when `immutable` is set")
        if is_trial:
            return Reply(200, now)
        self.owned.setdefault(name, {})[manager] = fields
        if now != stored:
            self._keep(name, now)
        return Reply(200 if stored else 201, self.objects[name])

    def _new(self, name: str, kind: str) -> Document:
        meta = {"name": name, "namespace": NAMESPACE, "uid": str(uuid.uuid4()), "annotations": {}}
        return {"apiVersion": "v1", "kind": "Secret", "type": kind, "metadata": meta, "data": {}}

    def _keep(self, name: str, document: Document) -> None:
        self._version += 1
        document["metadata"] = {**document["metadata"], "resourceVersion": str(self._version)}
        self.objects[name] = document


def status_reply(code: int, reason: str, message: str, *, causes: list[Document] | None = None) -> Reply:
    """An answer of the kind ``Status``."""
    body = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "code": code, "reason": reason}
    status = "Success" if code < 300 else "Failure"
    return Reply(code, {**body, "status": status, "message": message, "details": {"causes": causes or []}})


def _wrong(applied: Document, name: str) -> str:
    """What an API server finds to be wrong with an apply, before it looks at what is stored."""
    if applied.get("apiVersion") != "v1" or applied.get("kind") != "Secret" or "stringData" in applied:
        return "apiVersion, kind"
    if applied["metadata"].get("name", name) != name or "managedFields" in applied["metadata"]:
        return "metadata"
    if not _SUBDOMAIN.fullmatch(name) or len(name) > 253:
        return "metadata.name: a lowercase RFC 1123 subdomain is required"
    for field, value in applied.get("data", {}).items():
        try:
            base64.b64decode(value, validate=True)
        except ValueError:
            return f"data.{field}: illegal base64 data"
    annotations = applied["metadata"].get("annotations", {})
    return "" if all(isinstance(value, str) for value in annotations.values()) else "annotations"


def _fields_of(applied: Document) -> Fields:
    fields: Fields = {("data", name): value for name, value in applied.get("data", {}).items()}
    annotations = applied["metadata"].get("annotations", {})
    fields |= {("metadata", "annotations", name): value for name, value in annotations.items()}
    return fields | ({("type",): applied["type"]} if "type" in applied else {})


def _parent_of(document: Document, path: tuple[str, ...]) -> Document:
    for step in path[:-1]:
        document = document.setdefault(step, {})
    return document


def _value_at(document: Document, path: tuple[str, ...]) -> Any:
    return _parent_of(document, path).get(path[-1])
