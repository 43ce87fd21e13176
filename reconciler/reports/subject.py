"""What a report is about: one run of one command, as a value that every format is made from."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from reconciler.errors import AlterSyncError, ExitCode
from reconciler.model.diagnostic import Diagnostic
from reconciler.model.drift import Drift
from reconciler.model.outcome import Outcome
from reconciler.model.plan import Plan

Command = Literal["validate", "plan", "apply", "drift"]


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What the surroundings say of a run; empty is unknown. ``plan_path`` is where the plan was saved."""

    head_sha: str = ""
    run_url: str = ""
    plan_path: str = ""


@dataclass(frozen=True, slots=True)
class Subject:
    """Everything that a run has to tell. Parts that it never came to are absent.

    ``findings`` are those of the configuration. ``failure`` is what ended the run. ``apply_command`` is how
    this user would call apply. Texts are as the API and the configuration gave them: a format escapes them.
    """

    command: Command
    written_at: datetime
    tool_version: str
    exit_code: ExitCode = ExitCode.OK
    owner: str = ""
    app: str = ""
    plan: Plan | None = None
    outcome: Outcome | None = None
    drift: Drift | None = None
    findings: tuple[Diagnostic, ...] = ()
    failure: AlterSyncError | None = None
    apply_command: str = "alter-sync apply"
    run: RunFacts = RunFacts()
