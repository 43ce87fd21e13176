"""The ``file`` sink: each agent's key in a file of its own, or in one variable or field of a user's file.

Beside the target ``NAME`` stand hidden files of mode 0600: ``.NAME.previous`` with the key that the last
delivery replaced, and for the raw format ``.NAME.alter-sync.json`` with the facts. Both are written before
the target, so a crash in between leaves the old key in place and facts that visibly do not fit it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path

from reconciler.errors import SinkError
from reconciler.model.agent import AgentName
from reconciler.model.desired import SinkRef
from reconciler.model.secret import Secret
from reconciler.ports import Delivery, SinkReading
from reconciler.sinks.disk import Folder, open_created, open_nearest
from reconciler.sinks.facts import FACTS_KEY, Facts, check_key, check_place_is_ours, fill_in
from reconciler.sinks.formats import Dotenv, Format, Held, JsonField, Malformed, Raw, read_facts
from reconciler.sinks.leftovers import Leftovers

DEFAULT_VARIABLE = "AGENT_API_KEY"
DEFAULT_FIELD = "api_key"

_PREVIOUS = JsonField("key")


def open_file_sink(ref: SinkRef, former_owners: tuple[str, ...]) -> FileSink:
    """Settings: ``path``, ``format`` (raw, dotenv, json), ``variable`` of dotenv, ``field`` of json."""
    settings = ref.settings
    path = str(settings["path"])
    if Path(path).name in {"", ".."} or not path.isprintable():
        raise SinkError(
            f"the path {path!r} of sink {ref.name!r} names no file", hint='for example "keys/{agent}"'
        )
    return FileSink(
        name=ref.name,
        path=path,
        format=_format(ref, str(settings.get("format", "raw"))),
        former_owners=former_owners,
    )


def _format(ref: SinkRef, name: str) -> Format:
    field = str(ref.settings.get("field", DEFAULT_FIELD))
    variable = str(ref.settings.get("variable", DEFAULT_VARIABLE))
    if name == "raw":
        return Raw()
    if name == "dotenv" and variable.isascii() and variable.isidentifier():
        return Dotenv(variable)
    if name == "json" and field != FACTS_KEY:
        return JsonField(field)
    raise SinkError(
        f"sink {ref.name!r} cannot keep keys in the format {name!r} as {variable!r} or {field!r}",
        hint="formats: raw, dotenv (variable: a name for a shell), json (field: not 'alter-sync')",
    )


@dataclass(frozen=True, slots=True)
class _Place:
    """An agent's target as it is now. ``text`` is the whole file."""

    folder: Folder
    name: str
    text: Secret | None
    held: Held
    previous: Held

    @property
    def path(self) -> Path:
        return self.folder.path / self.name

    @property
    def facts(self) -> Facts | None:
        """Whose place it is: after the target was deleted, the kept key still tells."""
        return self.held.facts or self.previous.facts


