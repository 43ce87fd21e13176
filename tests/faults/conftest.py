"""Says at the end of a session how many plans of misfortune were played."""

from __future__ import annotations

import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    properties = [
        value
        for reports in terminalreporter.stats.values()
        for report in reports
        if isinstance(report, pytest.TestReport) and report.when == "call"
        for name, value in report.user_properties
        if name == "fault_plans"
    ]
    if properties:
        terminalreporter.write_line(f"fault plans played: {sum(map(int, map(str, properties)))}")
