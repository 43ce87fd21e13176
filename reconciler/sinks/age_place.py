"""What stands at an agent's place of an ``age`` sink: a ciphertext, with two files that tell of it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from reconciler.errors import SinkError
from reconciler.model.secret import Secret
from reconciler.sinks.disk import Folder
from reconciler.sinks.facts import FACTS_KEY, Facts
from reconciler.sinks.formats import Held, JsonField, Malformed, read_facts

_CIPHERTEXT = "ciphertext"
_PREVIOUS = JsonField("file")


@dataclass(frozen=True, slots=True)
class Record:
    """Which key a ciphertext holds; ``ciphertext`` is the fingerprint of its text."""

    facts: Facts
    ciphertext: str


@dataclass(frozen=True, slots=True)
class Place:
    """An agent's target as it was found. ``text`` is the ciphertext, and so is the key of ``previous``."""

    folder: Folder
    name: str
    text: Secret | None
    record: Record | None
    previous: Held

    @property
    def path(self) -> Path:
        return self.folder.path / self.name

    @property
    def records(self) -> tuple[Record, ...]:
        """All that is known, first of the present key, then of the one before."""
        kept, facts = self.previous.key, self.previous.facts
        before = Record(facts, kept.fingerprint()) if kept and facts else None
        return tuple(record for record in (self.record, before) if record)

    def facts_by_hash(self) -> Facts | None:
        """The facts of what the target holds; ``None`` when nothing here tells of that ciphertext."""
        found = self.text.fingerprint() if self.text else ""
        return next((record.facts for record in self.records if record.ciphertext == found), None)

    def facts_of(self, key: Secret) -> Facts | None:
        """The facts of this key."""
        return next((record.facts for record in self.records if record.facts.fit(key)), None)

    def record_as(self, facts: Facts, text: Secret) -> None:
        """Writes down which key a ciphertext holds, if that is not what stands there."""
        record = Record(facts, text.fingerprint())
        if self.record != record:
            document = {**facts.as_json(), _CIPHERTEXT: record.ciphertext}
            self.folder.replace(_sidecar_name(self.name), Secret(json.dumps(document) + "\n"))

    def keep(self, facts: Facts) -> None:
        """Keeps the target's ciphertext with its facts as the previous one, if it is not that already."""
        if self.text and self.text != self.previous.key:
            self.folder.replace(_previous_name(self.name), _PREVIOUS.put(None, self.text, facts))

    def forget(self) -> None:
        """Removes what is kept."""
        self.folder.remove(_previous_name(self.name))


def look(folder: Folder, target: Path) -> Place:
    """Reads everything that concerns one target; refuses what is not readable as ours."""
    text = folder.read(target.name)
    reading = target.with_name(_sidecar_name(target.name))
    try:
        sidecar = folder.read(reading.name)
        record = _read(sidecar.reveal()) if sidecar else None
        reading = target.with_name(_previous_name(target.name))
        previous = folder.read(reading.name)
        kept = _PREVIOUS.find(previous) if previous else Held()
        if previous and not kept.facts:
            raise Malformed("it was not written by alter-sync")
    except Malformed as exc:
        raise SinkError(
            f"cannot read {reading}: {exc}",
            hint="correct that file, or move it away so that it is written anew",
        ) from exc
    return Place(folder=folder, name=target.name, text=text, record=record, previous=kept)


def names(name: str) -> tuple[str, ...]:
    """The names of all files that belong to a target."""
    return (name, _sidecar_name(name), _previous_name(name))


def _read(text: str) -> Record:
    facts, ciphertext = read_facts(text), json.loads(text).get(_CIPHERTEXT)
    if not isinstance(ciphertext, str):
        raise Malformed("the facts in it are incomplete")
    return Record(facts, ciphertext)


def _sidecar_name(name: str) -> str:
    return f".{name}.{FACTS_KEY}.json"


def _previous_name(name: str) -> str:
    return f".{name}.previous"
