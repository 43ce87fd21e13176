"""What the tests of the live API share: a clock that is told, keys, and agents as the server writes them."""

from __future__ import annotations

import sys
import threading
import time
import zlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"


def make_key(kind: str = "rk", random_part: str = "abcdefghijklmnopqrstuv") -> str:
    """A key with a good checksum, computed apart from the code under test."""
    number = zlib.crc32(f"{kind}:{random_part}".encode())
    tail = ""
    for _ in range(6):
        number, digit = divmod(number, 32)
        tail += ALPHABET[digit]
    return f"alter_{kind}_{random_part}_{tail}"


APP_KEY = make_key()
AGENT_KEY = make_key("ak")


class FakeClock:
    """Starts at the real time, because signatures carry it; sleeping only moves its hands."""

    def __init__(self, start: datetime | None = None) -> None:
        self._now = start or datetime.now(UTC)
        self._lock = threading.Lock()
        self.slept: list[float] = []

    def now(self) -> datetime:
        with self._lock:
            return self._now

    def sleep(self, seconds: float) -> None:
        with self._lock:
            self.slept.append(seconds)
            self._now += timedelta(seconds=seconds)

    def advance(self, seconds: float) -> None:
        with self._lock:
            self._now += timedelta(seconds=seconds)


class FastClock:
    """Real time, but ``factor`` times as fast: for what several threads do to each other over minutes."""

    def __init__(self, factor: float) -> None:
        self._factor = factor
        self._start = datetime.now(UTC)
        self._origin = time.perf_counter()

    def now(self) -> datetime:
        return self._start + timedelta(seconds=(time.perf_counter() - self._origin) * self._factor)

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds / self._factor)


def agent_json(number: int = 1, **changes: Any) -> dict[str, Any]:
    """An agent as the server writes it; ``changes`` replace fields."""
    return {
        "id": f"00000000-0000-4000-8000-{number:012d}",
        "name": f"agent-{number:05d}",
        "display_name": None,
        "type": "agent",
        "status": "active",
        "scopes": {"slack": ["chat:write"]},
        "scopes_pending": None,
        "scopes_applies_at": None,
        "policy": {},
        "metadata": {},
        "rate_limit_per_minute": None,
        "version": 1,
        "created_at": "2026-11-01T10:00:00Z",
        "last_used_at": None,
        "parent_agent_id": None,
        "stored_legacy_managed_secret_names": [],
        **changes,
    }


def key_json(number: int = 1, **changes: Any) -> dict[str, Any]:
    """A key as the server writes it."""
    return {
        "key_id": f"00000000-0000-4000-9000-{number:012d}",
        "key_prefix": f"alter_ak_abc{number}",
        "name": f"agent-00001-{number}",
        "created_at": f"2026-11-{number:02d}T10:00:00Z",
        "deprecated_at": None,
        "revoked_at": None,
        "last_used_at": None,
        **changes,
    }


def page_json(items: list[dict[str, Any]], **changes: Any) -> dict[str, Any]:
    """A whole list in one page."""
    page = {"items": items, "total": len(items), "limit": 1000, "offset": 0, "has_more": False}
    return page | changes


def a_program(folder: Path, source: str, *, name: str = "alter") -> Path:
    """An executable of its own, in Python."""
    path = folder / name
    path.write_text(f"#!{sys.executable}\n{source}\n")
    path.chmod(0o755)
    return path
