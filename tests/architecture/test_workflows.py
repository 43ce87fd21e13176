"""What holds of every workflow and action: pins, permissions, no text from strangers in scripts."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from reconciler.cli.starter import workflow_text
from reconciler.cli.wiring import tool_version

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
ACTIONS = [ROOT / "action.yml", *sorted((ROOT / ".github/actions").glob("*/action.yml"))]
FOR_USERS = ("plan.yml", "apply.yml", "drift.yml")
_PINNED = re.compile(r"uses: (\$/\S+|[\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+)")


def ids(paths: list[Path]) -> list[str]:
    return [str(path.relative_to(ROOT)) for path in paths]


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def steps(path: Path) -> Iterator[Any]:
    document = load(path)
    if "runs" in document:
        yield from document["runs"]["steps"]
    for job in document.get("jobs", {}).values():
        yield from job["steps"]


@pytest.mark.parametrize("path", [*WORKFLOWS, *ACTIONS], ids=ids([*WORKFLOWS, *ACTIONS]))
def test_what_is_used_is_pinned_and_scripts_have_no_text_from_elsewhere(path: Path) -> None:
    lines = [line.strip().removeprefix("- ") for line in path.read_text(encoding="utf-8").splitlines()]
    used = [line for line in lines if line.startswith("uses:")]
    assert used or path.name == "ci.yml"
    assert [line for line in used if not _PINNED.fullmatch(line)] == []
    for step in steps(path):
        assert "${{" not in step.get("run", "")
        if "checkout" in step.get("uses", ""):
            assert step["with"]["persist-credentials"] is False


@pytest.mark.parametrize("path", WORKFLOWS, ids=ids(WORKFLOWS))
def test_a_job_may_do_what_it_says_and_nothing_else(path: Path) -> None:
    document = load(path)
    assert document["permissions"] in ({}, {"contents": "read"})
    triggers = document[True]  # YAML 1.1 reads `on` like that
    assert not {"pull_request_target", "workflow_run", "issue_comment"} & set(triggers)
    for job in document["jobs"].values():
        assert job["timeout-minutes"] <= 60
        if path.name in FOR_USERS:
            assert job["permissions"]["contents"] == "read"


@pytest.mark.parametrize("name", FOR_USERS)
def test_a_workflow_for_users_is_called_or_copied_with_one_line_to_change(name: str) -> None:
    path = ROOT / ".github/workflows" / name
    document = load(path)
    assert "workflow_call" in document[True]
    ours = {step["uses"] for step in steps(path) if step.get("uses", "").startswith("$/")}
    assert ours == {"$/.github/actions/install"}
    for place in ("inputs", "secrets"):
        for about in document[True]["workflow_call"].get(place, {}).values():
            assert about["description"]


def test_applying_is_never_cancelled_and_asks_an_environment() -> None:
    document = load(ROOT / ".github/workflows/apply.yml")
    assert document["concurrency"]["cancel-in-progress"] is False
    assert document["jobs"]["apply"]["environment"]
    keys = [
        (name, step["env"]["ALTER_API_KEY"])
        for name, job in document["jobs"].items()
        for step in job["steps"]
        if "ALTER_API_KEY" in step.get("env", {})
    ]
    assert set(keys) == {
        ("plan", "${{ secrets.ALTER_API_KEY_READ }}"),
        ("apply", "${{ secrets.ALTER_API_KEY }}"),
    }


def test_linters_of_workflows_have_nothing_to_say() -> None:
    tool = Path(sys.executable).parent
    commands = [
        [tool / "zizmor", "--offline", "--no-progress", ".github", "action.yml"],
        [tool / "check-jsonschema", "--builtin-schema", "vendor.github-workflows", *WORKFLOWS],
        [tool / "check-jsonschema", "--builtin-schema", "vendor.github-actions", *ACTIONS],
        [tool / "check-jsonschema", "--builtin-schema", "vendor.dependabot", ".github/dependabot.yml"],
        [
            *(tool / "check-jsonschema", "--builtin-schema", "vendor.gitlab-ci"),
            *("--data-transform", "gitlab-ci", ROOT / "ci/gitlab.yml"),
        ],
    ]
    for command in commands:
        done = subprocess.run(
            list(map(str, command)), cwd=ROOT, capture_output=True, text=True, timeout=30, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_matrix_to_copy_is_a_workflow_of_which_every_column_is_there(tmp_path: Path) -> None:
    block = _block_of_jobs()
    copied = tmp_path / ".github/workflows/fleet.yml"
    copied.parent.mkdir(parents=True)
    copied.write_text(block.replace("OWNER/alter-sync@SHA", f"acme/alter-sync@{'0' * 40}"))
    tool = Path(sys.executable).parent
    for command in (
        [tool / "check-jsonschema", "--builtin-schema", "vendor.github-workflows", copied],
        [tool / "zizmor", "--offline", "--no-progress", copied],
    ):
        done = subprocess.run(
            list(map(str, command)), cwd=tmp_path, capture_output=True, text=True, timeout=30, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
    (tmp_path / "agents.yaml").write_text(
        "version: 1\nowner: o\napp: {name: a, api_key_env: A}\nagents: {}\n"
    )
    words = [str(tool / "alter-sync"), "matrix", "-c", "agents.yaml", "--output", "json"]
    (job,) = json.loads(subprocess.check_output(words, cwd=tmp_path, timeout=30))["include"]
    used = set(re.findall(r"matrix\.(\w+)", block)) - {"yml"}
    assert used == {"name", "app", "config", "shard"}
    assert used <= job.keys()


def test_the_script_of_the_matrix_names_every_file_and_hides_the_key(tmp_path: Path) -> None:
    steps_of = yaml.safe_load(_block_of_jobs())["jobs"]["apply"]["steps"]
    tool = tmp_path / "alter-sync"
    tool.write_text('#!/bin/sh\nprintf "%s\\n" "$@"; stat -c %a "$RUNNER_TEMP/key"; cat "$RUNNER_TEMP/key"\n')
    tool.chmod(0o755)
    done = subprocess.run(
        ["bash", "-eo", "pipefail", "-c", steps_of[-1]["run"]],
        env={
            "PATH": f"{tmp_path}:/usr/bin:/bin",
            "RUNNER_TEMP": str(tmp_path),
            "CONFIG": "apps/a b.yaml\napps/c.yaml",
            "SHARD": "1/2",
            "KEY": "secret",
        },
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert done.stdout.splitlines() == [
        *("apply", "--yes", "--shard", "1/2", "--api-key-file", f"{tmp_path}/key"),
        *("--config=apps/a b.yaml", "--config=apps/c.yaml", "600", "secret"),
    ]


def _block_of_jobs() -> str:
    text = (ROOT / "docs/scale.md").read_text(encoding="utf-8")
    blocks: list[str] = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    (block,) = [block for block in blocks if "\njobs:" in block]
    return block


def test_what_to_copy_from_the_documentation_calls_with_just_the_permissions_that_are_needed() -> None:
    text = (ROOT / "docs/ci.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    (copied,) = [block for block in blocks if "\njobs:\n" in block]
    # What `alter-sync init` writes is the same text.
    assert copied == workflow_text(None)
    assert copied.count(f"@SHA # v{tool_version()}") == 3
    caller = yaml.safe_load(copied)
    assert set(caller["jobs"]) == {"plan", "apply", "drift"}
    for name, job in caller["jobs"].items():
        called = load(ROOT / ".github/workflows" / f"{name}.yml")
        assert f"/{name}.yml@" in job["uses"]
        needed = {key: level for one in called["jobs"].values() for key, level in one["permissions"].items()}
        assert job["permissions"] == needed
        taken = called[True]["workflow_call"]["secrets"]
        assert job["secrets"] == "inherit" or set(job["secrets"]) == set(taken)


def test_linters_have_nothing_to_say_about_the_workflow_that_init_writes(tmp_path: Path) -> None:
    written = tmp_path / ".github/workflows/agents.yml"
    written.parent.mkdir(parents=True)
    commit = "0123456789abcdef0123456789abcdef01234567"
    origin = {"url": "https://github.com/acme/alter-sync.git", "vcs_info": {"commit_id": commit}}
    written.write_text(workflow_text(json.dumps(origin)))
    tool = Path(sys.executable).parent
    for command in (
        [tool / "check-jsonschema", "--builtin-schema", "vendor.github-workflows", written],
        [tool / "zizmor", "--offline", "--no-progress", tmp_path],
    ):
        done = subprocess.run(
            list(map(str, command)), capture_output=True, text=True, timeout=30, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
