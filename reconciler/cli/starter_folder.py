"""Puts the starter's files into a folder: what is there stays, and what is in the way is refused."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from reconciler.cli.new_files import new_files, replace_file
from reconciler.cli.starter import IGNORED, extended, missing_lines
from reconciler.errors import UsageError


@dataclass(frozen=True, slots=True)
class StarterFile:
    """A file to be written if it is not there; ``note`` is for whoever gets it."""

    name: str
    text: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Item:
    """What became of one file."""

    path: Path
    action: Literal["written", "extended", "kept", "left out"]
    note: str = ""

    def as_json(self) -> dict[str, str]:
        """For programs."""
        return {"path": str(self.path), "action": self.action, "note": self.note}


def names_there(folder: Path, names: Collection[str]) -> set[str]:
    """The files that the folder holds already. Refuses what would have to be followed or removed first."""
    try:
        if os.path.lexists(folder) and not folder.is_dir():
            raise _in_the_way(folder, "is no folder")
        return {name for name in names if _is_there(folder, name)}
    except OSError as error:
        raise _unreadable(folder, error) from error


def put(folder: Path, starter: Sequence[StarterFile], *, there: Collection[str]) -> list[Item]:
    """Writes what is not there, and the lines that a ``.gitignore`` lacks which is: all of it, or nothing."""
    ignored = _read(folder / IGNORED) if IGNORED in there else ""
    missing = missing_lines(ignored) if IGNORED in there else []
    with new_files({folder / file.name: file.text for file in starter if file.name not in there}):
        if missing:
            replace_file(folder / IGNORED, extended(ignored))
    items = []
    for file in starter:
        path = folder / file.name
        if file.name not in there:
            items.append(Item(path, "written", file.note))
        elif file.name == IGNORED and missing:
            items.append(Item(path, "extended", f"by {', '.join(missing)}"))
        else:
            items.append(Item(path, "kept"))
    return items


def repository_around(folder: Path) -> Path | None:
    """The git repository that the folder is only a part of."""
    try:
        real = folder.resolve()
        roots = (place for place in (real, *real.parents) if (place / ".git").exists())
        root = next(roots, real)
    except OSError as error:
        raise _unreadable(folder, error) from error
    return None if root == real else root


def _is_there(folder: Path, name: str) -> bool:
    for part in reversed(Path(name).parents[:-1]):
        inside = folder / part
        if inside.is_symlink() or (inside.exists() and not inside.is_dir()):
            raise _in_the_way(inside, "is no folder of its own")
    path = folder / name
    if not os.path.lexists(path):
        return False
    if not path.is_file() or (name == IGNORED and path.is_symlink()):  # git follows no link there
        raise _in_the_way(path, "is there already and no regular file")
    return True


def _read(path: Path) -> str:
    try:
        # Whatever its encoding and its ends of lines are, they come out as they were.
        return path.read_bytes().decode("utf-8", "surrogateescape")
    except OSError as error:
        raise _unreadable(path, error) from error


def _in_the_way(path: Path, what: str) -> UsageError:
    return UsageError(f"{path} {what}, so nothing was written", hint="move it away, or name another folder")


def _unreadable(path: Path, error: OSError) -> UsageError:
    return UsageError(f"{path} cannot be read: {error.strerror}", hint="name another folder")
