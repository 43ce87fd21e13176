"""``alter-sync demo``: it tells its story anywhere, leaves nothing behind, and fails when it went wrong."""

import os
import re
from pathlib import Path

import pytest

from reconciler.errors import ExitCode
from tests.support.commands import declare, plaintexts, readers, run

pytestmark = pytest.mark.usefixtures("workplace")


def test_it_tells_the_whole_story_with_two_pictures() -> None:
    result = run("demo", "--no-color")
    assert (result.code, result.stderr) == (ExitCode.OK, "")
    acts = re.findall(r"^━━ \d (\S.*?) ─+$", result.stdout, re.MULTILINE)
    assert acts == ["Plan", "Apply", "Again", "Rotate", "Drift", "Repair", "An accident", "Clean up"]
    assert "agents.yaml ──▶ plan ──▶ apply ──▶ Alter" in result.stdout
    old, new = re.findall(r"^  [0-9a-f]{8}  ( *●.*)$", result.stdout, re.MULTILINE)
    assert re.fullmatch(r"●━{2,}╌{2,}✕ revoked", old)
    assert re.fullmatch(r" +●━{2,}▶ works", new)
    assert "by jane@corp.example" in result.stdout
    assert "Drift: none" in result.stdout
    assert "empty-config (revoke agent)" in result.stdout
    assert "Apply: 8 done" in result.stdout
    assert plaintexts(result.stdout) == set()


def test_it_leaves_nothing_behind(workplace: Path) -> None:
    result = run("demo")
    assert (result.code, result.stderr) == (ExitCode.OK, "")
    assert Path.cwd() == workplace
    assert list(workplace.iterdir()) == []


def test_it_can_be_kept_and_looked_at(workplace: Path) -> None:
    result = run("demo", "--keep", "my demo", "--no-color")
    assert result.code == ExitCode.OK
    assert result.stdout.endswith("Look around: cd 'my demo' && alter-sync status --sandbox\n")
    os.chdir("my demo")
    assert run("plan", "--sandbox", "--detailed-exitcode").code == ExitCode.OK


@pytest.mark.parametrize(("folder", "said"), [("here", "is there already"), ("file/below", "cannot be made")])
def test_it_never_plays_in_a_folder_that_is_somebodys(folder: str, said: str) -> None:
    Path("here").mkdir()
    Path("file").touch()
    result = run("demo", "--keep", folder)
    assert (result.code, result.stdout) == (ExitCode.USAGE, "")
    assert said in result.stderr


def test_it_plays_with_another_configuration() -> None:
    declare({"alpha": {"scopes": {}, "display_name": "Alpha"}}, file="mine.yaml")
    result = run("demo", "-c", "mine.yaml")
    assert result.code == ExitCode.OK
    assert "Somebody renames 'alpha' in the dashboard" in result.stdout
    assert "Rotate" not in result.stdout  # its key is in no file that a workload could read


def test_a_configuration_that_is_not_there_is_not_found() -> None:
    result = run("demo", "-c", "nowhere.yaml")
    assert result.code == ExitCode.NOT_FOUND
    assert "nowhere.yaml" in result.stderr


def test_a_configuration_that_tells_another_story_fails() -> None:
    declare({"alpha": {"scopes": {}, "typo": 1}}, file="mine.yaml")
    result = run("demo", "-c", "mine.yaml")
    assert result.code == ExitCode.ERROR
    assert "expected exit code 10 and got 2" in result.stderr


def test_it_needs_somebody_to_edit() -> None:
    declare(readers("alpha"), file="mine.yaml")
    result = run("demo", "-c", "mine.yaml")
    assert result.code == ExitCode.ERROR
    assert "an active agent that has a display_name" in result.stderr


@pytest.mark.parametrize(("force", "has_color"), [("1", True), ("", False)])
def test_it_has_colours_where_they_are_wanted(
    monkeypatch: pytest.MonkeyPatch, force: str, has_color: bool
) -> None:
    monkeypatch.setenv("FORCE_COLOR", force)
    assert ("\x1b[" in run("demo").stdout) is has_color
