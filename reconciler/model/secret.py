"""A plaintext that cannot be shown by accident."""

from __future__ import annotations

from hashlib import sha256
from typing import NoReturn

from reconciler.key_shape import KEY_SHAPE, concealed

__all__ = ["KEY_SHAPE", "Secret", "concealed"]


class Secret:
    """Wraps a plaintext. Only ``reveal`` gives it back, and only a few modules may call that.

    A test in ``tests/architecture`` names those modules. Printing, formatting, comparing with text, pickling
    and copying into JSON all fail or show a placeholder.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        if not text:
            raise ValueError("a secret cannot be empty")
        self._text = text

    def reveal(self) -> str:
        """The plaintext itself."""
        return self._text

    def fingerprint(self) -> str:
        """``sha256:`` and 64 hex digits: equal for equal plaintexts, and useless to an attacker.

        The plaintexts here are random with more than 100 bits, so their hash cannot be searched.
        """
        return "sha256:" + sha256(self._text.encode()).hexdigest()

    def starts_with(self, prefix: str) -> bool:
        """Whether it begins like that; the prefix of a key is public."""
        return self._text.startswith(prefix)

    def __repr__(self) -> str:
        return "Secret(…)"

    def __str__(self) -> str:
        return "(secret)"

    def __format__(self, format_spec: str) -> str:
        return "(secret)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret cannot be pickled")
