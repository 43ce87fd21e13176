"""What became of a run in Markdown: what failed and why, what was not tried, what is done, app by app."""

from __future__ import annotations

from collections.abc import Sequence

from reconciler.errors import ExitCode
from reconciler.model.agent import AgentName
from reconciler.model.outcome import Failure, OperationOutcome
from reconciler.reports.escaping import MESSAGE_LIMIT, for_markdown, for_markdown_code
from reconciler.reports.markdown_page import Paper, Rung, fold, grouped, section, table
from reconciler.reports.markdown_plan import Fates
from reconciler.reports.outcome_view import (
    SIGNS,
    WORST_FIRST,
    AgentOutcome,
    OutcomeView,
    is_worth_a_detail,
    kind_text,
)
from reconciler.reports.subject import AppPart
from reconciler.reports.view import OperationView

_SHORT = 200
_APPS = (1_000, 200, 50, 20)


def fates_of(view: OutcomeView) -> Fates:
    """What became of steps of an agent, in two words: the worst of these; of the agent when none is known."""
    agents = {agent.name: agent.status for agent in view.agents}
    known = {operation.id: operation.status for agent in view.agents for operation in agent.operations}

    def fate(name: AgentName, steps: Sequence[OperationView]) -> str:
        found = {known[step.id] for step in steps if step.id in known}
        found |= {agents[name]} if not found and name in agents else set()
        return next((words.lower() for status, words in WORST_FIRST.items() if status in found), "")

    return fate


def apps(paper: Paper, apps: Sequence[AppPart]) -> str:
    """What came of each of several apps; those that did not end well first."""
    shown = sorted(apps, key=lambda part: part.exit_code is ExitCode.OK)[: paper.few(_APPS)]
    rows = [
        (for_markdown_code(part.app), for_markdown(part.counts), str(int(part.exit_code))) for part in shown
    ]
    left_out = [f"… and {len(apps) - len(shown)} more"] if len(apps) > len(shown) else []
    body = "\n\n".join([table(("App", "Result", "Exit code"), rows), *left_out]) if rows else ""
    return fold(f"{len(apps)} apps", body)


def failed(paper: Paper, view: OutcomeView) -> str:
    """Who failed, and why; on the lower rungs agents by the code of their failure."""
    agents = view.of_status("failed")
    title = f"Failed ({len(agents)})"
    if paper.rung < Rung.COUNTS:
        return section(title, [_failed(paper, agent) for agent in agents])
    if paper.rung < Rung.BARE:
        codes = grouped((_code_of(agent), agent.name) for agent in agents)
        return section(title, [f"{code}: {paper.names(names)}" for code, names in codes.items()])
    return section(title, [paper.names(agent.name for agent in agents)] if agents else [])


def not_tried(paper: Paper, view: OutcomeView) -> str:
    """Who was not come to."""
    agents = view.of_status("not_tried")
    title = f"Not tried ({len(agents)})"
    if paper.rung is Rung.FULL:
        return section(title, [_line(agent) for agent in agents])
    return section(title, [paper.names(agent.name for agent in agents)] if agents else [])


def done(paper: Paper, view: OutcomeView) -> str:
    """What is done, folded."""
    agents = view.of_status("done")
    title = f"Done ({len(agents)})"
    if paper.rung < Rung.COUNTS:
        return fold(title, "\n".join(f"- {_line(agent)}" for agent in agents))
    return f"**{title}**" if agents else ""


def _failed(paper: Paper, agent: AgentOutcome) -> str:
    if paper.rung is not Rung.FULL:
        found = next(operation for operation in agent.operations if operation.failure)
        return f"{for_markdown_code(agent.name)}: {_told(found, limit=_SHORT)}"
    lines = [for_markdown_code(agent.name)]
    for operation in agent.operations:
        lines.append(f"  - {_told(operation, limit=MESSAGE_LIMIT)}")
        if operation.failure:
            lines += [f"    - {line}" for line in _way_on(operation.failure)]
    return "\n".join(lines)


def _told(operation: OperationOutcome, *, limit: int) -> str:
    what = f"{SIGNS[operation.status]} {_what(operation)}"
    if operation.failure is None:
        return what
    return f"{what}: {for_markdown(operation.failure.message, limit=limit)} [{_code(operation.failure)}]"


def _way_on(failure: Failure) -> list[str]:
    lines = [f"what next: {for_markdown(failure.hint, limit=MESSAGE_LIMIT)}"] if failure.hint else []
    if failure.retryable:
        lines.append("the same command may succeed later, without any change")
    return lines


def _line(agent: AgentOutcome) -> str:
    what: Sequence[str] = [_what(o) if _is_told(o) else kind_text(o) for o in agent.operations]
    return f"{for_markdown_code(agent.name)}: {', '.join(what)}"


def _is_told(operation: OperationOutcome) -> bool:
    return operation.status != "done" or is_worth_a_detail(operation)


def _what(operation: OperationOutcome) -> str:
    kind = kind_text(operation)
    return f"{kind} ({for_markdown(operation.detail)})" if operation.detail else kind


def _code_of(agent: AgentOutcome) -> str:
    return next(_code(operation.failure) for operation in agent.operations if operation.failure)


def _code(failure: Failure) -> str:
    return for_markdown_code(failure.code)
