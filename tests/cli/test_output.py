"""Colours, streams and how much is said."""

import os
import pty
from pathlib import Path

import pytest

from reconciler.cli.console import Console
from reconciler.errors import ExitCode
from reconciler.sandbox import SandboxServer
from tests.support.commands import declare, environment, readers, run

ESCAPE = "\x1b["


@pytest.mark.parametrize(
    ("variables", "flags", "has_color"),
    [
        ({}, [], False),
        ({"FORCE_COLOR": "1"}, [], True),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, [], False),
        ({"FORCE_COLOR": "1", "NO_COLOR": ""}, [], True),
        ({"FORCE_COLOR": "1"}, ["--no-color"], False),
    ],
)
def test_no_color_wins_over_force_color_and_that_over_the_stream(
    alter: SandboxServer,
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str],
    flags: list[str],
    has_color: bool,
) -> None:
    declare(readers("alpha"))
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert (ESCAPE in run("plan", *flags).stdout) is has_color
    assert (ESCAPE in run("plan", *flags, "-c", "nowhere").stderr) is has_color
    assert ESCAPE not in run("plan", *flags, "--output", "json").stdout
    if not has_color:
        assert ESCAPE not in run("plan", *flags, "--oops").stderr


@pytest.mark.parametrize(("term", "has_color"), [("xterm", True), ("dumb", False)])
def test_a_terminal_gets_colours_and_its_width(alter: SandboxServer, term: str, has_color: bool) -> None:
    declare({"alpha": {"scopes": {}, "metadata": {"note": "x" * 300}}})
    written = _on_a_terminal(["alter-sync", "plan"], environment(TERM=term, COLUMNS="60"))
    assert (ESCAPE in written) is has_color
    assert "x" * 60 not in written
    assert "x" * 20 in written


def _on_a_terminal(words: list[str], variables: dict[str, str]) -> str:
    """What a command writes when stdout is a terminal, and stdin and stderr as well."""
    from tests.support.commands import SCRIPT

    pid, master = pty.fork()
    if pid == 0:  # pragma: no cover
        os.execve(SCRIPT, words, variables)
    written = b""
    try:
        while part := os.read(master, 4096):
            written += part
    except OSError:  # how Linux says that the other end is closed
        pass
    finally:
        os.close(master)
        os.waitpid(pid, 0)
    return written.decode()


def test_progress_goes_to_stderr_and_only_when_it_takes_long(alter: SandboxServer) -> None:
    declare(readers("alpha"))
    assert run("apply", "--yes").stderr == ""
    assert run("status").stderr == ""


def test_quiet_leaves_the_data(workplace: Path) -> None:
    declare(readers("alpha"))
    assert run("plan", "--sandbox").stderr == "sandbox: .alter-sync/sandbox.sqlite3\n"
    result = run("plan", "--sandbox", "-q")
    assert result.stderr == ""
    assert result.stdout.startswith("Plan: ")


def test_quiet_does_not_hide_a_failure(workplace: Path) -> None:
    result = run("plan", "-q")
    assert result.code == ExitCode.NOT_FOUND
    assert result.stderr.startswith("error: ")


def test_verbose_shows_what_is_left_out_otherwise(alter: SandboxServer) -> None:
    declare({"alpha": {"scopes": {}, "metadata": {"note": "x" * 3000}}})
    assert "x" * 3000 not in run("plan").stdout
    assert "x" * 3000 in run("plan", "-v").stdout


def test_a_text_keeps_its_one_line_break(capsys: pytest.CaptureFixture[str]) -> None:
    Console().text("data\n")
    Console().alarm("message")
    assert capsys.readouterr() == ("data\n", "message\n")
