"""``alter-sync rotate``: rotates keys now, shows how far rotations are, or takes one back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from reconciler.cli import options as opt
from reconciler.cli.call import Call, with_call
from reconciler.cli.carry_out import ask, carry_out, check_fields, finish
from reconciler.cli.commands.plan import show_plan
from reconciler.cli.commands.status import show_rows, status_rows
from reconciler.cli.completion import agent_names
from reconciler.cli.console import Console
from reconciler.cli.interrupts import StopRequest
from reconciler.cli.live_plan import plan_session
from reconciler.cli.selection import declared_names, parse_allowances
from reconciler.cli.source import Source
from reconciler.cli.wiring import open_session
from reconciler.errors import NO_WAY_BACK, ExitCode, UsageError
from reconciler.reports import advice

if TYPE_CHECKING:
    from reconciler.model.outcome import Outcome
    from reconciler.planning.facts import Allowances

EPILOG = """\b
Examples:
  alter-sync rotate nightly-sync             a new key now; the old one works until it is quiet
  alter-sync rotate 'tenant-*' --yes         without asking, for several agents
  alter-sync rotate --again nightly-sync     once more, while the last rotation is still observed
  alter-sync rotate --status                 how far every rotation is, and what it waits for
  alter-sync rotate --rollback nightly-sync  the key before comes back, nothing is revoked
"""

Names = Annotated[
    list[str],
    typer.Argument(
        help="Declared agents, by name or glob.",
        metavar="[NAME]...",
        show_default=False,
        autocompletion=agent_names,
    ),
]
Status = Annotated[bool, typer.Option("--status", help="Change nothing; show stages, keys and dates.")]
Rollback = Annotated[
    bool, typer.Option("--rollback", help="Go back to the key before: restore it, deprecate the new one.")
]
Again = Annotated[
    bool, typer.Option("--again", help="Also an agent whose last rotation is still being observed.")
]


@dataclass(frozen=True, slots=True)
class Request:
    """What the command line asks of rotate."""

    source: Source
    names: Sequence[str]
    allow: Allowances
    is_rollback: bool
    again: bool
    yes: bool
    parallelism: int

    def command(self, names: Sequence[str] = ()) -> str:
        """The same command again, for these agents or for all that were given."""
        flags = [*(["--rollback"] if self.is_rollback else []), *(["--again"] if self.again else [])]
        return self.source.command("rotate", *flags, *(names or self.names))

    def resume(self, outcome: Outcome) -> str:
        """What goes on: the agents that have no new key yet, or apply for what is left of the others."""
        failures = [one.failure for one in outcome.operations if one.failure]
        if any(failure.code == NO_WAY_BACK for failure in failures):
            return ""  # what the failure advises is the other direction
        kinds = {"undeprecate_key"} if self.is_rollback else {"mint_key"}
        left = {one.agent for one in outcome.operations if one.kind in kinds and one.status != "done"}
        command = self.command(sorted(left)) if left else self.source.apply_command()
        return advice.apply_command(command, allowed=self.allow.as_texts())


@with_call
def rotate(
    call: Call,
    *,
    names: Names = [],
    status: Status = False,
    rollback: Rollback = False,
    again: Again = False,
    allow: opt.Allow = [],
    yes: opt.Yes = False,
    parallelism: opt.Parallelism = opt.DEFAULT_PARALLELISM,
) -> ExitCode:
    """Rotate the keys of agents now, although nothing is due.

    A new key is minted, delivered to every sink and recorded; the old one is deprecated and goes on working.
    Later runs of apply revoke it, when the new one is in use and the old one is not. An agent whose last
    rotation is still being observed is left alone: running this twice rotates once, unless --again is given.
    """
    console, source = call.console, call.source
    if status + rollback + again > 1:
        raise UsageError("--status, --rollback and --again exclude each other", hint="give one of them")
    if status:
        with open_session(console, source) as session:
            rows = status_rows(session, names, what="rotate --status")
        show_rows(console, rows, with_keys=True)
        return ExitCode.OK
    if not names:
        raise UsageError("rotate needs the names of agents", hint="or --status to see all rotations")
    allowed = parse_allowances(allow)
    return _rotate(console, Request(source, names, allowed, rollback, again, yes, parallelism))


def _rotate(console: Console, request: Request) -> ExitCode:
    check_fields(console)
    stop = StopRequest()
    command = request.command()
    with open_session(
        console, request.source, parallelism=request.parallelism, is_stopping=stop.is_asked
    ) as session:
        plan = plan_session(
            console,
            session,
            allow=request.allow,
            rotate=declared_names(request.names, session.desired.agents),
            again=request.again,
            is_rollback=request.is_rollback,
        )
        if console.is_table:
            show_plan(console, plan, command=command, advise=False)
        if plan.has_changes and not request.yes:
            ask(console, [(session, plan)], command=command)
        outcome = carry_out(console, session, plan, allow=request.allow, stop=stop, resume=request.resume)
    return finish(console, outcome, command=command)
