"""The ``kubernetes`` sink: each agent's key in one field of a Secret, and the facts in its annotations.

Both are one server-side apply, so they cannot disagree, and what others keep there stays. First the key that
it replaces is kept in ``NAME.alter-sync-previous``, which takers of a whole Secret do not see. A write names
the version that was read, if any. Source: kubernetes.io/docs/reference/using-api/server-side-apply.
"""

from __future__ import annotations

import json
import os
import re
from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import import_module
from typing import Any, NamedTuple

from reconciler.errors import SinkError
from reconciler.model.agent import AgentName
from reconciler.model.desired import SinkRef
from reconciler.model.secret import Secret
from reconciler.ports import Delivery, SinkReading
from reconciler.sinks.facts import Facts, check_key, check_place_is_ours, fill_in
from reconciler.sinks.formats import Held

_ATTEMPTS, _SECONDS, _PREFIX = 3, (5, 10), "alter-sync/"
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")
_APPLY = {"field_manager": "alter-sync", "force": False, "_content_type": "application/apply-patch+yaml"}
_TRIAL = {"dry_run": "All"}  # Kubernetes' own parameter: the server does all of a write but keeping it


def open_kubernetes_sink(ref: SinkRef, former_owners: tuple[str, ...]) -> KubernetesSink:
    """Settings: ``namespace``, ``secret``, ``field``, ``kubeconfig`` (or in-cluster), ``context``."""
    try:
        import kubernetes.config  # noqa: F401
    except ImportError as exc:
        missing = f"sink {ref.name!r} needs a library that is not installed: {exc.name}"
        raise SinkError(missing, hint="pip install 'alter-sync[kubernetes]'") from exc
    given = {name: str(value) for name, value in ref.settings.items() if value is not None}
    place = (given["namespace"], given.get("secret", "{agent}"), given.get("field", "api_key"))
    if not re.fullmatch(r"(?!\.{1,2}$)[A-Za-z0-9._-]{1,253}", place[2]):
        raise SinkError(f"sink {ref.name!r}: {place[2]!r} is no field of a Secret", hint="such as api_key")
    path = given.get("kubeconfig") or os.environ.get("KUBECONFIG", "")
    return KubernetesSink(ref.name, *place, path, given.get("context"), former_owners)


class _Found(NamedTuple):
    """A Secret as it is, ``target`` being its namespace and name; without a ``version`` there is none."""

    target: str
    field: str
    held: Held = Held()
    version: str = ""
    uid: str = ""
    kind: str = "Opaque"


