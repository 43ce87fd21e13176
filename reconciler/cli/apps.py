"""Runs a command for the app of its configuration, or for each of several apps side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from reconciler.cli.app_console import AppConsole
from reconciler.cli.app_run import AppRun
from reconciler.cli.console import Console, OutputFormat
from reconciler.cli.distinct_apps import Sightings, check_credentials, check_plans
from reconciler.cli.interrupts import StopRequest, stop_on_signals
from reconciler.cli.observing import Watch
from reconciler.cli.options import DEFAULT_PARALLELISM
from reconciler.cli.wiring import Configuration, load_configuration, load_configurations
from reconciler.errors import AlterSyncError, ExitCode, gravest_run

if TYPE_CHECKING:
    from reconciler.cli.call import Call
    from reconciler.cli.reporting import Reporter

# How many apps are worked on at once, at most. They share the number of agents that are.
_AT_ONCE = 8


@dataclass(slots=True)
class Apps:
    """The runs of one command, in the order of the apps' names.

    One app alone is run as if there were no such thing as several.
    """

    console: Console
    reporter: Reporter
    watch: Watch
    runs: Sequence[AppRun]
    stop: StopRequest
    at_once: int = 1
    # Whether somebody wants to see afterwards what the runs told: it may be much.
    keeps: bool = True
    sightings: Sightings = field(default_factory=Sightings)

    @property
    def are_several(self) -> bool:
        """Whether there is more than one."""
        return len(self.runs) > 1

    def each(
        self, work: Callable[[AppRun], ExitCode | None], label: str, *, finishes_what_is_begun: bool = False
    ) -> None:
        """Does this for each app that is not over. ``work`` gives the exit code of an app that is over then.

        What one app alone raises is raised. Of several, one that fails stops no other.
        ``finishes_what_is_begun``: a signal starts no further app, and leaves those that are under way alone.
        """
        todo = [run for run in self.runs if run.exit_code is None]
        if not self.are_several:
            for run in todo:
                run.exit_code = work(run)
            return
        quietly = stop_on_signals(self.stop, self.console.alarm) if finishes_what_is_begun else nullcontext()
        pool = ThreadPoolExecutor(max_workers=self.at_once, thread_name_prefix="apps")
        with quietly, self.console.progress(len(todo), f"{label} apps") as progress:
            try:
                for future in as_completed(
                    [pool.submit(run.attempt, work, keeps=self.keeps) for run in todo]
                ):
                    future.result()
                    progress.advance()
            except KeyboardInterrupt:
                self.stop.ask(ExitCode.INTERRUPTED)
                raise
            finally:
                pool.shutdown(cancel_futures=True)

    def check_names(self) -> None:
        """Refuses an agent that was named and that no app has; one that could not be read may have it."""
        if not self.are_several:
            return
        noted = [run.unknown or {} for run in self.runs]
        for message in noted[0]:
            errors = [found[message] for found in noted if message in found]
            if len(errors) == len(noted):
                raise next((error for error in errors if error.hint), errors[0])

    def check_plans(self) -> None:
        """Refuses what the plans of all apps together show, before any of them is carried out."""
        self.check_names()
        check_plans(self.runs, self.sightings)

    def show(self) -> None:
        """Writes what the runs had to say so far."""
        for run in self.runs:
            if isinstance(run.console, AppConsole):
                run.console.show(self.console)

    def finish(self) -> ExitCode:
        """Writes the reports of several apps, then shows everything; the exit code of it all."""
        from reconciler.reports.runs_document import AppResult, runs_document, runs_rows, runs_summary

        codes = [run.exit_code or ExitCode.OK for run in self.runs]
        if not self.are_several:
            return codes[0]
        self.check_names()
        self.gather()
        self.reporter.write(self.reporter.subject.exit_code)
        self.show()
        results = [
            AppResult(run.app, run.configuration.desired.owner, run.exit_code or ExitCode.OK, run.document())
            for run in self.runs
        ]
        if self.console.is_table:
            self.console.text(runs_summary(results))
        else:
            is_rows = self.console.output is OutputFormat.JSONL
            document = {"items": runs_rows(results)} if is_rows else runs_document(results)
            replace(self.console, fields=()).document(document)
        return self.reporter.subject.exit_code

    def gather(self, error: BaseException | None = None) -> None:
        """Takes in what the runs told. What ends them all stands in the report of each, too."""
        for run in self.runs:
            if error is not None or run.exit_code is None:
                cause = error if isinstance(error, AlterSyncError) else run.interrupted()
                run.exit_code = cause.exit_code
                run.reporter.tell(failure=cause, exit_code=cause.exit_code)
        exit_code = gravest_run(run.exit_code or ExitCode.OK for run in self.runs)
        self.reporter.gather([run.reporter.subject for run in self.runs], exit_code=exit_code)
        self.watch.apps = [
            replace(run.watch, exit_code=run.exit_code or ExitCode.OK, subject=run.reporter.subject)
            for run in self.runs
        ]


@contextmanager
def open_apps(
    call: Call,
    reporter: Reporter,
    watch: Watch,
    *,
    parallelism: int = DEFAULT_PARALLELISM,
    only_one_for: str = "",
    keeps: bool = True,
) -> Iterator[Apps]:
    """The runs of a command. ``only_one_for`` is what of it works on one app only, if anything."""
    console, source, stop = call.console, call.source, StopRequest()
    configurations = (
        (load_configuration(source, what=only_one_for),) if only_one_for else load_configurations(source)
    )
    if len(configurations) == 1:
        reporter.tell_configuration(configurations[0])
        run = AppRun(source, configurations[0], console, reporter, watch, parallelism, stop)
        with run.resources:
            yield Apps(console, reporter, watch, (run,), stop)
        return
    check_credentials(source, configurations)
    at_once = min(_AT_ONCE, len(configurations), parallelism)
    runs = [_app_run(call, one, reporter, parallelism // at_once, stop) for one in configurations]
    apps = Apps(console, reporter, watch, runs, stop, at_once, keeps)
    for run in runs:
        run.on_agents = apps.sightings.of(run.app)
    with _apps_of_sandbox(call, runs), ExitStack() as resources:
        for run in runs:
            resources.enter_context(run.resources)
        try:
            yield apps
        except BaseException as error:
            apps.gather(error)
            raise


def _app_run(
    call: Call, configuration: Configuration, reporter: Reporter, parallelism: int, stop: StopRequest
) -> AppRun:
    desired, part = configuration.desired, reporter.part()
    part.tell_configuration(configuration)
    console = AppConsole.of(call.console, app=desired.app.name, owner=desired.owner)
    source = call.source.narrowed(configuration.files)
    return AppRun(source, configuration, console, part, Watch(), parallelism, stop, {})


@contextmanager
def _apps_of_sandbox(call: Call, runs: Sequence[AppRun]) -> Iterator[None]:
    """The sandbox, when it is used, for all runs, with an app for each."""
    if call.source.sandbox is None:
        yield
        return
    from reconciler.cli.embedded import running_sandbox

    with running_sandbox(call.source.sandbox) as sandbox:
        call.console.say(f"sandbox: {call.source.sandbox}")
        for run in runs:
            sandbox.add_app(run.app)
        yield
