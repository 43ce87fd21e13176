"""Runs checks that take time side by side, and waits for none of them longer than the time that there is."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from threading import Thread

from reconciler.errors import ExitCode
from reconciler.reports.doctor_report import Check, failed

# Every check has shorter limits of its own; this is for what has none, such as the look-up of a name.
LIMIT_SECONDS = 20.0


@dataclass(slots=True)
class Job:
    """Checks that come one after the other. ``exit_code`` is for when they do not come to an end."""

    name: str
    checks: Callable[[], Iterable[Check]]
    exit_code: ExitCode = ExitCode.ERROR
    done: list[Check] = field(default_factory=list, init=False)
    defect: Exception | None = field(default=None, init=False)


def run_side_by_side(jobs: Sequence[Job], *, limit_seconds: float = LIMIT_SECONDS) -> tuple[Check, ...]:
    """The checks of all jobs, in their order. A late job has those that it came to, and one more."""
    # Not a pool: it would wait at the end for threads that hang, and these must not keep the process.
    threads = [Thread(target=_run, args=(job,), name=job.name, daemon=True) for job in jobs]
    for thread in threads:
        thread.start()
    give_up_at = time.monotonic() + limit_seconds
    found: list[Check] = []
    for job, thread in zip(jobs, threads, strict=True):
        thread.join(max(0.0, give_up_at - time.monotonic()))
        found += [*job.done]
        if job.defect is not None:
            raise job.defect
        if thread.is_alive():
            message = f"no result within {limit_seconds:g} s"
            fix = "try again; if it stays so, look at the network between here and there"
            found.append(failed(job.name, message, fix=fix, exit_code=job.exit_code))
    return tuple(found)


def _run(job: Job) -> None:
    try:
        for check in job.checks():
            job.done.append(check)
    except Exception as defect:  # raised again where the checks are waited for
        job.defect = defect
