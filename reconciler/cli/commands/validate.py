"""``alter-sync validate``: checks the YAML without network and without credentials."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from reconciler.cli import options as opt
from reconciler.cli.boundary import guarded
from reconciler.cli.console import Console, OutputFormat
from reconciler.cli.reporting import reporting
from reconciler.cli.source import Source
from reconciler.cli.wiring import load_configuration
from reconciler.errors import ExitCode

EPILOG = """\b
Examples:
  alter-sync validate                        check agents.yaml
  alter-sync validate -c agents/ -c more.yaml   several files make one configuration
  alter-sync validate --output json          findings for a program
"""


def validate(
    *,
    config: opt.Config = opt.DEFAULT_CONFIG,
    output: opt.Output = OutputFormat.TABLE,
    fields: opt.Fields = "",
    no_color: opt.NoColor = False,
    quiet: opt.Quiet = False,
    verbose: opt.Verbose = 0,
    report: opt.Report = [],
) -> ExitCode:
    """Check the configuration offline: syntax, schema, meaning.

    Exits with 0 when it can be planned and with 2 when it has errors; every finding is shown at once, with
    file, line and column. Warnings do not change the exit code.
    """
    console = opt.make_console(output=output, fields=fields, no_color=no_color, quiet=quiet, verbose=verbose)
    return guarded(console, lambda: _validate(console, Source(config), report))


def _validate(console: Console, source: Source, reports: Sequence[str]) -> ExitCode:
    from reconciler.reports.json_document import diagnostics_document
    from reconciler.reports.messages import diagnostics_text

    with reporting(reports, command="validate") as reporter:
        configuration = load_configuration(source)
        reporter.tell_configuration(configuration)
        reporter.write(ExitCode.OK)
    count = len(configuration.desired.agents)
    if console.is_table:
        if configuration.findings:
            console.alarm(diagnostics_text(configuration.findings, style=console.style(sys.stderr)))
        console.text(f"valid: {count} agent{'s' if count != 1 else ''} of {configuration.desired.owner}")
    else:
        console.document({"valid": True, "agents": count} | diagnostics_document(configuration.findings))
    return ExitCode.OK
