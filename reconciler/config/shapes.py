"""Turns the node tree into JSON data, reading each scalar as the schema wants it.

YAML 1.1 would make ``no`` a boolean and ``1.10`` a number. Here a scalar is text wherever text is wanted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import isfinite

from reconciler.config.nodes import NULLS, Listing, Node, Scalar
from reconciler.model.values import Json, JsonObject

_BOOLEANS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INTEGER = re.compile(r"[-+]?[0-9]{1,18}")
_NUMBER = re.compile(r"[-+]?(?:[0-9]{1,18}(?:\.[0-9]{0,18})?|\.[0-9]{1,18})(?:[eE][-+]?[0-9]{1,3})?")
_NUMERIC_START = frozenset("-0123456789")
_LONGEST_NUMBER = 24
_64_BITS = range(-(2**63), 2**63)


@dataclass(frozen=True, slots=True)
class Shape:
    """What the schema wants at one place. A free place takes any JSON, and says nothing on what is inside."""

    wanted: frozenset[str] = frozenset()
    is_free: bool = False
    properties: Mapping[str, Shape] = field(default_factory=dict)
    others: Shape | None = None
    items: Shape | None = None


FREE = Shape(is_free=True)


def shape_of(schema: Json, document: JsonObject) -> Shape:
    """The shape of a schema inside its document. Alternatives are joined: they say what may stand there."""
    parts = list(_parts(schema, document))
    wanted = frozenset(kind for part in parts for kind in _kinds(part))
    if not wanted:
        return FREE
    properties: dict[str, list[Json]] = {}
    for part in parts:
        for key, inner in part.get("properties", {}).items():
            properties.setdefault(key, []).append(inner)
    others = next((part["additionalProperties"] for part in parts if part.get("additionalProperties")), None)
    items = next((part["items"] for part in parts if part.get("items")), None)
    return Shape(
        wanted=wanted,
        properties={key: shape_of({"allOf": inner}, document) for key, inner in properties.items()},
        others=FREE if others in (None, True) else shape_of(others, document),
        items=FREE if items is None else shape_of(items, document),
    )


def read(node: Node, shape: Shape) -> Json:
    """The JSON data of a tree."""
    if isinstance(node, Scalar):
        return _free_scalar(node) if shape.is_free else _scalar(node, shape.wanted)
    if isinstance(node, Listing):
        items = shape.items or FREE
        return [read(child, items) for child in node.items]
    properties, others = shape.properties, shape.others or FREE
    return {key: read(child, properties.get(key, others)) for key, child in node.values.items()}


def _parts(schema: Json, document: JsonObject) -> Iterator[JsonObject]:
    if "$ref" in schema:
        target: Json = document
        for step in schema["$ref"].removeprefix("#/").split("/"):
            target = target[step]
        yield from _parts(target, document)
        return
    yield schema
    for inner in (*schema.get("allOf", ()), schema.get("then")):
        if inner is not None:
            yield from _parts(inner, document)


def _kinds(schema: JsonObject) -> Iterator[str]:
    kinds = schema.get("type", ())
    yield from (kinds,) if isinstance(kinds, str) else kinds
    values = schema.get("enum", ())
    if values or isinstance(schema.get("const"), str):
        yield "string"


def _scalar(node: Scalar, wanted: frozenset[str]) -> Json:
    text = node.text
    if not node.is_plain:
        return text
    if text in NULLS:
        return None
    if "string" in wanted:
        return text
    if "boolean" in wanted and text in _BOOLEANS:
        return _BOOLEANS[text]
    if ("integer" in wanted or "number" in wanted) and _INTEGER.fullmatch(text):
        return int(text)
    if "number" in wanted and _NUMBER.fullmatch(text):
        return float(text) if isfinite(float(text)) else text
    return text


def _free_scalar(node: Scalar) -> Json:
    return plain_value(node.text) if node.is_plain else node.text


def plain_value(text: str) -> Json:
    """What a text without quotes stands for where anything may stand.

    ``true``, ``null`` and numbers whose text survives a round trip are that; all else is text.
    """
    if text in NULLS:
        return None
    if text in ("true", "false"):
        return text == "true"
    if text[0] not in _NUMERIC_START or len(text) > _LONGEST_NUMBER:
        return text
    try:
        number = float(text) if "." in text or "e" in text else int(text)
    except ValueError:
        return text
    if isinstance(number, int) and number not in _64_BITS:
        return text
    return number if repr(number) == text and isfinite(number) else text
