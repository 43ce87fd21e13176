"""Sweeps away what killed processes left behind in the folders of keys."""

from __future__ import annotations

from pathlib import Path

from reconciler.sinks.disk import Folder


class Leftovers:
    """What killed processes left behind while they replaced files. It may hold keys.

    Each folder is looked through once: thousands of agents may have their files in one.
    """

    def __init__(self) -> None:
        self._found: dict[Path, dict[str, list[str]]] = {}

    def sweep(self, folder: Folder, *names: str) -> None:
        """Removes what is left behind of these files."""
        found = self._found.get(folder.path)
        if found is None:
            found = self._found[folder.path] = folder.left_behind()
        for temporary in (temporary for name in names for temporary in found.get(name, ())):
            folder.remove_dead(temporary)
