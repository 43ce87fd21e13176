"""One comment in a pull request for each app: found by its mark and changed in place, never a second one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from reconciler.ci.github import Repository
from reconciler.ci.marks import comment_mark, first_line, is_trusted, with_mark
from reconciler.errors import UsageError


def write_comment(repository: Repository, number: int, report: str) -> str:
    """Puts the report there; says what was done."""
    mark = comment_mark(report)
    if not mark:
        raise UsageError(
            "the report does not begin with a mark", hint="it is what --report markdown=PATH writes"
        )
    found = [
        (first_line(body), entry)
        for entry in repository.pages(f"issues/{number}/comments")
        if comment_mark(body := entry.get("body") or "") and is_trusted(entry)
    ]
    ours = [entry for theirs, entry in found if theirs == mark]
    if not ours and _is_nameless(mark) and len(found) == 1:
        # A configuration that cannot be read does not say whose it is. With one app, it is that one's.
        mark, ours = found[0][0], [found[0][1]]
    body = with_mark(mark, report)
    if not ours:
        made = repository.post(f"issues/{number}/comments", {"body": body})
        return f"commented: {made.get('html_url', f'pull request {number}')}"
    repository.patch(f"issues/comments/{int(ours[0]['id'])}", {"body": body})
    return f"comment brought up to date: {ours[0].get('html_url', f'pull request {number}')}"


def pull_request_of(environ: Mapping[str, str]) -> int:
    """The number of the pull request that a workflow runs for."""
    try:
        event = json.loads(Path(environ["GITHUB_EVENT_PATH"]).read_text(encoding="utf-8"))
        return int(event["pull_request"]["number"])
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UsageError(
            "this run is for no pull request", hint="name one with --pull-request NUMBER"
        ) from error


def _is_nameless(mark: str) -> bool:
    return "app= " in mark
