"""Findings and failures say where, what and how to go on."""

from __future__ import annotations

import re

from reconciler.errors import ConcurrentUpdate, UsageError
from reconciler.model.diagnostic import Diagnostic, Position
from reconciler.reports.styles import Style
from reconciler.reports.terminal import diagnostics_text, error_text
from tests.unit.reports.golden import assert_golden
from tests.unit.reports.samples import HOSTILE, at

PLAIN = Style.plain()
FINDINGS = (
    Diagnostic("warning", "unused-template", "template `writer` is never used", at(90), "delete it"),
    Diagnostic(
        "error",
        "unknown-key",
        "unknown key `scope`",
        Position("agents.yaml", 31, 5),
        "did you mean `scopes`?",
        "    scope: {google: [drive]}",
    ),
    Diagnostic("error", "wide", "東京 is not a name", Position("agents.yaml", 40, 6), "", "  東京\t: [x]"),
    Diagnostic(
        "error", "long", "far to the right", Position("b.yaml", 1, 301), "", "x" * 300 + "HERE" + "y" * 300
    ),
    Diagnostic("error", "beyond", "behind the end", Position("b.yaml", 2, 99), "", "short"),
    Diagnostic("error", "no-place", "no file at all", None, "name one with --config", "never shown"),
)


def _carets(text: str) -> list[tuple[str, int]]:
    lines = text.split("\n")
    return [
        (lines[n - 1], line.index("^")) for n, line in enumerate(lines) if re.fullmatch(r" {4}\| *\^", line)
    ]


def test_findings_are_shown_in_the_order_of_their_places() -> None:
    assert_golden("diagnostics", diagnostics_text(FINDINGS, style=PLAIN))


def test_the_caret_points_at_the_column() -> None:
    found = _carets(diagnostics_text(FINDINGS, style=PLAIN))
    assert [line[column:][:4] for line, column in found if "HERE" in line or "scope" in line] == [
        "scop",
        "HERE",
    ]


def test_the_last_line_counts_and_knows_the_singular() -> None:
    assert diagnostics_text(FINDINGS, style=PLAIN).endswith("\n5 errors, 1 warning")
    assert diagnostics_text(FINDINGS[:1], style=PLAIN).endswith("\n1 warning")
    assert diagnostics_text(FINDINGS[1:2], style=PLAIN).endswith("\n1 error")
    assert diagnostics_text((), style=PLAIN) == "No findings."


def test_errors_are_red_and_warnings_yellow() -> None:
    text = diagnostics_text(FINDINGS, style=Style.ansi())
    assert "\x1b[31merror\x1b[0m" in text
    assert "\x1b[33mwarning\x1b[0m" in text


def test_a_failure_shows_message_code_and_hint() -> None:
    assert error_text(ConcurrentUpdate("somebody was faster", hint="plan again"), style=PLAIN) == (
        "error: somebody was faster [agent_concurrent_update]\n  hint: plan again"
    )
    assert error_text(UsageError("no such flag"), style=PLAIN) == "error: no such flag [usage]"


def test_hostile_texts_are_inert_in_messages() -> None:
    found = [Diagnostic("error", text, text, Position(text, 1, 3), text, text) for text in HOSTILE]
    texts = [diagnostics_text(found, style=PLAIN)]
    texts += [error_text(UsageError(text, hint=text, code=text), style=PLAIN) for text in HOSTILE]
    for line in "\n".join(texts).split("\n"):
        assert line.isprintable()
        assert not line.lstrip().startswith("::")
        assert not re.search(r"##\w*\[", line)
