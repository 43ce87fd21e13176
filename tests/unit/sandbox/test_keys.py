"""Keys of the sandbox have the shape that clients check before they send anything."""

import zlib

import pytest
from alter_sdk import is_valid_key

from reconciler.sandbox.keys import ALPHABET, KeyKind, checksum, mint_plaintext


@pytest.mark.parametrize("kind", ["rk", "ak"])
def test_minted_keys_are_valid_and_never_the_same(kind: KeyKind) -> None:
    keys = {mint_plaintext(kind) for _ in range(200)}
    assert len(keys) == 200
    assert all(is_valid_key(key) and key.startswith(f"alter_{kind}_") for key in keys)


def test_the_checksum_takes_five_bits_at_a_time_from_the_low_end() -> None:
    value = zlib.crc32(b"rk:" + b"a" * 22)
    expected = "".join(ALPHABET[(value >> shift) & 31] for shift in range(0, 30, 5))
    assert checksum("rk", "a" * 22) == expected
