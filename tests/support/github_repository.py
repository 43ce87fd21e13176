"""A strict stand-in for what workflows use of GitHub's API: issues, comments, pull requests, artifacts.

Real HTTP. A token may do what the job's ``permissions`` gave to it and nothing else, and whoever writes is a
bot, a member or a stranger.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from tests.support.wire_server import Received, Reply, WireServer

REPOSITORY = "acme/agents"
_START = datetime(2026, 1, 1, tzinfo=UTC)
_LONGEST_BODY = 65_536
BOT = {"login": "github-actions[bot]", "type": "Bot"}


@dataclass(slots=True)
class Artifact:
    """One upload, in a run for a commit of a repository."""

    name: str
    run_id: int
    head_sha: str
    folder: Path
    id: int = 0
    head_repository_id: int = 1
    expired: bool = False
    # The pull requests that GitHub counts the run to.
    pulls: tuple[int, ...] = ()


class GitHubRepository(WireServer):
    """One repository. ``forbidden`` are methods and paths that get a 403 whatever the token may do."""

    def __init__(self) -> None:
        super().__init__(api_key="")
        self.issues: dict[int, dict[str, Any]] = {}
        self.comments: dict[int, dict[str, Any]] = {}
        self.pulls: list[dict[str, Any]] = []
        self.artifacts: list[Artifact] = []
        self.tokens: dict[str, Mapping[str, str]] = {}
        self.forbidden: list[re.Pattern[str]] = []
        self.faults: list[Reply] = []
        self._last = 0

    def token_for(self, permissions: Mapping[str, str]) -> str:
        """A new token, like that of a job."""
        token = f"ghs_{len(self.tokens):036d}"
        self.tokens[token] = permissions
        return token

    def opened(self, number: int, *, head: str) -> dict[str, Any]:
        """A pull request, which is an issue as well."""
        pull = {"number": number, "head": {"sha": head}, "merged_at": None, "merge_commit_sha": None}
        self.pulls.append(pull)
        self.issues[number] = {"number": number, "state": "open", "body": "", "pull_request": {}}
        return pull

    def said(self, number: int, body: str, *, by: Mapping[str, str] = BOT, member: str = "NONE") -> int:
        """A comment, and its id."""
        self._last += 1
        made = {"id": 1000 + self._last, "body": body, "user": dict(by), "author_association": member}
        made["html_url"] = f"https://github.com/{REPOSITORY}/pull/{number}#issuecomment-{made['id']}"
        self.comments[1000 + self._last] = {**made, "issue": number}
        return 1000 + self._last

    def reported(self, body: str, **fields: Any) -> dict[str, Any]:
        """An issue."""
        number = max(self.issues, default=0) + 1
        issue = {"number": number, "state": "open", "title": "", "body": body, "labels": [], "user": BOT}
        issue |= {"author_association": "NONE", **fields}
        self.issues[number] = issue
        return issue

    def bodies(self, number: int) -> list[str]:
        """The comments of an issue or pull request."""
        return [comment["body"] for comment in self.comments.values() if comment["issue"] == number]

    @property
    def drift_issues(self) -> list[dict[str, Any]]:
        """Those that are no pull requests."""
        return [issue for issue in self.issues.values() if "pull_request" not in issue]

    def reply_to(self, request: Received) -> Reply:
        with self._lock:
            self.received.append(request)
            if self.faults:
                return self.faults.pop(0)
            path = request.path.partition("?")[0]
            token = request.headers.get("authorization", "").removeprefix("Bearer ")
            if token not in self.tokens:
                return _error(401, "Bad credentials")
            if request.headers.get("accept") != "application/vnd.github+json":
                return _error(415, "Must accept 'application/json'")
            if any(pattern.search(f"{request.method} {path}") for pattern in self.forbidden):
                return _error(403, "Resource not accessible by integration")
            inside = path.removeprefix(f"/repos/{REPOSITORY}/")
            return (
                self._answer(request, inside, self.tokens[token])
                if inside != path
                else _error(404, "Not Found")
            )

    def _answer(self, request: Received, path: str, permissions: Mapping[str, str]) -> Reply:
        for method, pattern, needed, action in self._routes():
            found = re.fullmatch(pattern, path)
            if found and method == request.method:
                if not any(_permits(permissions, one) for one in needed):
                    return _error(403, "Resource not accessible by integration")
                reply: Reply = action(request, *found.groups())
                return reply
        return _error(404, "Not Found")

    def _routes(self) -> list[tuple[str, str, tuple[str, ...], Any]]:
        talk = ("issues: write", "pull-requests: write")
        return [
            ("GET", r"issues/(\d+)/comments", ("issues: read", "pull-requests: read"), self._list_comments),
            ("POST", r"issues/(\d+)/comments", talk, self._comment),
            ("PATCH", r"issues/comments/(\d+)", talk, self._edit_comment),
            ("GET", r"issues", ("issues: read",), self._list_issues),
            ("POST", r"issues", ("issues: write",), self._open),
            ("PATCH", r"issues/(\d+)", ("issues: write",), self._edit),
            ("POST", r"issues/(\d+)/labels", ("issues: write",), self._label),
            ("GET", r"commits/(\w+)/pulls", ("pull-requests: read",), self._pulls_of),
            ("GET", r"actions/artifacts", ("actions: read",), self._list_artifacts),
            ("GET", r"actions/runs/(\d+)", ("actions: read",), self._run),
        ]

    def _list_comments(self, request: Received, number: str) -> Reply:
        found = [comment for comment in self.comments.values() if comment["issue"] == int(number)]
        return Reply(200, _page(request, found))

    def _comment(self, request: Received, number: str) -> Reply:
        body = request.json["body"]
        if len(body) > _LONGEST_BODY:
            return _error(422, "body is too long (maximum is 65536 characters)")
        return Reply(201, self.comments[self.said(int(number), body)])

    def _edit_comment(self, request: Received, number: str) -> Reply:
        if len(request.json["body"]) > _LONGEST_BODY:
            return _error(422, "body is too long (maximum is 65536 characters)")
        self.comments[int(number)] |= request.json
        return Reply(200, self.comments[int(number)])

    def _list_issues(self, request: Received) -> Reply:
        state, label = request.query.get("state", "open"), request.query.get("labels")
        found = [
            issue
            for issue in self.issues.values()
            if state in ("all", issue["state"])
            and (label is None or label in {entry["name"] for entry in issue.get("labels", ())})
        ]
        return Reply(200, _page(request, found[::-1]))

    def _open(self, request: Received) -> Reply:
        labels = [{"name": name} for name in request.json.get("labels", ())]
        issue = self.reported(request.json["body"], title=request.json["title"], labels=labels)
        return Reply(201, issue)

    def _edit(self, request: Received, number: str) -> Reply:
        issue = self.issues[int(number)]
        if len(request.json.get("body", "")) > _LONGEST_BODY:
            return _error(422, "body is too long (maximum is 65536 characters)")
        issue |= request.json
        return Reply(200, issue)

    def _label(self, request: Received, number: str) -> Reply:
        labels = self.issues[int(number)]["labels"]
        labels += [{"name": name} for name in request.json["labels"]]
        return Reply(200, labels)

    def _pulls_of(self, request: Received, commit: str) -> Reply:
        found = [pull for pull in self.pulls if commit in (pull["merge_commit_sha"], pull["head"]["sha"])]
        return Reply(200, _page(request, found))

    def _list_artifacts(self, request: Received) -> Reply:
        name = request.query.get("name")
        found = [
            {
                "id": artifact.id,
                "name": artifact.name,
                "expired": artifact.expired,
                "created_at": f"{_START + timedelta(minutes=artifact.id):%Y-%m-%dT%H:%M:%SZ}",
                "workflow_run": {
                    "id": artifact.run_id,
                    "repository_id": 1,
                    "head_repository_id": artifact.head_repository_id,
                    "head_sha": artifact.head_sha,
                },
            }
            for artifact in self.artifacts
            if name in (None, artifact.name)
        ]
        return Reply(200, {"total_count": len(found), "artifacts": _page(request, found)})

    def _run(self, _request: Received, run_id: str) -> Reply:
        found = [artifact for artifact in self.artifacts if artifact.run_id == int(run_id)]
        if not found:
            return _error(404, "Not Found")
        pulls = [{"number": number} for number in found[0].pulls]
        return Reply(200, {"id": int(run_id), "head_sha": found[0].head_sha, "pull_requests": pulls})


def _permits(permissions: Mapping[str, str], needed: str) -> bool:
    what, _, level = needed.partition(": ")
    return permissions.get(what) == "write" or permissions.get(what) == level


def _page(request: Received, entries: list[Any]) -> list[Any]:
    size, number = int(unquote(request.query.get("per_page", "30"))), int(request.query.get("page", "1"))
    assert size <= 100
    return entries[(number - 1) * size : number * size]


def _error(status: int, message: str) -> Reply:
    return Reply(status, {"message": message, "documentation_url": "https://docs.github.com/rest"})
