"""The run of a command for one app: alone, or as one of several."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from reconciler.cli.app_console import AppConsole
from reconciler.cli.boundary import guarded
from reconciler.cli.wiring import connected
from reconciler.errors import AlterSyncError, ExitCode, Interrupted

if TYPE_CHECKING:
    from reconciler.cli.console import Console
    from reconciler.cli.distinct_apps import OnAgents
    from reconciler.cli.interrupts import StopRequest
    from reconciler.cli.observing import Watch
    from reconciler.cli.reporting import Reporter
    from reconciler.cli.selection import Unknown
    from reconciler.cli.source import Source
    from reconciler.cli.wiring import Configuration, Session
    from reconciler.model.agent import AgentName
    from reconciler.model.plan import Plan


@dataclass(slots=True)
class AppRun:
    """The run for one app: what it works on, where it speaks, and how it ended, once it has."""

    source: Source
    configuration: Configuration
    console: Console
    reporter: Reporter
    watch: Watch
    parallelism: int
    stop: StopRequest
    # Of one of several apps: see ``selection.Unknown``.
    unknown: Unknown = None
    on_agents: OnAgents = lambda _agents: None
    # The agents that the plan revokes; ``None`` as long as there is no plan.
    revokes: frozenset[AgentName] | None = None
    resources: ExitStack = field(default_factory=ExitStack)
    exit_code: ExitCode | None = None

    @property
    def app(self) -> str:
        """The app's name."""
        return self.configuration.desired.app.name

    def document(self) -> Mapping[str, Any] | None:
        """What it had to say to programs, if it is one of several and said anything."""
        documents = self.console.documents if isinstance(self.console, AppConsole) else ()
        return documents[-1] if documents else None

    def connect(self) -> Session:
        """The live API of the app, until the run is over."""
        session = connected(
            self.console,
            self.source,
            self.configuration,
            parallelism=self.parallelism,
            is_stopping=self.stop.is_asked,
            unknown=self.unknown,
            on_agents=self.on_agents,
        )
        self.watch.session = self.resources.enter_context(session)
        return self.watch.session

    def note_plan(self, plan: Plan) -> None:
        """Keeps of the plan what has to be known of all apps before anything is done for one."""
        self.revokes = frozenset(one.agent for one in plan.operations if one.kind == "revoke_agent")

    def attempt(self, work: Callable[[AppRun], ExitCode | None], *, keeps: bool) -> None:
        """Does the work for one of several apps, and keeps whatever ends it, for the output and the reports.

        Without ``keeps`` what the run told is forgotten when it is over: it may be much.
        """
        began = time.monotonic()

        def action() -> ExitCode:
            if self.stop.is_asked():
                raise self.interrupted()
            self.exit_code = work(self)
            return ExitCode.OK

        failed = guarded(self.console, lambda: self._telling(action))
        self.exit_code = failed or self.exit_code
        self.watch.seconds += time.monotonic() - began
        if self.exit_code is not None:
            self.watch.exit_code = self.exit_code
            self.resources.close()
            if not keeps:
                self.reporter.tell(plan=None, outcome=None, drift=None, access=None)

    def interrupted(self) -> Interrupted:
        """What ends an app that was not begun, or not finished."""
        hint = f"`{self.source.command('plan')}` shows what is left to do"
        error = Interrupted("not finished, because the run was asked to stop", hint=hint)
        error.exit_code = self.stop.verdict() or ExitCode.INTERRUPTED
        return error

    def _telling(self, action: Callable[[], ExitCode]) -> ExitCode:
        try:
            return action()
        except AlterSyncError as error:
            self.reporter.fail(error)
            raise
        except Exception:
            self.reporter.fail(AlterSyncError("internal error", code="internal"))
            raise
