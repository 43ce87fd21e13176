"""Subjects of reports that the tests of every format show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from reconciler.errors import AlterSyncError, ExitCode, InsufficientScope, UsageError
from reconciler.model.agent import AgentName
from reconciler.model.diagnostic import Diagnostic, Position
from reconciler.model.outcome import Failure, OperationOutcome, Outcome
from reconciler.model.plan import Change, Operation
from reconciler.reports.subject import Command, RunFacts, Subject
from tests.unit.reports import drift_samples, samples
from tests.unit.reports.samples import EMPTY, HOSTILE, NOW, PARTIAL, at, hostile_plan, operation

RUN = RunFacts(
    head_sha="0123456789abcdef0123456789abcdef01234567",
    run_url="https://github.test/o/r/actions/runs/7",
    plan_path="plan.json",
    workspace="/home/runner/work/r/r",
    folder="/home/runner/work/r/r/agents",
)
ERRORS = (
    Diagnostic(
        "error",
        "unknown-key",
        "unknown key `displayname`",
        at(12),
        "did you mean `display_name`?",
        "  displayname: X",
    ),
    *samples.FINDINGS,
    Diagnostic("error", "agents-missing", "there is no key `agents`"),
)


class Invalid(UsageError):
    """What the command line makes of a configuration with errors."""

    code = "invalid_configuration"


def subject(command: Command, exit_code: ExitCode = ExitCode.OK, **parts: Any) -> Subject:
    given: dict[str, Any] = {"owner": "payments/agents", "app": "payments-prod", "run": RUN, **parts}
    return Subject(command, NOW, "0.1.0", exit_code, **given)


def failed(command: Command, error: AlterSyncError, **parts: Any) -> Subject:
    return subject(command, error.exit_code, failure=error, **parts)


VALID = subject("validate")
INVALID = failed("validate", Invalid("the configuration has 2 errors"), findings=ERRORS, owner="", app="")
PLAN = subject("plan", ExitCode.REFUSED, plan=samples.RICH, findings=samples.FINDINGS)
NO_CHANGES = subject("plan", plan=replace(EMPTY, in_sync=12))
APPLIED = subject("apply", ExitCode.INTERRUPTED, plan=samples.RICH, outcome=PARTIAL)
DRIFT = subject("drift", ExitCode.CHANGES, drift=drift_samples.RICH)
NO_DRIFT = subject("drift", drift=drift_samples.CLEAN)
REFUSED_BY_API = failed(
    "plan",
    InsufficientScope(
        "the key lacks agents:read", missing=("agents:read",), hint="make a key with agents:read"
    ),
)

SAMPLES: Mapping[str, Subject] = {
    "valid": VALID,
    "invalid": INVALID,
    "plan": PLAN,
    "no_changes": NO_CHANGES,
    "apply": APPLIED,
    "drift": DRIFT,
    "no_drift": NO_DRIFT,
    "failure": REFUSED_BY_API,
}

# What GitHub or a Markdown parser would make something of.
OF_MARKDOWN = (
    *HOSTILE[:-1],
    "@octocat and @org/team",
    "#12 GH-34 o/r#5 0123456789abcdef",
    "![x](https://evil.test/x.png) <img src=x>",
    "https://evil.test www.evil.test mail@evil.test",
    "</details></summary><!-- x --> -->",
    "a | b \\| c \\",
    "`a``b``` ` @octocat",
    "***bold*** __bold__ ~~gone~~ $x$",
    "> quote",
    "| a |\n|---|",
    ":tada: :+1:",
    "`a`x`@octocat",
    "&#64;octocat &lt;b&gt;",
    "--><script>",
    "",
)


def hostile_outcome() -> Outcome:
    """Every text of an outcome hostile, in each status."""
    failures = [Failure(ExitCode.ERROR, text, text, text, retryable=True) for text in OF_MARKDOWN]
    return Outcome(
        run="run",
        plan_digest="--><b>",
        operations=tuple(
            OperationOutcome(
                f"{number}",
                "mint_key",
                AgentName(failure.message + status),
                status,
                failure.message,
                failure if status == "failed" else None,
            )
            for number, failure in enumerate(failures)
            for status in ("done", "failed", "not_tried")
        ),
        blocked=hostile_plan().blocked,
        waiting=hostile_plan().waiting,
        resume=f"alter-sync apply --target '{OF_MARKDOWN[6]}'",
    )


def hostile_subjects() -> Mapping[str, Subject]:
    """Every text that can come from outside, hostile, in what every command tells."""
    findings = tuple(
        Diagnostic("error", text, text, Position(text, 1, 1), text, text) for text in (*OF_MARKDOWN, *HOSTILE)
    )
    plan = hostile_plan()
    extra = tuple(
        one
        for text in OF_MARKDOWN
        for one in (
            replace(operation("revoke_agent", f"gone {text}", text), risk="destructive"),
            operation("set_scopes", text, text, Change(f"scopes.{text}", [], [text], "widening")),
            operation("update_agent", text, text, Change(f"metadata.{text}", text, {text: text})),
        )
    )
    plan = replace(plan, operations=(*plan.operations, *extra), targets=HOSTILE[:-1], plan_digest="--><b>")
    names: dict[str, Any] = {"owner": "--><script>@octocat\n", "app": "a--b --"}
    run = RunFacts("--> @octocat", "javascript:alert(1)", "plan\nPATH=x", "/w", "/w/--x")
    return {
        "plan": subject("plan", plan=plan, findings=findings, run=run, **names),
        "apply": subject("apply", plan=plan, outcome=hostile_outcome(), run=run, **names),
        "drift": subject("drift", drift=drift_samples.hostile_drift(), run=run, **names),
        "failure": failed(
            "plan", UsageError(OF_MARKDOWN[7], hint=OF_MARKDOWN[8]), findings=findings, **names
        ),
    }


def long_subject(
    count: int = 2_000, *, name: str = "tenant-{:04}-reader", scope: str = "scope-{}"
) -> Subject:
    """So many changed agents, all with a widening, every hundredth revoked as well."""
    operations: list[Operation] = []
    for number in range(count):
        agent = name.format(number)
        change = Change("scopes.google", [], [scope.format(number % 7)], "widening")
        operations.append(replace(operation("set_scopes", agent, "differs", change), risk="widening"))
        if number % 100 == 0:
            gone = replace(
                operation("revoke_agent", f"old-{agent}", "no longer declared"), risk="destructive"
            )
            operations.append(gone)
    return subject("plan", plan=replace(EMPTY, operations=tuple(operations)))
