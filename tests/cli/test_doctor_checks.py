"""The decisions behind ``doctor`` that no server on loopback can bring about, and checks that never end."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from threading import Event

import pytest

from reconciler.alter.budget import Allowance
from reconciler.alter.connection import Connection
from reconciler.alter.inquiry import Greeting
from reconciler.cli.checks.server import check_greeting, check_network, check_rate
from reconciler.cli.checks.side_by_side import Job, run_side_by_side
from reconciler.errors import ExitCode
from reconciler.reports.doctor_report import Check, ok

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
SECURED = Connection("alter.test", 443, address="192.0.2.7", tls="TLSv1.3")


@pytest.mark.parametrize(("days", "status"), [(60, "ok"), (15, "ok"), (13, "warning"), (0, "warning")])
def test_a_certificate_that_ends_soon_is_a_warning(days: int, status: str) -> None:
    check = check_network(replace(SECURED, certificate_ends_at=NOW + timedelta(days=days)), now=NOW)
    assert check.status == status
    assert check.message.startswith("alter.test is 192.0.2.7, port 443, TLSv1.3, certificate until 20")


def test_a_server_whose_certificate_tells_no_end_is_in_order() -> None:
    assert check_network(SECURED, now=NOW) == ok("network", "alter.test is 192.0.2.7, port 443, TLSv1.3")


@pytest.mark.parametrize(("remaining", "status"), [(600, "ok"), (61, "ok"), (60, "warning"), (0, "warning")])
def test_a_rate_limit_that_is_nearly_used_up_is_a_warning(remaining: int, status: str) -> None:
    check = check_rate(Allowance(600, remaining, NOW.timestamp()))
    assert check.status == status
    assert check.message == f"{remaining} of 600 requests left until 12:00:00 UTC"


def test_a_slow_server_is_a_warning() -> None:
    quick, slow = (Greeting(seconds, None, None, None) for seconds in (0.05, 2.5))
    assert check_greeting(quick, key_origin="x") == ok("api", "accepts the key; answers in 50 ms (median)")
    assert check_greeting(slow, key_origin="x").status == "warning"


def test_what_does_not_end_is_given_up_and_keeps_what_it_came_to() -> None:
    forever, first, second = Event(), ok("first", "done"), ok("second", "done")

    def hangs() -> Iterator[Check]:
        yield first
        forever.wait()

    jobs = [Job("slow", hangs, exit_code=ExitCode.SINK), Job("quick", lambda: (second,))]
    kept, late, other = run_side_by_side(jobs, limit_seconds=0.2)
    forever.set()
    assert (kept, other) == (first, second)
    assert (late.name, late.status, late.exit_code) == ("slow", "failed", ExitCode.SINK)
    assert late.message == "no result within 0.2 s"


def test_jobs_run_at_the_same_time() -> None:
    met = Event()

    def waits() -> Iterator[Check]:
        yield ok("waits", str(met.wait(timeout=10)))

    def comes() -> Iterator[Check]:
        met.set()
        yield ok("comes", "")

    assert [check.message for check in run_side_by_side([Job("a", waits), Job("b", comes)])] == ["True", ""]


def test_a_defect_in_a_check_is_not_swallowed() -> None:
    def defective() -> Iterator[Check]:
        yield ok("first", "")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_side_by_side([Job("a", defective)])
