"""The report ``junit``: one suite for each app, a case for everything that was looked at or done."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC
from typing import Literal

from reconciler.model.outcome import OperationOutcome
from reconciler.model.plan import Operation
from reconciler.reports.escaping import TEXT_LIMIT, for_xml
from reconciler.reports.outcome_view import kind_text
from reconciler.reports.problems import Problem, path_in_repository, problems_of
from reconciler.reports.subject import RunFacts, Subject

Result = Literal["passed", "skipped", "failure", "error"]


@dataclass(frozen=True, slots=True)
class _Case:
    """One case; ``group`` is what readers call its class. Only one that did not pass has a message."""

    group: str
    name: str
    result: Result
    message: str = ""
    type: str = ""
    lines: tuple[str, ...] = ()


def junit_report(*subjects: Subject) -> str:
    """A suite for each app, with at least one case: readers take an empty one for a run that did not happen.

    Valid by the schema of Ant's reports and by that of Jenkins: so a case has no output of its own, and its
    text says where it is.
    """
    suites = (
        line
        for number, subject in enumerate(subjects)
        for line in _suite(subject, number, app=subject.app if len(subjects) > 1 else "")
    )
    return "\n".join(['<?xml version="1.0" encoding="UTF-8"?>', "<testsuites>", *suites, "</testsuites>"])


def _suite(subject: Subject, number: int, *, app: str) -> Sequence[str]:
    cases = _cases(subject)
    if not any(case.result in {"failure", "error"} for case in cases):
        cases = [_Case("run", f"{subject.command} finds nothing to object to", "passed"), *cases]
    counts = {
        result: sum(case.result == result for case in cases) for result in ("failure", "error", "skipped")
    }
    moment = subject.written_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")
    title = f"alter-sync {subject.command}{f' of {app}' if app else ''}"
    name = for_xml(", ".join([title, *subject.only]), limit=TEXT_LIMIT)
    return [
        f'  <testsuite name="{name}" package="alter-sync" id="{number}" tests="{len(cases)}" '
        f'failures="{counts["failure"]}" errors="{counts["error"]}" skipped="{counts["skipped"]}" time="0" '
        f'timestamp="{moment}" hostname="localhost">',
        *_properties(subject),
        *(line for case in cases for line in _case(case)),
        "    <system-out></system-out>",
        "    <system-err></system-err>",
        "  </testsuite>",
    ]


def _cases(subject: Subject) -> list[_Case]:
    problems = problems_of(subject)
    # Operations that failed have their cases among the operations.
    found = [_problem(problem, subject.run) for problem in problems if problem.kind != "operation"]
    return [*found, *_operations(subject), *_rest(subject)]


def _problem(problem: Problem, run: RunFacts) -> _Case:
    place = problem.position
    where = f"{path_in_repository(place.file, run)}:{place.line}:{place.column}" if place else ""
    name = ": ".join(filter(None, (problem.title, problem.agent or where)))
    lines = tuple(filter(None, (problem.text, problem.hint, where)))
    result: Result = "failure"
    if problem.kind == "failure":
        result = "error"
    elif problem.kind == "finding" and problem.level != "error":
        result = "skipped"  # a warning does not fail the run, and is not lost either
    return _Case(problem.kind, name, result, problem.text, problem.rule, lines)


def _operations(subject: Subject) -> Iterator[_Case]:
    if subject.outcome is not None:
        yield from map(_carried_out, subject.outcome.operations)
    elif subject.plan is not None:
        yield from (_Case("operation", _name(operation), "passed") for operation in subject.plan.operations)


def _name(operation: Operation) -> str:
    key = f" {operation.key_id}" if operation.key_id else ""
    return f"{operation.kind.replace('_', ' ')}{key}: {operation.agent}"


def _carried_out(operation: OperationOutcome) -> _Case:
    name = f"{kind_text(operation)}: {operation.agent}"
    failure = operation.failure
    if failure is not None:
        lines = tuple(filter(None, (failure.message, failure.hint)))
        return _Case("operation", name, "failure", failure.message, failure.code, lines)
    if operation.status == "done":
        return _Case("operation", name, "passed")
    return _Case("operation", name, "skipped", operation.detail or "not tried", operation.status)


def _rest(subject: Subject) -> Iterator[_Case]:
    """What is looked at and not counted: what waits, notices, and what is ignored."""
    waiting = subject.outcome.waiting if subject.outcome else subject.plan.waiting if subject.plan else ()
    for entry in waiting:
        yield _Case("waiting", f"{entry.stage}: {entry.agent}", "skipped", entry.reason, entry.stage)
    if subject.drift is None:
        return
    for finding in subject.drift.findings:
        if not finding.is_drift:
            name = f"{finding.kind.replace('_', ' ')}: {finding.agent}: {finding.path}"
            yield _Case("notice", name, "skipped", finding.message, finding.kind)
    for ignored in subject.drift.ignored:
        one = ignored.finding
        name = f"{one.kind.replace('_', ' ')}: {one.agent}: {one.path}"
        yield _Case("ignored", name, "skipped", ignored.reason, one.kind)


def _properties(subject: Subject) -> Sequence[str]:
    values = {
        "app": subject.app,
        "owner": subject.owner,
        "only": ", ".join(subject.only),
        "head_sha": subject.run.head_sha,
        "run_url": subject.run.run_url,
        "plan_digest": subject.plan.plan_digest if subject.plan else "",
        "exit_code": str(int(subject.exit_code)),
    }
    shown = [
        f'      <property name="{name}" value="{for_xml(value, limit=TEXT_LIMIT)}"/>'
        for name, value in values.items()
        if value
    ]
    return ["    <properties>", *shown, "    </properties>"]


def _case(case: _Case) -> Sequence[str]:
    name = for_xml(case.name, limit=TEXT_LIMIT)
    start = f'    <testcase classname="alter-sync.{case.group}" name="{name}" time="0"'
    if case.result == "passed":
        return [f"{start}/>"]
    # By Ant's schema what is skipped has no type.
    type_ = "" if case.result == "skipped" else f'type="{for_xml(case.type or "unknown")}" '
    what = f'{type_}message="{for_xml(case.message)}"'
    text = "\n".join(map(for_xml, case.lines))
    return [f"{start}>", f"      <{case.result} {what}>{text}</{case.result}>", "    </testcase>"]
