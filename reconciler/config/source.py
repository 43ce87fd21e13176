"""Reads YAML text into a tree whose every node knows its place, within limits that no file can exceed.

The tree is built from libyaml's events, iteratively: its own composer recurses in C, and 100,000 nested
brackets crash it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from sys import intern
from typing import Any, NoReturn

import yaml
from yaml.error import Mark

from reconciler.config.findings import HIDDEN, Findings, shown
from reconciler.config.nodes import NULLS, Listing, Node, Scalar, Table, position
from reconciler.model.diagnostic import Position

MAX_DEPTH = 64
# Ten thousand agents are about 450,000 nodes. Aliases count as what they stand for.
MAX_NODES = 1_000_000


def parse(text: str, *, file: str, findings: Findings) -> Node | None:
    """The tree of a file's one document; ``None`` after a finding that leaves nothing to go on with."""
    try:
        return _Builder(file, findings).build(text)
    except _Stop:
        return None
    except yaml.YAMLError as exc:
        _report_syntax(exc, file, findings)
        return None


class _Stop(Exception):
    """A finding after which reading on makes no sense."""


@dataclass(slots=True)
class _Frame:
    """An open collection. ``pending`` is a key that waits for its value."""

    node: Listing | Table
    anchor: str | None
    nodes_before: int
    pending: Scalar | None = None
    # Whether the value that follows belongs to a refused key.
    skips_value: bool = False
    height: int = 1


@dataclass(frozen=True, slots=True)
class _Anchored:
    node: Node
    nodes: int
    height: int


