"""The report ``github``: the summary of a step, annotations at lines of files, the outputs of the step."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256

from reconciler.model.plan import OperationKind, Plan
from reconciler.reports.escaping import MESSAGE_LIMIT, for_workflow_message, for_workflow_property
from reconciler.reports.markdown_report import step_summary
from reconciler.reports.problems import Level, Problem, blocked_of, path_in_repository, problems_of
from reconciler.reports.subject import RunFacts, Subject

# What GitHub shows of each kind for one step.
_ANNOTATIONS_OF_A_KIND = 10
_COMMANDS: Mapping[Level, str] = {"error": "error", "warning": "warning", "note": "notice"}
_UPDATING: frozenset[OperationKind] = frozenset(
    {"update_agent", "set_scopes", "suspend_agent", "resume_agent", "adopt_agent"}
)
_OF_KEYS: frozenset[OperationKind] = frozenset({"mint_key", "deprecate_key", "undeprecate_key", "revoke_key"})


def github_report(subject: Subject) -> str:
    """The summary."""
    return step_summary(subject)


def annotation_lines(subject: Subject) -> tuple[str, ...]:
    """Workflow commands, one on each line: at most ten of a kind, the last of which counts the rest."""
    problems = _together(problems_of(subject))
    lines: list[str] = []
    for level in _COMMANDS:
        found = [problem for problem in problems if problem.level == level]
        if len(found) > _ANNOTATIONS_OF_A_KIND:
            shown, left_out = found[: _ANNOTATIONS_OF_A_KIND - 1], len(found) - _ANNOTATIONS_OF_A_KIND + 1
            lines += [_annotation(problem, subject.run) for problem in shown]
            lines.append(
                f"::{_COMMANDS[level]} title=alter-sync::and {left_out} more, see the summary of the step"
            )
        else:
            lines += [_annotation(problem, subject.run) for problem in found]
    return tuple(lines)


def _together(problems: Iterable[Problem]) -> list[Problem]:
    """A guard that refuses many agents for one reason says it once: there is room for ten."""
    found: dict[tuple[object, ...], list[Problem]] = {}
    for number, problem in enumerate(problems):
        key = (problem.rule, problem.message) if problem.kind == "guard" else (number,)
        found.setdefault(key, []).append(problem)
    return [
        replace(first, agent=f"{first.agent} and {len(rest)} more" if rest and first.agent else first.agent)
        for first, *rest in found.values()
    ]


def output_lines(subject: Subject) -> str:
    """Lines for the file of outputs. Numbers are 0 for what the run did not come to: ``exit_code`` tells."""
    plan = subject.plan
    waiting = subject.outcome.waiting if subject.outcome else plan.waiting if plan else ()
    drift = subject.drift.summary()["drift"] if subject.drift else 0
    values = {
        **(_changes(plan) if plan else dict.fromkeys(_COUNTED, 0)),
        "blocked": len(blocked_of(subject)),
        "waiting": len(waiting),
        "drift": drift,
        "exit_code": int(subject.exit_code),
        "plan_path": subject.run.plan_path,
        "plan_digest": plan.plan_digest if plan else "",
    }
    return "".join(_output(name, str(value)) for name, value in values.items())


_COUNTED = ("changes_to_create", "changes_to_update", "changes_to_revoke", "changes_to_rotate")


def _changes(plan: Plan) -> dict[str, int]:
    """Agents, not operations. A replaced one is revoked and created; a new one's first key is no rotation."""
    created = _agents(plan, frozenset({"create_agent"}))
    numbers = (
        len(created),
        len(_agents(plan, _UPDATING)),
        len(_agents(plan, frozenset({"revoke_agent"}))),
        len(_agents(plan, _OF_KEYS) - created),
    )
    return dict(zip(_COUNTED, numbers, strict=True))


def _agents(plan: Plan, kinds: frozenset[OperationKind]) -> set[str]:
    return {operation.agent for operation in plan.operations if operation.kind in kinds}


def _output(name: str, value: str) -> str:
    """A value between two lines that it cannot contain, whatever it is."""
    end = f"alter-sync-{sha256(f'{name} {value}'.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}"
    return f"{name}<<{end}\n{value}\n{end}\n" if not value.isalnum() else f"{name}={value}\n"


def _annotation(problem: Problem, run: RunFacts) -> str:
    place: Sequence[str] = ()
    if problem.position:
        file = for_workflow_property(path_in_repository(problem.position.file, run), limit=MESSAGE_LIMIT)
        place = (f"file={file}", f"line={problem.position.line}", f"col={problem.position.column}")
    properties = ",".join([*place, f"title={for_workflow_property(problem.title)}"])
    message = "%0A".join(for_workflow_message(line) for line in (problem.text, problem.hint) if line)
    return f"::{_COMMANDS[problem.level]} {properties}::{message}"
