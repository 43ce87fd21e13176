"""Compares a text with its golden file; ``UPDATE_GOLDEN=1`` writes it anew."""

from __future__ import annotations

import os
from pathlib import Path

_FOLDER = Path(__file__).parents[2] / "golden" / "reports"


def assert_golden(name: str, text: str) -> None:
    """Fails when ``text`` is not what ``tests/golden/reports/<name>.txt`` holds."""
    path = _FOLDER / f"{name}.txt"
    if os.environ.get("UPDATE_GOLDEN") == "1":
        path.write_text(text + "\n", encoding="utf-8")
    assert text + "\n" == path.read_text(encoding="utf-8")
