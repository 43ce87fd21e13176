"""One text for equal values, and short hashes of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime, timedelta
from functools import cache
from hashlib import sha256
from types import NoneType
from typing import Any

from reconciler.model.diagnostic import Position
from reconciler.model.mark import format_time
from reconciler.model.scopes import Scopes
from reconciler.model.values import Json

# 48 bits: a mark compares one value with one other, nobody searches for collisions there.
_SHORT_HEX_DIGITS = 12
_ATOMS = frozenset({str, int, bool, NoneType})
_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def canonical(value: Json) -> str:
    """The same text for equal values: keys sorted, sets as sorted lists, 1.0 as 1, times in UTC.

    Positions in files are left out, so moving a block in the YAML changes nothing.
    """
    return _ENCODER.encode(plain(value))


def fingerprint(value: Json) -> str:
    """Short hash of a value, as kept in the mark."""
    return sha256(canonical(value).encode("utf-8", "surrogatepass")).hexdigest()[:_SHORT_HEX_DIGITS]


def digest(value: Json) -> str:
    """``sha256:`` and the whole hash of a value."""
    return "sha256:" + sha256(canonical(value).encode("utf-8", "surrogatepass")).hexdigest()


def same(left: Json, right: Json) -> bool:
    """Equality of JSON values: unlike ``==``, ``1`` is not ``True``."""
    if type(left) is type(right) is str:
        return bool(left == right)
    return canonical(left) == canonical(right)


def plain(value: Json) -> Json:  # one return for each kind of value
    """The same JSON value for equal values, the order of its keys included."""
    # By far the most, and ten thousand agents are a million of these.
    if type(value) in _ATOMS or isinstance(value, str | int):
        return value
    if isinstance(value, dict | Mapping):
        return {str(key): plain(value[key]) for key in sorted(value, key=str)}
    if isinstance(value, float):
        return int(value) if value.is_integer() else value
    if isinstance(value, Scopes):
        return value.as_json()
    if isinstance(value, datetime):
        return format_time(value)
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, set | frozenset):
        return sorted((plain(item) for item in value), key=str)
    if is_dataclass(value) and not isinstance(value, type):
        pairs = [(name, getattr(value, name)) for name in _field_names(type(value))]
        return {
            name: item if type(item) in _ATOMS else plain(item)
            for name, item in pairs
            if not isinstance(item, Position)
        }
    return [plain(item) for item in value]


@cache
def _field_names(kind: type[Any]) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind) if field.name != "positions")
