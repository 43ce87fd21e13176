"""The tree of a YAML document, every node with its place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from yaml.error import Mark

from reconciler.config.findings import shown
from reconciler.model.diagnostic import Position

NULLS = frozenset({"", "~", "null", "Null", "NULL"})


# Not frozen, only because a frozen one takes three times as long to make and there are half a million.
@dataclass(slots=True, eq=False)
class Scalar:
    """A text. ``is_plain``: written without quotes, so it may stand for a number, a boolean or null."""

    text: str
    is_plain: bool
    mark: Mark


@dataclass(slots=True, eq=False)
class Listing:
    """A sequence."""

    items: list[Node]
    mark: Mark


@dataclass(slots=True, eq=False)
class Table:
    """A mapping: by the same names, where each key stands and what its value is."""

    keys: dict[str, Scalar]
    values: dict[str, Node]
    mark: Mark


Node: TypeAlias = Scalar | Listing | Table


def position(file: str, node: Node) -> Position:
    """Where a node begins."""
    return Position(file, node.mark.line + 1, node.mark.column + 1)


def node_at(root: Node, path: Sequence[str | int], *, prefers_key: bool = False) -> Node:
    """The node of a path, or the nearest one above it; with ``prefers_key``, the key in front of it."""
    node: Node = root
    key: Node = root
    for step in path:
        if isinstance(node, Table) and isinstance(step, str) and step in node.values:
            key, node = node.keys[step], node.values[step]
        elif isinstance(node, Listing) and isinstance(step, int) and step < len(node.items):
            node = key = node.items[step]
    return key if prefers_key else node


def dotted(path: Sequence[str | int]) -> str:
    """A path as people write it, ``agents.nightly.scopes.google[0]``."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return shown(text[1:])[1:-1] or "the file"
