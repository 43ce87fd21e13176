"""Which saved plan was reviewed: that of the pull request whose merge is being applied.

An artifact can be uploaded by any run, also by one for a fork. So it counts only when its run was for the
very commit at the head of that pull request, in this repository. Of several, one whose run GitHub counts to
that pull request is taken before others; but GitHub may count none to it once it is merged.

Another run for the same commit can still have uploaded it. What is to be done is planned anew and compared,
but which guards it lets through is believed: so only those pass that the workflow names itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reconciler.ci.github import GitHubError, Repository

# Whoever uploads more is not asked about each.
_MOST_RUNS = 10


@dataclass(frozen=True, slots=True)
class ReviewedPlan:
    """Where the plan is: the artifact of a run. Without one ``run_id`` is 0, and ``reason`` says why."""

    pull_request: int = 0
    run_id: int = 0
    artifact: str = ""
    reason: str = ""


def reviewed_plan(repository: Repository, commit: str, *, prefix: str) -> ReviewedPlan:
    """The plan of the pull request that this commit came with; ``prefix`` is its name without the SHA."""
    merged = [
        pull
        for pull in repository.pages(f"commits/{commit}/pulls")
        if pull.get("merged_at") and pull.get("merge_commit_sha") == commit
    ]
    if not merged:
        return ReviewedPlan(reason=f"commit {commit[:12]} is the merge of no pull request")
    number, head = int(merged[0]["number"]), str(merged[0]["head"]["sha"])
    name = f"{prefix}-{head}"
    found = [
        artifact
        for artifact in repository.pages("actions/artifacts", key="artifacts", name=name)
        if artifact.get("name") == name and not artifact.get("expired") and _is_of(artifact, head)
    ]
    if not found:
        return ReviewedPlan(
            number, reason=f"pull request #{number} has no plan for its last commit that is still kept"
        )
    return ReviewedPlan(number, _run_to_take(repository, found, number), name)


def _run_to_take(repository: Repository, found: Sequence[Mapping[str, Any]], number: int) -> int:
    """The newest run that belongs to the pull request, or else the newest."""
    newest_first = sorted(found, key=lambda artifact: str(artifact["created_at"]), reverse=True)
    runs = list(dict.fromkeys(int(artifact["workflow_run"]["id"]) for artifact in newest_first))
    if len(runs) > 1:
        for run in runs[:_MOST_RUNS]:
            if _belongs_to(repository, run, number):
                return run
    return runs[0]


def _belongs_to(repository: Repository, run: int, number: int) -> bool:
    try:
        pulls = repository.get(f"actions/runs/{run}").get("pull_requests") or []
    except GitHubError as error:
        if error.status == 404:  # deleted since
            return False
        raise
    return any(pull.get("number") == number for pull in pulls)


def _is_of(artifact: Mapping[str, Any], head: str) -> bool:
    run = artifact.get("workflow_run") or {}
    own = run.get("repository_id") is not None and run["repository_id"] == run.get("head_repository_id")
    return bool(own and run.get("head_sha") == head)
