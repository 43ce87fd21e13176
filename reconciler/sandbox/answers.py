"""What is said to a client: refusals and pages, in the shapes that Alter uses."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

Json = Any


class Refusal(Exception):
    """A request that is answered with an error instead of being carried out."""

    def __init__(
        self,
        status: int,
        code: str,
        *,
        message: str,
        hint: str | None = None,
        extra: Mapping[str, Json] | None = None,
        headers: Mapping[str, str] | None = None,
        enveloped: bool = False,
    ) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status = status
        self.code = code
        self.headers = dict(headers or {})
        self.error: dict[str, Json] = {"error": code, "message": message, "hint": hint, **(extra or {})}
        # Alter's middleware wraps its errors, its routes do not; clients have to understand both.
        self.payload: Json = {"detail": self.error} if enveloped else self.error


class Invalid(Refusal):
    """A request whose parts are wrong: 422 with one entry for each finding, as FastAPI words it."""

    def __init__(self, findings: Iterable[Mapping[str, Json]]) -> None:
        super().__init__(422, "validation_error", message="The request is not valid.")
        self.payload = {"detail": list(findings)}
        # For people, who see the message alone.
        self.error["message"] = " ".join(f"{one['loc'][-1]}: {one['msg']}" for one in self.payload["detail"])


def finding(location: Iterable[str | int], message: str, *, kind: str = "value_error") -> dict[str, Json]:
    return {"type": kind, "loc": list(location), "msg": message}


def compact(value: Json) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def canonical(value: Json) -> str:
    """Equal values give equal text, whatever the order of their keys."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True, allow_nan=False)


def page_of(items: list[Json], *, total: int, limit: int, offset: int) -> dict[str, Json]:
    return {
        "items": items,
        "total": total,
        "limit": limit,
        "offset": offset,
        "has_more": offset + len(items) < total,
    }
