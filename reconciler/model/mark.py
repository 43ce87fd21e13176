"""The mark: what we remember on each owned agent, in its own ``metadata``, instead of in a state file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NewType, Self

from reconciler.model.key import KeyId
from reconciler.model.values import Json

MARK_KEY = "alter-sync"

RunId = NewType("RunId", str)


@dataclass(frozen=True, slots=True)
class Delivered:
    """The key that the sinks hold: which, since when, where (names of sinks).

    ``made_at`` is how old the key is at least; a rollback delivers one that is older than its delivery.
    ``previous`` is the key that was delivered before it, and that a rollback brings back; ``left`` are sinks
    that a rollback could not bring back, and that may hold a newer key.
    """

    key_id: KeyId
    at: datetime
    sinks: tuple[str, ...]
    made_at: datetime | None = None
    previous: KeyId | None = None
    left: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Claim:
    """A run is changing this agent's keys. A key that is not in ``keys`` appeared inside the claim.

    ``sinks`` are those that it delivers to. ``run`` is empty when the run gave the work back unfinished:
    anybody may go on at once, and ``lost`` are the keys of which that run knew that it made them.
    """

    run: RunId
    at: datetime
    keys: tuple[KeyId, ...] = ()
    sinks: tuple[str, ...] = ()
    lost: tuple[KeyId, ...] = ()


@dataclass(frozen=True, slots=True)
class Mark:
    """Owner, app and last applied specification of one agent.

    ``spec`` maps a field (``display_name``, ``status``, ``policy``, ``scopes.<provider>`` or
    ``metadata.<key>``) to the short fingerprint of the value that was applied last.
    """

    owner: str
    app: str
    spec: Mapping[str, str] = field(default_factory=dict)
    protect: bool | None = None
    delivered: Delivered | None = None
    claim: Claim | None = None
    # The live keys besides the delivered one, as the last run left them: while there are any, plans look.
    retiring: tuple[KeyId, ...] = ()

    @classmethod
    def from_json(cls, value: Json) -> Self | None:
        """Reads a mark. Anything that is not an object with a textual owner and app is no mark at all."""
        if not isinstance(value, Mapping):
            return None
        owner, app = value.get("owner"), value.get("app")
        if not (isinstance(owner, str) and owner and isinstance(app, str)):
            return None
        spec = value.get("spec")
        protect = value.get("protect")
        return cls(
            owner=owner,
            app=app,
            spec={k: v for k, v in spec.items() if isinstance(v, str)} if isinstance(spec, Mapping) else {},
            protect=protect if isinstance(protect, bool) else None,
            delivered=_delivered(value.get("delivered")),
            claim=_claim(value.get("claim")),
            retiring=tuple(KeyId(key) for key in _texts(value.get("retiring"))),
        )

    def as_json(self) -> dict[str, Any]:
        """The form that is stored. Absent parts are left out."""
        document: dict[str, Any] = {"owner": self.owner, "app": self.app}
        document["spec"] = dict(sorted(self.spec.items()))
        if self.protect is not None:
            document["protect"] = self.protect
        if self.delivered is not None:
            document["delivered"] = {
                "key_id": self.delivered.key_id,
                "at": format_time(self.delivered.at),
                "sinks": list(self.delivered.sinks),
            }
            if self.delivered.made_at is not None:
                document["delivered"]["made_at"] = format_time(self.delivered.made_at)
            if self.delivered.previous is not None:
                document["delivered"]["previous"] = self.delivered.previous
            if self.delivered.left:
                document["delivered"]["left"] = list(self.delivered.left)
        if self.claim is not None:
            document["claim"] = {
                "run": self.claim.run,
                "at": format_time(self.claim.at),
                "keys": list(self.claim.keys),
                **({"sinks": list(self.claim.sinks)} if self.claim.sinks else {}),
                **({"lost": list(self.claim.lost)} if self.claim.lost else {}),
            }
        if self.retiring:
            document["retiring"] = list(self.retiring)
        return document


def format_time(moment: datetime) -> str:
    """RFC 3339 in UTC with whole seconds, ``2026-11-01T00:00:00Z``."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_time(text: str) -> datetime:
    """An RFC 3339 time as an aware UTC value; ``ValueError`` when it is none. A missing zone means UTC."""
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _delivered(value: Json) -> Delivered | None:
    if not isinstance(value, Mapping) or not isinstance(value.get("key_id"), str):
        return None
    made_at = _time_or_epoch(value["made_at"]) if "made_at" in value else None
    at, sinks = _time_or_epoch(value.get("at")), _texts(value.get("sinks"))
    previous = value.get("previous")
    return Delivered(
        key_id=KeyId(value["key_id"]),
        at=at,
        sinks=sinks,
        made_at=made_at,
        previous=KeyId(previous) if isinstance(previous, str) else None,
        left=_texts(value.get("left")),
    )


def _claim(value: Json) -> Claim | None:
    if not isinstance(value, Mapping) or not isinstance(value.get("run"), str):
        return None
    keys, lost = (tuple(map(KeyId, _texts(value.get(name)))) for name in ("keys", "lost"))
    at, sinks = _time_or_epoch(value.get("at")), _texts(value.get("sinks"))
    return Claim(RunId(value["run"]), at, keys, sinks, lost)


def _time_or_epoch(value: Json) -> datetime:
    # A mark with an unreadable time is somebody's edit. The epoch makes a claim old and a delivery due, and
    # both lead to work that checks the live keys first, so nothing is lost by it.
    try:
        return parse_time(value) if isinstance(value, str) else datetime.fromtimestamp(0, UTC)
    except (ValueError, OverflowError):
        return datetime.fromtimestamp(0, UTC)


def _texts(value: Json) -> tuple[str, ...]:
    return tuple(item for item in value if isinstance(item, str)) if isinstance(value, list | tuple) else ()
