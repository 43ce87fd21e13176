"""Reads the sinks, and refuses two agents' keys in one place."""

from __future__ import annotations

import os.path
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import TypeAlias

from reconciler.config.combine import Combined, Entry
from reconciler.config.findings import Findings, shown
from reconciler.config.lint import lint_duration
from reconciler.config.times import written
from reconciler.model.agent import AgentName
from reconciler.model.desired import Desired, DesiredAgent, SinkRef
from reconciler.model.diagnostic import Position
from reconciler.model.values import Json, JsonObject

AGENT = "{agent}"
_PLACEHOLDER = re.compile(r"\{[A-Za-z_]*\}")
_NOT_IN_NAMES = re.compile(r"[^A-Z0-9]")
# A claim on an agent's keys lasts 15 minutes; a write has to be over long before that.
_MIN_TIMEOUT, _MAX_TIMEOUT = timedelta(seconds=1), timedelta(minutes=4)


def sink_refs(entries: Mapping[str, Entry], findings: Findings) -> dict[str, SinkRef]:
    """The declared sinks with the defaults of their types filled in; see the functions in ``_READERS``."""
    refs: dict[str, SinkRef] = {}
    for name, entry in sorted(entries.items()):
        kind = entry.data["type"]
        own: JsonObject = {key: value for key, value in entry.data.items() if key != "type"}
        refs[name] = SinkRef(name, kind, _READERS[kind](entry, own, findings), entry.at)
    return refs


def check_delivery(
    names: Iterable[str],
    at: Position,
    sinks: Mapping[str, SinkRef],
    *,
    combined: Combined,
    findings: Findings,
) -> None:
    """Reports names of sinks that do not exist."""
    for name in names:
        if name not in sinks and not combined.is_broken("sinks", name):
            otherwise = "There are none: add `sinks`."
            hint = findings.suggest(name, sinks, listing="There are", otherwise=otherwise)
            findings.error("unknown-sink", f"there is no sink {shown(name)}", at, hint=hint)


def check_places(
    agents: Mapping[AgentName, DesiredAgent], sinks: Mapping[str, SinkRef], findings: Findings
) -> None:
    """Reports places that more than one key would be written to, each place once.

    A command may tell agents apart by the variables it gets, so nothing is known about its places.
    """
    addresses = {name: _address(ref) for name, ref in sinks.items() if ref.type != "command"}
    taken: dict[tuple[str, ...], tuple[DesiredAgent, str]] = {}
    reported: set[tuple[str, ...]] = set()
    for agent in sorted(agents.values(), key=lambda one: one.position):
        for name in agent.deliver_to:
            if name not in addresses:
                continue
            place = _filled(addresses[name], agent.name)
            first, first_sink = taken.setdefault(place, (agent, name))
            if (first, first_sink) == (agent, name) or place in reported:
                continue
            reported.add(place)
            _report_clash(agent, sinks[name], first, first_sink=first_sink, findings=findings)


def check_places_apart(apps: Sequence[Desired], findings: Findings) -> None:
    """Reports places that two apps would write to, the first one of each agent."""
    taken: dict[tuple[str, ...], tuple[Desired, DesiredAgent]] = {}
    for app in apps:
        addresses = {name: _address(ref) for name, ref in app.sinks.items() if ref.type != "command"}
        for agent in app.agents.values():
            for name in addresses.keys() & {*agent.deliver_to}:
                other, first = taken.setdefault(_filled(addresses[name], agent.name), (app, agent))
                if other is not app:
                    thing, key = _PLACES[app.sinks[name].type]
                    message = (
                        f"{agent.name} of {shown(app.app.name)} (here) and {first.name} of "
                        f"{shown(other.app.name)} ({first.position}) would share one {thing}"
                    )
                    hint = f"Give the sink {shown(name)} of one of the apps another {key}."
                    findings.error("same-place", message, agent.position, hint=hint)


def _report_clash(
    agent: DesiredAgent, sink: SinkRef, first: DesiredAgent, *, first_sink: str, findings: Findings
) -> None:
    thing, key = _PLACES[sink.type]
    template = sink.settings[key]
    if first is agent:
        what = f"the sinks {shown(first_sink)} and {shown(sink.name)} are one {thing} for {agent.name}"
        message = f"{what}: {shown(template)}"
    else:
        who = f"{agent.name} (here) and {first.name} ({first.position})"
        message = f"{who} would share the {thing} {shown(template)}"
    hint = f"Give one of the sinks another {key}."
    if AGENT not in template and first is not agent:
        hint = f"Put {AGENT} into the {key}."
    elif first_sink == sink.name:  # as `a-b` and `a_b` where only `_` is allowed
        hint = "Their names become the same there: deliver one of them to another sink."
    findings.error("same-place", message, agent.position, hint=hint)


