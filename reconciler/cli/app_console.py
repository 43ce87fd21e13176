"""Keeps what the run for one of several apps says, so that it is read under a heading of its own."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from reconciler.cli.console import Console

if TYPE_CHECKING:
    from reconciler.reports.progress import Progress


@dataclass(frozen=True, slots=True)
class AppConsole(Console):
    """The output of one app's run. Messages on the way are shown at once, everything else is kept.

    It is never ``interactive``: nobody is asked for one app of several.
    """

    heading: str = ""
    app: str = ""
    # In order: whether it is data for people or a message, and the text.
    kept: list[tuple[bool, str]] = field(default_factory=list)
    # Data for programs, with the chosen fields.
    documents: list[Mapping[str, Any]] = field(default_factory=list)

    @classmethod
    def of(cls, console: Console, *, app: str, owner: str) -> AppConsole:
        """One that writes for this app what ``console`` would write."""
        from reconciler.reports.escaping import for_terminal

        return cls(
            output=console.output,
            fields=console.fields,
            color=console.color,
            interactive=False,
            verbosity=console.verbosity,
            trace=console.trace.for_app(app),
            heading=f"{for_terminal(app)} ({for_terminal(owner)})",
            app=for_terminal(app),
        )

    def text(self, text: str) -> None:
        """Data for people, kept."""
        self.kept.append((True, text))

    def document(self, document: Mapping[str, Any]) -> None:
        """Data for programs, kept."""
        from reconciler.reports.json_document import select_fields

        self.documents.append(select_fields(document, self.fields))

    def say(self, text: str) -> None:
        """A message that is of use only while the work is under way."""
        if not self.is_quiet:
            Console.alarm(self, f"{self.app}: {text}")

    def alarm(self, text: str) -> None:
        """A message that belongs to the result, kept."""
        self.kept.append((False, text))

    def progress(self, total: int, label: str) -> Progress:
        """None: whoever runs all the apps shows how far they are."""
        from reconciler.reports.progress import Progress

        return Progress(sys.stderr, total, label, is_tty=False, quiet=True)

    def show(self, console: Console) -> None:
        """Writes what was kept so far, each text where it belongs, under the heading."""
        if self.is_table and self.kept:
            console.text(f"{console.style().bold(self.heading)}\n")
        for is_data, text in self.kept:
            if is_data:
                console.text(text)
            else:
                console.alarm(f"{self.app}: {text}")
        if self.is_table and self.kept:
            console.text("\n")
        self.kept.clear()
