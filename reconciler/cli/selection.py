"""What the command line selects: agents by name or glob, and guards that are to let something pass."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from reconciler.errors import UsageError
from reconciler.model.nearest import did_you_mean

if TYPE_CHECKING:
    from reconciler.planning.facts import Allowances


def parse_allowances(texts: Sequence[str]) -> Allowances:
    """``GUARD`` or ``GUARD=AGENT``, as given to ``--allow``; an unknown guard is refused."""
    from reconciler.planning.facts import Allowances
    from reconciler.planning.guards import GUARDS

    pairs = [text.partition("=") for text in texts]
    for guard, _, _ in pairs:
        if guard not in GUARDS:
            raise UsageError(
                f"--allow {guard}: there is no guard of that name",
                hint=did_you_mean(guard, GUARDS) or "guards are: " + ", ".join(GUARDS),
            )
    return Allowances(frozenset((guard, agent or None) for guard, _, agent in pairs))


def check_allowed_names(allow: Allowances, names: Collection[str]) -> None:
    """Refuses an agent in ``--allow`` that is neither declared nor live."""
    _check_names([name for _, name in allow.pairs if name], names, what="--allow", globs=False)


def check_targets(targets: Sequence[str], names: Collection[str]) -> None:
    """Refuses a target that no agent has, with the nearest one that is there."""
    _check_names(targets, names, what="--target", globs=True)


def _check_names(given: Sequence[str], names: Collection[str], *, what: str, globs: bool) -> None:
    from reconciler.planning.planner import matches

    for name in given:
        if not (any(matches(known, (name,)) for known in names) if globs else name in names):
            raise UsageError(
                f"{what} {name}: no such agent, declared or live", hint=did_you_mean(name, names)
            )