def _address(ref: SinkRef) -> tuple[str, ...]:
    """The type and what tells places apart. A field does not: facts are kept for a secret as a whole."""
    given = {key: str(value) for key, value in ref.settings.items()}
    match ref.type:
        case "vault":
            path = "/".join(filter(None, f"{given.get('mount', '')}/{given['path']}".split("/")))
            return (
                ref.type,
                given.get("address", "").rstrip("/"),
                given.get("namespace", "").strip("/"),
                path,
            )
        case "aws_secrets_manager":
            service = (given.get(key, "") for key in ("region", "profile", "endpoint_url"))
            return (ref.type, *service, given["secret_id"])
        case "kubernetes":
            cluster = (given.get("kubeconfig", ""), given.get("context", ""))
            return (ref.type, *cluster, given["namespace"], given["secret"])
        case "github_actions":
            owned = (given["repository"], given.get("environment", ""), given["secret"])
            return (ref.type, given["base_url"].rstrip("/"), *owned)
        case _:  # relative paths start at the working directory, here as in the sink
            return ("file", os.path.abspath(given["path"]))


def _filled(address: tuple[str, ...], agent: AgentName) -> tuple[str, ...]:
    filled = tuple(part.replace(AGENT, agent) for part in address)
    if address[0] != "github_actions":
        return filled
    # Owners and repositories are one in capitals and small letters; the secret is named as the sink does.
    return (*map(str.lower, filled[:-1]), _NOT_IN_NAMES.sub("_", filled[-1].upper()))


def _file(entry: Entry, own: JsonObject, findings: Findings) -> JsonObject:
    """``path``, ``format`` (raw, dotenv, json), ``variable`` for dotenv, ``field`` for json."""
    _lint_file_name(entry, own["path"], f"{AGENT}.env", findings=findings)
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


def _age(entry: Entry, own: JsonObject, findings: Findings) -> JsonObject:
    """``path``, ``recipients`` (a list of public keys), perhaps ``identity_file``."""
    # The recipients are judged by the library, when the sink is opened.
    _lint_file_name(entry, own["path"], f"{AGENT}.age", findings=findings)
    return own


def _vault(entry: Entry, own: JsonObject, findings: Findings) -> JsonObject:
    """``path``, ``field``, ``token_env``, perhaps ``mount``, ``address`` and others of the schema."""
    path: str = own["path"]
    _lint_placeholders(entry, "path", path, findings=findings)
    parts = path.removeprefix("/").split("/")
    if {"", ".", ".."} & {*parts} or len(parts) < (1 if "mount" in own else 2):
        message = f"path is {shown(path)}, which names no secret"
        hint = f"Write the mount and the path below it, such as secret/agents/{AGENT}."
        findings.error("bad-path", message, entry.place("path"), hint=hint)
    return {"field": "api_key", "token_env": "VAULT_TOKEN", **own}


def _aws_secrets_manager(entry: Entry, own: JsonObject, findings: Findings) -> JsonObject:
    """``secret_id``, perhaps ``field``, ``region``, ``profile``, ``endpoint_url``, ``kms_key_id``."""
    _lint_placeholders(entry, "secret_id", own["secret_id"], findings=findings)
    return own


def _kubernetes(entry: Entry, own: JsonObject, findings: Findings) -> JsonObject:
    """``namespace``, ``secret``, ``field``, perhaps ``kubeconfig``, ``context``."""
    settings: JsonObject = {"secret": AGENT, "field": "api_key", **own}
    _lint_placeholders(entry, "secret", settings["secret"], findings=findings)
    return settings


def _github_actions(entry: Entry, own: JsonObject, findings: Findings) -> JsonObject:
    """``repository``, ``secret``, ``token_env``, ``base_url``, perhaps ``environment``."""
    defaults = {"token_env": "GITHUB_TOKEN", "base_url": "https://api.github.com"}
    settings: JsonObject = {"secret": f"{AGENT}_API_KEY", **defaults, **own}
    _lint_placeholders(entry, "secret", settings["secret"], findings=findings)
    return settings


def _lint_file_name(entry: Entry, path: str, example: str, *, findings: Findings) -> None:
    if path.endswith(("/", "/.", "/..")) or path in (".", ".."):
        message = f"path is {shown(path)}, which is a folder"
        findings.error("bad-path", message, entry.place("path"), hint=f"Add a file name such as {example}.")
    _lint_placeholders(entry, "path", path, findings=findings)


def _lint_placeholders(entry: Entry, key: str, template: str, *, findings: Findings) -> None:
    for placeholder in _PLACEHOLDER.findall(template):
        if placeholder != AGENT:
            message = f"{placeholder} in the {key} stands for nothing and stays as it is"
            findings.warning("unknown-placeholder", message, entry.place(key), hint=f"Did you mean {AGENT}?")


# In words, what a place of each type is, and which setting chooses it.
_PLACES: Mapping[str, tuple[str, str]] = {
    "file": ("file", "path"),
    "age": ("file", "path"),
    "vault": ("secret", "path"),
    "aws_secrets_manager": ("secret", "secret_id"),
    "kubernetes": ("secret", "secret"),
    "github_actions": ("secret", "secret"),
}
_Reader: TypeAlias = Callable[[Entry, JsonObject, Findings], JsonObject]

_READERS: Mapping[str, _Reader] = {
    "file": _file,
    "command": _command,
    "age": _age,
    "vault": _vault,
    "aws_secrets_manager": _aws_secrets_manager,
    "kubernetes": _kubernetes,
    "github_actions": _github_actions,
}
