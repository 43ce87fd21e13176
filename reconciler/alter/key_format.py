"""Tells offline whether a text can be the API key of an app, without ever repeating the text.

Rules: ``_key_format.py`` of ``alter-sdk`` 0.29. A good checksum proves nothing about the key; it only catches
slips before the first request.
"""

from __future__ import annotations

import re
import zlib

_ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"
_RANDOM_LENGTH = 22
_TAIL_LENGTH = 6
_LEGACY_PREFIX = "alter_key_"
_LEGACY_LENGTH = 40
_LEGACY_LETTERS = re.compile(r"[A-Za-z0-9_-]*")

# Runtime, agent, derived and publishable. Only an agent's own key can never manage agents.
_KINDS = ("rk", "ak", "dk", "pk")


def shape_fault(text: str) -> str:
    """Why the text is no API key of Alter at all; empty when it can be one."""
    if text != text.strip():
        return "there is white space around it"
    if text[:1] in "\"'" and text:
        return "there are quotation marks around it"
    if text.startswith(_LEGACY_PREFIX):
        return _legacy_fault(text.removeprefix(_LEGACY_PREFIX))
    parts = text.split("_")
    if parts[0] != "alter":
        return "it does not begin with alter_"
    if len(parts) < 2 or parts[1] not in _KINDS:
        return "its kind is none of " + ", ".join(_KINDS)
    if len(parts) != 4:
        return "it is cut short" if len(parts) < 4 else "it has too many parts"
    return _scoped_fault(parts[1], parts[2], tail=parts[3])


def app_key_fault(text: str) -> str:
    """Why the text cannot be used as an app's key; empty when it can be."""
    fault = shape_fault(text)
    if not fault and text.startswith("alter_ak_"):
        return "it is an agent's own key (alter_ak_…), and agents cannot manage agents"
    return fault


def checksum(kind: str, random_part: str) -> str:
    """The six characters at the end of a key: CRC-32, thirty bits, five at a time from the low end."""
    crc = zlib.crc32(f"{kind}:{random_part}".encode())
    return "".join(_ALPHABET[crc >> 5 * place & 31] for place in range(_TAIL_LENGTH))


def _legacy_fault(random_part: str) -> str:
    if not _LEGACY_LETTERS.fullmatch(random_part):
        return "it contains a character that no key has"
    return _length_fault(len(random_part), _LEGACY_LENGTH)


def _scoped_fault(kind: str, random_part: str, *, tail: str) -> str:
    if not set(random_part + tail) <= set(_ALPHABET):
        return "it contains a character that no key has"
    fault = _length_fault(len(random_part), _RANDOM_LENGTH) or _length_fault(len(tail), _TAIL_LENGTH)
    if not fault and checksum(kind, random_part) != tail:
        return "its checksum does not fit: a character is wrong or missing"
    return fault


def _length_fault(length: int, expected: int) -> str:
    if length == expected:
        return ""
    much = abs(length - expected)
    characters = "character" if much == 1 else "characters"
    return f"it is {much} {characters} too {'short' if length < expected else 'long'}"
