"""The one place where failures become a message and an exit code."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from reconciler.cli.console import Console, OutputFailed
from reconciler.errors import AlterSyncError, ExitCode, Interrupted, UsageError

if TYPE_CHECKING:
    from reconciler.model.diagnostic import Diagnostic


class ConfigInvalid(UsageError):
    """A configuration with errors, each at its place."""

    code = "invalid_configuration"

    def __init__(self, diagnostics: tuple[Diagnostic, ...], *, what: str = "configuration") -> None:
        count = sum(finding.severity == "error" for finding in diagnostics)
        super().__init__(f"the {what} has {count} error{'s' if count != 1 else ''}")
        self.diagnostics = diagnostics


def guarded(console: Console, action: Callable[[], ExitCode]) -> ExitCode:
    """Runs a command. Whatever it raises ends as one message and one exit code, never as a traceback."""
    try:
        return action()
    except AlterSyncError as error:
        return report(console, error)
    except KeyboardInterrupt:
        return report(console, Interrupted("interrupted", hint="`alter-sync plan` shows what is left to do"))
    except Exception as defect:  # the last line of defence: a defect is reported by its type alone
        return report(console, _as_error(console, defect))


def report(console: Console, error: AlterSyncError) -> ExitCode:
    """Writes a failure: for people on stderr, for programs also on stdout."""
    from reconciler.reports.json_document import diagnostics_document, error_document
    from reconciler.reports.messages import diagnostics_text, error_text

    style = console.style(sys.stderr)
    if isinstance(error, ConfigInvalid):
        console.alarm(diagnostics_text(error.diagnostics, style=style))
    else:
        console.alarm(error_text(error, style=style))
    if not console.is_table and not isinstance(error, OutputFailed):
        document = error_document(error)
        if isinstance(error, ConfigInvalid):
            document |= diagnostics_document(error.diagnostics)
        replace(console, fields=()).document(document)
    return error.exit_code


def _as_error(console: Console, defect: Exception) -> AlterSyncError:
    # A traceback with values could show a plaintext; this one has none, and only on request.
    if console.verbosity > 1:
        import traceback

        console.alarm("".join(traceback.format_tb(defect.__traceback__)))
    return AlterSyncError(
        f"internal error ({type(defect).__name__}): this is a defect of alter-sync",
        code="internal",
        hint="run again with -vv and report what it prints",
    )
