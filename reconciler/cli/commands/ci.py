"""``alter-sync ci``: what a workflow in GitHub Actions tells people, and asks before it applies."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from reconciler.cli import options as opt
from reconciler.cli.call import taking
from reconciler.cli.console import Console
from reconciler.cli.help import PlainGroup
from reconciler.errors import AlterSyncError, CredentialMissing, ExitCode, FileMissing, UsageError

EXAMPLES = """\
  alter-sync ci comment plan.md               a plan as the one comment in its pull request
  alter-sync ci issue drift.json --body drift.md   one issue for drift: opened, changed, closed
  alter-sync ci reviewed-plan --name alter-sync-plan   which plan the merged pull request had
  alter-sync ci ping                          the check ran: a dead man's switch stays quiet"""
EPILOG = f"""\b
Examples:
{EXAMPLES}

\b
Environment, all but the token set by GitHub Actions:
  GITHUB_TOKEN          ${{{{ github.token }}}}, with the permission that the command's help names
  GITHUB_REPOSITORY     OWNER/NAME
  GITHUB_API_URL        https://api.github.com, or that of GitHub Enterprise Server
"""
COMMENT_EPILOG = """\b
Examples:
  alter-sync ci comment plan.md              in the pull request that the workflow runs for
  alter-sync ci comment plan.md --pull-request 12
"""
ISSUE_EPILOG = """\b
Example:
  alter-sync ci issue drift.json --body drift.md
"""
REVIEWED_EPILOG = """\b
Examples:
  alter-sync ci reviewed-plan --name alter-sync-plan   the artifact alter-sync-plan-<SHA of the head>
  alter-sync ci reviewed-plan --plan plan.json --allow sensitive-scopes=bot   once it is downloaded
"""
PING_EPILOG = """\b
Example:
  alter-sync ci ping                         asks for the address in ALTER_SYNC_PING_URL
"""

Report = Annotated[Path, typer.Argument(help="What --report markdown=PATH wrote.", metavar="REPORT.MD")]
PullRequest = Annotated[
    int, typer.Option("--pull-request", help="Its number, when the workflow does not run for one.", min=0)
]
Document = Annotated[Path, typer.Argument(help="What --report json=PATH wrote.", metavar="DRIFT.JSON")]
Body = Annotated[
    Path,
    typer.Option("--body", help="What --report markdown=PATH wrote.", metavar="DRIFT.MD", show_default=False),
]
Label = Annotated[str, typer.Option("--label", help="The label of the issue, by which it is found.")]
Name = Annotated[
    str, typer.Option("--name", help="The artifact's name, without the SHA at its end.", show_default=False)
]
Downloaded = Annotated[
    Path | None,
    typer.Option(
        "--plan", help="The plan in that artifact: only checks what it lets through.", metavar="PLAN.JSON"
    ),
]
_MOST_REPORT_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Step:
    """A step of a workflow: where it speaks."""

    console: Console

    def tell(self, message: str, *, level: str = "") -> None:
        """A message; with a level, in GitHub Actions, one that is shown with the run, too."""
        if level and os.environ.get("GITHUB_ACTIONS") == "true":
            from reconciler.reports.escaping import for_workflow_message

            self.console.text(f"::{level} title=alter-sync::{for_workflow_message(message)}")
        else:
            self.console.say(f"{level}: {message}" if level else message)

    def output(self, **values: object) -> None:
        """Outputs of the step. No value has a line break in it."""
        path = os.environ.get("GITHUB_OUTPUT")
        if path:
            with Path(path).open("a", encoding="utf-8") as file:
                file.writelines(f"{name}={value}\n" for name, value in values.items())


def _step(*, no_color: opt.NoColor = False, quiet: opt.Quiet = False) -> Step:
    return Step(opt.make_console(no_color=no_color, quiet=quiet))


with_step = taking(_step)


def build() -> typer.Typer:
    """The group with its commands."""
    group = PlainGroup(_ci, epilog=EPILOG)
    group.command("comment", epilog=COMMENT_EPILOG)(comment)
    group.command("issue", epilog=ISSUE_EPILOG)(issue)
    group.command("reviewed-plan", epilog=REVIEWED_EPILOG)(reviewed_plan)
    group.command("ping", epilog=PING_EPILOG)(ping)
    return group


def _ci(context: typer.Context) -> ExitCode:
    """For workflows: a comment on the plan, an issue for drift, the reviewed plan, a ping after a check."""
    if context.invoked_subcommand is None:
        typer.echo(f"{EXAMPLES}\n\nMore: alter-sync ci --help")
    return ExitCode.OK


