"""One secret of a KV version 2 engine (HashiCorp Vault, OpenBao), read and written through hvac.

Answers are kept in a ``Secret`` or dropped, and failures of the libraries, which carry the whole request, are
told in our own words: so neither a key nor a token is in reach of what is raised.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from time import monotonic
from typing import Any, TypeVar
from urllib.parse import quote

from reconciler.errors import SinkError
from reconciler.model.secret import Secret

_T = TypeVar("_T")
_Reason = tuple[str, str]  # what happened, and what to do next
_ANSWER_LIMIT_BYTES, _TOKEN_LIMIT_BYTES = 4_194_304, 16_384
_NOT_KV2 = ("it answered what KV version 2 does not answer", "check the address, and the engine at the mount")
_REDIRECT = ("answered with a redirect, which is not followed", "give the address of the active node instead")
_REASONS: Mapping[int, _Reason] = {
    **dict.fromkeys((301, 302, 303, 307, 308), _REDIRECT),
    400: (
        "refused the request as invalid",
        "Vault 1.11 or up, or OpenBao, is needed; its audit log tells why",
    ),
    404: ("has no KV version 2 engine there", "check `mount`, or the first part of `path`, and `namespace`"),
    412: ("has not caught up with an earlier write", "run the same command again in a moment"),
    429: ("asks to slow down", "run the same command again later, or raise the rate limit quota"),
    503: ("is sealed or down for maintenance", "unseal it (`vault operator unseal`), then run this again"),
}


@dataclass(frozen=True, slots=True)
class Entry:
    """A secret now. ``fields`` is its live value as JSON; ``versions`` are those whose value still exists."""

    exists: bool = False
    version: int = 0
    versions: tuple[int, ...] = ()
    custom: Mapping[str, str] = field(default_factory=dict)
    fields: Secret | None = None


@dataclass(frozen=True, slots=True)
class _Answer:
    """``errors`` are Vault's own words, which are never shown; a version that has changed is a 409."""

    status: int
    body: Secret | None  # a JSON object
    errors: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class VaultServer:
    """Where a Vault is, and how to get in."""

    address: str
    is_loopback: bool
    settings: Mapping[str, str]
    timeouts: tuple[float, float] = (5.0, 15.0)  # seconds to connect, and to read on
    call_seconds: float = 60.0

    @contextmanager
    def secret(self, mount: str, path: str) -> Iterator[KvSecret]:
        """Opens one secret for a call, with a client of its own: requests promises nothing about threads."""
        import hvac
        import requests

        session = requests.Session()
        session.trust_env = not self.is_loopback  # no proxy stands before this very machine
        session.auth = lambda request: request  # no password out of ~/.netrc either
        session.verify = self.settings.get("ca_file") or os.environ.get("VAULT_CACERT") or True
        session.stream = True
        client = hvac.Client(
            url=self.address,
            token=self._token().reveal(),
            namespace=self.settings.get("namespace") or None,
            timeout=self.timeouts,
            allow_redirects=False,  # one could carry the token to another host
            session=session,
            adapter=hvac.adapters.RawAdapter,
            ignore_exceptions=True,  # its own carry whole answers
        )
        with session:
            yield KvSecret(client, monotonic() + self.call_seconds, mount=mount, path=path)

    def _token(self) -> Secret:
        """Read at the time of use: tokens are short-lived, and whoever renews one replaces the file."""
        file, variable = self.settings.get("token_file"), self.settings.get("token_env") or "VAULT_TOKEN"
        if token := _token_in(file, variable):
            return token
        hint = "put one there, in one line, or name another place by `token_env` or `token_file`"
        raise SinkError(f"there is no token for Vault in {file or variable}", hint=hint)


