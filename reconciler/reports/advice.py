"""What to do next: the exact command for a plan, and for what a guard refused."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import dataclass

from reconciler.model.agent import AgentName
from reconciler.model.plan import Blocked, Plan
from reconciler.model.shard import EVERYTHING, Shard
from reconciler.planning.operations import permissions_for


@dataclass(frozen=True, slots=True)
class RefusalView:
    """What one guard refused for one reason: ``count`` refusals of operations of these ``kinds``.

    ``command`` lets it through; it is empty when nothing does.
    """

    guard: str
    kinds: tuple[str, ...]
    agents: tuple[AgentName, ...]
    reason: str
    command: str
    count: int


def refusals(blocked: Iterable[Blocked], *, command: str) -> tuple[RefusalView, ...]:
    """Refusals with the same guard, reason and way out as one: a guard over the whole plan says it once."""
    grouped: dict[tuple[str, str, str], list[Blocked]] = {}
    for entry in blocked:
        grouped.setdefault((entry.guard, entry.reason, entry.allow), []).append(entry)
    return tuple(
        RefusalView(
            guard=guard,
            kinds=tuple(dict.fromkeys(e.operation.kind.replace("_", " ") for e in found if e.operation)),
            agents=tuple(dict.fromkeys(entry.agent for entry in found if entry.agent is not None)),
            reason=reason,
            command=f"{command} {_quoted(allow)}" if allow else "",
            count=len(found),
        )
        for (guard, reason, allow), found in grouped.items()
    )


def apply_command(
    command: str,
    *,
    targets: Iterable[str] = (),
    allowed: Iterable[str] = (),
    shard: Shard = EVERYTHING,
) -> str:
    """``command`` so that it carries out exactly what was planned with these targets and allowances."""
    flags = [f"--target {target}" for target in targets] + [f"--allow {guard}" for guard in allowed]
    flags += [] if shard.is_whole else [f"--shard {shard}"]
    return " ".join([command, *map(_quoted, flags)])


def next_step(plan: Plan, command: str) -> str:
    """The last line of a report; ``command`` is the plan's ``apply_command``."""
    if plan.has_changes:
        rest = "; what is blocked stays as it is." if plan.blocked else "."
        needed = ", ".join(permissions_for(plan.operations, plane=plan.plane))
        whose = "Its key" if plan.plane == "sdk" else "Its token"
        return f"Run `{command}` to carry this out{rest} {whose} needs {needed}."
    if plan.blocked:
        return "Nothing can be carried out: everything that differs is blocked, see above."
    if any(entry.stage == "overdue" for entry in plan.waiting):
        return "Nothing to do now, but keys are overdue: somebody has to look after what they wait for."
    if plan.waiting:
        return "Nothing to do now: what is not in sync needs time. Plan again later."
    return "Nothing to do: live agents match the configuration."


def _quoted(flag: str) -> str:
    # These commands are made to be copied, and an agent's name may come from anybody.
    name, _, value = flag.partition(" ")
    return f"{name} {shlex.quote(value)}"
