"""The ``github_actions`` sink: each agent's key in a secret of a repository, or of one of its environments.

GitHub gives out a public key, takes what is sealed with it (libsodium's sealed box), and never gives a secret
back. So the sink is write-only: an acknowledgement is all there is, whose secret it was cannot be seen, and a
repetition writes the same value again. Source: docs.github.com/rest/actions/secrets.
"""

from __future__ import annotations

import json
import os
import re
import time
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import quote

from reconciler.errors import SinkError
from reconciler.model.agent import AgentName
from reconciler.model.desired import SinkRef
from reconciler.model.secret import Secret
from reconciler.ports import Delivery, SinkReading
from reconciler.sinks.facts import check_key, fill_in

_CALL_SECONDS, _LONGEST_WAIT_SECONDS, _ANSWER_LIMIT_BYTES = 90.0, 30.0, 262_144
_HEADERS = {"Accept": "application/vnd.github+json", "Content-Type": "application/json"}
_HEADERS |= {"X-GitHub-Api-Version": "2022-11-28", "User-Agent": "alter-sync"}
_BASE_URL = re.compile(r"(https://[A-Za-z0-9.-]+|http://(localhost|127\.0\.0\.1))(:\d{1,5})?(/[\w-]+)*")


def open_github_actions_sink(ref: SinkRef, _former_owners: tuple[str, ...]) -> GitHubActionsSink:
    """Settings: ``repository``, ``environment``, ``secret``, ``token_env``, ``base_url``."""
    try:
        import httpx  # noqa: F401
        import nacl.public  # noqa: F401
    except ImportError as exc:
        missing = f"sink {ref.name!r} needs a library that is not installed: {exc.name}"
        raise SinkError(missing, hint="pip install 'alter-sync[github]'") from exc
    given = {name: str(value) for name, value in ref.settings.items() if value is not None}
    sink = GitHubActionsSink(
        name=ref.name,
        repository=given["repository"],
        environment=given.get("environment", ""),
        secret=given.get("secret", "{agent}_API_KEY"),
        token_env=given.get("token_env", "GITHUB_TOKEN"),
        base_url=given.get("base_url", "https://api.github.com").rstrip("/"),
    )
    if not _BASE_URL.fullmatch(sink.base_url):
        hint = "for example https://api.github.com or https://HOST/api/v3; http:// only on loopback"
        raise SinkError(
            f"sink {ref.name!r}: base_url is no https:// address without user and query", hint=hint
        )
    sink.place(AgentName("agent"))  # what no name of an agent could mend is told at once
    return sink


class _Target(NamedTuple):
    """One agent's secret: the path to its neighbours and it, its name, and where it is, for people."""

    path: str
    name: str
    where: str


class _Answer(NamedTuple):
    """What GitHub said; ``document`` is empty when the body was no JSON object."""

    status: int
    headers: Mapping[str, str]
    document: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class GitHubActionsSink:
    """See the module. Every call opens a connection of its own, so threads share none."""

    name: str
    repository: str
    environment: str
    secret: str
    token_env: str
    base_url: str
    is_readable: bool = field(default=False, init=False)
    # Two agents' names can become one secret's (`a-b`, `a_b`), and GitHub cannot tell whose it is.
    _agents: dict[str, AgentName] = field(default_factory=dict, init=False, repr=False, compare=False)

    def place(self, agent: AgentName) -> str:
        return self._target(agent).where

    def probe(self, agent: AgentName, *, owner: str, app: str) -> None:  # noqa: ARG002
        with self._session(agent) as session:
            session.public_key()

    def deliver(self, delivery: Delivery) -> None:
        check_key(delivery.plaintext, self.place(delivery.agent))
        with self._session(delivery.agent) as session:
            key = session.public_key()
            answer = session.put(key, delivery.plaintext)
            if answer.status == 422 and (renewed := session.public_key()) != key:
                answer = session.put(renewed, delivery.plaintext)  # GitHub changed its key in between
            if answer.status not in (201, 204):
                raise session.failed("write", answer)

    def read_back(self, agent: AgentName) -> SinkReading | None:  # noqa: ARG002
        return None

    def forget_previous(self, agent: AgentName) -> None:
        """Nothing to do: GitHub keeps no old values."""

    def restore_previous(self, agent: AgentName) -> bool:  # noqa: ARG002
        return False

    def _target(self, agent: AgentName) -> _Target:
        repository, environment = fill_in(self.repository, agent), fill_in(self.environment, agent)
        name = re.sub(r"[^A-Z0-9]", "_", fill_in(self.secret, agent).upper())
        if not re.fullmatch(r"[A-Za-z0-9][\w-]*/(?!\.{1,2}$)[\w.-]+", repository, re.ASCII):
            raise SinkError(
                f"sink {self.name!r}: {repository!r} is no repository", hint="such as acme/payments"
            )
        if not re.fullmatch(r"(?!GITHUB_)[A-Z_][A-Z0-9_]*", name):
            wrong = f"sink {self.name!r}: GitHub takes no secret named {name!r}: a digit or GITHUB_ begins it"
            raise SinkError(wrong, hint='begin the setting `secret` with a word, such as "ALTER_{agent}"')
        if not environment:
            return _Target(f"/repos/{repository}/actions/secrets", name, f"secret {name} of {repository}")
        path = f"/repos/{repository}/environments/{quote(environment, safe='')}/secrets"
        return _Target(path, name, f"secret {name} of {repository}, environment {environment!r}")

    @contextmanager
    def _session(self, agent: AgentName) -> Iterator[_Session]:
        import httpx

        target = self._target(agent)
        if (first := self._agents.setdefault(target.where, agent)) != agent:
            hint = "put {agent} into the setting `secret`, and let names differ in letters or digits"
            raise SinkError(f"agents {first!r} and {agent!r} would share the {target.where}", hint=hint)
        token = Secret(os.environ.get(self.token_env, "").strip() or " ")
        if not re.fullmatch(r"[!-~]+", token.reveal()):
            hint = f"put a token of GitHub that may write secrets into {self.token_env}"
            raise SinkError(f"sink {self.name!r}: no usable token in {self.token_env}", hint=hint)
        client = None  # its failure is not shown, for it may hold the address of a proxy with its password
        with suppress(ValueError, ImportError, OSError, httpx.InvalidURL):
            client = httpx.Client(
                headers=_HEADERS | {"Authorization": f"Bearer {token.reveal()}"},
                timeout=httpx.Timeout(20.0, connect=10.0),
                trust_env=self.base_url.startswith("https:"),  # no proxy stands before this very machine
                verify=httpx.create_ssl_context(),
                follow_redirects=False,
            )
        if client is None:
            hint = "check HTTPS_PROXY, ALL_PROXY, SSL_CERT_FILE and SSL_CERT_DIR"
            raise SinkError(f"sink {self.name!r}: the proxy or certificates cannot be used", hint=hint)
        with client:
            yield _Session(client, self, target, token, time.monotonic() + _CALL_SECONDS)