class KvSecret:
    """The requests about one secret. Every method raises ``SinkError`` and nothing else."""

    def __init__(self, client: Any, deadline: float, *, mount: str, path: str) -> None:
        self._kv, self._sys, self._adapter = client.secrets.kv.v2, client.sys, client.adapter
        self._deadline, self._where = deadline, {"mount_point": mount, "path": path}
        self._place = f"{mount}/{path} in Vault at {client.adapter.base_uri}"
        self._areas = [f"{mount}/{area}/{path}" for area in ("data", "metadata", "destroy")]

    def look(self) -> Entry:
        """What is there now. The value read is that of the version told, whatever is written meanwhile."""
        answer = self._ask("read", lambda: self._kv.read_secret_metadata(**self._where), accept=(404,))
        if answer.status == 404:
            return Entry()
        entry = self._part(answer, _entry, doing="read")
        return replace(entry, fields=self.fields_of(entry.version)) if entry.version else entry

    def fields_of(self, version: int) -> Secret | None:
        """The value of one version; ``None`` when it was deleted, destroyed or pruned."""
        asked = {**self._where, "version": version, "raise_on_deleted_version": False}
        answer = self._ask("read", lambda: self._kv.read_secret_version(**asked), accept=(404,))
        if answer.status == 404:
            return None
        return self._part(answer, lambda data: Secret(json.dumps({**data["data"]})), doing="read")

    def write(self, entry: Entry, *, name: str, key: Secret) -> Mapping[str, str] | None:
        """Gives the custom metadata at that moment, or ``None`` when another version is there meanwhile."""

        def send() -> Any:
            fields = json.loads(entry.fields.reveal()) if entry.fields else {}
            fields[name] = key.reveal()
            return self._kv.create_or_update_secret(**self._where, secret=fields, cas=entry.version)

        answer = self._ask("write", send, accept=(409,))
        return None if answer.status == 409 else self._part(answer, _custom, doing="write")

    def annotate(self, entry: Entry, custom: Mapping[str, str | None]) -> None:
        """Sets our custom metadata; ``None`` removes one. That of others stays, also if edited meanwhile."""

        def send() -> Any:
            if entry.exists:
                headers = {"Content-Type": "application/merge-patch+json"}  # hvac will put the token into it
                return self._adapter.request("patch", url, headers=headers, json={"custom_metadata": custom})
            known = {name: text for name, text in custom.items() if text is not None}
            # Not by hvac's update_metadata, which sets `delete_version_after`, too.
            return self._adapter.post(url, json={"custom_metadata": known})

        url = f"/v1/{quote(self._areas[1])}"
        self._ask("mark", send)

    def destroy(self, versions: tuple[int, ...]) -> None:
        """Removes the values of these versions for good."""
        send = self._kv.destroy_secret_versions
        self._ask("destroy versions of", lambda: send(**self._where, versions=[*versions]))

    def lacking(self, *needed: tuple[str, ...]) -> tuple[str, ...]:
        """What the token lacks of the rights on data, metadata and destroy; nothing where Vault is silent."""
        answer = self._ask("ask about", lambda: self._sys.get_capabilities(self._areas), accept=(403,))
        told = {} if answer.status == 403 else self._part(answer, dict, doing="ask about")
        known = {area: str(told.get(area, "root")) for area in self._areas}  # no right contains another
        wanted = [(one, area) for area, rights in zip(self._areas, needed, strict=True) for one in rights]
        return tuple(f"{a} on {b}" for a, b in wanted if a not in known[b] and "root" not in known[b])

    def policy_hint(self) -> str:
        """What a token has to be allowed."""
        needs = "its policy needs create, read, update on {}, create, read, update, patch on {}, update on {}"
        return needs.format(*self._areas) + "; or it has expired: `vault token lookup`"

    def _ask(self, doing: str, send: Callable[[], Any], *, accept: tuple[int, ...] = ()) -> _Answer:
        """One request. Gives answers of success, and of the accepted statuses if they are Vault's own."""
        if monotonic() > self._deadline:
            raise self._failed(doing, ("it takes too long", "run the same command again later"))
        answer = _answer(send, self._deadline)
        if not isinstance(answer, _Answer):
            raise self._failed(doing, answer)
        if answer.status not in (200, 204, *accept) or (answer.status == 404 and answer.errors):
            raise self._failed(doing, self._reason(answer))
        if answer.body is None and answer.status != 204:
            raise self._failed(doing, _NOT_KV2)
        return answer

    def _part(self, answer: _Answer, pick: Callable[[Any], _T], *, doing: str) -> _T:
        with suppress(LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError):
            return pick(json.loads(answer.body.reveal() if answer.body else "")["data"])
        raise self._failed(doing, _NOT_KV2)

    def _reason(self, answer: _Answer) -> _Reason:
        status = answer.status
        if status in (401, 403):
            return f"permission denied ({status})", self.policy_hint()
        if "custom_metadata" in answer.errors:
            hint = "Vault allows 64 entries there, each of 512 bytes: remove some, or use shorter names"
            return f"it refused our custom metadata ({status})", hint
        internal = ("failed inside", "the log of Vault, or of a proxy before it, tells more; then try again")
        what, hint = _REASONS.get(status, internal if status >= 500 else ("answered oddly", _NOT_KV2[1]))
        return f"it {what} ({status})", hint

    def _failed(self, doing: str, reason: _Reason) -> SinkError:
        return SinkError(f"cannot {doing} {self._place}: {reason[0]}", hint=reason[1])


def _answer(send: Callable[[], Any], deadline: float) -> _Answer | _Reason:
    """Carries one request out. Fails by its value: what the libraries raise carries the request itself."""
    try:
        with send() as response:
            content = bytearray()
            for piece in response.iter_content(1):  # more would be waited for, however slowly it comes
                content += piece
                if monotonic() > deadline or len(content) > _ANSWER_LIMIT_BYTES:
                    return "it sends an answer that does not end", "check what answers at the address"
            return _parsed(response.status_code, bytes(content))
    except Exception as exc:  # the libraries raise more kinds than they tell
        hint = "check the address, `ca_file` for its certificate, the proxy settings, and whether it is up"
        return f"no answer that can be used ({type(exc).__name__})", hint


def _parsed(status: int, content: bytes) -> _Answer:
    try:
        body = json.loads(content)
        json.dumps(body, ensure_ascii=False).encode()  # half a character could not be written again
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        return _Answer(status, None, "")
    errors = str(body.get("errors") or "")
    is_conflict = status == 400 and "check-and-set parameter did not match" in errors
    return _Answer(409 if is_conflict else status, Secret(json.dumps(body)), errors)


def _entry(data: Any) -> Entry:
    versions = tuple(int(number) for number, one in data["versions"].items() if not one["destroyed"])
    return Entry(exists=True, version=int(data["current_version"]), versions=versions, custom=_custom(data))


def _custom(data: Any) -> dict[str, str]:
    return {name: str(text) for name, text in (data["custom_metadata"] or {}).items()}


def _token_in(file: str | None, variable: str) -> Secret | None:
    """A token is one word. What else stands there is not let out: it may be a token with a typo."""
    text = os.environ.get(variable, "")
    try:
        if file:
            with open(file, encoding="ascii") as stream:
                text = stream.read(_TOKEN_LIMIT_BYTES)
    except (OSError, ValueError):
        return None
    word = text.strip()
    return Secret(word) if word.isascii() and word.isprintable() and " " not in word and word else None
