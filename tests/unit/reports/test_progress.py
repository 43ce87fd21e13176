"""Progress tells a person how far it is and keeps logs short."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from io import StringIO
from pathlib import Path

import pytest

from reconciler.reports.progress import Progress


class Closed(StringIO):
    """A stream whose reader has gone."""

    def write(self, text: str, /) -> int:
        raise BrokenPipeError


def _run(total: int, *, is_tty: bool = False, quiet: bool = False, step: int = 1) -> str:
    stream = StringIO()
    with Progress(stream, total, "applying", is_tty=is_tty, quiet=quiet) as progress:
        for _ in range(0, total, step):
            progress.advance(step)
    return stream.getvalue()


def test_a_log_gets_one_line_per_ten_percent() -> None:
    lines = _run(1000).splitlines()
    assert len(lines) == 11
    assert lines[0] == "applying: 0 % (0 of 1000)"
    assert lines[3] == "applying: 30 % (300 of 1000)"
    assert lines[-1] == "applying: 100 % (1000 of 1000)"


@pytest.mark.parametrize("total", [10, 11, 15, 99, 101, 12345])
def test_a_log_never_gets_more_than_eleven_lines(total: int) -> None:
    lines = _run(total).splitlines()
    assert len(lines) <= 11
    assert lines[-1].endswith(f"100 % ({total} of {total})")


def test_steps_larger_than_ten_percent_skip_lines() -> None:
    assert len(_run(100, step=50).splitlines()) == 3


@pytest.mark.parametrize("total", [0, 1, 9])
def test_short_work_says_nothing_in_a_log(total: int) -> None:
    assert _run(total) == ""


@pytest.mark.parametrize("is_tty", [False, True])
def test_quiet_is_silent(is_tty: bool) -> None:
    assert _run(1000, is_tty=is_tty, quiet=True) == ""


def test_a_terminal_gets_a_bar() -> None:
    text = _run(20, is_tty=True)
    assert "applying" in text
    assert "20/20" in text


def test_rich_is_not_loaded_before_there_is_a_bar() -> None:
    code = "import sys, reconciler.reports.terminal as _, reconciler.reports.progress as _\n"
    code += "assert 'rich' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[3])


def test_no_work_has_no_bar() -> None:
    assert _run(0, is_tty=True) == ""


def test_more_than_everything_is_everything() -> None:
    stream = StringIO()
    with Progress(stream, 10, "applying", is_tty=False, quiet=False) as progress:
        progress.advance(25)
        progress.advance()
    assert stream.getvalue().splitlines()[-1] == "applying: 100 % (10 of 10)"
    assert len(stream.getvalue().splitlines()) == 2


def test_threads_may_advance_together() -> None:
    stream = StringIO()
    with (
        Progress(stream, 4000, "applying", is_tty=False, quiet=False) as progress,
        ThreadPoolExecutor(8) as pool,
    ):
        list(pool.map(lambda _: progress.advance(), range(4000)))
    assert [line.split()[1] for line in stream.getvalue().splitlines()] == [str(n) for n in range(0, 101, 10)]


def test_a_closed_stream_does_not_stop_the_work() -> None:
    with Progress(Closed(), 100, "applying", is_tty=False, quiet=False) as progress:
        progress.advance(100)


def test_a_failure_of_the_work_passes_through() -> None:
    with pytest.raises(ZeroDivisionError), Progress(StringIO(), 20, "x", is_tty=True, quiet=False):
        raise ZeroDivisionError
