"""The ``aws_secrets_manager`` sink: each agent's key is a secret, or one field of a secret that is JSON.

Tags tell whose it is, which key was delivered last, and which one that replaced, in which version. They are
written before the value, and the value's fingerprint tells the two apart: so neither a crash in between nor a
restore, which only moves AWSCURRENT back, makes them lie. AWS moves AWSPREVIOUS along by itself.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID, uuid5

from reconciler.errors import SinkError
from reconciler.model.agent import AgentName
from reconciler.model.desired import SinkRef
from reconciler.model.key import KeyId
from reconciler.model.secret import Secret
from reconciler.ports import Delivery, SinkReading
from reconciler.sinks.aws_client import attempt, escaped, explained_failure, lazy_client, unescaped
from reconciler.sinks.facts import FACTS_KEY, Facts, check_key, check_place_is_ours, fill_in
from reconciler.sinks.formats import JsonField, Malformed

_TOKENS = UUID("5f0f2a0c-6c1d-5b0e-9a35-0d7c2f4b8e61")  # never to change: it makes repetitions harmless
_SECRET_ID = re.compile(r"[A-Za-z0-9/_+=.@:-]{1,512}")
_FACTS, _TAG_LIMIT_CHARS = ("owner", "app", "agent", "key_id", "fingerprint"), 256


def open_aws_secrets_manager_sink(ref: SinkRef, former_owners: tuple[str, ...]) -> AwsSecretsManagerSink:
    """Settings: ``secret_id``, ``field`` of a JSON secret, ``kms_key_id`` for a secret that is created.

    Without ``region``, ``profile`` and ``endpoint_url`` the environment and the files of AWS count.
    """
    get = ref.settings.get
    secret_id, field = str(get("secret_id") or "agents/{agent}"), str(get("field") or "")
    if not _SECRET_ID.fullmatch(secret_id.replace("{agent}", "agent")) or field == FACTS_KEY:
        raise SinkError(
            f"sink {ref.name!r} cannot use the secret_id {secret_id!r} with the field {field!r}",
            hint="a secret_id has letters, digits and /_+=.@- only; a field is not called 'alter-sync'",
        )
    client = lazy_client(ref)
    region = f" in {get('region')}" if get("region") else ""
    kms_key_id = str(get("kms_key_id") or "")
    return AwsSecretsManagerSink(ref.name, secret_id, field, kms_key_id, region, client, former_owners)


@dataclass(frozen=True, slots=True)
class _Place:
    """What stands in a secret: ``facts`` of the key delivered last, ``kept`` of the one that it replaced."""

    is_there: bool = False
    facts: Facts | None = None
    kept: Facts | None = None
    kept_in: str = ""
    version: str = ""
    previous: str = ""
    text: Secret | None = None
    key: Secret | None = None

    @property
    def known(self) -> Facts | None:
        """The facts that fit the key: after a crash or a restore those of the one that was replaced."""
        key = self.key
        return next((one for one in (self.facts, self.kept) if one and key and one.fit(key)), None)


@dataclass(frozen=True, slots=True)
class AwsSecretsManagerSink:
    """See the module. ``former_owners`` are those whose secrets this configuration may take over."""

    name: str
    secret_id: str
    field: str
    kms_key_id: str
    region: str
    client: Callable[[], Any]
    former_owners: tuple[str, ...] = ()

    @property
    def is_readable(self) -> bool:
        return True

    def place(self, agent: AgentName) -> str:
        field = f"field {fill_in(self.field, agent)!r} of " if self.field else ""
        return f"{field}AWS secret {fill_in(self.secret_id, agent)}{self.region}"

    def probe(self, agent: AgentName, *, owner: str, app: str) -> None:
        """Nothing at AWS tells whether a write would be allowed, short of writing."""
        self._check(self._look(agent), agent=agent, app=app, owner=owner)
        _tags(Facts(owner, app, agent, None, ""), None, "", where=self.place(agent))

    def deliver(self, delivery: Delivery) -> None:
        agent, key = delivery.agent, delivery.plaintext
        check_key(key, self.place(agent))
        facts, place = Facts.of(delivery), self._look(agent)
        self._check(place, agent=agent, app=delivery.app, owner=delivery.owner)
        kept, kept_in = place.kept, place.kept_in
        if place.key not in (None, key):
            known = place.known or replace(facts, key_id=None, fingerprint=place.key.fingerprint())
            kept, kept_in = known, place.version
        tags = _tags(facts, kept, kept_in, where=self.place(agent))
        if not place.is_there:
            kms_key = {"KmsKeyId": self.kms_key_id} if self.kms_key_id else {}
            text, token = self._text_with(place, key, agent), _token(facts)
            more: dict[str, Any] = {"Tags": tags, "ClientRequestToken": token, **kms_key}
            self._call(agent, "create_secret", SecretString=text, **more)
        elif (place.key, place.known) != (key, facts):
            self._call(agent, "tag_resource", Tags=tags)
            if place.key != key:
                self._write(place, key, facts)

    def read_back(self, agent: AgentName) -> SinkReading | None:
        place = self._look(agent)
        if place.key is None:
            return None
        key_id = place.known.key_id if place.known and place.known.agent == agent else None
        return SinkReading(key_id=key_id, fingerprint=place.key.fingerprint(), plaintext=place.key)

    def forget_previous(self, agent: AgentName) -> None:
        place = self._look(agent)
        if place.facts is None:
            return
        self._check(place, agent=agent, app=place.facts.app, owner=place.facts.owner)
        if place.previous and self._key_in(agent, self._text(agent, place.previous)) not in (None, place.key):
            stage = {"VersionStage": "AWSPREVIOUS", "RemoveFromVersionId": place.previous}
            self._call(agent, "update_secret_version_stage", **stage)
        if place.kept:
            tags = _tags(place.known or place.facts, None, "", where=self.place(agent))
            self._call(agent, "tag_resource", Tags=tags)

    def restore_previous(self, agent: AgentName) -> bool:
        """Leaves the tags alone, which still tell which key is meant: to restore twice is to restore once."""
        place = self._look(agent)
        if place.facts is None or place.kept is None:
            return False
        self._check(place, agent=agent, app=place.facts.app, owner=place.facts.owner)
        if place.key is not None and place.kept.fit(place.key):
            return True
        key = self._key_in(agent, self._text(agent, place.kept_in))
        if key is None or not place.kept.fit(key):
            return False
        self._write(place, key, place.kept)
        return True

    def _look(self, agent: AgentName) -> _Place:
        """Reads everything that concerns one secret."""
        about = self._call(agent, "describe_secret", spared="ResourceNotFoundException")
        if about is None:
            return _Place()
        if about.get("DeletedDate"):
            hint = f"run `aws secretsmanager restore-secret --secret-id {fill_in(self.secret_id, agent)}`"
            raise SinkError(f"{self.place(agent)} is scheduled for deletion", hint=hint)
        labels = (about.get("VersionIdsToStages") or {}).items()
        stages = {label: version for version, ones in labels for label in ones}
        tags = {tag["Key"]: unescaped(str(tag.get("Value", ""))) for tag in about.get("Tags") or ()}
        ours = {name: tags.get(f"{FACTS_KEY}-{name.replace('_', '-')}") for name in _FACTS}
        facts, kept = Facts.from_json({**ours, "key_id": ours["key_id"] or None}), None
        kept_in, fingerprint, key_id = [*tags.get(f"{FACTS_KEY}-previous", "").split(" ", 2), "", ""][:3]
        if facts and fingerprint:
            kept = replace(facts, key_id=KeyId(key_id) if key_id else None, fingerprint=fingerprint)
        version = stages.get("AWSCURRENT", "")
        text = self._text(agent, version) if version else None
        key = self._key_in(agent, text)
        return _Place(True, facts, kept, kept_in, version, stages.get("AWSPREVIOUS", ""), text, key)

    def _check(self, place: _Place, *, agent: AgentName, app: str, owner: str) -> None:
        where, owners = self.place(agent), (owner, *self.former_owners)
        if place.facts:
            check_place_is_ours(place.facts, where, agent=agent, app=app, owners=owners)
        elif place.key:
            raise self._foreign(agent)
        elif not place.is_there and self.secret_id.startswith("arn:"):
            raise SinkError(f"there is no {where}", hint="create it, or let `secret_id` be a name")

    def _foreign(self, agent: AgentName) -> SinkError:
        what = f"{self.place(agent)} was not written by alter-sync; it is not overwritten"
        return SinkError(what, hint="delete it if nobody needs it, or choose another `secret_id` or `field`")

    def _text(self, agent: AgentName, version: str) -> Secret | None:
        """The whole content of a version; ``None`` when there is no such version any more."""
        gone = "ResourceNotFoundException"
        answer = self._call(agent, "get_secret_value", spared=gone, VersionId=version)
        if answer is None:
            return None
        if not isinstance(answer.get("SecretString"), Secret):  # it is binary
            raise self._foreign(agent)
        text: Secret = answer["SecretString"]
        return text

    def _key_in(self, agent: AgentName, text: Secret | None) -> Secret | None:
        if text is None or not self.field:
            return text
        try:
            return JsonField(fill_in(self.field, agent)).find(text).key
        except Malformed as exc:
            hint = "correct the secret, or choose another `secret_id`"
            raise SinkError(f"cannot read {self.place(agent)}: {exc}", hint=hint) from exc

    def _text_with(self, place: _Place, key: Secret, agent: AgentName) -> Secret:
        """The whole content with this key in it; ``_look`` has found that nothing else is lost by that."""
        if not self.field:
            return key
        fields = json.loads(place.text.reveal()) if place.text else {}
        return Secret(json.dumps({**fields, fill_in(self.field, agent): key.reveal()}))

    def _write(self, place: _Place, key: Secret, facts: Facts) -> None:
        """Makes a version that holds the key the current one: a new version, or one that was there before."""
        agent, put = facts.agent, "put_secret_value"
        text, token = self._text_with(place, key, facts.agent), _token(facts)
        taken = "ResourceExistsException"  # by another content: other fields have changed since
        answer = self._call(agent, put, spared=taken, SecretString=text, ClientRequestToken=token)
        if answer is None:
            token = _token(facts, text.fingerprint())
            answer = self._call(agent, put, SecretString=text, ClientRequestToken=token) or {}
        if "AWSCURRENT" not in (answer.get("VersionStages") or ()):
            moved = {"RemoveFromVersionId": place.version, "MoveToVersionId": token}
            self._call(agent, "update_secret_version_stage", VersionStage="AWSCURRENT", **moved)

    def _call(self, agent: AgentName, operation: str, *, spared: str = "-", **values: Any) -> Any | None:
        """The answer of AWS; ``None`` when it is the error that is spared."""
        target = "Name" if operation == "create_secret" else "SecretId"
        answer = attempt(self.client, operation, {target: fill_in(self.secret_id, agent), **values})
        if answer == spared or isinstance(answer, dict):
            return None if answer == spared else answer
        what, hint = explained_failure(answer)
        name = operation.title().replace("_", "")
        raise SinkError(f"{self.place(agent)}: {name} failed, {what} ({answer})", hint=hint)


def _tags(facts: Facts, kept: Facts | None, kept_in: str, *, where: str) -> list[dict[str, str]]:
    """AWS allows letters, digits and a few signs; ``=XX`` is any other byte."""
    previous = f"{kept_in} {kept.fingerprint} {kept.key_id or ''}".strip() if kept else "none"
    values = {**facts.as_json(), "key_id": facts.key_id or "", "previous": previous}
    tags = [{"Key": f"{FACTS_KEY}-{n.replace('_', '-')}", "Value": escaped(v)} for n, v in values.items()]
    if any(len(tag["Value"]) > _TAG_LIMIT_CHARS for tag in tags):
        hint = "use shorter names, of letters and digits, for the owner and the app"
        raise SinkError(f"{where}: the facts of the key are too long for tags of AWS", hint=hint)
    return tags


def _token(facts: Facts, *content: str) -> str:
    """Names a version for its key, and for the whole content where the key alone does not tell."""
    names = (facts.owner, facts.app, facts.agent, facts.key_id or facts.fingerprint, *content)
    return str(uuid5(_TOKENS, "/".join(names)))
