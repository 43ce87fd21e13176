"""Which attempt a request is: told to the thread that makes it, and to no other request."""

from __future__ import annotations

import threading

from reconciler.alter.attempts import Attempts
from reconciler.alter.retry import ApiEvent

ROUTE = "PATCH /sdk/agents/1"
FAILED = ApiEvent("retry", ROUTE, 1, 0.25, "unreachable")


def test_the_next_attempt_is_counted_with_its_reason() -> None:
    attempts = Attempts()
    assert attempts.begin(ROUTE) == (1, "")
    attempts.note(FAILED)
    assert attempts.begin(ROUTE) == (2, "unreachable")
    assert attempts.begin(ROUTE) == (1, "")


def test_a_look_before_the_next_attempt_is_none_itself() -> None:
    attempts = Attempts()
    attempts.note(FAILED)
    assert attempts.begin("GET /sdk/agents/1") == (1, "")
    assert attempts.begin(ROUTE) == (2, "unreachable")


def test_an_action_that_is_over_has_no_further_attempt() -> None:
    attempts = Attempts()
    attempts.note(FAILED)
    attempts.forget()
    assert attempts.begin(ROUTE) == (1, "")


def test_another_thread_counts_for_itself() -> None:
    attempts = Attempts()
    attempts.note(FAILED)
    seen: list[tuple[int, str]] = []
    other = threading.Thread(target=lambda: seen.append(attempts.begin(ROUTE)))
    other.start()
    other.join()
    assert seen == [(1, "")]
