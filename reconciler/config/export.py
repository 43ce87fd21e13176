"""Writes live agents as a configuration whose first plan is empty: the same agents give the same bytes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from textwrap import indent

from reconciler.config.agent_block import AgentBlock, agent_block
from reconciler.config.dump import dump
from reconciler.config.findings import shown
from reconciler.config.loader import load_text
from reconciler.errors import UsageError
from reconciler.model.agent import LiveAgent
from reconciler.model.desired import DEFAULT_API_KEY_ENV, AppRef
from reconciler.model.mark import Mark
from reconciler.model.values import Json

# No agent's name begins like that, so no agent's file is in its way.
COMMON_FILE = "_common.yaml"
# What the app is called as long as nobody says it.
UNKNOWN_APP = "default"
_MODELINE = "# yaml-language-server: $schema=agents.schema.json\n"
_ABOUT = """\
#
# The live agents of one app, written by `alter-sync export`. `alter-sync plan` finds nothing to do here, and
# `alter-sync adopt` puts the agents under this owner. `alter-sync schema > agents.schema.json` writes the
# schema with which an editor completes and explains every field.
#
"""
_NAME_THE_APP = """\
# Nobody has said yet what the app is called. Put its name here before you adopt: it goes into the marks.
"""
_DEFAULTS = """\
# Without a sink no key is minted or rotated: keys stay where they are until `deliver_to` names one.
defaults:
  deliver_to: []
"""
_TIME = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Export:
    """Live agents as text. ``warnings`` are for whoever asked for it; the text says the same in comments."""

    head: str
    blocks: tuple[tuple[str, str], ...]
    # Comments on agents that are not in it.
    remarks: str
    warnings: tuple[str, ...]
    left_out: int

    def text(self) -> str:
        """One file."""
        agents = "\n".join(indent(text, "  ") for _, text in self.blocks)
        section = f"agents:\n{agents}" if agents else "agents: {}\n"
        return f"{self.head}\n{self.remarks}{section}"

    def files(self) -> dict[str, str]:
        """A folder: what all have in common, and a file for each agent, by name."""
        common = self.head + (f"\n{self.remarks}" if self.remarks else "")
        if not self.blocks:
            common += "\nagents: {}\n"
        files = {COMMON_FILE: common}
        for name, text in self.blocks:
            files[f"{name}.yaml"] = f"{_MODELINE}version: 1\n\nagents:\n{indent(text, '  ')}"
        return files


def check_head(owner: str, app: AppRef) -> None:
    """Raises ``UsageError`` when no configuration could have this owner or app."""
    loaded = load_text(f"{_head(owner, app)}agents: {{}}\n", file="export", now=_TIME)
    faults = [one for one in loaded.diagnostics if one.severity == "error"]
    if faults:
        raise UsageError(
            f"this cannot be the head of a configuration: {faults[0].message}", hint=faults[0].hint
        )


def app_of(agents: Iterable[LiveAgent], owner: str) -> str:
    """What the app is called by the marks of an owner; empty when there are none."""
    names = Counter(agent.mark.app for agent in agents if agent.mark and agent.mark.owner == owner)
    return min(names, key=lambda name: (-names[name], name), default="")


def export_agents(
    agents: Sequence[LiveAgent],
    *,
    owner: str,
    app: AppRef,
    chosen: Callable[[str], bool] = lambda _name: True,
) -> Export:
    """The configuration of the live agents that are nobody's or this owner's, ordered by name.

    ``chosen`` says which names are wanted. Every block reads back as what is live; see ``agent_block``.
    """
    ours = sorted((agent for agent in agents if _owner_of(agent) in (None, owner)), key=lambda one: one.name)
    wanted = [agent for agent in ours if chosen(agent.name)]
    others = Counter(
        agent.mark.owner
        for agent in agents
        if agent.mark and agent.mark.owner != owner and chosen(agent.name)
    )
    blocks: list[tuple[str, str]] = []
    unwritten: list[LiveAgent] = []
    missing: dict[str, list[str]] = {}
    remarks, warnings = _remarks(others), []
    for agent in wanted:
        block = agent_block(agent, mark=_mark_of(agent, owner))
        if block.text:
            blocks.append((agent.name, _commented(block)))
            for what in block.left_out:
                missing.setdefault(what, []).append(agent.name)
        else:
            unwritten.append(agent)
            reason = f"{shown(agent.name)} is left out: {block.left_out[0]}"
            remarks += f"# {reason}.\n"
            warnings.append(f"agent {reason}")
    warnings += [f"left out of {_named(names)}: {what}" for what, names in sorted(missing.items())]
    absent = [agent for agent in ours if agent not in wanted or agent in unwritten]
    dangers = _dangers(wanted, absent, owner=owner, app=app)
    remarks += "".join(f"# {danger}.\n" for danger in dangers)
    warnings += dangers
    return Export(_head(owner, app), tuple(blocks), remarks, tuple(warnings), others.total())


def _owner_of(agent: LiveAgent) -> str | None:
    return agent.mark.owner if agent.mark else None


def _mark_of(agent: LiveAgent, owner: str) -> Mark | None:
    return agent.mark if _owner_of(agent) == owner else None


def _head(owner: str, app: AppRef) -> str:
    fields: dict[str, Json] = {"name": app.name, "id": app.id, "base_url": app.base_url}
    if app.api_key_env != DEFAULT_API_KEY_ENV:
        fields["api_key_env"] = app.api_key_env
    present = {name: value for name, value in fields.items() if value is not None}
    note = _NAME_THE_APP if app.name == UNKNOWN_APP else ""
    start = f"{_MODELINE}{_ABOUT}version: 1\n{dump({'owner': owner})}"
    return f"{start}\n{note}{dump({'app': present})}\n{_DEFAULTS}"


def _commented(block: AgentBlock) -> str:
    lines = [*block.comments, *(f"left out: {what}" for what in block.left_out)]
    return "".join(f"# {line}\n" for line in lines) + block.text


def _remarks(others: Counter[str]) -> str:
    """A comment on the agents that belong to somebody else."""
    if not others:
        return ""
    listed = ", ".join(f"{shown(owner)[1:-1]}: {others[owner]}" for owner in sorted(others))
    return f"# {_counted(others.total())} of other owners and left out ({listed}).\n"


def _dangers(
    wanted: Sequence[LiveAgent], absent: Sequence[LiveAgent], *, owner: str, app: AppRef
) -> list[str]:
    """What makes the first plan on this export not empty."""
    found = []
    if revoked := [agent.name for agent in absent if _owner_of(agent) == owner]:
        found.append(
            f"{_counted(len(revoked))} of {shown(owner)} and not in this export, e.g. {shown(revoked[0])}: "
            "a plan on it alone would revoke what it does not declare"
        )
    moved = {
        agent.name: agent.mark.app
        for agent in wanted
        if agent.mark and agent.mark.owner == owner and agent.mark.app != app.name
    }
    if moved:
        found.append(
            f"{_counted(len(moved))} marked for app {shown(min(moved.values()))}, not {shown(app.name)}: "
            "the guard wrong-app will refuse every plan on this export"
        )
    return found


def _named(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"


def _counted(count: int) -> str:
    """How many agents, with the verb."""
    return "1 agent is" if count == 1 else f"{count} agents are"
