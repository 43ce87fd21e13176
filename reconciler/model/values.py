"""Names for plain JSON values. Mappings are typed read-only: the type checker holds that, not a wrapper."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

Json: TypeAlias = Any
JsonObject: TypeAlias = Mapping[str, Json]
