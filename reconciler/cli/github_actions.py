"""What the format ``github`` does besides its file: a step's summary, its outputs and annotations."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.errors import UsageError

if TYPE_CHECKING:
    from reconciler.reports.subject import Subject

# A blank line before our text, whether or not what is there ends with a line break; and our own at the end.
_BETWEEN = "\n\n"


def tell_github(subject: Subject, path: Path, environ: Mapping[str, str]) -> None:
    """Writes the summary to ``path``; inside of GitHub Actions also annotates and sets the step's outputs."""
    from reconciler.reports.github_report import annotation_lines, output_lines

    if _is_file_of(environ, "GITHUB_STEP_SUMMARY", path):
        _append_summary(subject, path)
    else:
        _write(path, f"{_summary(subject, taken=0)}\n", mode="w")
    if environ.get("GITHUB_ACTIONS") == "true":
        for line in annotation_lines(subject):
            print(line, file=sys.stderr)
    if environ.get("GITHUB_OUTPUT"):
        _write(Path(environ["GITHUB_OUTPUT"]), output_lines(subject), mode="a")


def _append_summary(subject: Subject, path: Path) -> None:
    """Puts our summary behind what others wrote. One that is too large would be lost as a whole."""
    taken = path.stat().st_size
    before = _BETWEEN if taken else ""
    text = f"{before}{_summary(subject, taken=taken + len(before))}\n"
    if taken + len(text.encode()) > subject.limits.summary_bytes:
        print(f"{path} has no room left for the summary", file=sys.stderr)
        return
    _write(path, text, mode="a")


def _summary(subject: Subject, *, taken: int) -> str:
    from reconciler.reports.github_report import github_report

    limits = replace(subject.limits, summary_bytes=subject.limits.summary_bytes - taken)
    return github_report(replace(subject, limits=limits))


def _is_file_of(environ: Mapping[str, str], variable: str, path: Path) -> bool:
    """Whether the variable names this very file, and it is there."""
    with suppress(OSError):
        return bool(environ.get(variable)) and os.path.samefile(path, environ[variable])
    return False


def _write(path: Path, text: str, *, mode: str) -> None:
    try:
        # Paths that are no UTF-8 reach us with surrogates, and go on as the bytes that they were.
        with path.open(mode, encoding="utf-8", errors="surrogateescape") as file:
            file.write(text)
    except OSError as error:
        raise UsageError(f"the report {path} cannot be written: {error.strerror}") from error
