"""Runs the work of many agents side by side, goes on past a failed one, and stops when asked to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Lock

from reconciler.applying.context import RunContext
from reconciler.applying.handlers import carry_out
from reconciler.applying.ledger import not_tried
from reconciler.errors import ExitCode
from reconciler.model.outcome import Failure, OperationOutcome, Outcome
from reconciler.model.plan import Operation, Plan
from reconciler.planning.operations import permissions_for
from reconciler.planning.ordering import work_units

# After this many agents in a row without an answer from the API the rest is not tried.
_GIVE_UP_AFTER = 5


def execute(
    context: RunContext,
    plan: Plan,
    *,
    parallelism: int,
    should_stop: Callable[[], ExitCode | None] = lambda: None,
    on_begin: Callable[[Sequence[Operation]], None] = lambda _operations: None,
    on_agent: Callable[[Sequence[OperationOutcome]], None] = lambda _outcomes: None,
) -> Outcome:
    """Carries out a plan, ``parallelism`` agents at once. Never raises for what happens to single agents.

    ``should_stop`` is asked before each agent: what is begun is finished, the rest is not tried.
    ``on_begin`` is told of each agent before it is tried, ``on_agent`` what became of it, both from the
    thread that does it.
    """
    units = work_units(plan.operations)
    breaker = _Breaker()

    def work(unit: tuple[Operation, ...]) -> tuple[OperationOutcome, ...]:
        if should_stop() is not None:
            return not_tried(unit, "interrupted before it was begun", None)
        if failure := breaker.verdict(unit):
            return not_tried(unit, "would fail for the same reason as others", failure)
        on_begin(unit)
        outcomes = carry_out(context, unit)
        breaker.learn(unit, outcomes)
        on_agent(outcomes)
        return outcomes

    with ThreadPoolExecutor(max_workers=parallelism, thread_name_prefix="apply") as pool:
        results = list(pool.map(work, units))
    stopped = should_stop()
    operations = tuple(outcome for outcomes in results for outcome in outcomes)
    unfinished = any(outcome.status != "done" for outcome in operations)
    return Outcome(
        run=context.run,
        plan_digest=plan.plan_digest,
        operations=operations,
        blocked=plan.blocked,
        waiting=plan.waiting,
        interrupted=stopped if unfinished else None,
    )


class _Breaker:
    """Spares the rest of a fleet what is bound to fail: a refused key, a missing permission, a dead API."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._in_a_row = 0
        self._everything: Failure | None = None
        self._by_permission: dict[tuple[str, ...], Failure] = {}
        self._rotations: Failure | None = None

    def verdict(self, unit: Sequence[Operation]) -> Failure | None:
        """Why this agent need not be tried, if so."""
        with self._lock:
            rotations = self._rotations if _is_rotation(unit) else None
            return self._everything or rotations or self._by_permission.get(permissions_for(unit))

    def learn(self, unit: Sequence[Operation], outcomes: Sequence[OperationOutcome]) -> None:
        """Takes in what became of an agent."""
        failure = next((outcome.failure for outcome in outcomes if outcome.failure), None)
        with self._lock:
            if failure is None or not _api_is_down(failure):
                self._in_a_row = 0
            else:
                self._in_a_row += 1
                if self._in_a_row >= _GIVE_UP_AFTER:
                    self._everything = failure
            if failure and failure.exit_code is ExitCode.SINK and _is_rotation(unit):
                # Each rotation works on a key that is fine: none is begun while sinks may be broken.
                self._rotations = failure
            if failure and failure.exit_code is ExitCode.AUTH:
                if failure.code == "insufficient_scope":
                    # Where something was done, only a later step lacked the permission, not all such agents.
                    if all(outcome.status != "done" for outcome in outcomes):
                        self._by_permission[permissions_for(unit)] = failure
                else:
                    self._everything = failure


def _is_rotation(unit: Sequence[Operation]) -> bool:
    """Whether an agent that has keys already gets another one."""
    return any(operation.kind == "mint_key" and operation.agent_id is not None for operation in unit)


def _api_is_down(failure: Failure) -> bool:
    """No answer, a server fault or a full rate limit. Its code would not tell, for servers send their own."""
    return failure.retryable and failure.exit_code in {ExitCode.ERROR, ExitCode.RATE_LIMIT}
