"""The caller header carries the owner, whatever an owner is called."""

import pytest

from reconciler.model.caller import caller_of


@pytest.mark.parametrize("owner", ["payments", "", "a/b@c", "Zahlungen Süd\r\nX-Evil: 1", "%41", "x" * 400])
def test_the_caller_is_printable_ascii_of_at_most_255_characters(owner: str) -> None:
    caller = caller_of(owner)
    assert caller.startswith("alter-sync/")
    assert len(caller) <= 255
    assert caller.isascii()
    assert caller.isprintable()
    assert " " not in caller


@pytest.mark.parametrize("shift", range(4))
def test_a_long_caller_is_not_cut_inside_an_escape(shift: int) -> None:
    caller = caller_of("x" * shift + "ü" * 200)
    rest = caller.removeprefix("alter-sync/").lstrip("x")
    assert len(rest) % 3 == 0
    assert len(caller) > 252
