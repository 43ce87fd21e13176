"""Connections on which requests take turns, or come late: one place between the client and the sandbox."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TypeVar

from reconciler.alter.sdk_plane import SdkPlane
from reconciler.alter.session import Session
from reconciler.alter.stats import ApiStats
from reconciler.errors import AlterSyncError, Unreachable
from reconciler.model.values import Json, JsonObject

T = TypeVar("T")
Send = Callable[[], Json]


class _Watched(Session):
    """A session whose every request passes through a function."""

    def __init__(self, session: Session, road: Callable[[str, Send], Json]) -> None:
        self._inner = session
        self._road = road

    def exchange(
        self,
        method: str,
        path: str,
        *,
        document: JsonObject | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Json:
        return self._road(
            method, lambda: self._inner.exchange(method, path, document=document, headers=headers)
        )

    def repeat(self, action: Callable[[], T], *, route: str) -> T:
        return self._inner.repeat(action, route=route)

    def stats(self) -> ApiStats:
        return self._inner.stats()

    def close(self) -> None:
        self._inner.close()


class SlowRoad(SdkPlane):
    """Holds the nth changing request back until `arrive`; its answer is lost.

    `for_good`: so are all later changing requests, but those never arrive.
    """

    def __init__(self, session: Session) -> None:
        super().__init__(_Watched(session, self._pass))
        self.nth = 0
        self.for_good = False
        self._count = 0
        self._held_back: list[Send] = []

    def arrive(self) -> None:
        """What was held back reaches the server. Nobody waits for the answer."""
        [send] = self._held_back
        with suppress(AlterSyncError):
            send()

    def _pass(self, method: str, send: Send) -> Json:
        self._count += method != "GET"
        if method == "GET" or self._count < self.nth or (self._count > self.nth and not self.for_good):
            return send()
        if self._count == self.nth:
            self._held_back.append(send)
        raise Unreachable("given up after the time limit")


class Turns:
    """The order of the requests of several appliers, drawn from a seed.

    Everybody waits before each request. When all who are still at work do, the seed picks one, who then goes
    on alone until its next request: the same seed gives the same course of events.
    """

    def __init__(self, seed: int, *, appliers: int) -> None:
        self._draw = random.Random(seed)
        self._at_work = appliers
        self._waiting: set[int] = set()
        self._next: int | None = None
        self._condition = threading.Condition()

    def take(self, applier: int) -> None:
        """Returns when it is this applier's turn."""
        with self._condition:
            self._waiting.add(applier)
            self._pick()
            self._condition.wait_for(lambda: self._next == applier)
            self._waiting.remove(applier)
            self._next = None

    def leave(self) -> None:
        """An applier is through: nobody waits for it any more."""
        with self._condition:
            self._at_work -= 1
            self._pick()

    def _pick(self) -> None:
        if self._next is None and self._waiting and len(self._waiting) == self._at_work:
            self._next = self._draw.choice(sorted(self._waiting))
            self._condition.notify_all()


class SharedRoad(SdkPlane):
    """One applier's connection, on which every request waits for its turn."""

    def __init__(self, session: Session) -> None:
        super().__init__(_Watched(session, self._pass))
        self.turns: Turns | None = None
        self.applier = 0

    def _pass(self, _method: str, send: Send) -> Json:
        if self.turns is not None:
            self.turns.take(self.applier)
        return send()