@with_step
def comment(step: Step, *, report: Report, pull_request: PullRequest = 0) -> ExitCode:
    """Keep one comment for each app in a pull request; needs `pull-requests: write`.

    It is found by the hidden mark in the report's first line, and changed in place. What the plan says
    decides about the check: a comment that cannot be written is a warning, for the summary has it all.
    """
    from reconciler.ci.comment import pull_request_of, write_comment
    from reconciler.ci.github import GitHubError, Repository

    text = _read(report)
    number = pull_request or pull_request_of(os.environ)
    try:
        step.tell(write_comment(Repository.of(os.environ), number, text))
    except GitHubError as error:
        hint = f" ({error.hint})" if error.hint else ""
        step.tell(f"no comment was written: {error.message}{hint}", level="warning")
    return ExitCode.OK


@with_step
def issue(step: Step, *, document: Document, body: Body, label: Label = "alter-sync-drift") -> ExitCode:
    """Keep one issue for the drift of each app; needs `issues: write`.

    Opens it when there is drift, changes it when the drift is another one, closes it when a check saw none,
    and opens it again when a check had closed it. Takes only the document of a check that came to its end.
    """
    from reconciler.ci.github import Repository
    from reconciler.ci.issue import DriftIssue, checked_document

    try:
        found = checked_document(json.loads(_read(document)))
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{document} is not JSON") from error
    text, run = _read(body), _run_address()
    told = DriftIssue(Repository.of(os.environ), found, text, label=label, run=run).settle()
    step.tell(told.message, level="warning" if told.is_warning else "")
    return ExitCode.OK


@with_step
def reviewed_plan(step: Step, *, name: Name = "", plan: Downloaded = None, allow: opt.Allow = []) -> ExitCode:
    """Find the plan of the merged pull request; needs `pull-requests: read` and `actions: read`.

    Writes the outputs run_id, artifact and pull_request for the steps that follow. They are empty when there
    is none: after a push without a pull request, or when the artifact is no longer kept.

    With --plan it checks the downloaded plan, and writes is_reviewed=true when that lets no more through than
    --allow does: a plan says itself which guards it lets through, and any run for its commit can upload one.
    """
    if bool(name) == bool(plan) or (allow and not plan):
        raise UsageError(
            "give --name to find the plan, or --plan, with --allow, to check what it lets through"
        )
    return _check_allowed(step, plan, allow) if plan else _find_reviewed(step, name)


def _check_allowed(step: Step, path: Path, allow: list[str]) -> ExitCode:
    from reconciler.cli.saved_plan import read_saved
    from reconciler.cli.selection import parse_allowances
    from reconciler.planning.freshness import allowances_of

    given = parse_allowances(allow)
    try:
        saved = read_saved(path)
    except AlterSyncError as error:
        reason = error.message
    else:
        more = allowances_of(saved).beyond(given).as_texts()
        reason = f"it lets {', '.join(more)} through, and the workflow does not" if more else ""
    step.output(is_reviewed="" if reason else "true")
    if reason:
        step.tell(f"the plan does not count as reviewed: {reason}", level="warning")
    else:
        step.tell("the plan lets nothing through that the workflow does not")
    return ExitCode.OK


def _find_reviewed(step: Step, name: str) -> ExitCode:
    from reconciler.ci.github import Repository
    from reconciler.ci.reviewed import reviewed_plan as find

    commit = os.environ.get("GITHUB_SHA", "")
    if not commit.isalnum():
        raise UsageError("GITHUB_SHA names no commit", hint="run this in GitHub Actions")
    found = find(Repository.of(os.environ), commit, prefix=name)
    step.output(run_id=found.run_id or "", artifact=found.artifact, pull_request=found.pull_request or "")
    if found.reason:
        step.tell(f"no reviewed plan: {found.reason}", level="notice")
    else:
        step.tell(f"the plan of pull request #{found.pull_request}: {found.artifact} of run {found.run_id}")
    return ExitCode.OK


@with_step
def ping(step: Step) -> ExitCode:
    """Ask for the address in ALTER_SYNC_PING_URL, so that a dead man's switch knows that the check ran."""
    from reconciler.ci.ping import ping as send
    from reconciler.model.secret import Secret

    address = os.environ.get("ALTER_SYNC_PING_URL", "").strip()
    if not address:
        raise CredentialMissing("no address in ALTER_SYNC_PING_URL", hint="leave this step out without one")
    send(Secret(address))
    step.tell("the dead man's switch knows that the check ran")
    return ExitCode.OK


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(_MOST_REPORT_BYTES).decode("utf-8")
    except FileNotFoundError as error:
        raise FileMissing(f"there is no file {path}", hint="it is written with --report") from error
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read") from error


def _run_address() -> str:
    from reconciler.cli.reporting import run_facts

    return run_facts(os.environ).run_url
