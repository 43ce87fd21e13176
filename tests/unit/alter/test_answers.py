from __future__ import annotations

import pytest
from alter_sdk.client import _parse_retry_after
from hypothesis import given
from hypothesis import strategies as st

from reconciler import errors
from reconciler.alter.answers import Answer, clean_text, count_of, read_json, request_id, retry_after_seconds
from reconciler.alter.wire import Credential
from reconciler.model.secret import Secret
from tests.unit.alter.fakes import APP_KEY, make_key

CONCEAL = Credential(Secret(APP_KEY)).conceal


@given(
    header=st.one_of(
        st.none(),
        st.sampled_from(["", " 30 ", "00060", "3600", "3601", "9" * 5000, "+30", "1_0", "٣", "-1", "1.5"]),
        st.text(max_size=8),
        st.integers(0, 100_000).map(str),
    ),
    body=st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=3)),
)
def test_the_wait_is_read_as_by_the_official_client(header: str | None, body: object) -> None:
    assert retry_after_seconds(header, body) == _parse_retry_after(header, body)


@pytest.mark.parametrize("value", [True, -1, 1.5, float("nan"), float("inf"), "7", None])
def test_what_is_no_count_is_unknown(value: object) -> None:
    assert count_of(value) is None


def test_a_whole_float_is_a_count() -> None:
    assert (count_of(60.0), count_of(10**400)) == (60, 10**400)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (Answer(200, {"content-type": "text/html; charset=utf-8"}, b"<html>"), "text/html"),
        (Answer(200, {}, b""), "empty body"),
        (Answer(200, {"content-type": "\x1b[31m"}, b"x"), "unknown type"),
        (Answer(200, {"content-type": "application/json"}, b"[" * 100_000), "application/json"),
    ],
)
def test_an_answer_that_is_not_json_is_a_bad_answer_that_says_what_it_is(answer: Answer, kind: str) -> None:
    with pytest.raises(errors.BadAnswer, match=kind) as caught:
        read_json(answer, route="GET /sdk/agents")
    assert caught.value.code == "not_json"
    assert "GET /sdk/agents" in caught.value.message


def test_remote_text_becomes_one_short_line_without_control_characters() -> None:
    text = "a\x1b[31m\r\nb\u202ec\u2028d\ttail" + "x" * 2000
    cleaned = clean_text(text, conceal=CONCEAL)
    assert cleaned.startswith("a[31m bc d tail")
    assert len(cleaned) == 500
    assert cleaned.endswith("…")


@pytest.mark.parametrize(
    "text",
    [
        f"bad key {APP_KEY}!",
        f"bad key {APP_KEY[:20]}\u200b{APP_KEY[20:]}",
        f"bad key {APP_KEY[:20]}\n{APP_KEY[20:]}",
        f"bad key {APP_KEY.upper()}",
        "x" * 480 + APP_KEY,
    ],
)
def test_the_api_key_is_never_shown_however_it_is_written(text: str) -> None:
    cleaned = clean_text(text, conceal=CONCEAL)
    assert APP_KEY[9:31] not in cleaned.replace(" ", "").lower()


def test_other_keys_in_a_remote_text_are_hidden_too() -> None:
    other = make_key("ak", "v" * 22)
    assert clean_text(f"key {other} is known", conceal=CONCEAL) == "key (key) is known"


@pytest.mark.parametrize("name", ["0b7d5c", "req_01HZX", "4f:a/b=c.d+e", "x" * 128])
def test_what_the_server_calls_a_request_is_known(name: str) -> None:
    assert request_id(Answer(200, {"x-request-id": name}, b""), conceal=CONCEAL) == name


@pytest.mark.parametrize(
    "name", ["", "a b", "a\x1b[2J", "é", "x" * 129, APP_KEY, f"req-{APP_KEY}", make_key("ak", "x" * 22)]
)
def test_a_name_of_a_request_that_is_none_is_not_shown(name: str) -> None:
    assert request_id(Answer(200, {"x-request-id": name}, b""), conceal=CONCEAL) == ""


def test_a_server_need_not_name_its_requests() -> None:
    assert request_id(Answer(200, {}, b""), conceal=CONCEAL) == ""
