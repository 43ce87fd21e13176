"""The reports ``terraform`` and ``codequality``: what GitLab shows in a merge request."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from reconciler.reports.escaping import MESSAGE_LIMIT, for_terminal
from reconciler.reports.problems import Level, Problem, path_in_repository, problems_of
from reconciler.reports.subject import Subject

_SEVERITIES: Mapping[Level, str] = {"error": "critical", "warning": "minor", "note": "info"}
# GitLab shows only what has a place. What is in no file is about the configuration.
_DEFAULT_FILE = "agents.yaml"


def terraform_report(subject: Subject) -> str:
    """Agents to create, change and revoke; a replaced one counts twice, as it does there.

    Without a plan it has no numbers: GitLab shows a report that failed, and not that nothing changes.
    Source: docs.gitlab.com/ci/yaml/artifacts_reports, "artifacts:reports:terraform".
    """
    if subject.plan is None:
        return "{}"
    operations = subject.plan.operations
    created = {operation.agent for operation in operations if operation.kind == "create_agent"}
    revoked = {operation.agent for operation in operations if operation.kind == "revoke_agent"}
    changed = {operation.agent for operation in operations} - created - revoked
    return json.dumps({"create": len(created), "update": len(changed), "delete": len(revoked)})


def codequality_report(*subjects: Subject) -> str:
    """Everything that somebody has to look at, at its line.

    Source: docs.gitlab.com/ci/testing/code_quality, "Code Quality report format".
    """
    seen: Counter[str] = Counter()
    issues = [_issue(problem, subject, seen) for subject in subjects for problem in problems_of(subject)]
    return json.dumps(issues, indent=2)


def _issue(problem: Problem, subject: Subject, seen: Counter[str]) -> dict[str, Any]:
    name = f"{problem.kind}/{problem.rule}"
    identity = json.dumps([subject.app, name, *problem.identity])
    seen[identity] += 1  # two of the same need two fingerprints, or GitLab shows one
    place = problem.position
    hint = f" ({problem.hint})" if problem.hint else ""
    return {
        "description": for_terminal(f"{problem.text}{hint}", limit=MESSAGE_LIMIT),
        "check_name": for_terminal(name),
        "fingerprint": sha256(f"{identity}{seen[identity]}".encode("utf-8", "surrogatepass")).hexdigest(),
        "severity": _SEVERITIES[problem.level],
        "location": {
            "path": for_terminal(
                path_in_repository(place.file, subject.run) if place else _DEFAULT_FILE, limit=MESSAGE_LIMIT
            ),
            "lines": {"begin": place.line if place else 1},
        },
    }
