"""Writes the files of ``--report``: before anything is printed, and also when the run fails."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reconciler.cli.boundary import ConfigInvalid
from reconciler.cli.console import OutputFailed
from reconciler.cli.github_actions import tell_github
from reconciler.cli.wiring import Configuration, tool_version
from reconciler.errors import AlterSyncError, ExitCode, Interrupted, UsageError
from reconciler.model.nearest import did_you_mean
from reconciler.model.shard import EVERYTHING, Shard

if TYPE_CHECKING:
    from reconciler.model.plan import Plan
    from reconciler.reports.subject import Command, RunFacts, Subject


@dataclass(slots=True)
class Reporter:
    """Collects what a run has to tell, and writes it once into every file that was asked for."""

    files: Sequence[tuple[str, Path]]
    subject: Subject
    is_written: bool = False
    # What could not be written, and why; the other files are written all the same.
    unwritten: list[str] = field(default_factory=list)
    # Of a run for several apps what each has to tell; ``subject`` is then all of that.
    parts: Sequence[Subject] = ()
    # Whether it is about one of several apps, and leaves the files to the reporter of the whole.
    is_part: bool = False

    @property
    def shows_access(self) -> bool:
        """Whether a report shows what agents may do and their keys, which costs a request for each."""
        from reconciler.reports.formats import WITH_ACCESS

        return any(name in WITH_ACCESS for name, _ in self.files)

    def tell(self, **parts: Any) -> None:
        """Adds parts of the subject."""
        self.subject = replace(self.subject, **parts)

    def tell_configuration(self, configuration: Configuration) -> None:
        """Whose the run is, and what is odd about its configuration."""
        desired = configuration.desired
        self.tell(owner=desired.owner, app=desired.app.name, findings=configuration.findings)

    def tell_plan(self, plan: Plan, *, saved_to: Path | None) -> None:
        """The plan, with its own findings, and the file that it is in."""
        run = replace(self.subject.run, plan_path="" if saved_to is None else str(saved_to))
        self.tell(plan=plan, findings=plan.findings or self.subject.findings, run=run)

    def part(self) -> Reporter:
        """A reporter for one of several apps."""
        return Reporter(self.files, self.subject, is_part=True)

    def gather(self, parts: Sequence[Subject], *, exit_code: ExitCode) -> None:
        """Takes in what the apps have to tell."""
        from reconciler.reports.several import merged

        self.parts = parts
        self.subject = merged(parts, whole=replace(self.subject, exit_code=exit_code))

    def fail(self, error: AlterSyncError) -> None:
        """The end of a run that came to no other."""
        findings = error.diagnostics if isinstance(error, ConfigInvalid) else self.subject.findings
        self.tell(failure=error, findings=findings)
        if not self.is_written:
            self.write(error.exit_code)

    def write(self, exit_code: ExitCode) -> None:
        """Writes the files, as the run would end now."""
        from reconciler.reports.formats import text_of

        self.tell(exit_code=exit_code)
        self.is_written = True
        for name, path in () if self.is_part else self.files:
            try:
                if name == "github":
                    tell_github(self.subject, path, os.environ)
                    continue
                text = text_of(name, self.subject, self.parts)
                path.write_text(text if text.endswith("\n") else f"{text}\n", encoding="utf-8")
            except OSError as error:
                self.unwritten.append(f"the report {path} cannot be written: {error.strerror}")
            except UsageError as error:
                self.unwritten.append(error.message)


class ReportUnwritten(OutputFailed):
    """A report that could not be written. The run ends as it would have, unless it would have ended well."""

    code = "report_unwritten"

    def __init__(self, messages: Sequence[str], *, exit_code: ExitCode) -> None:
        super().__init__("; ".join(messages), hint="everything else of this run is as it says")
        self.exit_code = ExitCode.USAGE if exit_code is ExitCode.OK else exit_code


@contextmanager
def reporting(
    requests: Sequence[str],
    *,
    command: Command,
    max_chars: int | None = None,
    targets: Sequence[str] = (),
    shard: Shard = EVERYTHING,
) -> Iterator[Reporter]:
    """A reporter for one command. What ends the command is in the reports, too."""
    from reconciler.reports.subject import Limits, Subject

    limits = Limits() if max_chars is None else Limits(comment_chars=max_chars)
    subject = Subject(
        command,
        datetime.now(UTC),
        tool_version(),
        run=run_facts(os.environ),
        limits=limits,
        asked_targets=tuple(targets),
        asked_shard=shard,
    )
    reporter = Reporter(parse_reports(requests), subject)
    try:
        yield reporter
    except AlterSyncError as error:
        reporter.fail(error)
        raise
    except KeyboardInterrupt:
        if not reporter.is_written:
            reporter.tell(failure=Interrupted("interrupted"))
            reporter.write(ExitCode.INTERRUPTED)
        raise
    if reporter.unwritten:
        raise ReportUnwritten(reporter.unwritten, exit_code=reporter.subject.exit_code)


def parse_reports(requests: Sequence[str]) -> tuple[tuple[str, Path], ...]:
    """``FORMAT=PATH`` of each request; refused while nothing is done yet."""
    from reconciler.reports.formats import FORMATS

    found: list[tuple[str, Path]] = []
    for request in requests:
        name, _, place = request.partition("=")
        if name not in FORMATS:
            hint = did_you_mean(name, FORMATS) or "formats are: " + ", ".join(FORMATS)
            raise UsageError(f"--report {request}: there is no format {name!r}", hint=hint)
        if not place:
            raise UsageError(f"--report {request}: where to?", hint=f"--report {name}=PATH")
        path = Path(place)
        if os.path.realpath(path) in {os.path.realpath(other) for _, other in found}:
            raise UsageError(f"--report {request}: another report goes to {path} already")
        if not path.parent.is_dir() or path.is_dir():
            what = "is a folder" if path.is_dir() else "is in a folder that is not there"
            raise UsageError(
                f"--report {request}: {path} {what}", hint="name a file in a folder that is there"
            )
        if path.suffix in {".yaml", ".yml"}:
            what = "looks like a configuration, and a report would replace it"
            raise UsageError(f"--report {request}: {path} {what}", hint="give it another ending")
        found.append((name, path))
    return tuple(found)


def run_facts(environ: Mapping[str, str]) -> RunFacts:
    """What GitHub Actions or GitLab CI says of the run. A pull request's head is not what is checked out."""
    from reconciler.reports.subject import RunFacts

    folder = _folder()
    if environ.get("GITHUB_ACTIONS") == "true":
        server, repository = environ.get("GITHUB_SERVER_URL", ""), environ.get("GITHUB_REPOSITORY", "")
        run_id = environ.get("GITHUB_RUN_ID", "")
        return RunFacts(
            head_sha=_head_of_event(environ) or environ.get("GITHUB_SHA", ""),
            run_url=f"{server}/{repository}/actions/runs/{run_id}"
            if server and repository and run_id
            else "",
            workspace=_real(environ.get("GITHUB_WORKSPACE") or folder),
            folder=folder,
        )
    return RunFacts(
        head_sha=environ.get("CI_COMMIT_SHA", ""),
        run_url=environ.get("CI_JOB_URL", ""),
        workspace=_real(environ.get("CI_PROJECT_DIR") or folder),
        folder=folder,
    )


def _folder() -> str:
    """Where the command runs; empty when somebody has removed that meanwhile."""
    with suppress(OSError):
        return os.getcwd()
    return ""


def _real(path: str) -> str:
    """Without symbolic links, as the folder of the command is."""
    return os.path.realpath(path) if path else ""


def _head_of_event(environ: Mapping[str, str]) -> str:
    """The commit at the head of the pull request that a workflow runs for."""
    with suppress(OSError, ValueError, TypeError, KeyError, AttributeError):
        event = json.loads(Path(environ["GITHUB_EVENT_PATH"]).read_text(encoding="utf-8"))
        return str(event["pull_request"]["head"]["sha"])
    return ""
