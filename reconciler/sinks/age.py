"""The ``age`` sink: each agent's key in an encrypted file of its own, which is safe to commit.

The file ``NAME`` is what ``age --armor`` makes of the key: ``age -d -i identity NAME`` prints it to the byte.
Beside it stand two files without any plaintext, to be committed with it: ``.NAME.alter-sync.json`` with the
facts of the key and the hash of the ciphertext, and ``.NAME.previous`` with the ciphertext that the last
delivery replaced, and its facts. By the hash the sink knows which key a file holds without opening it; with
an identity it opens the file and believes nothing else.

Whenever a process is killed, one of the two tells what ``NAME`` holds: a ciphertext is kept before its facts
are replaced, and comes back before they do.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from reconciler.errors import SinkError
from reconciler.model.agent import AgentName
from reconciler.model.desired import SinkRef
from reconciler.ports import Delivery, SinkReading
from reconciler.sinks.age_encryption import (
    WRONG_IDENTITY,
    check_identity,
    check_recipients,
    decrypted,
    encrypted,
)
from reconciler.sinks.age_place import Place, look, names
from reconciler.sinks.disk import open_created, open_nearest
from reconciler.sinks.facts import Facts, check_key, check_place_is_ours, fill_in
from reconciler.sinks.leftovers import Leftovers


def open_age_sink(ref: SinkRef, former_owners: tuple[str, ...]) -> AgeSink:
    """Settings: ``path``, ``recipients`` (age1…, ssh-ed25519 …, ssh-rsa …), ``identity_file`` (optional)."""
    path, identity_file = str(ref.settings["path"]), str(ref.settings.get("identity_file") or "")
    if Path(path).name in {"", ".."} or not path.isprintable():
        raise SinkError(
            f"the path {path!r} of sink {ref.name!r} names no file", hint='for example "keys/{agent}.age"'
        )
    if not identity_file.isprintable():
        raise SinkError(
            f"the identity_file {identity_file!r} of sink {ref.name!r} names no file",
            hint="give the path of a file that age-keygen wrote, or leave identity_file out",
        )
    sink = AgeSink(
        name=ref.name,
        path=path,
        recipients=tuple(map(str, ref.settings.get("recipients") or ())),
        identity_file=Path(identity_file) if identity_file else None,
        former_owners=former_owners,
    )
    check_recipients(sink.recipients, where=f"sink {ref.name!r}")
    return sink


@dataclass(frozen=True, slots=True)
class AgeSink:
    """See the module. ``former_owners`` are those whose files this configuration may take over."""

    name: str
    path: str
    recipients: tuple[str, ...]
    identity_file: Path | None = None
    former_owners: tuple[str, ...] = ()
    _leftovers: Leftovers = field(default_factory=Leftovers, compare=False)

    @property
    def is_readable(self) -> bool:
        return True

    def place(self, agent: AgentName) -> str:
        return str(self._target(agent))

    def probe(self, agent: AgentName, *, owner: str, app: str) -> None:
        """Also tries whether the identity opens what is encrypted for the recipients."""
        target = self._target(agent)
        with open_nearest(target.parent) as folder:
            if folder.path == target.parent:
                self._check(look(folder, target), agent=agent, app=app, owner=owner)
            folder.try_write(target.name)
        if self.identity_file:
            check_identity(self.identity_file, self.recipients, where=f"sink {self.name!r}")

    def deliver(self, delivery: Delivery) -> None:
        target = self._target(delivery.agent)
        check_key(delivery.plaintext, str(target))
        with open_created(target.parent) as folder:
            self._leftovers.sweep(folder, *names(target.name))
            place = look(folder, target)
            held = self._check(place, agent=delivery.agent, app=delivery.app, owner=delivery.owner)
            facts = Facts.of(delivery)
            if place.text and held and held.fingerprint == facts.fingerprint:
                place.record_as(facts, place.text)
                return
            text = encrypted(delivery.plaintext, self.recipients, where=str(target))
            if held:
                place.keep(held)
            place.record_as(facts, text)
            folder.replace(target.name, text)

    def read_back(self, agent: AgentName) -> SinkReading | None:
        target = self._target(agent)
        with open_nearest(target.parent) as folder:
            if folder.path != target.parent:
                return None
            place = look(folder, target)
        if place.text is None:
            return None
        key = decrypted(place.text, self.identity_file) if self.identity_file else None
        if self.identity_file and not key:
            raise SinkError(
                f"cannot decrypt {target} with {self.identity_file}: it is damaged, or for other recipients",
                hint=f"{WRONG_IDENTITY}; if the file is damaged, put back the last version of it",
            )
        facts = place.facts_of(key) if key else self._known(place)
        known = facts if facts and facts.agent == agent else None
        fingerprint = key.fingerprint() if key else known.fingerprint if known else None
        return SinkReading(known.key_id if known else None, fingerprint, plaintext=key)

    def forget_previous(self, agent: AgentName) -> None:
        target = self._target(agent)
        with open_nearest(target.parent) as folder:
            if folder.path != target.parent:
                return
            self._leftovers.sweep(folder, *names(target.name))
            place = look(folder, target)
            if place.records:
                now = place.records[0].facts
                self._check_facts(place, agent=agent, app=now.app, owner=now.owner)
            facts = self._known(place)
            if place.text and facts:  # after a crash only the kept file may know what the target holds
                place.record_as(facts, place.text)
            place.forget()

    def restore_previous(self, agent: AgentName) -> bool:
        """Puts the kept ciphertext back, and still keeps it: to restore twice is to restore once."""
        target = self._target(agent)
        with open_nearest(target.parent) as folder:
            if folder.path != target.parent:
                return False
            place = look(folder, target)
            text, kept = place.previous.key, place.previous.facts
            if text is None or kept is None:
                return False
            now = place.records[0].facts
            self._check(place, agent=agent, app=now.app, owner=now.owner)
            if text != place.text:
                folder.replace(target.name, text)
            # A place that was taken over stays with its new owner.
            place.record_as(replace(kept, owner=now.owner), text)
            return True

    def _target(self, agent: AgentName) -> Path:
        return Path(fill_in(self.path, agent))

    def _known(self, place: Place) -> Facts | None:
        """The facts of what the target holds; ``None`` when it holds nothing, or nothing that we know."""
        facts = place.facts_by_hash()
        if facts or not place.text or not self.identity_file:
            return facts
        # Somebody may have encrypted our key anew, for other recipients: whoever can open the file sees that.
        key = decrypted(place.text, self.identity_file)
        return place.facts_of(key) if key else None

    def _check(self, place: Place, *, agent: AgentName, app: str, owner: str) -> Facts | None:
        """The facts of what the target holds, after refusing what is not ours."""
        self._check_facts(place, agent=agent, app=app, owner=owner)
        facts = self._known(place)
        if place.text and not facts:
            raise SinkError(
                f"the content of {place.path} was not written by alter-sync; it is not overwritten",
                hint="remove it if nobody needs it, or choose another `path` for the sink",
            )
        return facts

    def _check_facts(self, place: Place, *, agent: AgentName, app: str, owner: str) -> None:
        for record in place.records:
            check_place_is_ours(
                record.facts, str(place.path), agent=agent, app=app, owners=(owner, *self.former_owners)
            )
