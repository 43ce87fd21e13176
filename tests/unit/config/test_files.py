"""Which files a configuration is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from reconciler.config.loader import load
from reconciler.errors import ExitCode, FileMissing, UsageError
from tests.unit.config.documents import HEAD


def test_a_missing_file_names_the_nearest_one(tmp_path: Path) -> None:
    (tmp_path / "agents.yaml").write_text(HEAD)
    (tmp_path / "zebra.yml").write_text(HEAD)
    with pytest.raises(FileMissing) as caught:
        load([tmp_path / "agent.yaml"])
    assert caught.value.exit_code == ExitCode.NOT_FOUND
    assert str(tmp_path / "agents.yaml") in caught.value.hint


def test_a_missing_file_beside_a_single_other_one_names_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("fleet.yaml").write_text(HEAD)
    with pytest.raises(FileMissing) as caught:
        load([Path("x.yaml")])
    assert "fleet.yaml" in caught.value.hint


@pytest.mark.parametrize("name", ["x.yaml", "no/such/x.yaml", "a\x00b/c.yaml"])
def test_a_missing_file_beside_nothing_names_init(tmp_path: Path, name: str) -> None:
    with pytest.raises(FileMissing) as caught:
        load([tmp_path / name])
    assert "alter-sync init" in caught.value.hint


def test_a_folder_without_yaml_is_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / "agents.json").write_text("{}")
    with pytest.raises(UsageError, match=r"no \*\.yaml"):
        load([tmp_path])


def test_no_path_at_all_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="no configuration"):
        load([])


def test_what_is_neither_file_nor_folder_is_a_usage_error(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    with pytest.raises(UsageError, match="neither"):
        load([tmp_path / "pipe.yaml"])


def test_a_name_that_the_system_refuses_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        load([tmp_path / ("x" * 300)])


def test_a_file_that_cannot_be_opened_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        load([Path("/proc/self/mem")])


def test_a_folder_is_all_its_yaml_and_yml_but_not_what_lies_deeper(tmp_path: Path) -> None:
    (tmp_path / "b.yml").write_text(HEAD + "agents: {b: {scopes: {}, deliver_to: []}}")
    (tmp_path / "a.yaml").write_text("version: 1\nagents: {a: {scopes: {}, deliver_to: []}}")
    (tmp_path / "c.txt").write_text("not read")
    (tmp_path / "deeper").mkdir()
    (tmp_path / "deeper" / "d.yaml").write_text("not read either")
    desired = load([tmp_path]).desired
    assert desired is not None
    assert list(desired.agents) == ["a", "b"]


def test_a_file_that_is_named_twice_is_read_once(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(HEAD + "agents: {a: {scopes: {}, deliver_to: []}}")
    (tmp_path / "b.yaml").symlink_to(tmp_path / "a.yaml")
    desired = load([tmp_path / "b.yaml", tmp_path / "a.yaml", tmp_path]).desired
    assert desired is not None
    assert desired.position.file.endswith("a.yaml")


def test_positions_name_the_file_as_it_was_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.yaml").write_text("version: 2")
    monkeypatch.chdir(tmp_path)
    (found,) = load([Path("a.yaml")]).diagnostics
    assert str(found.position) == "a.yaml:1:10"


def test_a_link_in_a_circle_is_a_usage_error_or_missing(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").symlink_to(tmp_path / "b.yaml")
    (tmp_path / "b.yaml").symlink_to(tmp_path / "a.yaml")
    with pytest.raises((UsageError, FileMissing)):
        load([tmp_path / "a.yaml"])
