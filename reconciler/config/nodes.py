"""The tree of a YAML document, every node with its place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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


# A field, or one entry of a field that is compared entry by entry; and where it is, with the file first.
FieldKey: TypeAlias = tuple[str, str | None]
Place: TypeAlias = tuple[str, Node]


class Places(Mapping[str, Position]):
    """Where an agent's fields stand, by path. Worked out when it is asked for, and of most nobody asks."""

    __slots__ = ("_places",)

    def __init__(self, places: Mapping[FieldKey, Place]) -> None:
        self._places = places

    def __getitem__(self, path: str) -> Position:
        field, dot, entry = path.partition(".")
        return position(*self._places[field, entry if dot else None])

    def __iter__(self) -> Iterator[str]:
        return (field if entry is None else f"{field}.{entry}" for field, entry in self._places)

    def __len__(self) -> int:
        return len(self._places)


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
