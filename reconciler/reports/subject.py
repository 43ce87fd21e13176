"""What a report is about: one run of one command, as a value that every format is made from."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from reconciler.errors import AlterSyncError, ExitCode
from reconciler.model.access import Access
from reconciler.model.diagnostic import Diagnostic
from reconciler.model.drift import Drift
from reconciler.model.outcome import Outcome
from reconciler.model.plan import Plan
from reconciler.model.shard import EVERYTHING, Shard

Command = Literal["validate", "plan", "apply", "drift", "status"]


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What the surroundings say of a run; empty is unknown.

    ``plan_path`` is where the plan was saved. ``workspace`` is the folder of the repository, and ``folder``
    the one that the command runs in; both absolute.
    """

    head_sha: str = ""
    run_url: str = ""
    plan_path: str = ""
    workspace: str = ""
    folder: str = ""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much there is room for: in a comment, which GitHub counts in characters, and in a step summary.

    GitHub takes 65,536 characters, and whoever posts the comment may want to add a line.
    """

    comment_chars: int = 65_000
    summary_bytes: int = 1_048_576


@dataclass(frozen=True, slots=True)
class AppPart:
    """One of several apps that a run was about: how it ended there, and what came of it in a few words.

    ``command`` is how this user would call apply for that app alone.
    """

    app: str
    owner: str
    exit_code: ExitCode
    counts: str
    command: str


@dataclass(frozen=True, slots=True)
class Subject:
    """Everything that a run has to tell. Parts that it never came to are absent.

    ``findings`` are those of the configuration. ``failure`` is what ended the run. ``apply_command`` is how
    this user would call apply. ``asked_targets`` and ``asked_shard`` are what the run was to be limited to,
    and count as long as there is no plan or drift that says it itself. ``access`` is read only when a format
    of ``formats.WITH_ACCESS`` is asked for. ``apps`` are the parts of a run for several apps, see
    ``several.merged``. Texts are as the API and the configuration gave them: a format
    escapes them.
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
    limits: Limits = Limits()
    access: Access | None = None
    asked_targets: tuple[str, ...] = ()
    asked_shard: Shard = EVERYTHING
    apps: tuple[AppPart, ...] = ()

    @property
    def targets(self) -> tuple[str, ...]:
        """The patterns of the agents that the run was limited to."""
        source = self.plan or self.drift
        return source.targets if source else self.asked_targets

    @property
    def shard(self) -> Shard:
        """The part that the run was limited to."""
        source = self.plan or self.drift
        return source.shard if source else self.asked_shard

    @property
    def only(self) -> tuple[str, ...]:
        """What the run was limited to, in words; nothing when it was about the whole."""
        part = () if self.shard.is_whole else (f"only part {self.shard}",)
        return (*part, f"only agents matching {', '.join(self.targets)}") if self.targets else part
