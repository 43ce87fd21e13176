"""One comment in a pull request for each app: found by its mark and changed in place, never a second one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reconciler.ci.github import GitHubError, Repository
from reconciler.ci.marks import comment_mark, is_trusted, with_mark
from reconciler.errors import UsageError

_GITHUB_ACTIONS = "github-actions[bot]"
_SUPERSEDED = "Superseded: the comment of the app tells what is to be known.\n"


def write_comment(repository: Repository, number: int, report: str) -> str:
    """Puts the report there; says what was done.

    A configuration that cannot be read does not say whose it is, so its report has a mark without a name. It
    speaks in the comment of the only app there is; and the next report with a name takes its comment over.
    """
    mark = comment_mark(report)
    if not mark:
        raise UsageError(
            "the report does not begin with a mark", hint="it is what --report markdown=PATH writes"
        )
    ours = _by_mark(repository, number)
    named = [theirs for theirs in ours if not _is_nameless(theirs) and not _is_of_a_part(theirs)]
    if _is_nameless(mark) and len(named) == 1:
        mark = named[0]
    nameless = next(
        (entry for theirs, entry in ours.items() if _is_nameless(theirs) and not _is_of_a_part(mark)), None
    )
    body, place = with_mark(mark, report), ours.get(mark) or nameless
    if place is None:
        made = repository.post(f"issues/{number}/comments", {"body": body})
        return f"commented: {made.get('html_url', f'pull request {number}')}"
    repository.patch(f"issues/comments/{int(place['id'])}", {"body": body})
    done = f"comment brought up to date: {place.get('html_url', f'pull request {number}')}"
    if nameless is None or nameless is place or _SUPERSEDED.strip() in nameless["body"]:
        return done
    try:
        superseded = with_mark(comment_mark(nameless["body"]), _SUPERSEDED)
        repository.patch(f"issues/comments/{int(nameless['id'])}", {"body": superseded})
    except GitHubError as error:
        return f"{done}; the one without a name stays as it is: {error.message}"
    return f"{done}; the one without a name is superseded"


def pull_request_of(environ: Mapping[str, str]) -> int:
    """The number of the pull request that a workflow runs for."""
    try:
        event = json.loads(Path(environ["GITHUB_EVENT_PATH"]).read_text(encoding="utf-8"))
        return int(event["pull_request"]["number"])
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UsageError(
            "this run is for no pull request", hint="name one with --pull-request NUMBER"
        ) from error


def _by_mark(repository: Repository, number: int) -> Mapping[str, Mapping[str, Any]]:
    """Of each mark the comment to change: that of GitHub Actions before those of others, then the newest."""
    found = [
        entry
        for entry in repository.pages(f"issues/{number}/comments")
        if comment_mark(entry.get("body") or "") and is_trusted(entry)
    ]
    return {comment_mark(entry["body"]): entry for entry in sorted(found, key=_preference)}


def _preference(entry: Mapping[str, Any]) -> tuple[bool, int]:
    user = entry.get("user") or {}
    return user.get("type") == "Bot" and user.get("login") == _GITHUB_ACTIONS, int(entry["id"])


def _is_of_a_part(mark: str) -> bool:
    # Of a run with --target or --shard, which does not speak for the app.
    return " only=" in mark


def _is_nameless(mark: str) -> bool:
    return "app= owner= " in mark
