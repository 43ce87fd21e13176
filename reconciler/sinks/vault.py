"""The ``vault`` sink: each agent's key in one field of a secret of HashiCorp Vault or OpenBao (KV version 2).

What is known of the key stands in custom metadata, written before the value: after a crash in between the old
key is still there, and recognised as the previous one. Other fields and the custom metadata of others survive
every write. To forget the previous key destroys every version that can hold it, since the first of ours.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

from reconciler.errors import SinkError
from reconciler.model.agent import AgentName
from reconciler.model.desired import SinkRef
from reconciler.model.secret import Secret
from reconciler.ports import Delivery, SinkReading
from reconciler.sinks.facts import FACTS_KEY, Facts, check_key, check_place_is_ours, fill_in
from reconciler.sinks.vault_store import Entry, KvSecret, VaultServer

_TRIES = 5
_PREFIX = f"{FACTS_KEY}-"
_LOOPBACK = re.compile(r"localhost|127(?:\.\d{1,3}){3}|\[::1\]")
_ADDRESS = re.compile(r"(https?)://([\w.-]+|\[[\dA-Fa-f:.]+\])(:[1-9]\d{0,4})?(/[\w./~%-]*)?", re.ASCII)


def open_vault_sink(ref: SinkRef, former_owners: tuple[str, ...]) -> VaultSink:
    """Settings: ``path``, ``field``, ``mount`` (else the first part of ``path``), ``address`` (VAULT_ADDR),
    ``namespace``, ``token_env``, ``token_file``, ``ca_file`` (VAULT_CACERT).
    """
    try:
        import hvac  # noqa: F401
    except ImportError as exc:
        what = f"sink {ref.name!r} needs a library that is not installed: hvac"
        raise SinkError(what, hint="pip install 'alter-sync[vault]'") from exc
    given = {name: str(value) for name, value in ref.settings.items() if value is not None}
    address, is_loopback = _checked_address(given.get("address") or os.environ.get("VAULT_ADDR", ""), ref)
    mount, path = _checked_path(given["path"], given.get("mount", ""), ref=ref)
    server = VaultServer(address, is_loopback, given)
    return VaultSink(ref.name, server, mount, path, given.get("field") or "api_key", former_owners)


@dataclass(frozen=True, slots=True)
class _Mark:
    """Our custom metadata. ``since`` is the first version that can hold a key of ours."""

    facts: Facts
    since: int
    previous: Facts | None = None
    previous_version: int = 0

    @classmethod
    def of(cls, custom: Mapping[str, str]) -> _Mark | None:
        ours = {n[len(_PREFIX) :].replace("-", "_"): t for n, t in custom.items() if n.startswith(_PREFIX)}
        kept = {"key_id": ours.get("previous_key_id"), "fingerprint": ours.get("previous_fingerprint")}
        facts, previous = Facts.from_json(ours), Facts.from_json({**ours, **kept})
        since, version = _number(ours.get("since")), _number(ours.get("previous_version"))
        if not (facts and since):
            return None
        return cls(facts, since, previous, version) if previous and version else cls(facts, since)

    def as_custom(self) -> dict[str, str | None]:
        previous = self.previous
        entries = {
            **self.facts.as_json(),
            "since": str(self.since),
            "previous_key_id": previous and previous.key_id,
            "previous_fingerprint": previous and previous.fingerprint,
            "previous_version": str(self.previous_version) if previous else None,
        }
        return {_PREFIX + name.replace("_", "-"): text for name, text in entries.items()}


@dataclass(frozen=True, slots=True)
class _Place:
    entry: Entry
    key: Secret | None
    mark: _Mark | None

    @property
    def facts(self) -> Facts | None:
        """The facts that fit the key held: after a crash those are of the previous one."""
        known = (self.mark.facts, self.mark.previous) if self.mark else ()
        return next((facts for facts in known if facts and self.key and facts.fit(self.key)), None)

    def mark_for(self, new: Facts) -> _Mark:
        """The mark of a delivery; the key that it replaces becomes the previous one."""
        if self.mark is None:
            return _Mark(new, since=self.entry.version + 1)
        if self.key is None or new.fit(self.key):
            return replace(self.mark, facts=new)
        by_hand = replace(new, key_id=None, fingerprint=self.key.fingerprint())
        held = replace(self.facts or by_hand, owner=new.owner)
        return replace(self.mark, facts=new, previous=held, previous_version=self.entry.version)


@dataclass(frozen=True, slots=True)
class VaultSink:
    """See the module. ``former_owners`` are those whose secrets this configuration may take over."""

    name: str
    server: VaultServer
    mount: str
    path: str
    field: str
    former_owners: tuple[str, ...] = ()

    @property
    def is_readable(self) -> bool:
        return True

    def place(self, agent: AgentName) -> str:
        mount, path = fill_in(self.mount, agent), fill_in(self.path, agent)
        return f"field {self.field!r} of {mount}/{path} in Vault at {self.server.address}"

    def probe(self, agent: AgentName, *, owner: str, app: str) -> None:
        with self._secret(agent) as secret:
            place = next(self._looks(secret, agent))
            self._check(place, agent=agent, app=app, owner=owner)
            # To mark a new secret creates it, so its first value is an update already.
            marking = ("read", "patch") if place.entry.exists else ("create", "read", "patch")
            if lacking := secret.lacking(("read", "update"), marking, ("update",)):
                what = f"the token cannot write {self.place(agent)}: it lacks {', '.join(lacking)}"
                raise SinkError(what, hint=secret.policy_hint())

    def deliver(self, delivery: Delivery) -> None:
        check_key(delivery.plaintext, self.place(delivery.agent))
        facts = Facts.of(delivery)
        with self._secret(delivery.agent) as secret:
            for place in self._looks(secret, delivery.agent):
                self._check(place, agent=facts.agent, app=facts.app, owner=facts.owner)
                mark = place.mark_for(facts)
                if mark != place.mark:
                    secret.annotate(place.entry, mark.as_custom())
                if not place.entry.exists:
                    continue  # seen again, so that no key goes where the mark did not arrive: KV version 1
                if place.key == delivery.plaintext:
                    return
                custom = secret.write(place.entry, name=self.field, key=delivery.plaintext)
                if custom is not None:
                    after = _Place(place.entry, None, _Mark.of(custom))  # another owner may be as fast
                    self._check(after, agent=facts.agent, app=facts.app, owner=facts.owner)
                    return

    def read_back(self, agent: AgentName) -> SinkReading | None:
        with self._secret(agent) as secret:
            place = next(self._looks(secret, agent))
        if place.key is None:
            return None
        key_id = place.facts.key_id if place.facts and place.facts.agent == agent else None
        return SinkReading(key_id=key_id, fingerprint=place.key.fingerprint(), plaintext=place.key)

    def forget_previous(self, agent: AgentName) -> None:
        with self._secret(agent) as secret:
            place = next(self._looks(secret, agent))
            mark = place.mark
            if mark is None:
                return
            self._check(place, agent=agent, app=mark.facts.app, owner=mark.facts.owner)
            if mark.previous is None:
                return
            # Edits of other fields copy our key, so all go; but not the only copy of a delivery not held now.
            last = place.entry.version if place.facts == mark.facts else mark.previous_version
            newest = min(last, place.entry.version - 1)
            if old := tuple(number for number in place.entry.versions if mark.since <= number <= newest):
                secret.destroy(old)
            left = replace(mark, facts=place.facts or mark.facts, previous=None, previous_version=0)
            secret.annotate(place.entry, left.as_custom())

    def restore_previous(self, agent: AgentName) -> bool:
        with self._secret(agent) as secret:
            for place in self._looks(secret, agent):
                mark = place.mark
                if mark is None or mark.previous is None:
                    return False
                self._check(place, agent=agent, app=mark.facts.app, owner=mark.facts.owner)
                version = place.entry.version
                if place.key is None or not mark.previous.fit(place.key):
                    kept = _key_in(secret.fields_of(mark.previous_version), self.field)
                    if kept is None or not mark.previous.fit(kept):
                        return False
                    if secret.write(place.entry, name=self.field, key=kept) is None:
                        continue
                    version += 1
                # What was written last is the copy to keep: Vault prunes the oldest.
                restored = replace(mark, facts=mark.previous, previous_version=version)
                if restored != mark:
                    secret.annotate(place.entry, restored.as_custom())
                return True
        return False

    def _secret(self, agent: AgentName) -> AbstractContextManager[KvSecret]:
        return self.server.secret(fill_in(self.mount, agent), fill_in(self.path, agent))

    def _looks(self, secret: KvSecret, agent: AgentName) -> Iterator[_Place]:
        for _ in range(_TRIES):
            entry = secret.look()
            yield _Place(entry, _key_in(entry.fields, self.field), _Mark.of(entry.custom))
        what = f"{self.place(agent)} was changed by somebody else again and again"
        raise SinkError(what, hint="find out who writes that secret, then run the same command again")

    def _check(self, place: _Place, *, agent: AgentName, app: str, owner: str) -> None:
        if place.mark is not None:
            owners = (owner, *self.former_owners)
            check_place_is_ours(place.mark.facts, self.place(agent), agent=agent, app=app, owners=owners)
        elif place.key is not None:
            what = f"{self.place(agent)} was not written by alter-sync; it is not overwritten"
            hint = "remove that field if nobody needs it, or choose another `field` or `path`"
            raise SinkError(what, hint=hint)


def _key_in(fields: Secret | None, name: str) -> Secret | None:
    """What a field holds; ``None`` when it is free. What is not text counts as its JSON."""
    value = json.loads(fields.reveal()).get(name) if fields else None
    if value is None or value == "":
        return None
    return Secret(value if isinstance(value, str) else json.dumps(value))


def _number(text: str | None) -> int:
    return int(text) if text and text.isdecimal() and len(text) < 16 else 0


def _checked_path(path: str, mount: str, *, ref: SinkRef) -> tuple[str, str]:
    """The mount and the path below it. Refuses what would lead elsewhere, or is meant for the API."""
    of_api = () if mount else ("data/", "metadata/")
    mount, path = mount.strip("/"), path.strip("/")
    if not mount:
        mount, _, path = path.partition("/")
    is_odd = {"", ".", ".."} & {*mount.split("/"), *path.split("/")} or path.startswith(of_api)
    if is_odd or not f"{mount}{path}".isprintable():
        what = f"the path {path!r} of sink {ref.name!r} names no secret"
        raise SinkError(what, hint='for example "secret/agents/{agent}", without the "data/" of the HTTP API')
    return mount, path


def _checked_address(address: str, ref: SinkRef) -> tuple[str, bool]:
    """The address without a slash at its end, and whether it is on this machine. None refused is shown."""
    match = _ADDRESS.fullmatch(address)
    is_loopback = match is not None and _LOOPBACK.fullmatch(match[2]) is not None
    if match is None or (match[1] == "http" and not is_loopback):
        why = "no plain https:// address (http:// is for this machine only)" if address else "not given"
        hint = "for example https://vault.example.com:8200, as `address` of the sink or in VAULT_ADDR"
        raise SinkError(f"the address of Vault for sink {ref.name!r} is {why}", hint=hint)
    return address.rstrip("/"), is_loopback
