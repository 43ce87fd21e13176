"""Reads the names of declared agents by their indentation, for who must not wait for a parser: the shell."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from reconciler.config.files import config_files
from reconciler.errors import AlterSyncError

# Ten thousand agents of ordinary size; who presses a key does not wait for more.
_LONGEST_TEXT = 8 * 1024 * 1024
_BEGIN = re.compile(r"agents:\s*(#.*)?")
_KEY = re.compile(r"""( +)(['"]?)([A-Za-z0-9{][A-Za-z0-9._{}-]*)\2\s*:(\s|$)""")
_PLACEHOLDER = re.compile(r"\{[^{}]*\}")


def names_in_files(paths: Sequence[Path]) -> list[str]:
    """The names in these files and folders, in their order; none in what cannot be read."""
    found: dict[str, None] = {}
    try:
        for file in config_files(paths):
            with file.open(encoding="utf-8", errors="replace") as stream:
                found |= dict.fromkeys(names_in_text(stream.read(_LONGEST_TEXT)))
    except (AlterSyncError, OSError):
        pass
    return list(found)


def names_in_text(text: str) -> Iterator[str]:
    """The keys one step inside ``agents:``; a name with placeholders as the glob of what it stands for.

    A help and never a decision: a mapping in flow style has none.
    """
    lines = iter(text.splitlines())
    for line in lines:
        if _BEGIN.fullmatch(line):
            break
    indent = ""
    for line in lines:
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if not line.startswith(" "):
            return
        key = _KEY.match(line)
        if key is None:
            continue
        indent = indent or key[1]
        if key[1] == indent:
            yield _PLACEHOLDER.sub("*", key[3])
