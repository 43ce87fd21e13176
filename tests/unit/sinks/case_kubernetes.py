"""The Kubernetes sink before a server that applies like a real one, for the tests of every sink."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from reconciler.sinks.kubernetes import open_kubernetes_sink
from tests.support.kubernetes_server import NAMESPACE, KubernetesServer
from tests.unit.sinks.cases import Case
from tests.unit.sinks.samples import reference


@contextmanager
def kubernetes_case(root: Path) -> Iterator[Case]:
    """A namespace without Secrets."""
    with KubernetesServer() as server:
        config = server.kubeconfig(root / "kubeconfig")
        yield _case(root, server, config)


def _case(root: Path, server: KubernetesServer, config: Path) -> Case:
    def places_with(text: str) -> set[str]:
        found = {name for name, secret in server.objects.items() if text in json.dumps(secret)}
        for name, secret in server.objects.items():
            if any(text in (server.value(name, field) or "") for field in secret["data"]):
                found.add(name)
        return found | {path.name for path in root.rglob("*") if path.is_file() and text in path.read_text()}

    settings = {"namespace": NAMESPACE, "kubeconfig": str(config)}
    return Case(
        sink=open_kubernetes_sink(reference("kubernetes", **settings), ()),
        held=server.value,
        places_with=places_with,
        holders=lambda agent: {agent},
        state=lambda: {
            name: secret["metadata"]["resourceVersion"] for name, secret in server.objects.items()
        },
        break_store=lambda: setattr(server, "is_broken", True),
        place_shows=f"Secret {NAMESPACE}/",
    )
