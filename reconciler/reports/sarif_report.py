"""The report ``sarif``: findings, refusals and drift at their lines, as SARIF 2.1.0 for code scanning."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Any
from urllib.parse import quote

from reconciler.errors import ExitCode
from reconciler.model.diagnostic import Position
from reconciler.model.mark import format_time
from reconciler.reports.escaping import for_sarif_message, for_terminal
from reconciler.reports.problems import Problem, path_in_repository, problems_of
from reconciler.reports.rules import rule_help, rule_id, rule_text
from reconciler.reports.subject import RunFacts, Subject

_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_ROOT = "%SRCROOT%"
_RESULTS = frozenset({"finding", "guard", "drift"})
# A result without a place is not shown by code scanning. What is in no file is about the configuration.
_DEFAULT_FILE = "agents.yaml"


def sarif_report(*subjects: Subject) -> str:
    """A run for each app. Without problems it has no results, which closes what an earlier run reported."""
    # ASCII, so that a log or a terminal finds no control character in it.
    return json.dumps({"$schema": _SCHEMA, "version": "2.1.0", "runs": list(map(_run, subjects))}, indent=2)


def _run(subject: Subject) -> dict[str, Any]:
    problems = problems_of(subject)
    found = [problem for problem in problems if problem.kind in _RESULTS]
    others = [problem for problem in problems if problem.kind not in _RESULTS]
    rules = {_id(problem): problem for problem in sorted(found, key=_id)}
    return {
        "tool": {"driver": _driver(subject, rules)},
        "invocations": [_invocation(subject, others)],
        "originalUriBaseIds": {_ROOT: {"description": {"text": "The folder of the repository."}}},
        "automationDetails": {"id": _category(subject)},
        "columnKind": "unicodeCodePoints",
        "results": list(_results(subject, found, list(rules))),
        **({"properties": {"only": for_terminal(", ".join(subject.only))}} if subject.only else {}),
    }


def _category(subject: Subject) -> str:
    """What a later report takes the place of: that of a part closes nothing of the whole."""
    part = f"only-{_digest(str(subject.shard), *sorted(set(subject.targets)))[:16]}/" * bool(subject.only)
    return f"alter-sync/{subject.command}/{quote(_utf8(subject.app), safe='')}/{part}"


def _driver(subject: Subject, rules: Mapping[str, Problem]) -> dict[str, Any]:
    return {
        "name": "alter-sync",
        "version": subject.tool_version,
        "rules": [
            {
                "id": name,
                "name": "".join(map(str.capitalize, name.rpartition("/")[2].split("-"))),
                "shortDescription": {"text": for_sarif_message(rule_text(problem))},
                "fullDescription": {"text": for_sarif_message(rule_text(problem))},
                "help": {"text": for_sarif_message(rule_help(problem))},
                "defaultConfiguration": {"level": problem.level},
                "properties": {"tags": [problem.kind]},
            }
            for name, problem in rules.items()
        ],
    }


def _invocation(subject: Subject, others: Iterable[Problem]) -> dict[str, Any]:
    """How the run went. What failed without being a result is a notification."""
    return {
        "executionSuccessful": subject.failure is None
        and subject.exit_code in {ExitCode.OK, ExitCode.CHANGES, ExitCode.REFUSED},
        "exitCode": int(subject.exit_code),
        "endTimeUtc": format_time(subject.written_at),
        "toolExecutionNotifications": [
            {
                "level": problem.level,
                "descriptor": {"id": _id(problem)},
                "message": {"text": _message(problem)},
                **({"locations": [_location(problem.position, subject.run)]} if problem.position else {}),
            }
            for problem in others
        ],
    }


def _results(subject: Subject, found: Sequence[Problem], rules: Sequence[str]) -> Iterable[dict[str, Any]]:
    index = {name: number for number, name in enumerate(rules)}
    nowhere = _nowhere(found)
    seen: Counter[str] = Counter()
    for problem in found:
        name = _id(problem)
        # Two lines that look the same are told apart by their order, not by their numbers.
        fingerprint = _digest(name, *problem.identity)
        seen[fingerprint] += 1
        place = _location(problem.position or nowhere, subject.run)
        if problem.agent:
            place["logicalLocations"] = [{"name": for_terminal(problem.agent), "kind": "object"}]
        yield {
            "ruleId": name,
            "ruleIndex": index[name],
            "level": problem.level,
            "message": {"text": _message(problem)},
            "locations": [place],
            "partialFingerprints": {
                "primaryLocationLineHash": f"{fingerprint[:16]}:{seen[fingerprint]}",
                "alterSync/v1": _digest(fingerprint, str(seen[fingerprint])),
            },
        }


def _nowhere(found: Iterable[Problem]) -> Position:
    """Where that is put which stands in no file: at the head of the configuration, as far as it is known."""
    files = (problem.position.file for problem in found if problem.position)
    return Position(next(files, _DEFAULT_FILE), 1, 1)


def _location(position: Position, run: RunFacts) -> dict[str, Any]:
    path = path_in_repository(position.file, run)
    is_inside = not path.startswith(("/", "../"))
    uri = quote(_utf8(path), safe="/") if is_inside else f"file://{quote(_utf8(path), safe='/')}"
    return {
        "physicalLocation": {
            "artifactLocation": {"uri": uri, "uriBaseId": _ROOT} if is_inside else {"uri": uri},
            "region": {"startLine": max(position.line, 1), "startColumn": max(position.column, 1)},
        }
    }


def _id(problem: Problem) -> str:
    return for_terminal(rule_id(problem))


def _message(problem: Problem) -> str:
    return "\n".join(for_sarif_message(line) for line in (problem.text, problem.hint) if line) or "no message"


def _digest(*parts: str) -> str:
    return sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
