"""Makes one configuration out of several files, in which nothing depends on their order."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from reconciler.config.findings import Findings, shown
from reconciler.config.nodes import Node, Table, node_at, position
from reconciler.model.diagnostic import Position
from reconciler.model.values import Json, JsonObject

# Sections whose entries stand for themselves: a wrong one does not spoil the others.
NAMED_SECTIONS = frozenset({"templates", "rotation_policies", "sinks", "agents"})


@dataclass(frozen=True, slots=True)
class Document:
    """One file's data. ``broken``: (section, name) of what does not fit the schema, name "" for all of it."""

    file: str
    data: JsonObject
    root: Table
    broken: frozenset[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that a file declares, and where."""

    name: str
    data: Json
    node: Node
    file: str
    at: Position

    def place(self, *path: str | int, prefers_key: bool = False) -> Position:
        """The position of something inside, or of the nearest thing above it."""
        return position(self.file, node_at(self.node, path, prefers_key=prefers_key))


@dataclass(frozen=True, slots=True)
class Combined:
    """All files together, still as written. ``broken`` as in ``Document``: known, but not to be judged."""

    owner: str
    app: JsonObject
    former_owners: tuple[Entry, ...]
    defaults: Entry | None
    templates: dict[str, Entry]
    policies: dict[str, Entry]
    sinks: dict[str, Entry]
    guards: Entry | None
    freeze: tuple[Entry, ...]
    ignore_drift: tuple[Entry, ...]
    agents: tuple[Entry, ...]
    position: Position
    broken: frozenset[tuple[str, str]]

    def is_broken(self, section: str, name: str = "") -> bool:
        """Whether a section, or one entry of it, was refused already."""
        return (section, "") in self.broken or (section, name) in self.broken


def combine(documents: Sequence[Document], findings: Findings) -> Combined:
    """Joins the files, reporting where they contradict each other and what none of them says."""
    broken = frozenset(pair for document in documents for pair in document.broken)
    start = Position(documents[0].file, 1, 1)
    owner = _one("owner", sections(documents, "owner"), findings)
    if owner is None and ("owner", "") not in broken:
        hint = "Add `owner: team/agents`: only agents that carry this mark are ever changed."
        findings.error("missing-key", "no `owner` is declared", start, hint=hint)
    apps = list(sections(documents, "app"))
    if not apps and ("app", "") not in broken:
        findings.error("missing-key", "no `app` is declared", start, hint="Add `app: {name: my-app}`.")
    agents = list(sections(documents, "agents"))
    if not agents and ("agents", "") not in broken:
        message = "no `agents` key is declared; that is refused, because it could mean to revoke everything"
        hint = "Write `agents: {}` if there really are to be none."
        findings.error("agents-missing", message, start, hint=hint)
    return Combined(
        owner=owner.data if owner else "",
        app=_app(apps, findings),
        former_owners=tuple(_items(documents, "former_owners")),
        defaults=_one("defaults", sections(documents, "defaults"), findings),
        templates=_named("templates", documents, findings),
        policies=_named("rotation_policies", documents, findings),
        sinks=_named("sinks", documents, findings),
        guards=_one("guards", sections(documents, "guards"), findings),
        freeze=tuple(_items(documents, "freeze")),
        ignore_drift=tuple(_items(documents, "ignore_drift")),
        agents=tuple(_entries("agents", documents)),
        position=agents[0].at if agents else start,
        broken=broken,
    )


def sections(documents: Iterable[Document], section: str) -> Iterable[Entry]:
    """One section of every file that has it, unless it was refused already."""
    for document in documents:
        if section in document.data and (section, "") not in document.broken:
            at = position(document.file, document.root.keys[section])
            node = document.root.values[section]
            yield Entry(section, document.data[section], node, document.file, at)


def _entries(section: str, documents: Iterable[Document]) -> Iterable[Entry]:
    broken = {document.file: document.broken for document in documents}
    for whole in sections(documents, section):
        if isinstance(whole.node, Table):
            keys, values = whole.node.keys, whole.node.values
            for name, data in whole.data.items():
                if (section, name) not in broken[whole.file]:
                    yield Entry(name, data, values[name], whole.file, position(whole.file, keys[name]))


def _items(documents: Iterable[Document], section: str) -> Iterable[Entry]:
    for whole in sections(documents, section):
        for index, data in enumerate(whole.data):
            node = node_at(whole.node, (index,))
            yield Entry(section, data, node, whole.file, position(whole.file, node))


def _one(what: str, entries: Iterable[Entry], findings: Findings) -> Entry | None:
    first: Entry | None = None
    for entry in entries:
        if first is None:
            first = entry
        elif entry.data != first.data:
            found = f" ({shown(entry.data)} and {shown(first.data)})" if isinstance(entry.data, str) else ""
            message = f"`{what}` differs here and at {first.at}{found}"
            findings.error(
                f"{what}-mismatch", message, entry.at, hint="Keep one of them, or make them equal."
            )
    return first


def _app(entries: Iterable[Entry], findings: Findings) -> JsonObject:
    app: dict[str, Json] = {}
    places: dict[str, Position] = {}
    for entry in entries:
        for key, value in entry.data.items():
            at = entry.place(key, prefers_key=True)
            if app.setdefault(key, value) != value:
                message = f"`app.{key}` is {shown(value)} here and {shown(app[key])} at {places[key]}"
                hint = "Several files make one configuration, for one app."
                findings.error("app-mismatch", message, at, hint=hint)
            places.setdefault(key, at)
    return app


def _named(section: str, documents: Iterable[Document], findings: Findings) -> dict[str, Entry]:
    found: dict[str, Entry] = {}
    for entry in _entries(section, documents):
        first = found.setdefault(entry.name, entry)
        if first.data != entry.data:
            message = f"{section}.{shown(entry.name)[1:-1]} differs here and at {first.at}"
            findings.error("name-defined-twice", message, entry.at, hint="Rename one, or make them equal.")
    return found
