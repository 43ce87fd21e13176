"""Says at the end of a session how many plans of misfortune were played, and how to play them again."""

from __future__ import annotations

import pytest

from tests.faults.scripts import SEED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    played = ["passed", "failed"]
    properties = [
        value
        for status in played
        for report in terminalreporter.stats.get(status, ())
        if isinstance(report, pytest.TestReport) and report.when == "call"
        for name, value in report.user_properties
        if name == "fault_plans"
    ]
    if properties:
        count = sum(map(int, map(str, properties)))
        failed = len(terminalreporter.stats.get("failed", ()))
        result = f"{failed} tests found violations, see above" if failed else "without a violation"
        terminalreporter.write_line(f"fault plans played: {count}, {result}; ALTER_SYNC_SEED={SEED}")
