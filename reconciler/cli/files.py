"""Reads and writes the tool's own documents: plans."""

from __future__ import annotations

import json
import os
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

from reconciler.errors import FileMissing, UsageError
from reconciler.model.nearest import did_you_mean
from reconciler.model.plan import PLAN_FORMAT

_LARGEST_PLAN_BYTES = 256 * 1024 * 1024
# The format is the first field of the document.
_HEAD_BYTES = 100
_AGAIN = "make a new one with `alter-sync plan --save`"


def write_whole(path: Path, text: str) -> None:
    """Writes a file so that it is either there as a whole or as it was before.

    Only a plan is replaced: a slip like ``--save agents.yaml`` must not cost the configuration.
    """
    if os.path.lexists(path) and not _is_plan(path):
        raise UsageError(
            f"{path} is there already and is no plan", hint="name another file, or remove it first"
        )
    try:
        with NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, delete=False) as file:
            try:
                file.write(text if text.endswith("\n") else text + "\n")
                file.flush()
                os.replace(file.name, path)
            except OSError:
                os.unlink(file.name)
                raise
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from error


def _is_plan(path: Path) -> bool:
    """Whether a regular file begins like a plan document."""
    if path.is_symlink() or not path.is_file():
        return False
    with path.open("rb") as file:
        return PLAN_FORMAT.encode() in file.read(_HEAD_BYTES)


def read_plan_file(path: Path) -> Any:
    """The document in a plan file, checked against its schema."""
    from reconciler.config.schema import first_fault

    try:
        if path.exists() and not path.is_file():
            raise UsageError(f"{path} is no regular file", hint=_AGAIN)
        if path.stat().st_size > _LARGEST_PLAN_BYTES:
            raise UsageError(f"{path} is too large to be a plan")
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        hint = did_you_mean(path.name, _documents_beside(path)) or "write one with `alter-sync plan --save`"
        raise FileMissing(f"there is no plan file {path}", hint=hint) from error
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        is_yaml = path.suffix in {".yaml", ".yml"}
        hint = f"a configuration is named with -c {path}" if is_yaml else _AGAIN
        raise UsageError(f"{path} is not a plan: it is not JSON", hint=hint) from error
    fault = first_fault("plan", document)
    if fault:
        raise UsageError(f"{path} is not a plan of this version: {fault}", hint=_AGAIN)
    return document


def _documents_beside(path: Path) -> list[str]:
    try:
        return [child.name for child in path.parent.iterdir() if child.suffix == ".json"]
    except OSError:
        return []