@dataclass(frozen=True, slots=True)
class KubernetesSink:
    """See the module. ``former_owners`` are those whose Secrets this configuration may take over."""

    name: str
    namespace: str
    secret: str
    data_field: str
    kubeconfig: str
    context: str | None
    former_owners: tuple[str, ...] = ()
    is_readable: bool = field(default=True, init=False)

    def place(self, agent: AgentName) -> str:
        return f"field {self.data_field} of Secret {self._target(agent)}"

    def probe(self, agent: AgentName, *, owner: str, app: str) -> None:
        """Lets the server try the write, so that what it would refuse is known before there is a key."""
        found, previous = self._look(self._target(agent))
        self._check(found, previous, agent=agent, app=app, owner=owner)
        trial = Secret("trial")
        self._put(found, trial, Facts(owner, app, agent, None, trial.fingerprint()), **_TRIAL)

    def deliver(self, delivery: Delivery) -> None:
        check_key(delivery.plaintext, self.place(delivery.agent))
        key, facts = delivery.plaintext, Facts.of(delivery)

        def write(found: _Found, previous: _Found) -> bool:
            self._check(found, previous, agent=facts.agent, app=facts.app, owner=facts.owner)
            old = found.held
            if old == Held(key, facts):
                return True
            if old.key is None or old.facts is None or old.key in (key, previous.held.key):
                return self._put(found, key, facts)
            return self._put(previous, old.key, old.facts) and self._put(found, key, facts)

        self._until_done(delivery.agent, write)

    def read_back(self, agent: AgentName) -> SinkReading | None:
        held = self._find(self._target(agent), self.data_field).held
        if held.key is None:
            return None
        known = held.facts if held.facts and held.facts.agent == agent and held.facts.fit(held.key) else None
        return SinkReading(known.key_id if known else None, held.key.fingerprint(), held.key)

    def forget_previous(self, agent: AgentName) -> None:
        def drop(_found: _Found, previous: _Found) -> bool:
            facts = previous.held.facts
            if facts is None:
                return True
            self._check(previous, agent=agent, app=facts.app, owner=facts.owner)
            same = {"preconditions": {"uid": previous.uid, "resourceVersion": previous.version}}
            return self._ask("delete", previous.target, body=same)[0] != 409

        self._until_done(agent, drop)

    def restore_previous(self, agent: AgentName) -> bool:
        """Puts the kept key back, and still keeps it: to restore twice is to restore once."""

        def put_back(found: _Found, previous: _Found) -> bool | None:
            key, kept = previous.held.key, previous.held.facts
            if key is None or kept is None:
                return None
            now = found.held.facts or kept
            self._check(found, previous, agent=agent, app=now.app, owner=now.owner)
            facts = replace(kept, owner=now.owner)  # a place that was taken over stays with its new owner
            return found.held == Held(key, facts) or self._put(found, key, facts)

        return self._until_done(agent, put_back)

    def _until_done(self, agent: AgentName, act: Callable[[_Found, _Found], bool | None]) -> bool:
        """Looks and acts anew while others change what was seen; ``False`` when there was nothing to do."""
        target = self._target(agent)
        for _ in range(_ATTEMPTS):
            done = act(*self._look(target))
            if done is not False:
                return bool(done)
        raise SinkError(f"Secret {target} changed whenever it was to be written", hint="run again later")

    def _target(self, agent: AgentName) -> str:
        namespace, name = fill_in(self.namespace, agent), fill_in(self.secret, agent)
        if all(map(_NAME.fullmatch, (namespace, name))) and len(namespace) < 64 and len(name) < 230:
            return f"{namespace}/{name}"
        wrong = f"sink {self.name!r}: Kubernetes takes no Secret {name!r} in a namespace {namespace!r}"
        raise SinkError(wrong, hint="use small letters, digits, '-' and '.'; settings can do without {agent}")

    def _look(self, target: str) -> tuple[_Found, _Found]:
        previous = self._find(f"{target}.alter-sync-previous", "key")
        if previous.version and not previous.held.facts:
            raise _foreign(previous)
        return self._find(target, self.data_field), previous

    def _find(self, target: str, data_field: str) -> _Found:
        status, document = self._ask("read", target)
        if status == 404:
            return _Found(target, data_field)
        meta = document.get("metadata") or {}
        notes = meta.get("annotations") or {}
        facts = Facts.from_json({n.removeprefix(_PREFIX): notes[n] for n in notes if n.startswith(_PREFIX)})
        held, version = Held(document["data"].get(data_field), facts), str(meta.get("resourceVersion", ""))
        return _Found(target, data_field, held, version, meta.get("uid", ""), document.get("type", "Opaque"))

    def _check(self, *places: _Found, agent: AgentName, app: str, owner: str) -> None:
        for found in places:
            key, facts, owners = found.held.key, found.held.facts, (owner, *self.former_owners)
            if facts:
                check_place_is_ours(facts, f"Secret {found.target}", agent=agent, app=app, owners=owners)
            if key and not (facts and facts.fit(key)):
                raise _foreign(found)

    def _put(self, found: _Found, key: Secret, facts: Facts, **more: Any) -> bool:
        """Applies all that is ours; ``False`` when somebody else changed the Secret since it was read."""
        notes = {_PREFIX + name: said for name, said in facts.as_json().items() if said is not None}
        meta = {"annotations": notes} | ({"resourceVersion": found.version} if found.version else {})
        body = {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "type": found.kind}
        status, said = self._ask("patch", found.target, {found.field: key}, body=body, **_APPLY, **more)
        if status == 404:
            raise SinkError(f"there is no namespace for Secret {found.target}", hint="create or correct it")
        for cause in (said.get("details") or {}).get("causes") or ():
            if status == 409 and cause.get("reason") == "FieldManagerConflict":
                raise _foreign(found, f"{cause.get('field')}: {cause.get('message')}")
        return status != 409

    def _ask(self, verb: str, target: str, data: Any = None, **more: Any) -> tuple[int, dict[str, Any]]:
        """One request. 404 and 409 of the API are answers; every other failure is raised."""
        status, said = _asked(_api(self.kubeconfig, self.context), verb, target, data, more)
        good = (200, 201, 404, 409) if said.get("kind") == "Status" else (200, 201)
        if "kind" in said and status in good:
            return status, said
        hint = {
            0: "check network, certificates and the credentials of the kubeconfig, then run again",
            401: "the credentials of the kubeconfig are not valid, or not any more",
            403: "allow get, patch, create and delete on secrets in that namespace",
        }.get(status, "correct what it names, or let the kubeconfig name a Kubernetes API server")
        what = str(said.get("message", "not what Kubernetes answers"))[:300]
        what = f"HTTP {status}, {what!r}" if status else repr(what).strip("'")
        raise SinkError(f"cannot {verb} Secret {target}: {what}", hint=hint)


