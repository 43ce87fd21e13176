"""Runs commands before an audience: says why, shows the command, shows its output, expects its exit code."""

from __future__ import annotations

import io
import shlex
import sys
import time
from collections.abc import Sequence
from contextlib import redirect_stdout

from reconciler.cli.console import Console
from reconciler.cli.main import run
from reconciler.errors import AlterSyncError, ExitCode
from reconciler.reports.styles import Style

# Everything plays on the same sandbox; who watches need not read it with each command.
_ON_SANDBOX = {"plan", "apply", "rotate", "drift", "status"}


class Stage:
    """What the audience sees. ``seconds`` is how long it has lasted."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._began = time.monotonic()
        self._acts = 0
        self.commands = 0

    @property
    def style(self) -> Style:
        """The colours of stdout."""
        return self._console.style()

    @property
    def seconds(self) -> float:
        """Since the curtain rose."""
        return time.monotonic() - self._began

    def begin_act(self, title: str, why: str) -> None:
        """A heading, and a sentence on what is going to be seen."""
        self._acts += 1
        rule = "─" * max(0, 76 - len(title) - 4)
        number = self.style.cyan(f"━━ {self._acts}")
        self._console.text(f"\n{number} {self.style.bold(title)} {self.style.dim(rule)}")
        self.narrate(why)

    def narrate(self, sentence: str) -> None:
        """Tells what no command shows."""
        self._console.text(self.style.dim(sentence))

    def picture(self, lines: Sequence[str]) -> None:
        """Something to look at, with air around it."""
        self._console.text("\n".join(["", *(f"  {line}" for line in lines), ""]))

    def command(self, line: str, *, expected: ExitCode = ExitCode.OK, shown_from: str = "") -> str:
        """Runs one; its output. ``shown_from`` leaves out what stands before the line that begins so.

        Another exit code than the expected one ends the demo: it must not tell what it does not show.
        """
        self.commands += 1
        self._console.text(f"\n{self.style.cyan('$')} {self.style.bold(f'alter-sync {line}')}")
        code, text = self.behind_the_curtain(line)
        _, found, after = text.partition(f"\n{shown_from}")
        self._console.text(
            f"{self.style.dim('  ⋮ the plan')}\n{found}{after}" if found and shown_from else text
        )
        if code != expected:
            raise AlterSyncError(
                f"the demo expected exit code {int(expected)} and got {code}", code="demo_failed"
            )
        return text

    def behind_the_curtain(self, line: str) -> tuple[int, str]:
        """Runs one that nobody sees; its exit code and output."""
        output = _Captured()
        with redirect_stdout(output):
            code = run(_whole(shlex.split(line), has_color=self._console.color))
        return code, output.getvalue()


class _Captured(io.StringIO):
    """Looks to a command like the stream that its output is shown on in the end."""

    def isatty(self) -> bool:
        return sys.__stdout__ is not None and sys.__stdout__.isatty()


def _whole(words: list[str], *, has_color: bool) -> list[str]:
    if words[0] in _ON_SANDBOX:
        words += ["--sandbox", "--quiet"]
    if words[0] in _ON_SANDBOX and not has_color:
        words.append("--no-color")
    return words
