"""Small configurations for the tests of this folder."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from textwrap import dedent, indent

from reconciler.config.loader import Loaded, load
from reconciler.model.desired import Desired, DesiredAgent
from reconciler.model.diagnostic import Diagnostic

NOW = datetime(2026, 11, 24, tzinfo=UTC)
HEAD = """\
version: 1
owner: o
app: {name: a}
sinks: {local: {type: file, path: "{agent}.key"}}
"""


def of_agents(agents: str, *, more: str = "") -> str:
    """A configuration with these agents; the first line of ``agents`` is line 6, unless there is ``more``."""
    return HEAD + dedent(more) + "agents:\n" + indent(dedent(agents), "  ")


def of_agent(fields: str, *, more: str = "") -> str:
    """A configuration with one complete agent ``x`` and these fields; the first is on line 7, column 5."""
    own = dedent(fields)
    inherited = "" if "scopes:" in own else "scopes: {}\n"
    inherited += "" if "deliver_to:" in own else "deliver_to: []\n"
    return of_agents("x:\n" + indent(own.rstrip("\n") + "\n" + inherited, "  "), more=more)


def loaded(folder: Path, text: str | bytes) -> Loaded:
    """The result of loading this text as ``agents.yaml``."""
    file = folder / "agents.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load([file], now=NOW)


def desired(folder: Path, text: str) -> Desired:
    """The configuration of a text that has no error."""
    result = loaded(folder, text)
    assert result.desired is not None, [f"{one.position} {one.message}" for one in result.diagnostics]
    return result.desired


def agent(folder: Path, fields: str, *, more: str = "") -> DesiredAgent:
    """The one agent with these fields."""
    return next(iter(desired(folder, of_agent(fields, more=more)).agents.values()))


def only(folder: Path, text: str | bytes) -> Diagnostic:
    """The one finding of a text."""
    found = loaded(folder, text).diagnostics
    assert len(found) == 1, [f"{one.position} {one.rule} {one.message}" for one in found]
    return found[0]


def place(one: Diagnostic) -> tuple[int, int]:
    """Line and column of a finding."""
    assert one.position is not None
    return one.position.line, one.position.column


def rules(folder: Path, text: str | bytes) -> list[str]:
    """The rules of all findings, in their order."""
    return [one.rule for one in loaded(folder, text).diagnostics]
