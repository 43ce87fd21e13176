"""Tells others how a run went, by a file of metrics or in a channel; neither changes the exit code."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING

from reconciler.cli.console import Console
from reconciler.cli.wiring import Session
from reconciler.errors import AlterSyncError, ExitCode, Interrupted, UsageError
from reconciler.model.nearest import did_you_mean

if TYPE_CHECKING:
    from reconciler.cli.reporting import Reporter
    from reconciler.model.secret import Secret
    from reconciler.reports.metrics import RunRecord
    from reconciler.reports.subject import Subject
    from reconciler.reports.view import StatusRow

_LARGEST_FILE_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the command line asks for: a file for metrics, channels, and what was told last."""

    metrics: Path | None = None
    webhooks: tuple[Secret, ...] = ()
    state: Path | None = None

    @classmethod
    def of(cls, *, metrics: Path | None, notify: Sequence[str] = (), state: Path | None = None) -> Wanted:
        """Refuses what cannot work while nothing is done yet."""
        for option, path in (("--metrics", metrics), ("--notify-state", state)):
            if path is not None and (path.is_dir() or not path.parent.is_dir()):
                what = "is a folder" if path.is_dir() else "is in a folder that is not there"
                raise UsageError(f"{option} {path}: it {what}", hint="name a file in a folder that is there")
        if state is not None and not notify:
            raise UsageError("--notify-state goes with --notify", hint="add --notify slack=VARIABLE")
        return cls(metrics, tuple(_webhook(request) for request in notify), state)


@dataclass(slots=True)
class Watch:
    """What a command lets others see of its run."""

    session: Session | None = None
    rows: Sequence[StatusRow] | None = None
    # Of the run for one of several apps.
    exit_code: ExitCode = ExitCode.OK
    seconds: float = 0.0
    subject: Subject | None = None
    # The runs for the apps, when there are several.
    apps: Sequence[Watch] = ()


def _webhook(request: str) -> Secret:
    from reconciler.ci.slack import webhook_of

    kind, _, variable = request.partition("=")
    if kind != "slack" or not variable:
        # What was given may be an address, so it is not repeated.
        raise UsageError(
            "--notify takes slack=VARIABLE, the environment variable that holds the webhook's address",
            hint=did_you_mean(kind, ["slack"]) or "for example --notify slack=SLACK_WEBHOOK_URL",
        )
    return webhook_of(variable, os.environ)


@contextmanager
def observing(
    console: Console, command: str, wanted: Wanted, *, reporter: Reporter | None = None
) -> Iterator[Watch]:
    """Watches one run to its end, however that comes."""
    watch, started = Watch(), time.monotonic()
    failure: BaseException | None = None
    try:
        yield watch
    except BaseException as error:
        failure = error
        raise
    finally:
        if wanted.metrics is not None:
            seconds = time.monotonic() - started
            with _only_warning(console, "the metrics were not written"):
                subject = reporter.subject if reporter else None
                exit_code = _exit_code(reporter, failure)
                whole = replace(watch, exit_code=exit_code, seconds=seconds, subject=subject)
                _write_metrics(wanted.metrics, [_record(command, one) for one in watch.apps or (whole,)])
        if wanted.webhooks and reporter is not None and not isinstance(failure, KeyboardInterrupt):
            with _only_warning(console, "nobody was notified"):
                _notify(console, wanted, reporter.subject, failure)


@contextmanager
def _only_warning(console: Console, what: str) -> Iterator[None]:
    try:
        yield
    except AlterSyncError as error:
        console.alarm(f"warning: {what}: {error.message}")
    except OSError as error:
        console.alarm(f"warning: {what}: {error.strerror}")


def _exit_code(reporter: Reporter | None, failure: BaseException | None) -> ExitCode:
    match failure:
        case None:
            return reporter.subject.exit_code if reporter else ExitCode.OK
        case AlterSyncError():
            return failure.exit_code
        case KeyboardInterrupt():
            return Interrupted.exit_code
        case _:
            return ExitCode.ERROR


def _record(command: str, watch: Watch) -> RunRecord:
    from reconciler.reports.metrics import RunRecord

    record = RunRecord(command, watch.exit_code, datetime.now(UTC), watch.seconds, rows=watch.rows)
    if watch.session is not None:
        desired, cost = watch.session.desired, watch.session.api.stats()
        record = replace(
            record,
            owner=desired.owner,
            app=desired.app.name,
            requests=cost.requests,
            retries=cost.retries,
            waited_seconds=cost.waited_seconds,
        )
    elif watch.subject is not None and not watch.subject.apps:
        record = replace(record, owner=watch.subject.owner, app=watch.subject.app)
    if watch.subject is not None:
        subject = watch.subject
        record = replace(record, plan=subject.plan, outcome=subject.outcome, drift=subject.drift)
    return record


def _write_metrics(path: Path, records: Sequence[RunRecord]) -> None:
    from reconciler.reports.metrics import metrics_text

    _write(path, metrics_text(*records, former=_read(path)))


def _notify(console: Console, wanted: Wanted, subject: Subject, failure: BaseException | None) -> None:
    from reconciler.ci.slack import post
    from reconciler.reports.slack_message import content_digest, slack_message

    if failure is not None:
        told = (
            failure
            if isinstance(failure, AlterSyncError)
            else AlterSyncError("internal error", code="internal")
        )
        subject = replace(subject, failure=told)
    message, digest = slack_message(subject), content_digest(subject)
    if wanted.state is not None and _read(wanted.state).strip() == digest:
        return
    if message is not None:
        for address in wanted.webhooks:
            post(address, message)
        if console.is_verbose:
            console.say("notified")
    # Also when there is nothing to tell: the same news that comes back later is news again.
    if wanted.state is not None:
        _write(wanted.state, f"{digest}\n")


def _read(path: Path) -> str:
    """What stands in a file of ours; nothing when it cannot be read."""
    with suppress(OSError), path.open(encoding="utf-8", errors="replace") as file:
        return file.read(_LARGEST_FILE_BYTES)
    return ""


def _write(path: Path, text: str) -> None:
    """Whole or not at all: a collector may read at any moment. Readable for it, unlike a temporary file."""
    # Not named *.prom: the collector reads those.
    with NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, suffix=".tmp", delete=False) as file:
        try:
            file.write(text)
            file.flush()
            os.chmod(file.name, 0o644)
            os.replace(file.name, path)
        except OSError:
            os.unlink(file.name)
            raise
