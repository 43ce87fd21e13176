"""Scopes are sets with one order."""

from reconciler.model.scopes import MAX_SCOPES_BYTES, Scopes

SCOPES = Scopes.of({"slack": ["write", "read", "read"], "google": ("mail",), "empty": []})


def test_order_and_repetition_do_not_matter() -> None:
    assert Scopes.of({"google": ["mail"], "slack": ["read", "write"]}) == SCOPES
    assert hash(Scopes.of({"slack": ["write", "read"], "google": ["mail"]})) == hash(SCOPES)
    assert Scopes.of_pairs(reversed(list(SCOPES))) == SCOPES
    assert Scopes.of_pairs([]) == Scopes.of({"a": []}) == Scopes()


def test_scopes_are_written_in_one_order_without_empty_providers() -> None:
    assert SCOPES.as_json() == {"google": ["mail"], "slack": ["read", "write"]}
    assert list(SCOPES.as_json()) == list(SCOPES.providers()) == ["google", "slack"]


def test_scopes_are_found_by_provider_and_as_pairs() -> None:
    assert SCOPES.of_provider("slack") == ("read", "write")
    assert SCOPES.of_provider("empty") == ()
    assert SCOPES.pairs() == {("google", "mail"), ("slack", "read"), ("slack", "write")}
    assert list(SCOPES) == sorted(SCOPES.pairs())
    assert (len(SCOPES), len(Scopes())) == (3, 0)
    assert not Scopes()


def test_the_size_is_that_of_the_compact_json_in_bytes() -> None:
    assert Scopes().size_bytes() == len("{}")
    assert Scopes.of({"é": ["ü", "x"]}).size_bytes() == len('{"é":["ü","x"]}'.encode())
    assert Scopes.of({"p": ["x" * MAX_SCOPES_BYTES]}).size_bytes() > MAX_SCOPES_BYTES
