"""The sections of a plan in Markdown: what cannot be undone, who may do more, what is refused, the rest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import assert_never

from reconciler.model.agent import AgentName
from reconciler.model.plan import Waiting
from reconciler.reports.advice import RefusalView
from reconciler.reports.changes import ChangeView, NewKey, ScopesChange, ValueChange
from reconciler.reports.escaping import (
    COMMAND_LIMIT,
    MESSAGE_LIMIT,
    for_markdown,
    for_markdown_code,
    for_markdown_summary,
)
from reconciler.reports.markdown_page import Paper, Rung, counted, first, fold, grouped, section, table
from reconciler.reports.view import AgentView, OperationView, PlanView, moment_text

# Up to this many agents each has a fold of its own at first sight; more are in one fold together.
_FEW_AGENTS = 15
_NAMES_OF_A_REFUSAL = 10
_REFUSALS = (200, 20, 10)
_WAITING = (100, 20, 10)
_UNMANAGED = (100,)
_NO_SCOPES = "none: may do nothing"

# What became of these steps of an agent, for a plan that was carried out; else nothing.
Fates = Callable[[AgentName, Sequence[OperationView]], str]


def revocations(paper: Paper, view: PlanView, fates: Fates) -> str:
    """Every revocation by name, as a warning that is seen first."""
    found = [(agent, operation) for agent in view.agents for operation in agent.revocations()]
    if not found:
        return ""
    if paper.rung < Rung.NAMES:
        lines = [
            f"- {for_markdown_code(agent.name)}{_fate(fates, agent, [operation])}: {_target(operation)}: "
            f"{for_markdown(operation.reason, limit=MESSAGE_LIMIT)}"
            for agent, operation in found
        ]
    elif paper.rung < Rung.BARE:
        groups = grouped(
            (f"{_kind(operation)}: {for_markdown(operation.reason)}", agent.name)
            for agent, operation in found
        )
        lines = [f"- {what}: {paper.names(names)}" for what, names in groups.items()]
    else:
        lines = [paper.names(agent.name for agent, _ in found)]
    title = f"**{counted(len(found), 'revocation')}, which cannot be undone**"
    return "\n".join(f"> {line}".rstrip() for line in ["[!CAUTION]", title, "", *lines])


def widenings(paper: Paper, view: PlanView, fates: Fates) -> str:
    """Every agent that may do more than before, and what; as long as there is room also who may do less.

    Who gains and loses counts as both, and how many lose is always said. The revoked are told elsewhere.
    """
    gaining = [agent for agent in view.agents if agent.gains()]
    losing = [agent for agent in view.agents if agent.losses() and not agent.is_revoked]
    parts = [f"{len(gaining)} gain"] * bool(gaining) + [f"{len(losing)} lose"] * bool(losing)
    if not parts:
        return ""
    title = f"**Who gains and who loses which scope: {', '.join(parts)}**"
    if paper.rung >= Rung.NAMES:
        counts = {"more": len(gaining), "less": len(losing)}
        told = " and ".join(
            f"{counted(count, 'agent')} may do {what}" for what, count in counts.items() if count
        )
        return f"**{told} than before**" + f"\n\n{_named(paper, gaining)}" * bool(gaining)
    only_losing = [agent for agent in losing if not agent.gains()]
    rows = [
        (
            f"{for_markdown_code(agent.name)}{_fate(fates, agent, agent.moves(), is_new=agent.is_new)}",
            _codes(agent.gains()),
            _codes(agent.losses()),
        )
        for agent in [*gaining, *(only_losing if paper.rung < Rung.COUNTS else [])]
    ]
    return f"{title}\n\n{table(('Agent', 'Gains', 'Loses'), rows)}" if rows else title


def _named(paper: Paper, agents: Sequence[AgentView]) -> str:
    """Widenings as names: by what is gained where that fits, in the shorter of two ways."""
    if paper.rung >= Rung.BARE:
        return paper.names(agent.name for agent in agents)
    by_set = grouped((_codes(agent.gains()), agent.name) for agent in agents)
    by_scope = grouped((_codes([gain]), agent.name) for agent in agents for gain in agent.gains())
    ways = [
        "\n".join(f"- {what}: {paper.names(names)}" for what, names in way.items())
        for way in (by_set, by_scope)
    ]
    return min(ways, key=len)


def let_through(paper: Paper, allowed: Sequence[str]) -> str:
    """Which guards do not refuse what they would have refused, and whom: for a reviewer to agree to."""
    return f"**Let through:** {paper.names(allowed)}" if allowed else ""


def refusals(paper: Paper, views: Sequence[RefusalView]) -> str:
    """What guards refused: which, whom, why, and exactly how to let this through."""
    count = sum(view.count for view in views)
    lines = first([_refusal(view) for view in views], paper.few(_REFUSALS))
    if views and not lines:
        counts = grouped((view.guard, str(view.count)) for view in views)
        told = ", ".join(
            f"{sum(map(int, found))} by {for_markdown_code(guard)}" for guard, found in counts.items()
        )
        return f"**Blocked by guards ({count})**: {told}"
    return section(f"Blocked by guards ({count})", lines)


def _refusal(view: RefusalView) -> str:
    kinds = f" refuses {', '.join(view.kinds)}" if view.kinds else ""
    shown = [for_markdown_code(name) for name in view.agents[:_NAMES_OF_A_REFUSAL]]
    left_out = len(view.agents) - len(shown)
    whom = ", ".join([*shown, *([f"{left_out} more"] if left_out else [])]) or "the whole plan"
    way = "nothing lets this through"
    if view.command:
        way = f"to let this through: {for_markdown_code(view.command, limit=COMMAND_LIMIT)}"
    reason = for_markdown(view.reason, limit=MESSAGE_LIMIT)
    return f"{for_markdown_code(view.guard)}{kinds} of {whom}: {reason}; {way}"


def waiting(paper: Paper, entries: Sequence[Waiting]) -> str:
    """What needs time and not work."""
    lines = [
        f"{for_markdown_code(entry.agent)} ({for_markdown(entry.stage)}): "
        f"{for_markdown(entry.reason, limit=MESSAGE_LIMIT)}"
        + (f", until {moment_text(entry.until)}" if entry.until else "")
        for entry in entries
    ]
    return section(f"Waiting ({len(entries)})", first(lines, paper.few(_WAITING)))


def details(paper: Paper, agents: Sequence[AgentView], *, is_carried_out: bool) -> str:
    """Everything that happens to each agent, folded; on the next rung a line for each."""
    title = f"Changes, agent by agent ({len(agents)})"
    if paper.rung is Rung.FULL:
        folds = "\n\n".join(fold(_summary(agent), _changes(agent)) for agent in agents)
        if len(agents) <= _FEW_AGENTS and not is_carried_out:
            return f"**{title}**\n\n{folds}" if agents else ""
        return fold(title, folds)
    if paper.rung is Rung.LINES:
        return fold(title, "\n".join(f"- {_line(agent)}" for agent in agents))
    return ""


def unmanaged(paper: Paper, names: Sequence[AgentName]) -> str:
    """Agents that are live and belong to no configuration."""
    lines = first([for_markdown_code(name) for name in names], paper.few(_UNMANAGED))
    return fold(f"Unmanaged: live, and left alone ({len(names)})", ", ".join(lines))


def _summary(agent: AgentView) -> str:
    source = f" {for_markdown_summary(agent.source)}" if agent.source else ""
    return f"{agent.sign} {agent.title} {for_markdown_summary(agent.name)}{source}"


def _line(agent: AgentView) -> str:
    paths = dict.fromkeys(change.path for operation in agent.operations for change in operation.changes)
    told = f": {', '.join(map(for_markdown_code, paths))}" if paths else ""
    return f"{agent.title} {for_markdown_code(agent.name)}{told}"


def _changes(agent: AgentView) -> str:
    lines = [f"- {label}: {for_markdown(reason, limit=MESSAGE_LIMIT)}" for label, reason in agent.reasons()]
    lines += [
        f"- {_target(operation)}: {for_markdown(operation.reason, limit=MESSAGE_LIMIT)}"
        for operation in agent.revocations()
    ]
    for operation in agent.operations:
        for change in operation.changes:
            cause = f" ({change.cause})" if change.cause else ""
            lines.append(f"- {for_markdown_code(change.path)}: {change_text(change)}{cause}")
    return "\n".join(lines)


def change_text(change: ChangeView) -> str:
    """What changes, without its path."""
    match change:
        case ScopesChange(gained=gained, lost=lost):
            items = [f"+ {for_markdown_code(name)}" for name in gained]
            return ", ".join([*items, *(f"− {for_markdown_code(name)}" for name in lost)]) or _NO_SCOPES
        case NewKey(where=where):
            return f"mint a key and deliver it to {for_markdown(where)}" if where else "mint a key"
        case ValueChange(before=before, after=after):
            return f"{_value(before)} → {_value(after)}"
    assert_never(change)


def _value(value: str | None) -> str:
    return "no value" if value is None else for_markdown_code(value)


def _codes(names: Sequence[str]) -> str:
    return ", ".join(map(for_markdown_code, names))


def _target(operation: OperationView) -> str:
    key = f"key {for_markdown_code(operation.key_id)}" if operation.key_id else "a key"
    return key if operation.kind == "revoke_key" else "agent, all its keys"


def _kind(operation: OperationView) -> str:
    return "a key" if operation.kind == "revoke_key" else "agent, all its keys"


def _fate(fates: Fates, agent: AgentView, steps: Sequence[OperationView], *, is_new: bool = False) -> str:
    words = [word for word in ("new" if is_new else "", fates(agent.name, steps)) if word]
    return f" ({', '.join(words)})" if words else ""