@dataclass(frozen=True, slots=True)
class FileSink:
    """See the module. ``former_owners`` are those whose files this configuration may take over."""

    name: str
    path: str
    format: Format
    former_owners: tuple[str, ...] = ()
    _leftovers: Leftovers = field(default_factory=Leftovers, compare=False)

    @property
    def is_readable(self) -> bool:
        return True

    def place(self, agent: AgentName) -> str:
        return str(self._target(agent))

    def probe(self, agent: AgentName, *, owner: str, app: str) -> None:
        target = self._target(agent)
        with open_nearest(target.parent) as folder:
            if folder.path == target.parent:
                self._check(self._look(folder, target), agent=agent, app=app, owner=owner)
            folder.try_write(target.name)

    def deliver(self, delivery: Delivery) -> None:
        target = self._target(delivery.agent)
        check_key(delivery.plaintext, str(target))
        with open_created(target.parent) as folder:
            self._leftovers.sweep(folder, *_names(target.name))
            place = self._look(folder, target)
            self._check(place, agent=delivery.agent, app=delivery.app, owner=delivery.owner)
            facts = Facts.of(delivery)
            if place.held != Held(delivery.plaintext, facts):
                self._write(
                    place, delivery.plaintext, facts, kept=_replaced(place, delivery.plaintext, facts)
                )

    def read_back(self, agent: AgentName) -> SinkReading | None:
        target = self._target(agent)
        with open_nearest(target.parent) as folder:
            if folder.path != target.parent:
                return None
            held = self._look(folder, target).held
        if held.key is None:
            return None
        known = held.facts is not None and held.facts.agent == agent and held.facts.fit(held.key)
        key_id = held.facts.key_id if held.facts and known else None
        return SinkReading(key_id=key_id, fingerprint=held.key.fingerprint(), plaintext=held.key)

    def forget_previous(self, agent: AgentName) -> None:
        target = self._target(agent)
        with open_nearest(target.parent) as folder:
            if folder.path != target.parent:
                return
            previous_name = _previous_name(target.name)
            self._leftovers.sweep(folder, *_names(target.name))
            place = self._look(folder, target)
            if place.facts is not None:
                self._check_facts(place, agent=agent, app=place.facts.app, owner=place.facts.owner)
            folder.remove(previous_name)

    def restore_previous(self, agent: AgentName) -> bool:
        """Puts the kept key back, and still keeps it: to restore twice is to restore once."""
        target = self._target(agent)
        with open_nearest(target.parent) as folder:
            if folder.path != target.parent:
                return False
            place = self._look(folder, target)
            key, kept, now = place.previous.key, place.previous.facts, place.facts
            if key is None or kept is None or now is None:
                return False
            self._check(place, agent=agent, app=now.app, owner=now.owner)
            facts = replace(kept, owner=now.owner)  # a place that was taken over stays with its new owner
            if place.held != Held(key, facts):
                self._write(place, key, facts, kept=None)
            return True

    def _target(self, agent: AgentName) -> Path:
        return Path(fill_in(self.path, agent))

    def _look(self, folder: Folder, target: Path) -> _Place:
        """Reads everything that concerns one target; refuses what is not readable as ours or the user's."""
        text = folder.read(target.name)
        previous_name = _previous_name(target.name)
        reading = target
        try:
            held = self.format.find(text) if text else Held()
            if not self.format.keeps_facts:
                reading = target.with_name(_sidecar_name(target.name))
                sidecar = folder.read(reading.name)
                held = Held(held.key, read_facts(sidecar.reveal()) if sidecar else None)
            reading = target.with_name(previous_name)
            previous = folder.read(previous_name)
            kept = _PREVIOUS.find(previous) if previous else Held()
            if previous and not kept.facts:
                raise Malformed("it was not written by alter-sync")
        except Malformed as exc:
            raise SinkError(
                f"cannot read {reading}: {exc}",
                hint="correct that file, or move it away so that it is written anew",
            ) from exc
        return _Place(folder=folder, name=target.name, text=text, held=held, previous=kept)

    def _check(self, place: _Place, *, agent: AgentName, app: str, owner: str) -> None:
        self._check_facts(place, agent=agent, app=app, owner=owner)
        if place.text and not place.held.facts and not self.format.is_free(place.text):
            raise SinkError(
                f"{self.format.part} {place.path} was not written by alter-sync; it is not overwritten",
                hint=f"remove it if nobody needs it, or choose another `{self.format.setting}` for the sink",
            )

    def _check_facts(self, place: _Place, *, agent: AgentName, app: str, owner: str) -> None:
        for held in (place.held, place.previous):
            if held.facts is not None:
                check_place_is_ours(
                    held.facts, str(place.path), agent=agent, app=app, owners=(owner, *self.former_owners)
                )

    def _write(self, place: _Place, key: Secret, facts: Facts, *, kept: Secret | None) -> None:
        try:
            text = self.format.put(place.text, key, facts)
        except Malformed as exc:
            raise SinkError(
                f"cannot write {place.path}: {exc}", hint="use the format json or raw for this sink"
            ) from exc
        if kept is not None:
            place.folder.replace(_previous_name(place.name), kept)
        if not self.format.keeps_facts:
            place.folder.replace(_sidecar_name(place.name), Secret(json.dumps(facts.as_json()) + "\n"))
        if text != place.text:
            place.folder.replace(place.name, text)


def _replaced(place: _Place, new_key: Secret, new_facts: Facts) -> Secret | None:
    """What to keep of the key that a delivery replaces; ``None`` when there is nothing new to keep."""
    key, facts = place.held.key, place.held.facts
    # After a crash the facts are already those of the key that never came; the kept file knows better.
    if key is None or facts is None or key in (new_key, place.previous.key):
        return None
    if not facts.fit(key):
        facts = replace(new_facts, key_id=None, fingerprint=key.fingerprint())
    return _PREVIOUS.put(None, key, facts)


def _names(name: str) -> tuple[str, str, str]:
    """Every file that may be written for a target."""
    return name, _previous_name(name), _sidecar_name(name)


def _sidecar_name(name: str) -> str:
    return f".{name}.{FACTS_KEY}.json"


def _previous_name(name: str) -> str:
    return f".{name}.previous"