def _foreign(found: _Found, conflict: str = "") -> SinkError:
    where = f"field {found.field} of Secret {found.target}" + (f" ({conflict})" if conflict else "")
    hint = "remove that field if nobody needs it, or choose another `secret` or `field` for the sink"
    return SinkError(f"{where} was not written by alter-sync; it is not overwritten", hint=hint)


def _asked(api: Any, verb: str, target: str, data: Any, more: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    # Fails by its return value: this frame, and what the library raises, hold keys and credentials.
    from kubernetes.client import ApiException, CoreV1Api

    status, hidden = 0, [str(token).split()[-1] for token in api.configuration.api_key.values()]
    try:
        for name, key in (data or {}).items():
            hidden += [key.reveal(), b64encode(key.reveal().encode()).decode()]
            more = {**more, "body": {**more["body"], "data": {name: hidden[-1]}}}
        ask = getattr(CoreV1Api(api), f"{verb}_namespaced_secret")
        try:  # what the library does not decode it does not log either (older ones log bodies)
            got = ask(*target.split("/")[::-1], _preload_content=False, _request_timeout=_SECONDS, **more)
            status, text = got.status, got.data.decode()
        except ApiException as exc:
            status, text = exc.status or 0, str(exc.body or json.dumps({"message": str(exc.reason)}))
        if status >= 300:
            text = re.sub("|".join(map(re.escape, hidden)) or "$^", "(hidden)", text)
        document = json.loads(text)
        values = {name: b64decode(value) for name, value in (document.get("data") or {}).items() if value}
        return status, document | {"data": {n: Secret(v.decode(errors="replace")) for n, v in values.items()}}
    except Exception as exc:  # also those of a plug-in for credentials
        return status, {"message": f"no usable answer ({type(exc).__name__})"}


@cache
def _api(path: str, context: str | None) -> Any:
    """One client for all threads: urllib3's pool is made for that, and nothing else in it changes."""
    from kubernetes import client

    config: Any = import_module("kubernetes.config.kube_config")
    settings, failure, contexts = client.Configuration(), "", ""
    try:
        if path:
            contexts = ", ".join(str(one["name"]) for one in config.KubeConfigMerger(path).config["contexts"])
            config.load_kube_config(path, context, settings, persist_config=False)
        else:
            import_module("kubernetes.config").load_incluster_config(settings)
    except Exception as exc:  # not shown: it may repeat parts of the file, which holds credentials
        failure = type(exc).__name__ if any(map(os.path.exists, path.split(":"))) else "no such file"
    if failure and contexts and context and context not in contexts.split(", "):
        raise SinkError(f"kubeconfig {path!r} has no context {context!r}", hint=f"known: {contexts}")
    if failure:
        what = f"kubeconfig {path or '(that of a pod)'} cannot be used ({failure})"
        raise SinkError(what, hint="give `kubeconfig` or KUBECONFIG, and try it with `kubectl get secrets`")
    settings.retries, settings.connection_pool_maxsize = False, 32  # the caller repeats; as many threads
    return client.ApiClient(settings)
