"""A saved plan against today's configuration and live state: to be carried out, or only to be checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.cli.call import Call
from reconciler.cli.console import Console
from reconciler.cli.live_plan import plan_session
from reconciler.cli.policies import load_policies, policy_words
from reconciler.cli.reporting import reporting
from reconciler.cli.wiring import Session, open_session
from reconciler.errors import ExitCode, StalePlan, UsageError

if TYPE_CHECKING:
    from reconciler.model.plan import Blocked, Plan
    from reconciler.model.policy import Policies
    from reconciler.planning.facts import Allowances
    from reconciler.planning.freshness import Staleness


@dataclass(frozen=True, slots=True)
class Check:
    """What became of a saved plan: why it is stale, or else what guards refuse of it, as apply would.

    ``plan`` is what apply would carry out; ``None`` when it would carry out nothing.
    """

    path: Path
    saved: Plan | None
    plan: Plan | None
    stale: tuple[Staleness, ...] = ()
    refused: tuple[Blocked, ...] = ()

    @property
    def exit_code(self) -> ExitCode:
        """As apply would end: what is stale is not begun, so it wins over what is refused."""
        if self.stale:
            return ExitCode.STALE
        return ExitCode.REFUSED if self.refused else ExitCode.OK


def read_saved(path: Path) -> Plan:
    """The plan in a file; ``StalePlan`` when somebody changed it."""
    from reconciler.cli.files import read_plan_file
    from reconciler.planning.plan_document import read_plan

    return read_plan(read_plan_file(path))


def plan_to_apply(
    console: Console, session: Session, path: Path, *, policies: Policies | None
) -> tuple[Plan, Allowances]:
    """The saved plan as it may be carried out now, and what it lets through; ``StalePlan`` if it may not."""
    from reconciler.planning.freshness import allowances_of, check_inputs, refreshed

    saved = read_saved(path)
    check_inputs(
        saved, session.desired, base_url=session.base_url, plane=session.plane, now=session.clock.now()
    )
    return refreshed(saved, _plan_again(console, session, saved, policies=policies)), allowances_of(saved)


def check_saved(console: Console, session: Session, path: Path, *, policies: Policies | None) -> Check:
    """Whether apply would still carry the plan out. The same steps as apply's, and reads only.

    Nothing at all is read from the API when the inputs alone make the plan stale.
    """
    from reconciler.planning.freshness import Staleness, refreshed, stale_agents, stale_inputs

    try:
        saved = read_saved(path)
    except StalePlan as error:
        return Check(path, None, None, (Staleness("edited", error.message),))
    stale = tuple(
        stale_inputs(
            saved, session.desired, base_url=session.base_url, plane=session.plane, now=session.clock.now()
        )
    )
    if stale:
        return Check(path, saved, None, stale)
    try:
        current = _plan_again(console, session, saved, policies=policies, is_thorough=False)
    except StalePlan as error:
        return Check(path, saved, None, (Staleness("agent", error.message),))
    stale = stale_agents(saved, current)
    if stale:
        return Check(path, saved, None, stale)
    kept = refreshed(saved, current)
    return Check(path, saved, kept, refused=kept.blocked)


def run_check(
    call: Call,
    path: Path,
    *,
    policies: Sequence[Path],
    reports: Sequence[str],
    max_chars: int | None = None,
) -> ExitCode:
    """Checks a saved plan and says whether it fits; what does not fit is a result here, and no failure."""
    console, source = call.console, call.source
    command = source.command("apply", *policy_words(policies))
    with reporting(reports, command="plan", max_chars=max_chars) as reporter:
        reporter.tell(apply_command=command)
        rules = load_policies(policies)
        with open_session(console, source, on_configuration=reporter.tell_configuration) as session:
            check = check_saved(console, session, path, policies=rules)
        if check.plan is not None:
            reporter.tell_plan(check.plan, saved_to=path)
        if check.stale:
            reporter.tell(failure=StalePlan("; ".join(reason.message for reason in check.stale)))
        reporter.write(check.exit_code)
        _show(console, check, command=command)
    return check.exit_code


def _show(console: Console, check: Check, *, command: str) -> None:
    from reconciler.reports.check import check_document, check_text

    if console.is_table:
        text = check_text(
            str(check.path),
            check.saved,
            stale=check.stale,
            refused=check.refused,
            command=command,
            style=console.style(),
        )
        console.text(text)
    else:
        document = check_document(
            check.saved, stale=check.stale, refused=check.refused, exit_code=check.exit_code
        )
        console.document(document)


def _plan_again(
    console: Console,
    session: Session,
    saved: Plan,
    *,
    policies: Policies | None,
    is_thorough: bool = True,
) -> Plan:
    """Today's plan with the saved one's targets and allowances."""
    from reconciler.planning.freshness import PLAN_AGAIN, allowances_of

    try:
        return plan_session(
            console,
            session,
            targets=saved.targets,
            allow=allowances_of(saved),
            shard=saved.shard,
            with_catalogue=is_thorough,
            policies=policies,
        )
    except UsageError as error:
        # Its targets and allowances were good when it was saved: an agent that they name is gone since.
        raise StalePlan(
            f"live agents changed since the plan was saved: {error.message}", hint=PLAN_AGAIN
        ) from error
