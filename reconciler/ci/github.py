"""GitHub's REST API, as far as a workflow needs it: one repository, read page by page, written once.

The token and the address are those that GitHub Actions gives to every job. Redirects are not followed: they
would carry the token elsewhere. Source: docs.github.com/rest/using-the-rest-api.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import httpx

from reconciler.errors import AlterSyncError, CredentialMissing, UsageError
from reconciler.model.secret import Secret

_TIMEOUT_SECONDS, _LONGEST_WAIT_SECONDS = 20.0, 30.0
_PAGE = 100
# A repository of this many issues has another problem; a page that names itself as the next one, too.
_MOST_PAGES = 100
_TRIES = 3
_REPOSITORY = re.compile(r"[A-Za-z0-9._-]+/[A-Za-z0-9._-]+")
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}

Json = Any


class GitHubError(AlterSyncError):
    """GitHub refused, or could not be reached. ``status`` is the HTTP status, 0 when there was no answer."""

    code = "github_error"

    def __init__(self, message: str, *, status: int = 0, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.status = status


@dataclass(frozen=True, slots=True)
class Repository:
    """One repository behind one API, with the token for it."""

    api_url: str
    name: str
    token: Secret

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> Repository:
        """The one that a workflow runs in."""
        name, api_url = environ.get("GITHUB_REPOSITORY", ""), environ.get("GITHUB_API_URL", "")
        if not _REPOSITORY.fullmatch(name):
            raise UsageError(
                "GITHUB_REPOSITORY names no repository",
                hint="run this in GitHub Actions, or set it to OWNER/NAME",
            )
        if not environ.get("GITHUB_TOKEN"):
            raise CredentialMissing(
                "no token in GITHUB_TOKEN", hint="give the step `env: {GITHUB_TOKEN: ${{ github.token }}}`"
            )
        return cls(_checked(api_url or "https://api.github.com"), name, Secret(environ["GITHUB_TOKEN"]))

    def pages(self, path: str, *, key: str = "", **query: str) -> Iterator[Json]:
        """The entries of every page of a list; ``key`` is where a page that is no list keeps them."""
        for number in range(1, _MOST_PAGES + 1):
            page = self.get(f"{path}?{urlencode({**query, 'per_page': _PAGE, 'page': number})}")
            entries = page.get(key, []) if key and isinstance(page, dict) else page
            if not isinstance(entries, list):
                raise GitHubError(f"GET {path}: GitHub answered something else than a list")
            yield from entries
            if len(entries) < _PAGE:
                return

    def get(self, path: str) -> Json:
        """One document. A read is repeated when GitHub has a problem or asks to wait."""
        return self._ask("GET", path, None, tries=_TRIES)

    def post(self, path: str, body: Json) -> Json:
        """Makes something; sent once, because a second one could make a second."""
        return self._ask("POST", path, body, tries=1)

    def patch(self, path: str, body: Json) -> Json:
        """Changes something; twice is as good as once."""
        return self._ask("PATCH", path, body, tries=_TRIES)

    def _ask(self, method: str, path: str, body: Json, *, tries: int) -> Json:
        for left in reversed(range(tries)):
            status, headers, document = self._once(method, path, body)
            if 200 <= status < 300:
                return document
            wait = _wait_seconds(status, headers)
            if not left or wait is None or wait > _LONGEST_WAIT_SECONDS:
                said = document.get("message") if isinstance(document, dict) else None
                raise _refusal(f"{method} {path.partition('?')[0]}", status, str(said or "no reason given"))
            time.sleep(wait)
        raise AssertionError("a loop that never runs")

    def _once(self, method: str, path: str, body: Json) -> tuple[int, Mapping[str, str], Json]:
        headers = {
            "Accept": "application/vnd.github+json",
            "Authorization": f"Bearer {self.token.reveal()}",
            "User-Agent": "alter-sync",
            "X-GitHub-Api-Version": "2022-11-28",
        }
        url, failure = f"{self.api_url}/repos/{self.name}/{path}", ""
        try:
            answer = httpx.request(method, url, headers=headers, json=body, timeout=_TIMEOUT_SECONDS)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            failure = type(error).__name__  # the error itself carries the request with the token
        else:
            document: Json = None
            with suppress(ValueError, RecursionError):
                document = answer.json()
            return answer.status_code, answer.headers, document
        return 0, {}, {"message": f"no answer ({failure})"}


def _checked(api_url: str) -> str:
    url = httpx.URL(api_url) if api_url.isascii() and api_url.isprintable() else httpx.URL("")
    if url.scheme != "https" and not (url.scheme == "http" and url.host in _LOOPBACK):
        raise UsageError("GITHUB_API_URL is no https:// address", hint="for example https://api.github.com")
    return api_url.rstrip("/")


def _wait_seconds(status: int, headers: Mapping[str, str]) -> float | None:
    """How long to wait before the next try; ``None`` when another one is no use."""
    if status in (403, 429):  # a limit of the rate looks like a missing permission, but for these headers
        with suppress(KeyError, ValueError):
            return max(0.0, float(headers["retry-after"]))
        if headers.get("x-ratelimit-remaining") == "0":
            with suppress(KeyError, ValueError):
                return max(0.0, float(headers["x-ratelimit-reset"]) - time.time())
        return 1.0 if status == 429 else None
    return 0.5 if status == 0 or status >= 500 else None


def _refusal(what: str, status: int, said: str) -> GitHubError:
    hints = {
        0: "check network, proxy and GITHUB_API_URL",
        401: "the token in GITHUB_TOKEN is revoked or has expired",
        403: "give the job the permission that this needs; a run for a fork may only read",
        404: "check that the token may see this repository",
        410: "switch issues on in the settings of the repository",
    }
    hint = hints.get(status) or ("GitHub has a problem: run the job again" if status >= 500 else "")
    printable = re.sub(r"[^ -~]", "?", said)[:200]
    return GitHubError(f"{what}: HTTP {status}, {printable}", status=status, hint=hint)
