"""The GitHub sink before a server that decrypts what it gets, for the tests that hold for every sink."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from reconciler.sinks.github_actions import open_github_actions_sink
from tests.support.github_server import REPOSITORY, TOKEN, GitHubServer
from tests.unit.sinks.cases import Case
from tests.unit.sinks.samples import reference

TOKEN_ENV = "GITHUB_TOKEN_OF_THE_CASE"


@contextmanager
def github_actions_case(root: Path) -> Iterator[Case]:
    """A repository without secrets. What is held is in the server's memory."""
    os.environ[TOKEN_ENV] = TOKEN
    try:
        with GitHubServer() as server:
            yield _case(root, server)
    finally:
        os.environ.pop(TOKEN_ENV, None)


def _case(root: Path, server: GitHubServer) -> Case:
    def places_with(text: str) -> set[str]:
        places = {name for (_environment, name), value in server.secrets.items() if text in value}
        # What travelled, before any decryption: the key must not be readable in it.
        sent = {
            "a request"
            for request in server.received
            if text.encode() in request.body + str(request).encode()
        }
        files = {
            path.name for path in root.rglob("*") if path.is_file() and text.encode() in path.read_bytes()
        }
        return places | sent | files

    settings = {"repository": REPOSITORY, "token_env": TOKEN_ENV, "base_url": server.url}
    return Case(
        sink=open_github_actions_sink(reference("github_actions", **settings), ()),
        held=lambda agent: server.secrets.get(("", _secret_name(agent))),
        places_with=places_with,
        holders=lambda agent: {_secret_name(agent)},
        # Nobody can see what a repetition would overwrite, so an equal value written again is no change.
        state=lambda: dict(server.secrets),
        break_store=lambda: setattr(server, "is_broken", True),
        place_shows=REPOSITORY,
        tells_key_ids=False,
        is_readable=False,
        keeps_versions=False,
        probe_sees_owner=False,
        refusal=None,
    )


def _secret_name(agent: str) -> str:
    return agent.upper().replace("-", "_").replace(".", "_") + "_API_KEY"
