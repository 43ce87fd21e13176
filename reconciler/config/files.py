"""Finds the files of a configuration and reads them as text."""

from __future__ import annotations

import codecs
import re
from collections.abc import Sequence
from pathlib import Path

from reconciler.config.findings import HIDDEN, MAX_PATH, Findings, shown
from reconciler.errors import FileMissing, UsageError
from reconciler.model.diagnostic import Position
from reconciler.model.nearest import nearest
from reconciler.model.secret import KEY_SHAPE

MAX_FILE_BYTES = 16 * 1024 * 1024
_SUFFIXES = (".yaml", ".yml")
_MAX_PER_FILE = 20
_LINE_BREAK = re.compile("\r\n|\r|\n")
_OTHER_ENCODINGS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, b"\x00\x00\xfe\xff")


def config_files(paths: Sequence[Path]) -> tuple[Path, ...]:
    """The files that the paths mean, each once, in an order that does not depend on the caller's.

    A folder is all its ``*.yaml`` and ``*.yml``. Raises ``FileMissing`` and ``UsageError``.
    """
    if not paths:
        raise UsageError("no configuration was given", hint="Name a file or a folder with --config.")
    found: dict[Path, Path] = {}
    for path in paths:
        for file in _files_of(path):
            real = file.resolve()
            found[real] = min(found.get(real, file), file, key=str)
    return tuple(sorted(found.values(), key=str))


def policy_files(paths: Sequence[Path]) -> tuple[Path, ...]:
    """The files with rules in these folders. An empty one is refused: it would let everything pass."""
    found: dict[Path, Path] = {}
    for path in paths:
        name = shown(str(path), limit=MAX_PATH)
        if not path.is_dir():
            if path.exists():
                raise UsageError(
                    f"--policy {name} is no folder", hint="Name the folder that holds the rules."
                )
            raise FileMissing(f"there is no folder {name}", hint="check --policy")
        try:
            inside = [child for child in path.iterdir() if child.suffix in _SUFFIXES and child.is_file()]
        except OSError as exc:
            raise UsageError(f"the folder {name} cannot be read: {exc.strerror}") from exc
        if not inside:
            hint = "`alter-sync schema policy` describes them, examples/policies has some."
            raise UsageError(f"the folder {name} holds no rules, no *.yaml or *.yml", hint=hint)
        found |= {child.resolve(): child for child in inside}
    return tuple(sorted(found.values(), key=str))


def read_text(path: Path, findings: Findings) -> str | None:
    """The text of one file without its byte order mark; ``None`` after a finding that forbids to parse it."""
    try:
        with path.open("rb") as stream:
            raw = stream.read(MAX_FILE_BYTES + 1)
    except OSError as exc:
        raise UsageError(f"{shown(str(path), limit=MAX_PATH)} cannot be read: {exc.strerror}") from exc
    file = str(path)
    if len(raw) > MAX_FILE_BYTES:
        findings.error(
            "too-large",
            f"the file is larger than {MAX_FILE_BYTES:,} bytes",
            Position(file, 1, 1),
            hint="Split it: several files make one configuration.",
        )
        return None
    text = _decoded(raw, file, findings)
    return text if text is not None and is_readable(text, file=file, findings=findings) else None


def is_readable(text: str, *, file: str, findings: Findings) -> bool:
    """Whether a text may be parsed. Reports what hides something in it, and API keys."""
    findings.add_text(file, text)
    _refuse_api_keys(text, file, findings)
    return _is_plain(text, file, findings)


def _files_of(path: Path) -> list[Path]:
    name = shown(str(path), limit=MAX_PATH)
    try:
        if path.is_dir():
            inside = [child for child in path.iterdir() if child.suffix in _SUFFIXES and child.is_file()]
            if not inside:
                raise UsageError(
                    f"the folder {name} holds no *.yaml or *.yml",
                    hint="Name another with --config; `alter-sync init` writes a first one.",
                )
            return inside
        if path.is_file():
            return [path]
        if path.exists():
            raise UsageError(f"{name} is neither a file nor a folder")
    except (OSError, ValueError) as exc:
        raise UsageError(f"{name} cannot be read: {getattr(exc, 'strerror', None) or exc}") from exc
    raise FileMissing(f"there is no file {name}", hint=_missing_hint(path))


def _missing_hint(path: Path) -> str:
    try:
        nearby = {child.name: child for child in path.parent.iterdir() if child.suffix in _SUFFIXES}
    except (OSError, ValueError):
        nearby = {}
    match = nearest(path.name, nearby) or (min(nearby) if len(nearby) == 1 else "")
    if match:
        return f"Did you mean {shown(str(nearby[match]), limit=MAX_PATH)}?"
    return "Name another file with --config; `alter-sync init` writes a first one."


def _decoded(raw: bytes, file: str, findings: Findings) -> str | None:
    if raw.startswith(_OTHER_ENCODINGS):
        findings.error("not-utf8", "the file is UTF-16 or UTF-32; it has to be UTF-8", Position(file, 1, 1))
        return None
    raw = raw.removeprefix(codecs.BOM_UTF8)
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as exc:
        before = raw[: exc.start].decode("utf-8")
        findings.add_text(file, raw.decode("utf-8", errors="replace"))
        message = f"byte 0x{raw[exc.start]:02x} is not UTF-8"
        findings.error(
            "not-utf8", message, _position(file, before, len(before)), hint="Save the file as UTF-8."
        )
        return None


def _is_plain(text: str, file: str, findings: Findings) -> bool:
    """Refuses raw characters that hide what the file says; libyaml would take some of them as line breaks."""
    count = 0
    for count, found in enumerate(HIDDEN.finditer(text), start=1):
        findings.error(
            "control-character",
            f"the character U+{ord(found.group()):04X} is not allowed",
            _position(file, text, found.start()),
            hint="Remove it: it is invisible and may change what a reader sees.",
        )
        if count == _MAX_PER_FILE:
            break
    return count == 0


def _refuse_api_keys(text: str, file: str, findings: Findings) -> None:
    for count, found in enumerate(KEY_SHAPE.finditer(text), start=1):
        findings.error(
            "secret-in-config",
            "an Alter API key stands in this file",
            _position(file, text, found.start()),
            hint="Revoke that key, and put the new one into the environment variable of app.api_key_env.",
        )
        if count == _MAX_PER_FILE:
            break


def _position(file: str, text: str, index: int) -> Position:
    lines = _LINE_BREAK.split(text[:index])
    return Position(file, len(lines), len(lines[-1]) + 1)
