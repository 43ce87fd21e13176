"""One command line: the options that commands have in common, and the boundary around what they do."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar

from reconciler.cli import options as opt
from reconciler.cli.boundary import guarded
from reconciler.cli.console import Console, OutputFormat
from reconciler.cli.source import Source
from reconciler.cli.trace import NO_TRACE, open_trace
from reconciler.errors import ExitCode


@dataclass(frozen=True, slots=True)
class Call:
    """Where a command writes, and where its session comes from."""

    console: Console
    source: Source


class HasConsole(Protocol):
    """What becomes of the common options of a group of commands."""

    @property
    def console(self) -> Console: ...


C = TypeVar("C", bound=HasConsole)
Action = Callable[..., ExitCode]


@contextmanager
def traced(call: C, command: str) -> Iterator[C]:
    """The call with a trace of its run, when one is wanted."""
    with open_trace(command, os.environ, call.console.alarm) as trace:
        given: Any = call  # a dataclass, which no protocol can say
        yield call if trace is NO_TRACE else replace(given, console=replace(call.console, trace=trace))


def taking(make: Callable[..., C]) -> Callable[[Action], Action]:
    """Gives an action the options in the signature of ``make``, too; it gets first what that makes of them.

    Typer reads options from a signature, so the common ones are put into it instead of into the text of every
    command.
    """
    common = inspect.signature(make, eval_str=True).parameters

    def decorate(action: Action) -> Action:
        own = list(inspect.signature(action, eval_str=True).parameters.values())[1:]

        def run(**given: Any) -> ExitCode:
            call = make(**{name: given.pop(name) for name in common})
            with traced(call, action.__name__) as watched:
                exit_code = guarded(call.console, lambda: action(watched, **given))
                watched.console.trace.end_run(exit_code)
            return exit_code

        run.__name__, run.__doc__ = action.__name__, action.__doc__
        run.__signature__ = inspect.Signature([*own, *common.values()])  # type: ignore[attr-defined]
        return run

    return decorate


def _call(
    *,
    config: opt.Config = opt.DEFAULT_CONFIG,
    output: opt.Output = OutputFormat.TABLE,
    fields: opt.Fields = "",
    sandbox: opt.Sandbox = None,
    api_key_file: opt.ApiKeyFile = None,
    no_color: opt.NoColor = False,
    no_input: opt.NoInput = False,
    quiet: opt.Quiet = False,
    verbose: opt.Verbose = 0,
) -> Call:
    console = opt.make_console(
        output=output, fields=fields, no_color=no_color, no_input=no_input, quiet=quiet, verbose=verbose
    )
    return Call(console, Source(config, sandbox, api_key_file))


with_call = taking(_call)
