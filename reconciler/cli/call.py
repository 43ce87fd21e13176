"""One command line: the options that commands have in common, and the boundary around what they do."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import Enum
from inspect import Parameter
from pathlib import Path
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

_TRACE = Parameter("trace", Parameter.KEYWORD_ONLY, default=None, annotation=opt.TraceFile)


@contextmanager
def traced(call: C, command: str, log: Path | None, options: Mapping[str, Any]) -> Iterator[C]:
    """The call with a trace of its run, when one is wanted."""
    with open_trace(command, os.environ, call.console.alarm, log=log, options=options) as trace:
        given: Any = call  # a dataclass, which no protocol can say
        yield call if trace is NO_TRACE else replace(given, console=replace(call.console, trace=trace))


def taking(make: Callable[..., C], *, speaks_to_alter: bool = False) -> Callable[[Action], Action]:
    """Gives an action the options in the signature of ``make``, too; it gets first what that makes of them.

    Typer reads options from a signature, so the common ones are put into it instead of into the text of every
    command. What ``speaks_to_alter`` can be written into a log.
    """
    common = inspect.signature(make, eval_str=True).parameters

    def decorate(action: Action) -> Action:
        own = list(inspect.signature(action, eval_str=True).parameters.values())[1:]
        parameters = [*own, *common.values(), *([_TRACE] if speaks_to_alter else [])]

        def run(**given: Any) -> ExitCode:
            log, shown = given.pop("trace", None), _shown(given, parameters)
            call = make(**{name: given.pop(name) for name in common})
            with traced(call, _command() or action.__name__, log, shown) as watched:
                exit_code = guarded(call.console, lambda: action(watched, **given))
                watched.console.trace.end_run(exit_code)
            return exit_code

        run.__name__, run.__doc__ = action.__name__, action.__doc__
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        return run

    return decorate


def _command() -> str:
    """What was called, in the words of the command line."""
    from typer._click.globals import get_current_context

    context = get_current_context(silent=True)
    return context.command_path.partition(" ")[2] if context else ""


def _shown(given: Mapping[str, Any], parameters: list[Parameter]) -> dict[str, Any]:
    """What a log may show of a command line: which options were given. Values only of switches, numbers and
    choices: what somebody typed may be a secret, if only by mistake."""
    defaults = {parameter.name: parameter.default for parameter in parameters}
    return {
        name: value if isinstance(value, bool | int | Enum) else "given"
        for name, value in sorted(given.items())
        if value != defaults.get(name)
    }


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


with_call = taking(_call, speaks_to_alter=True)