@dataclass(slots=True)
class _Builder:
    file: str
    findings: Findings
    stack: list[_Frame] = field(default_factory=list)
    # ``None`` while the anchored collection is still open.
    anchors: dict[str, _Anchored | None] = field(default_factory=dict)
    root: Node | None = None
    nodes: int = 0
    documents: int = 0

    def build(self, text: str) -> Node | None:
        next_event = yaml.CSafeLoader(text).get_event
        while True:
            event: Any = next_event()  # the stubs say that marks may be absent; those of a parser are not
            kind = type(event)
            if kind is yaml.ScalarEvent:
                self._scalar(event)
            elif kind is yaml.MappingStartEvent:
                self._open(event, Table({}, {}, event.start_mark))
            elif kind is yaml.SequenceStartEvent:
                self._open(event, Listing([], event.start_mark))
            elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
                self._close()
            elif kind is yaml.AliasEvent:
                self._alias(event)
            elif kind is yaml.DocumentStartEvent:
                self._document(event.start_mark)
            elif kind is yaml.StreamEndEvent:
                break
        if self.root is None:
            self._stop("empty-file", "the file holds nothing", None, hint="Begin with `version: 1`.")
        return self.root

    def _document(self, mark: Mark) -> None:
        self.documents += 1
        if self.documents > 1:
            hint = "Put it into a file of its own: several files make one configuration."
            self._stop("several-documents", "a second document begins here", mark, hint=hint)

    def _scalar(self, event: Any) -> None:
        node = Scalar(event.value, event.implicit[0], event.start_mark)
        self._count(1, event.start_mark)
        if event.tag is not None:
            self._refuse_tag(event.tag, event.start_mark)
        if event.style == '"' and (found := HIDDEN.search(event.value)):
            message = f"the character U+{ord(found.group()):04X} is not allowed"
            self._error("control-character", message, event.start_mark, hint="Remove its escape sequence.")
        if event.anchor is not None:
            self.anchors[event.anchor] = _Anchored(node, 1, 0)
        self._attach(node)

    def _open(self, event: Any, node: Listing | Table) -> None:
        self._count(1, node.mark)
        if len(self.stack) >= MAX_DEPTH:
            self._stop("too-deep", f"more than {MAX_DEPTH} levels are nested here", node.mark)
        if event.tag is not None:
            self._refuse_tag(event.tag, node.mark)
        if event.anchor is not None:
            self.anchors[event.anchor] = None
        self._attach(node)
        self.stack.append(_Frame(node, event.anchor, self.nodes - 1))

    def _close(self) -> None:
        frame = self.stack.pop()
        if self.stack:
            self.stack[-1].height = max(self.stack[-1].height, frame.height + 1)
        if frame.anchor is not None:
            nodes = self.nodes - frame.nodes_before
            self.anchors[frame.anchor] = _Anchored(frame.node, nodes, frame.height)

    def _alias(self, event: Any) -> None:
        mark, name = event.start_mark, str(event.anchor)
        if name not in self.anchors:
            hint = self.findings.suggest(name, self.anchors)
            self._stop("unknown-alias", f"nothing is anchored as &{_bare(name)}", mark, hint=hint)
        target = self.anchors[name]
        if target is None:
            self._stop("recursive-alias", f"*{_bare(name)} stands inside the very thing it names", mark)
        self._count(target.nodes, mark)
        if len(self.stack) + target.height > MAX_DEPTH:
            self._stop(
                "too-deep", f"more than {MAX_DEPTH} levels are nested with what *{_bare(name)} is", mark
            )
        if self.stack:
            self.stack[-1].height = max(self.stack[-1].height, target.height + 1)
        self._attach(target.node, alias=mark)

    def _attach(self, node: Node, *, alias: Mark | None = None) -> None:
        if not self.stack:
            self.root = node
            return
        frame = self.stack[-1]
        holder = frame.node
        if isinstance(holder, Listing):
            holder.items.append(node)
        elif frame.pending is not None:
            holder.keys[frame.pending.text] = frame.pending
            holder.values[frame.pending.text] = node
            frame.pending = None
        elif frame.skips_value:
            frame.skips_value = False
        elif alias is not None:
            self._refuse_key("an alias cannot be a key", alias, frame, hint="Write the key itself.")
        else:
            self._key(node, frame, holder)

    def _key(self, node: Node, frame: _Frame, holder: Table) -> None:
        if not isinstance(node, Scalar):
            found = "a list" if isinstance(node, Listing) else "a mapping"
            self._refuse_key(f"{found} cannot be a key", node.mark, frame, hint="Keys are texts.")
        elif node.is_plain and node.text in NULLS:
            self._refuse_key("nothing (null) cannot be a key", node.mark, frame, hint="Keys are texts.")
        elif node.is_plain and node.text == "<<":
            hint = "Use `template` or `defaults`: they merge, and say where each value comes from."
            self._refuse_key(
                "merge keys (<<) are not supported", node.mark, frame, rule="merge-key", hint=hint
            )
        elif node.text in holder.keys:
            first = position(self.file, holder.keys[node.text])
            message = f"the key {shown(node.text)} stands here and at {first}"
            hint = "Remove one of them: YAML readers disagree on which one counts."
            self._refuse_key(message, node.mark, frame, rule="duplicate-key", hint=hint)
        else:
            node.text = intern(node.text)
            frame.pending = node

    def _refuse_key(
        self, message: str, mark: Mark, frame: _Frame, *, rule: str = "bad-key", hint: str = ""
    ) -> None:
        self._error(rule, message, mark, hint=hint)
        frame.skips_value = True

    def _refuse_tag(self, tag: str, mark: Mark) -> None:
        name = tag.replace("tag:yaml.org,2002:", "!!")
        hint = "Remove it: the schema decides on types; quote what has to stay text."
        self._error("tag", f"the tag {shown(name)} is not allowed", mark, hint=hint)

    def _count(self, nodes: int, mark: Mark) -> None:
        self.nodes += nodes
        if self.nodes > MAX_NODES:
            hint = "Split the file, or use templates instead of aliases."
            self._stop("too-many-nodes", f"more than {MAX_NODES:,} values, aliases expanded", mark, hint=hint)

    def _error(self, rule: str, message: str, mark: Mark | None, *, hint: str = "") -> None:
        line, column = (mark.line, mark.column) if mark else (0, 0)
        self.findings.error(rule, message, Position(self.file, line + 1, column + 1), hint=hint)

    def _stop(self, rule: str, message: str, mark: Mark | None, *, hint: str = "") -> NoReturn:
        self._error(rule, message, mark, hint=hint)
        raise _Stop


def _bare(name: str) -> str:
    return shown(name)[1:-1]


def _report_syntax(exc: yaml.YAMLError, file: str, findings: Findings) -> None:
    mark = getattr(exc, "problem_mark", None)
    problem = str(getattr(exc, "problem", None) or "this cannot be read as YAML")
    context = getattr(exc, "context", None)
    message = f"{context}: {problem}" if context else problem
    hint = ""
    if "tab" in problem or "cannot start any token" in problem:
        hint = "YAML is indented with spaces; a text that begins with a special character has to be quoted."
    elif "mapping values are not allowed" in problem:
        hint = "Quote a text that contains ': ', and check the indentation."
    line, column = (mark.line, mark.column) if mark else (0, 0)
    findings.error("yaml-syntax", message, Position(file, line + 1, column + 1), hint=hint)
