"""API keys as text: how they are minted, how they are recognised, how they are stored."""

import hashlib
import secrets
import zlib
from typing import Literal

KeyKind = Literal["rk", "ak", "pk"]

ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"
RANDOM_LENGTH = 22
PREFIX_LENGTH = 15


def mint_plaintext(kind: KeyKind) -> str:
    """A fresh key: `rk` for an app, `ak` for an agent, `pk` for a person."""
    random_part = "".join(secrets.choice(ALPHABET) for _ in range(RANDOM_LENGTH))
    return f"alter_{kind}_{random_part}_{checksum(kind, random_part)}"


def checksum(kind: str, random_part: str) -> str:
    """CRC-32 of `kind:random`, its low 30 bits five at a time from the low end."""
    remaining = zlib.crc32(f"{kind}:{random_part}".encode())
    letters = []
    for _ in range(6):
        remaining, index = divmod(remaining, 32)
        letters.append(ALPHABET[index])
    return "".join(letters)


def digest(plaintext: str) -> str:
    """What the database holds instead of the key, so that a copied file gives no access."""
    return hashlib.sha256(plaintext.encode()).hexdigest()
