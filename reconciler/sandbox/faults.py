"""Scripted misfortune: which request fails how, decided before the test begins."""

import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, get_args

from reconciler.sandbox.answers import Json

FaultKind = Literal["status", "drop_before", "drop_after", "delay", "truncate", "html", "stale"]


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong.

    status       answers `status`, `body` and `headers`; the request is carried out first if `after_commit`
    html         the same with a proxy's error page, 502 unless `status` says otherwise
    drop_before  closes the connection; nothing is carried out
    drop_after   carries the request out, then closes the connection without an answer
    truncate     carries it out, promises the whole answer, sends half of it and closes
    delay        waits `seconds`, then goes on as if nothing were
    stale        a GET is answered from the state `seconds` ago, or before the last mutation without `seconds`
    """

    kind: FaultKind
    method: str | None = None
    path: str = ""
    """A regular expression, searched in the decoded path; the default fits every path."""
    nth: int = 1
    """The first matching call that is hit, counted from 1 when the fault is added."""
    times: int | None = 1
    """How many matching calls in a row are hit; None is for ever."""
    status: int | None = None
    body: Json = None
    """Text is sent as it is, anything else as JSON."""
    headers: Mapping[str, str] = field(default_factory=dict)
    after_commit: bool = False
    seconds: float | None = None

    def __post_init__(self) -> None:
        if self.kind not in get_args(FaultKind):
            raise ValueError(f"kind must be one of {', '.join(get_args(FaultKind))}")
        if self.nth < 1 or (self.times is not None and self.times < 1):
            raise ValueError("nth and times count from 1")
        if self.seconds is not None and self.seconds < 0:
            raise ValueError("seconds must not be negative")
        re.compile(self.path)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "Fault":
        """Raises ValueError on anything that is not a fault."""
        unknown = sorted(set(document) - {one.name for one in fields(cls)})
        if unknown:
            raise ValueError(f"unknown fields: {', '.join(unknown)}")
        try:
            return cls(**document)
        except (TypeError, re.error) as exc:
            raise ValueError(str(exc)) from exc

    def fits(self, method: str, path: str) -> bool:
        if self.kind == "stale" and method != "GET":
            return False
        return self.method in (None, method) and re.search(self.path, path) is not None


@dataclass(slots=True)
class _Armed:
    fault: Fault
    matched: int = 0

    def hits(self) -> bool:
        """Call after counting a match."""
        last = None if self.fault.times is None else self.fault.nth + self.fault.times - 1
        return self.matched >= self.fault.nth and (last is None or self.matched <= last)


class FaultPlan:
    """The faults of one server. Tests add from their thread while the server reads from its own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._armed: list[_Armed] = []
        self._fired: list[Fault] = []

    def add(
        self,
        kind: FaultKind,
        *,
        method: str | None = None,
        path: str = "",
        nth: int = 1,
        times: int | None = 1,
        status: int | None = None,
        body: Json = None,
        headers: Mapping[str, str] | None = None,
        after_commit: bool = False,
        seconds: float | None = None,
    ) -> Fault:
        return self.arm(
            Fault(
                kind=kind,
                method=method,
                path=path,
                nth=nth,
                times=times,
                status=status,
                body=body,
                headers=headers or {},
                after_commit=after_commit,
                seconds=seconds,
            )
        )

    def arm(self, fault: Fault) -> Fault:
        with self._lock:
            self._armed.append(_Armed(fault))
        return fault

    def claim(self, method: str, path: str) -> Fault | None:
        """The fault that hits this request: the oldest one. Every fault that fits counts the request."""
        if not self._armed:
            return None
        with self._lock:
            fitting = [armed for armed in self._armed if armed.fault.fits(method, path)]
            for armed in fitting:
                armed.matched += 1
            hit = next((armed.fault for armed in fitting if armed.hits()), None)
            if hit is not None:
                self._fired.append(hit)
            return hit

    def fired(self) -> list[Fault]:
        with self._lock:
            return list(self._fired)

    def clear(self) -> None:
        with self._lock:
            self._armed.clear()
            self._fired.clear()
