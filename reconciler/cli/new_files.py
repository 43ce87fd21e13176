"""Writes files that were not there before: whole or not at all, and never over something else."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex

from reconciler.errors import UsageError


def check_new(file: Path | None, folder: Path | None) -> None:
    """Refuses a file that is there, and a folder that holds something, before any work is done."""
    if file is not None and os.path.lexists(file):
        raise _is_there(file)
    if folder is not None and os.path.lexists(folder) and not _is_empty_folder(folder):
        raise _is_there(folder)


def write_new_file(path: Path, text: str) -> None:
    """Writes a file that must not exist."""
    draft = _draft(path)
    try:
        draft.write_text(text, encoding="utf-8")
        try:
            os.link(draft, path)  # unlike a rename, it fails when somebody else was faster
        finally:
            draft.unlink()
    except FileExistsError as error:
        raise _is_there(path) from error
    except OSError as error:
        raise _cannot_write(path, error) from error


def write_new_folder(path: Path, files: Mapping[str, str]) -> None:
    """Writes a folder that must not exist, or be empty, with these files."""
    draft = _draft(path)
    try:
        draft.mkdir()
        try:
            for name, text in files.items():
                (draft / name).write_text(text, encoding="utf-8")
            os.rename(draft, path)  # fails unless it is a folder without anything in it
        except OSError:
            shutil.rmtree(draft)
            raise
    except OSError as error:
        raise _is_there(path) if os.path.lexists(path) else _cannot_write(path, error) from error


@contextmanager
def new_files(files: Mapping[Path, str]) -> Iterator[None]:
    """Writes files that must not exist, with their folders. A failure, also of the body, leaves none."""
    made: list[Path] = []
    try:
        for path, text in files.items():
            _make_folder(path.parent, made)
            write_new_file(path, text)
            made.append(path)
        yield
    except BaseException:
        for path in reversed(made):
            with suppress(OSError):  # a folder into which somebody else has put something stays
                remove = path.rmdir if path.is_dir() else path.unlink
                remove()
        raise


def replace_file(path: Path, text: str) -> None:
    """Writes a regular file anew, with the permissions that it has."""
    draft = _draft(path)
    try:
        try:
            draft.write_bytes(text.encode("utf-8", "surrogateescape"))
            shutil.copymode(path, draft)
            os.replace(draft, path)
        finally:
            draft.unlink(missing_ok=True)
    except OSError as error:
        raise _cannot_write(path, error) from error


def _make_folder(folder: Path, made: list[Path]) -> None:
    """Makes a folder and those above it, as far as they are missing, and notes each."""
    if folder.is_dir():
        return
    _make_folder(folder.parent, made)
    try:
        folder.mkdir()
    except OSError as error:
        raise _cannot_write(folder, error) from error
    made.append(folder)


def _draft(path: Path) -> Path:
    """A name beside it. Not a temporary file: this one gets the permissions of any file."""
    return path.with_name(f".{path.name}.{token_hex(4)}")


def _is_empty_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink() and not any(path.iterdir())


def _is_there(path: Path) -> UsageError:
    return UsageError(f"{path} is there already", hint="name another, or remove it first")


def _cannot_write(path: Path, error: OSError) -> UsageError:
    return UsageError(f"{path} cannot be written: {error.strerror}", hint="name another place")
