"""The age sink over a folder, which is looked into with the identity and nothing of the sink's."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pyrage

from reconciler.sinks.registry import open_sink
from tests.unit.sinks.cases import Case, put_a_file_in_place_of, versions_of_files
from tests.unit.sinks.samples import AGENT, reference

ARMOR = "-----BEGIN AGE ENCRYPTED FILE-----"


def opened_text(path: Path, identity: pyrage.x25519.Identity) -> str:
    """What a file says, and what the encrypted texts in it say."""
    text = path.read_text()
    if text.startswith("{"):
        text = "\n".join(map(str, json.loads(text).values()))
    before, armor, after = text.partition(ARMOR)
    if not armor:
        return text
    content: bytes = pyrage.decrypt((armor + after).encode(), [identity])
    return before + content.decode()


@contextmanager
def age_case(root: Path) -> Iterator[Case]:
    """The identity lies beside the folder and is given to the sink."""
    with _case(root, gives_identity=True) as opened:
        yield opened


@contextmanager
def age_case_without_identity(root: Path) -> Iterator[Case]:
    """The sink encrypts, and knows what it wrote by the hash alone."""
    with _case(root, gives_identity=False) as opened:
        yield opened


@contextmanager
def _case(root: Path, *, gives_identity: bool) -> Iterator[Case]:
    identity = pyrage.x25519.Identity.generate()
    identity_file = root.parent / "identity.txt"
    identity_file.write_text(f"# created: now\n\n{identity}\n")
    path = root / "keys" / "{agent}.age"
    settings = {"identity_file": str(identity_file)} if gives_identity else {}
    opened = partial(opened_text, identity=identity)

    def held(agent: str) -> str | None:
        file = path.with_name(f"{agent}.age")
        return opened(file) if file.exists() else None

    yield Case(
        sink=open_sink(reference("age", path=str(path), recipients=[str(identity.to_public())], **settings)),
        held=held,
        places_with=lambda text: {
            one.name for one in root.parent.rglob("*") if one.is_file() and text in opened(one)
        },
        holders=lambda agent: {f"{agent}.age"},
        state=lambda: versions_of_files(root),
        break_store=lambda: put_a_file_in_place_of(root),
        place_shows=str(root / "keys" / f"{AGENT}.age"),
    )
