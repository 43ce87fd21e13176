"""A secret cannot be shown by accident."""

import copy
import json
import pickle
from hashlib import sha256

import pytest

from reconciler.errors import UsageError
from reconciler.model.secret import Secret, concealed

SECRET = Secret("alter_ak_plain")
KEY = "alter_ak_abcdefghijklmnopqrstuv_234567"


def test_only_reveal_gives_the_plaintext() -> None:
    assert SECRET.reveal() == "alter_ak_plain"
    shown = [
        repr(SECRET),
        str(SECRET),
        f"{SECRET}",
        f"{SECRET:>40}",
        f"{SECRET!r}",
        f"{[SECRET]}",
        str({"k": SECRET}),
    ]
    assert not any("plain" in text for text in shown)


def test_secrets_are_equal_by_plaintext_and_never_to_text() -> None:
    assert Secret("alter_ak_plain") == SECRET
    assert hash(Secret("alter_ak_plain")) == hash(SECRET)
    assert Secret("other") != SECRET
    assert SECRET != "alter_ak_plain"


def test_the_fingerprint_is_a_hash() -> None:
    assert SECRET.fingerprint() == "sha256:" + sha256(b"alter_ak_plain").hexdigest()


def test_a_secret_cannot_leave_the_process() -> None:
    for leave in (pickle.dumps, copy.deepcopy, json.dumps):
        with pytest.raises(TypeError):
            leave(SECRET)
    with pytest.raises(AttributeError):
        SECRET.note = "x"  # type: ignore[attr-defined]


def test_an_empty_secret_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="empty"):
        Secret("")


def test_what_looks_like_a_key_is_hidden_at_every_depth_and_nothing_else_changes() -> None:
    value = {"a": [f"see {KEY}!", 1, None, True], KEY: {"b": (KEY.upper(), "my_alter_ak_short")}, "n": 1.5}
    assert concealed(value) == {
        "a": ["see (key)!", 1, None, True],
        "(key)": {"b": ["(key)", "my_alter_ak_short"]},
        "n": 1.5,
    }


def test_a_failure_never_says_a_key() -> None:
    error = UsageError(f"cannot use {KEY}", hint=f"revoke {KEY} first")
    assert (error.message, error.hint, str(error)) == (
        "cannot use (key)",
        "revoke (key) first",
        "cannot use (key)",
    )
