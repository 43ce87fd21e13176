from __future__ import annotations

import pytest
from alter_sdk._key_format import is_valid_key
from hypothesis import given
from hypothesis import strategies as st

from reconciler import errors
from reconciler.alter.key_format import app_key_fault, checksum, shape_fault
from reconciler.alter.wire import Credential
from reconciler.model.secret import Secret
from tests.unit.alter.fakes import AGENT_KEY, ALPHABET, APP_KEY, make_key

LEGACY = "alter_key_" + "aB3-_" * 8


@pytest.mark.parametrize("key", [APP_KEY, make_key("dk"), make_key("pk"), LEGACY])
def test_good_keys_have_no_fault(key: str) -> None:
    assert app_key_fault(key) == ""


@pytest.mark.parametrize(
    ("key", "fault"),
    [
        ("", "begin with alter_"),
        (APP_KEY + "\n", "white space"),
        (f"'{APP_KEY}'", "quotation marks"),
        ("ghp_something", "begin with alter_"),
        ("alter", "kind is none of rk, ak, dk, pk"),
        ("alter_xk_abc_def", "kind is none of"),
        ("alter_rk_abc", "cut short"),
        (APP_KEY + "_more", "too many parts"),
        (APP_KEY[:-1], "1 character too short"),
        (APP_KEY[:-2], "2 characters too short"),
        (APP_KEY + "a", "1 character too long"),
        (APP_KEY.replace("abc", "ab", 1), "1 character too short"),
        (APP_KEY.replace("b", "B", 1), "a character that no key has"),
        (APP_KEY.replace("b", "c", 1), "a character is wrong or missing"),
        (LEGACY[:-3], "3 characters too short"),
        (LEGACY[:-1] + "é", "a character that no key has"),
        (AGENT_KEY, "agent's own key"),
    ],
)
def test_a_bad_key_is_refused_with_its_reason_and_never_repeated(key: str, fault: str) -> None:
    assert fault in app_key_fault(key)
    assert len(key) < 8 or key not in app_key_fault(key)


@given(
    st.one_of(
        st.text(max_size=60),
        st.text(ALPHABET, min_size=20, max_size=24).map(lambda body: make_key("rk", body)),
        st.text(ALPHABET, min_size=22, max_size=22).map(lambda body: make_key("ak", body)),
        st.tuples(st.sampled_from(range(len(APP_KEY))), st.sampled_from(ALPHABET + "_A")).map(
            lambda change: APP_KEY[: change[0]] + change[1] + APP_KEY[change[0] + 1 :]
        ),
        st.text(ALPHABET + "A-_9", min_size=38, max_size=42).map(lambda body: "alter_key_" + body),
    )
)
def test_the_official_client_accepts_the_same_texts(text: str) -> None:
    assert (shape_fault(text) == "") == is_valid_key(text)


def test_the_checksum_is_thirty_bits_from_the_low_end() -> None:
    assert make_key("rk").endswith("_" + checksum("rk", "abcdefghijklmnopqrstuv"))


def test_a_credential_with_a_bad_key_is_refused_without_showing_it() -> None:
    with pytest.raises(errors.AuthError) as caught:
        Credential(Secret(AGENT_KEY))
    assert caught.value.code == "malformed_key"
    assert AGENT_KEY not in caught.value.message + caught.value.hint
    assert "alter_rk_" in caught.value.hint
