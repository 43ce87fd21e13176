"""Encrypts a key for the recipients of an ``age`` sink, and opens it again with an identity.

Recipients and identities are read anew for each call, so that threads share no object of the library. Neither
what an identity file holds nor what stands where a recipient should is ever shown: it may be a private key.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from reconciler.errors import SinkError
from reconciler.model.secret import Secret
from reconciler.sinks.disk import explained

WRONG_IDENTITY = "give the identity of one of the recipients, or leave identity_file out"

_TRIAL = Secret("trial")
_IDENTITY_LIMIT_BYTES = 65_536
_KINDS = "age1… (as age-keygen prints it), ssh-ed25519 … or ssh-rsa … (2,048 bits or more)"


def check_recipients(recipients: tuple[str, ...], *, where: str) -> None:
    """Raises when a key could not be encrypted for them, or when the library is not installed."""
    try:
        import pyrage  # noqa: F401
    except ImportError as exc:
        raise SinkError(
            f"{where} is of type age, and its library pyrage is not installed",
            hint="pip install 'alter-sync[age]'",
        ) from exc
    encrypted(_TRIAL, recipients, where=where)


def check_identity(identity_file: Path, recipients: tuple[str, ...], *, where: str) -> None:
    """Raises when the identity would not open what is encrypted for the recipients."""
    if decrypted(encrypted(_TRIAL, recipients, where=where), identity_file) != _TRIAL:
        raise SinkError(
            f"{identity_file} opens nothing that {where} encrypts for its recipients", hint=WRONG_IDENTITY
        )


def encrypted(key: Secret, recipients: tuple[str, ...], *, where: str) -> Secret:
    """The text that ``age --armor`` would make of the key for these recipients."""
    import pyrage

    try:
        public_keys = [_recipient(text, f"recipient {n} of {where}") for n, text in enumerate(recipients, 1)]
        return Secret(pyrage.encrypt(key.reveal().encode(), public_keys, armored=True).decode())
    except pyrage.EncryptError as exc:  # says which rule of age was broken, and nothing else
        raise SinkError(
            f"cannot encrypt for the recipients of {where}: {exc}", hint=f"give at least one: {_KINDS}"
        ) from exc


def decrypted(text: Secret, identity_file: Path) -> Secret | None:
    """The key in an encrypted text; ``None`` when the identity does not open it, or it is damaged.

    Raises ``SinkError`` when the file holds no identity that could open anything.
    """
    import pyrage

    identities = _identities(identity_file)
    if not identities:
        raise SinkError(
            f"{identity_file} holds no identity that can be used",
            hint="it needs lines AGE-SECRET-KEY-1…, or an SSH private key (ed25519, RSA) without passphrase",
        )
    try:
        return _key(pyrage.decrypt(text.reveal().encode(), identities))
    except pyrage.DecryptError:
        return None


def _recipient(text: str, where: str) -> Any:
    import pyrage

    kind = pyrage.ssh if text.startswith("ssh-") else pyrage.x25519
    try:
        return kind.Recipient.from_str(text)
    except pyrage.RecipientError:
        pass
    if text.upper().startswith("AGE-SECRET-KEY-"):
        raise SinkError(
            f"{where} is a private key, and whoever reads the configuration can now decrypt with it",
            hint="make a new one with age-keygen, and give the public key age1… that it prints",
        )
    raise SinkError(f"{where} is not a public key that age knows", hint=f"recipients are {_KINDS}")


def _identities(path: Path) -> list[Any] | None:
    """The identities in a file; ``None`` when there is anything else in it. The content stays in here."""
    import pyrage

    with explained("read the identity", path):
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a FIFO must not make us wait
        with os.fdopen(fd, "rb") as stream:
            content = Secret(stream.read(_IDENTITY_LIMIT_BYTES).decode(errors="replace") or "\n")
    try:
        if "-----BEGIN" in content.reveal():
            return [pyrage.ssh.Identity.from_buffer(content.reveal().encode())]
        lines = [line.strip() for line in content.reveal().splitlines()]
        return [pyrage.x25519.Identity.from_str(line) for line in lines if line and not line.startswith("#")]
    except pyrage.IdentityError:
        return None


def _key(content: bytes) -> Secret | None:
    text = content.decode(errors="replace")
    return Secret(text) if text else None
