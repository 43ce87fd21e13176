"""What the command line selects: agents by name or glob, and guards that are to let something pass."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from reconciler.errors import UsageError
from reconciler.model.nearest import did_you_mean

if TYPE_CHECKING:
    from reconciler.model.agent import AgentName
    from reconciler.model.shard import Shard
    from reconciler.planning.facts import Allowances

# Where names that no agent of one app has are noted instead of refused: another app may have them.
Unknown = dict[str, UsageError] | None

# More jobs than that do not wait for each other, they wait for the API.
_MOST_SHARDS = 1000
_WHY_ABSOLUTE = {
    "last-active-key": "it keeps agents from being left without a key",
    "plane": "it says what ALTER_PAT cannot do; the app's runtime key in ALTER_API_KEY can",
}


def parse_allowances(texts: Sequence[str]) -> Allowances:
    """``GUARD`` or ``GUARD=AGENT``, as given to ``--allow``; an unknown guard is refused."""
    from reconciler.planning.facts import IN_USE_GUARD, Allowances
    from reconciler.planning.guards import ABSOLUTE, REFUSERS

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
        if guard not in REFUSERS:
            raise UsageError(
                f"--allow {guard}: there is no guard of that name",
                hint=did_you_mean(guard, REFUSERS) or "guards are: " + ", ".join(REFUSERS),
            )
    return Allowances(frozenset((guard, agent or None) for guard, _, agent in pairs))


def parse_shard(text: str, environ: Mapping[str, str]) -> Shard:
    """``K/N`` counted from 1, or ``auto``: as an Indexed Job of Kubernetes or GitLab counts."""
    from reconciler.model.shard import EVERYTHING, Shard

    if not text:
        return EVERYTHING
    if text == "auto":
        text = _counted_by_others(environ)
    index, _, count = text.partition("/")
    if not (index.isdecimal() and count.isdecimal() and 1 <= int(index) <= int(count) <= _MOST_SHARDS):
        raise UsageError(f"--shard {text}: that is no part", hint="for example 2/5, or auto")
    return Shard(int(index), int(count))


def _counted_by_others(environ: Mapping[str, str]) -> str:
    index, count = environ.get("JOB_COMPLETION_INDEX", ""), environ.get("ALTER_SYNC_SHARDS", "")
    if index.isdecimal() and count:  # Kubernetes counts from 0, and tells a pod nothing of how many there are
        return f"{int(index) + 1}/{count}"
    index, count = environ.get("CI_NODE_INDEX", ""), environ.get("CI_NODE_TOTAL", "")
    if index and count:
        return f"{index}/{count}"
    raise UsageError(
        "--shard auto: nobody counts here",
        hint="in an Indexed Job set ALTER_SYNC_SHARDS to its completions; in GitLab use parallel: N",
    )


def check_allowed_names(allow: Allowances, names: Collection[str], *, unknown: Unknown = None) -> None:
    """Refuses an agent in ``--allow`` that is neither declared nor live."""
    given = [name for _, name in allow.pairs if name]
    _check_names(given, names, what="--allow", globs=False, unknown=unknown)


def check_targets(
    targets: Sequence[str], names: Collection[str], *, what: str = "--target", unknown: Unknown = None
) -> None:
    """Refuses a target that no agent has, with the nearest one that is there."""
    _check_names(targets, names, what=what, globs=True, unknown=unknown)


def declared_names(patterns: Sequence[str], declared: Collection[AgentName]) -> frozenset[AgentName]:
    """The declared agents that these names and globs mean; one that means none is refused."""
    from reconciler.planning.selecting import matches

    _check_names(patterns, declared, what="", globs=True)
    return frozenset(name for name in declared if matches(name, patterns))


def _check_names(
    given: Sequence[str], names: Collection[str], *, what: str, globs: bool, unknown: Unknown = None
) -> None:
    from reconciler.planning.selecting import matches

    for name in given:
        if any(matches(known, (name,)) for known in names) if globs else name in names:
            continue
        error = UsageError(
            f"{what} {name}: no such agent, declared or live" if what else f"no agent {name} is declared",
            hint=did_you_mean(name, names),
        )
        if unknown is None:
            raise error
        unknown[error.message] = error
