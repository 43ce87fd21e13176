"""What the command line selects: agents by name or glob, and guards that are to let something pass."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from reconciler.errors import UsageError
from reconciler.model.nearest import did_you_mean

if TYPE_CHECKING:
    from reconciler.model.agent import AgentName
    from reconciler.planning.facts import Allowances


_WHY_ABSOLUTE = {
    "last-active-key": "it keeps agents from being left without a key",
    "plane": "it says what ALTER_PAT cannot do; the app's runtime key in ALTER_API_KEY can",
}


def parse_allowances(texts: Sequence[str]) -> Allowances:
    """``GUARD`` or ``GUARD=AGENT``, as given to ``--allow``; an unknown guard is refused."""
    from reconciler.planning.facts import IN_USE_GUARD, Allowances
    from reconciler.planning.guards import ABSOLUTE, GUARDS

    pairs = [text.partition("=") for text in texts]
    for guard, _, agent in pairs:
        if guard in ABSOLUTE:
            raise UsageError(
                f"--allow {guard}: nothing lets this guard pass",
                hint=_WHY_ABSOLUTE[guard],
            )
        if guard == IN_USE_GUARD and not agent:
            raise UsageError(
                f"--allow {guard}: name the agent whose key you want to revoke", hint=f"--allow {guard}=AGENT"
            )
        if guard not in GUARDS:
            raise UsageError(
                f"--allow {guard}: there is no guard of that name",
                hint=did_you_mean(guard, GUARDS) or "guards are: " + ", ".join(GUARDS),
            )
    return Allowances(frozenset((guard, agent or None) for guard, _, agent in pairs))


def check_allowed_names(allow: Allowances, names: Collection[str]) -> None:
    """Refuses an agent in ``--allow`` that is neither declared nor live."""
    _check_names([name for _, name in allow.pairs if name], names, what="--allow", globs=False)


def check_targets(targets: Sequence[str], names: Collection[str], *, what: str = "--target") -> None:
    """Refuses a target that no agent has, with the nearest one that is there."""
    _check_names(targets, names, what=what, globs=True)


def declared_names(patterns: Sequence[str], declared: Collection[AgentName]) -> frozenset[AgentName]:
    """The declared agents that these names and globs mean; one that means none is refused."""
    from reconciler.planning.planner import matches

    _check_names(patterns, declared, what="", globs=True)
    return frozenset(name for name in declared if matches(name, patterns))


def _check_names(given: Sequence[str], names: Collection[str], *, what: str, globs: bool) -> None:
    from reconciler.planning.planner import matches

    for name in given:
        if not (any(matches(known, (name,)) for known in names) if globs else name in names):
            raise UsageError(
                f"{what} {name}: no such agent, declared or live" if what else f"no agent {name} is declared",
                hint=did_you_mean(name, names),
            )
