"""``alter-sync validate``: checks the YAML without network and without credentials."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from reconciler.cli import options as opt
from reconciler.cli.boundary import guarded
from reconciler.cli.console import Console, OutputFormat
from reconciler.cli.reporting import reporting
from reconciler.cli.source import Source
from reconciler.cli.wiring import load_configurations
from reconciler.errors import ExitCode

EPILOG = """\b
Examples:
  alter-sync validate                        check agents.yaml
  alter-sync validate -c agents/ -c more.yaml   several files make one configuration, for each app
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
        first, *others = configurations = load_configurations(source)
        if others:
            parts = [reporter.part() for _ in configurations]
            for part, configuration in zip(parts, configurations, strict=True):
                part.tell_configuration(configuration)
            reporter.gather([part.subject for part in parts], exit_code=ExitCode.OK)
        else:
            reporter.tell_configuration(first)
        reporter.write(ExitCode.OK)
    findings = [finding for configuration in configurations for finding in configuration.findings]
    if console.is_table:
        if findings:
            console.alarm(diagnostics_text(findings, style=console.style(sys.stderr)))
        for desired in (configuration.desired for configuration in configurations):
            count = len(desired.agents)
            where = f" in app {desired.app.name}" if others else ""
            console.text(f"valid: {count} agent{'s' if count != 1 else ''} of {desired.owner}{where}")
    else:
        count = sum(len(configuration.desired.agents) for configuration in configurations)
        console.document({"valid": True, "agents": count} | diagnostics_document(findings))
    return ExitCode.OK