@dataclass(slots=True)
class _Session:
    """The requests of one call of the sink: they share a connection, a time limit and at most one wait."""

    client: Any
    sink: GitHubActionsSink
    target: _Target
    token: Secret
    deadline: float
    has_waited: bool = False

    def public_key(self) -> tuple[str, bytes]:
        answer = self._ask("GET", "public-key")
        name, raw = answer.document.get("key_id"), b""
        with suppress(TypeError, ValueError):
            raw = b64decode(answer.document.get("key") or "", validate=True)
        if answer.status != 200 or not isinstance(name, str) or len(raw) != 32:
            raise self.failed("read the public key for", answer)
        return name, raw

    def put(self, key: tuple[str, bytes], plaintext: Secret) -> _Answer:
        from nacl.exceptions import CryptoError
        from nacl.public import PublicKey, SealedBox

        with suppress(CryptoError):  # a public key that is no point of the curve
            sealed = SealedBox(PublicKey(key[1])).encrypt(plaintext.reveal().encode())
            body = {"encrypted_value": b64encode(sealed).decode(), "key_id": key[0]}
            return self._ask("PUT", self.target.name, json.dumps(body))
        raise SinkError(f"the public key for the {self.target.where} is unusable", hint="check base_url")

    def failed(self, doing: str, answer: _Answer) -> SinkError:
        said = re.sub(r"[^ -~]", "?", str(answer.document.get("message", "not what GitHub answers")))[:200]
        right, token_env = ("environments" if self.sink.environment else "secrets"), self.sink.token_env
        hints = {
            401: f"put a token into {token_env} that is neither revoked nor expired",
            403: f"give the token in {token_env} the repository permission `{right}: write`",
            404: f"check repository and environment; {token_env} must see them, with `{right}: write`",
            422: "check the name of the secret, and how many secrets there are",
            3: "redirects are not followed: if the repository was renamed, give its new name",
            5: "GitHub has a problem, see githubstatus.com: run again later",
        }
        hint = hints.get(answer.status) or hints.get(
            answer.status // 100, "check that base_url is GitHub's API"
        )
        return SinkError(f"cannot {doing} the {self.target.where}: HTTP {answer.status}, {said}", hint=hint)

    def _ask(self, method: str, name: str, body: str | None = None) -> _Answer:
        """One request, and once more when GitHub says to come back soon."""
        answer = self._once(method, name, body)
        wait = _wait_seconds(answer)
        if 0 < wait <= _LONGEST_WAIT_SECONDS and not self.has_waited:
            self.has_waited = True
            time.sleep(wait)
            return self._ask(method, name, body)
        if wait:
            limit = f"GitHub limits the rate of the token in {self.sink.token_env} (HTTP {answer.status})"
            raise SinkError(f"{limit}: no {self.target.where} yet", hint=f"run again in {wait:.0f} s")
        return answer

    def _once(self, method: str, name: str, body: str | None) -> _Answer:
        import httpx

        url, pieces, failure = f"{self.sink.base_url}{self.target.path}/{name}", bytearray(), ""
        try:
            with self.client.stream(method, url, content=body) as response:
                for piece in response.iter_bytes():
                    pieces += piece
                    if len(pieces) > _ANSWER_LIMIT_BYTES or time.monotonic() > self.deadline:
                        raise httpx.ReadTimeout("too long")
            document: Any = None
            with suppress(ValueError, RecursionError):
                # What answers is maybe not GitHub, and repeats what it got.
                document = json.loads(pieces.replace(self.token.reveal().encode(), b"(token)") or b"{}")
            good = document if isinstance(document, dict) else {}
            return _Answer(response.status_code, response.headers, good)
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as exc:
            failure = type(exc).__name__  # the error itself carries the request with the token
        hint = "check network, proxy and base_url, then run again: writing the same key twice does no harm"
        raise SinkError(f"no answer about the {self.target.where} ({failure})", hint=hint)


def _wait_seconds(answer: _Answer) -> float:
    """How long GitHub asks to wait (docs.github.com, "Rate limits for the REST API"); 0: not at all."""
    headers, said = answer.headers, str(answer.document.get("message", "")).lower()
    limited = "retry-after" in headers or headers.get("x-ratelimit-remaining") == "0" or "rate limit" in said
    if answer.status != 429 and not (answer.status == 403 and limited):
        return 0.0
    with suppress(KeyError, ValueError):
        return max(
            1.0, float(headers.get("retry-after") or float(headers["x-ratelimit-reset"]) - time.time())
        )
    return 60.0
