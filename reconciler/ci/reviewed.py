"""Which saved plan was reviewed: that of the pull request whose merge is being applied.

An artifact can be uploaded by any run, also by one for a fork. So it counts only when its run was for the
very commit at the head of that pull request, in this repository: what was reviewed made it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from reconciler.ci.github import Repository


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
    newest = max(found, key=lambda artifact: str(artifact["created_at"]))
    return ReviewedPlan(number, int(newest["workflow_run"]["id"]), name)


def _is_of(artifact: Mapping[str, Any], head: str) -> bool:
    run = artifact.get("workflow_run") or {}
    own = run.get("repository_id") is not None and run["repository_id"] == run.get("head_repository_id")
    return bool(own and run.get("head_sha") == head)
