"""Names for plain JSON values. Mappings are typed read-only: the type checker holds that, not a wrapper."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

Json: TypeAlias = Any
JsonObject: TypeAlias = Mapping[str, Json]


def without_nulls(value: Json) -> Json:
    """The value without the fields that are ``null``, at every depth: to Alter they are absent."""
    if isinstance(value, str) or not isinstance(value, dict | Mapping):
        return value
    return {key: without_nulls(item) for key, item in value.items() if item is not None}
