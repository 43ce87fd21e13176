"""Reads the sinks, and refuses two agents' keys in one place."""

from __future__ import annotations

import os.path
import re
from collections.abc import Iterable, Mapping
from datetime import timedelta

from reconciler.config.combine import Combined, Entry
from reconciler.config.findings import Findings, shown
from reconciler.config.lint import lint_duration
from reconciler.config.times import written
from reconciler.model.agent import AgentName
from reconciler.model.desired import DesiredAgent, SinkRef
from reconciler.model.diagnostic import Position
from reconciler.model.values import Json, JsonObject

# The other types are accepted by the schema, so that a configuration can prepare for them.
AVAILABLE_TYPES = frozenset({"file", "command"})
AGENT = "{agent}"
_PLACEHOLDER = re.compile(r"\{[A-Za-z_]*\}")
# A claim on an agent's keys lasts 15 minutes; a write has to be over long before that.
_MIN_TIMEOUT, _MAX_TIMEOUT = timedelta(seconds=1), timedelta(minutes=4)


def sink_refs(entries: Mapping[str, Entry], findings: Findings) -> dict[str, SinkRef]:
    """The declared sinks with the defaults of their types filled in; see ``_file`` and ``_command``."""
    refs: dict[str, SinkRef] = {}
    for name, entry in sorted(entries.items()):
        kind = entry.data["type"]
        own: JsonObject = {key: value for key, value in entry.data.items() if key != "type"}
        if kind == "file":
            own = _file(entry, own, findings)
        elif kind == "command":
            own = _command(entry, own, findings)
        refs[name] = SinkRef(name, kind, own, entry.at)
    return refs


def check_delivery(
    names: Iterable[str],
    at: Position,
    sinks: Mapping[str, SinkRef],
    *,
    combined: Combined,
    findings: Findings,
) -> None:
    """Reports names of sinks that do not exist, or that this version cannot deliver to."""
    for name in names:
        if name in sinks:
            if sinks[name].type not in AVAILABLE_TYPES:
                message = f"the sink {shown(name)} is of type {sinks[name].type}, which is not available yet"
                hint = f"This version delivers to {' and '.join(sorted(AVAILABLE_TYPES))}."
                findings.error("unavailable-sink", message, at, hint=hint)
        elif not combined.is_broken("sinks", name):
            otherwise = "There are none: add `sinks`."
            hint = findings.suggest(name, sinks, listing="There are", otherwise=otherwise)
            findings.error("unknown-sink", f"there is no sink {shown(name)}", at, hint=hint)


def check_places(
    agents: Mapping[AgentName, DesiredAgent], sinks: Mapping[str, SinkRef], findings: Findings
) -> None:
    """Reports files that more than one key would be written to, each file once.

    A command may tell agents apart by the variables it gets, so nothing is known about its places.
    """
    # Relative paths start at the working directory, here as in the sink.
    files = {name: os.path.abspath(ref.settings["path"]) for name, ref in sinks.items() if ref.type == "file"}
    taken: dict[str, tuple[DesiredAgent, str]] = {}
    reported: set[str] = set()
    for agent in sorted(agents.values(), key=lambda one: one.position):
        for name in agent.deliver_to:
            if name not in files:
                continue
            place = files[name].replace(AGENT, agent.name)
            first, first_sink = taken.setdefault(place, (agent, name))
            if (first, first_sink) == (agent, name) or place in reported:
                continue
            reported.add(place)
            _report_clash(agent, name, first, first_sink=first_sink, sinks=sinks, findings=findings)


def _report_clash(
    agent: DesiredAgent,
    sink: str,
    first: DesiredAgent,
    *,
    first_sink: str,
    sinks: Mapping[str, SinkRef],
    findings: Findings,
) -> None:
    path = shown(sinks[sink].settings["path"])
    if first is agent:
        message = f"the sinks {shown(first_sink)} and {shown(sink)} are one file for {agent.name}: {path}"
    else:
        message = f"{agent.name} (here) and {first.name} ({first.position}) would share the file {path}"
    hint = f"Put {AGENT} into the path." if AGENT not in path else "Give one of the sinks another path."
    findings.error("same-place", message, agent.position, hint=hint)


def _file(entry: Entry, own: JsonObject, findings: Findings) -> JsonObject:
    """``path``, ``format`` (raw, dotenv, json), ``variable`` for dotenv, ``field`` for json."""
    path: str = own["path"]
    if path.endswith(("/", "/.", "/..")) or path in (".", ".."):
        message = f"path is {shown(path)}, which is a folder"
        findings.error("bad-path", message, entry.place("path"), hint=f"Add a file name such as {AGENT}.env.")
    for placeholder in _PLACEHOLDER.findall(path):
        if placeholder != AGENT:
            message = f"{placeholder} in the path stands for nothing and stays as it is"
            findings.warning(
                "unknown-placeholder", message, entry.place("path"), hint=f"Did you mean {AGENT}?"
            )
    return {"format": "raw", "variable": "AGENT_API_KEY", "field": "api_key", **own}


def _command(entry: Entry, own: JsonObject, findings: Findings) -> JsonObject:
    """``write`` and ``read`` (lists of arguments; ``read`` may be ``None``), ``timeout_seconds``."""
    timeout = timedelta(seconds=30)
    if "timeout" in own:
        read = lint_duration(entry, ("timeout",), own["timeout"], findings=findings)
        timeout = timeout if read is None else read
    if not _MIN_TIMEOUT <= timeout <= _MAX_TIMEOUT:
        message = f"timeout is {written(timeout)}; allowed: 1s to 4m"
        findings.error("out-of-range", message, entry.place("timeout"))
    settings: dict[str, Json] = {"write": own["write"], "read": own.get("read")}
    return {**settings, "timeout_seconds": timeout.total_seconds()}
