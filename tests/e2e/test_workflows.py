"""The workflows from the first pull request to repaired drift: every step for real, GitHub on loopback."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from reconciler.sandbox import SandboxServer
from tests.support.commands import READER, declare, run
from tests.support.github_repository import REPOSITORY, GitHubRepository
from tests.support.sandbox_server import SignedClient
from tests.support.wire_server import Reply, WireServer
from tests.support.workflows import PROJECT, Event, JobRun, Runner

ROOT = Path(__file__).parents[2]
_NOT_OF_THE_PROJECT = shutil.ignore_patterns(
    ".venv", ".git", ".*_cache", ".hypothesis", "tests", "mutants", "docs"
)
# Each of these has many processes in it, and the first installs the tool.
pytestmark = pytest.mark.timeout(180)


def named(*names: str) -> dict[str, Any]:
    """Agents whose display names are declared, too: what somebody may change outside."""
    return {name: {**READER, "display_name": name.title()} for name in names}


@dataclass(slots=True)
class World:
    """A repository on GitHub, an Alter, and people who push."""

    runner: Runner
    github: GitHubRepository
    alter: SandboxServer
    switch: WireServer
    folder: Path
    seen: list[str] = field(default_factory=list)
    commits: int = 0

    def commit(self, agents: Mapping[str, Any] | None = None, **sections: Any) -> tuple[str, Path]:
        """A commit: its SHA, and what the repository holds then."""
        self.commits += 1
        files = self.folder / f"commit-{self.commits}"
        declare(agents, file=files / "agents.yaml", **sections)
        return f"{self.commits:040x}", files

    def push(self, number: int, agents: Mapping[str, Any] | None, *, fork: bool = False) -> JobRun:
        """A push to a pull request, and what the check says."""
        sha, files = self.commit(agents)
        return self.check(number, sha, files, fork=fork)

    def check(self, number: int, sha: str, files: Path, *, fork: bool = False, by: str = "jane") -> JobRun:
        if not any(pull["number"] == number for pull in self.github.pulls):
            self.github.opened(number, head=sha)
        self._pull(number)["head"]["sha"] = sha
        head = {"sha": sha, "repo": {"full_name": "mallory/agents" if fork else REPOSITORY}}
        payload = {"pull_request": {"number": number, "head": head, "user": {"login": by}}}
        event = Event("pull_request", files, f"{sha[:-4]}beef", payload, from_fork=fork)
        return self.play("plan.yml", event)["plan"]

    def merge(self, number: int, agents: Mapping[str, Any]) -> dict[str, JobRun]:
        """The merge of a pull request, and what becomes of it."""
        sha, files = self.commit(agents)
        self._pull(number).update(merged_at="2026-01-01T00:00:00Z", merge_commit_sha=sha)
        return self.play("apply.yml", Event("push", files, sha))

    def apply_by_hand(self, agents: Mapping[str, Any], **inputs: str) -> dict[str, JobRun]:
        sha, files = self.commit(agents)
        return self.play("apply.yml", Event("workflow_dispatch", files, sha, inputs=inputs))

    def look_for_drift(self, agents: Mapping[str, Any]) -> JobRun:
        sha, files = self.commit(agents)
        return self.play("drift.yml", Event("schedule", files, sha))["drift"]

    def play(self, workflow: str, event: Event) -> dict[str, JobRun]:
        jobs = self.runner.run(workflow, event)
        self.seen += [text for job in jobs.values() for text in (job.log, job.summary)]
        return jobs

    def rename(self, name: str, display_name: str) -> None:
        """Somebody changes an agent outside."""
        with SignedClient(self.alter) as client:
            (agent,) = [one for one in self.live() if one["name"] == name]
            answer = client.send(
                "PATCH", f"/sdk/agents/{agent['id']}", document={"display_name": display_name}
            )
            assert answer.status_code == 200, answer.text

    def live(self) -> list[dict[str, Any]]:
        with SignedClient(self.alter) as client:
            agents: list[dict[str, Any]] = client.get("/sdk/agents").json()["items"]
            return agents

    def names(self) -> set[str]:
        return {agent["name"] for agent in self.live() if agent["status"] != "revoked"}

    def _pull(self, number: int) -> dict[str, Any]:
        (pull,) = [pull for pull in self.github.pulls if pull["number"] == number]
        return pull


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `$/` means: this repository, at the commit that is tested."""
    folder = tmp_path_factory.mktemp("project") / "alter-sync"
    shutil.copytree(ROOT, folder, ignore=_NOT_OF_THE_PROJECT)
    return folder


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """Where pip finds the libraries without a network: those of this Python, but not alter-sync itself."""
    libraries = tmp_path_factory.mktemp("libraries")
    (site,) = [Path(place) for place in sys.path if (Path(place) / "hatchling").is_dir()]
    for entry in site.iterdir():
        if not re.match(
            r"(?i)(__editable__|_?editable_impl)?_?alter[-_]sync|pip|setuptools|.*\.pth", entry.name
        ):
            (libraries / entry.name).symlink_to(entry)
    # "No" to "no isolation": pip reads its variable the wrong way round.
    return {"PYTHONPATH": str(libraries), "PIP_NO_INDEX": "1", "PIP_NO_BUILD_ISOLATION": "false"}


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the first machine leaves the tool that it installed, for the others."""
    return tmp_path_factory.mktemp("tool") / "alter-sync"


@pytest.fixture
def world(
    alter: SandboxServer, tmp_path: Path, project: Path, machine: Mapping[str, str], installed: Path
) -> Iterator[World]:
    with GitHubRepository() as github, WireServer(api_key="") as switch:
        switch.on("GET", "/ping", Reply(200))
        reader = alter.create_app_key(("agents:read", "providers:read"))
        writer = alter.create_app_key(("agents:read", "agents:write", "agents:admin", "providers:read"))
        runner = Runner(
            tmp_path / "machines",
            project,
            github,
            installed,
            variables={"ALTER_BASE_URL": alter.base_url},
            secrets={"ALTER_API_KEY_READ": reader, "ALTER_SYNC_PING_URL": f"{switch.url}/ping"},
            environments={"production": {"ALTER_API_KEY": writer}},
            machine=machine,
        )
        world = World(runner, github, alter, switch, tmp_path / "commits")
        yield world
        told = [
            *world.seen,
            *(str(one["body"]) for one in (*github.comments.values(), *github.issues.values())),
        ]
        secrets = [reader, writer, f"{switch.url}/ping", *github.tokens]
        assert not [secret for secret in secrets if any(secret in text for text in told)]


def test_the_whole_story(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = named("nightly-sync"), named("nightly-sync", "release-notes")

    # A pull request is opened: the plan is in the summary, in one comment, and kept.
    check = world.push(1, one)
    assert check.conclusion == "success", check.log
    assert check.steps["plan"].outputs["changes_to_create"] == "1"
    (comment,) = world.github.bodies(1)
    assert comment.startswith("<!-- alter-sync:comment app=payments-prod owner=payments/agents -->\n")
    digest = check.steps["plan"].outputs["plan_digest"]
    assert f"head={1:040x} plan={digest}" in comment
    assert "nightly-sync" in check.summary
    assert [artifact.name for artifact in world.github.artifacts] == [f"alter-sync-plan-default-{1:040x}"]

    # Pushed again: the same comment, another plan.
    world.push(1, two)
    (comment,) = world.github.bodies(1)
    assert f"head={2:040x}" in comment
    assert "release-notes" in comment
    assert world.names() == set(), "plans only read"

    # Merged: exactly the plan that was reviewed is applied.
    jobs = world.merge(1, two)
    assert [job.conclusion for job in jobs.values()] == ["success", "success"], jobs["apply"].log
    assert "reviewed in #1" in jobs["plan"].summary
    assert "2 done" in jobs["apply"].summary
    assert world.names() == {"nightly-sync", "release-notes"}

    # Nothing has drifted: no issue.
    assert world.look_for_drift(two).conclusion == "success"
    assert world.github.drift_issues == []

    # Somebody changes something outside: one issue, once.
    world.rename("nightly-sync", "Renamed by hand")
    check = world.look_for_drift(two)
    assert check.conclusion == "success", check.log
    (issue,) = world.github.drift_issues
    assert "Renamed by hand" in issue["body"]
    before = issue["body"]
    world.look_for_drift(two)
    assert issue["body"] == before
    world.rename("release-notes", "This one, too")
    world.look_for_drift(two)
    assert "This one, too" in issue["body"]
    assert len(world.github.drift_issues) == 1

    # Put back: the check that sees it closes the issue.
    monkeypatch.chdir(world.folder / f"commit-{world.commits}")
    assert run("apply", "--only-drift", "--yes").code == 0
    world.look_for_drift(two)
    assert issue["state"] == "closed"

    # And again: the same issue is open again.
    world.rename("nightly-sync", "Renamed once more")
    world.look_for_drift(two)
    assert issue["state"] == "open"
    assert "Renamed once more" in issue["body"]
    assert len(world.github.drift_issues) == 1
    assert len(world.switch.received) == 6, "each of these checks came to its end"


def test_a_fork_is_checked_without_secrets_and_stays_green(world: World) -> None:
    check = world.push(1, named("nightly-sync"), fork=True)
    assert check.conclusion == "success", check.log
    assert check.steps["plan"].outcome == check.steps["Comment"].outcome == "skipped"
    assert "checked offline" in check.annotations("notice")[0]
    assert world.github.bodies(1) == []
    assert world.github.artifacts == []
    broken = world.push(1, {"nightly-sync": {"scopes": {"google": "gmail.readonly"}}}, fork=True)
    assert broken.conclusion == "failure"
    assert broken.annotations("error")


def test_dependabot_gets_no_secrets_either(world: World) -> None:
    check = world.check(1, *world.commit(named("nightly-sync")), by="dependabot[bot]")
    assert check.conclusion == "success", check.log
    assert check.steps["plan"].outcome == "skipped"


def test_a_comment_that_github_refuses_is_a_warning(world: World) -> None:
    world.github.forbidden.append(re.compile("POST /repos/.*/comments"))
    check = world.push(1, named("nightly-sync"))
    assert check.conclusion == "success", check.log
    assert "HTTP 403" in check.annotations("warning")[0]
    assert "nightly-sync" in check.summary


def test_what_a_guard_refuses_fails_the_check_and_is_told_all_the_same(world: World) -> None:
    refused = {"nightly-sync": {"scopes": {"google": ["drive"]}}}
    sha, files = world.commit(refused, guards={"sensitive_scopes": ["google:drive"]})
    check = world.check(1, sha, files)
    assert check.conclusion == "failure"
    assert check.steps["plan"].outputs["exit_code"] == "12"
    assert "sensitive-scopes" in world.github.bodies(1)[0]
    assert len(world.github.artifacts) == 1


def test_a_configuration_that_cannot_be_read_is_told_in_the_same_comment(world: World) -> None:
    world.push(1, named("nightly-sync"))
    check = world.push(1, None)
    assert check.conclusion == "failure"
    (comment,) = world.github.bodies(1)
    assert "configuration has 1 error" in comment
    assert len(world.github.artifacts) == 1


def test_a_reviewed_plan_that_no_longer_fits_changes_nothing_until_one_plans_anew(world: World) -> None:
    one, two = named("nightly-sync"), named("nightly-sync", "release-notes")
    world.push(1, one)
    world.push(2, two)
    assert world.merge(2, two)["apply"].conclusion == "success"
    jobs = world.merge(1, one)
    assert jobs["plan"].conclusion == "failure"
    assert "Run the workflow apply by hand" in jobs["plan"].annotations("error")[-1]
    assert "Run the workflow apply by hand" in jobs["plan"].summary
    assert jobs["apply"].conclusion == "skipped", "nobody is asked about a plan that is stale"
    assert world.names() == {"nightly-sync", "release-notes"}
    jobs = world.apply_by_hand(one)
    assert jobs["apply"].conclusion == "success", jobs["apply"].log
    assert "release-notes" in jobs["plan"].summary, (
        "the reviewers of the environment see what they let through"
    )
    assert world.names() == {"nightly-sync"}


def test_a_plan_that_went_stale_while_reviewers_slept_is_refused(world: World) -> None:
    one = named("nightly-sync")
    world.apply_by_hand(one)
    changed = {"nightly-sync": {"scopes": {"google": ["gmail.readonly"]}, "display_name": "Nightly"}}
    world.push(1, changed)

    world.runner.on_approval = lambda: world.rename("nightly-sync", "Somebody was faster")
    jobs = world.merge(1, changed)
    assert jobs["plan"].conclusion == "success"
    assert jobs["apply"].conclusion == "failure"
    assert jobs["apply"].steps["apply"].outputs["exit_code"] == "13"
    assert "plans anew" in jobs["apply"].summary
    assert [agent["display_name"] for agent in world.live()] == ["Somebody was faster"]


def test_a_check_that_could_not_be_made_is_red_closes_nothing_and_lets_the_switch_go_off(
    world: World,
) -> None:
    one = named("nightly-sync")
    world.apply_by_hand(one)
    world.rename("nightly-sync", "Renamed by hand")
    world.look_for_drift(one)
    (issue,) = world.github.drift_issues
    before, pings = dict(issue), len(world.switch.received)
    world.runner.secrets = {**world.runner.secrets, "ALTER_API_KEY_READ": "alter_rk_" + "x" * 40}
    check = world.look_for_drift(one)
    assert check.conclusion == "failure"
    assert check.annotations("error")
    assert (issue, len(world.switch.received)) == (before, pings)


def test_drift_that_cannot_be_told_is_red(world: World) -> None:
    one = named("nightly-sync")
    world.apply_by_hand(one)
    world.rename("nightly-sync", "Renamed by hand")
    world.github.forbidden.append(re.compile("POST /repos/.*/issues"))
    assert world.look_for_drift(one).conclusion == "failure"
    assert len(world.switch.received) == 0


def test_the_schedule_can_be_switched_off(world: World) -> None:
    world.runner.variables = {**world.runner.variables, "ALTER_SYNC_DRIFT": "off"}
    assert world.look_for_drift(named("nightly-sync")).conclusion == "skipped"


def test_what_a_guard_refuses_can_be_let_through_by_hand(world: World) -> None:
    asked = {"nightly-sync": {"scopes": {"google": ["drive"]}}}
    sha, files = world.commit(asked, guards={"sensitive_scopes": ["google:drive"]})
    jobs = world.play("apply.yml", Event("workflow_dispatch", files, sha))
    assert [job.conclusion for job in jobs.values()] == ["success", "failure"]
    assert jobs["apply"].steps["apply"].outputs["exit_code"] == "12"
    assert world.names() == set()
    allow = {"allow": "sensitive-scopes=nightly-sync"}
    jobs = world.play("apply.yml", Event("workflow_dispatch", files, sha, inputs=allow))
    assert jobs["apply"].conclusion == "success", jobs["apply"].log
    assert world.names() == {"nightly-sync"}


@pytest.mark.parametrize("applied", ["", "sensitive-scopes=nightly-sync"])
def test_a_plan_lets_through_only_what_the_workflow_that_applies_it_does(world: World, applied: str) -> None:
    asked = {"nightly-sync": {"scopes": {"google": ["drive"]}}}
    sha, files = world.commit(asked, guards={"sensitive_scopes": ["google:drive"]})
    head = {"sha": sha, "repo": {"full_name": REPOSITORY}}
    payload = {"pull_request": {"number": 1, "head": head, "user": {"login": "jane"}}}
    pull = world.github.opened(1, head=sha)
    allow = {"allow": "sensitive-scopes=nightly-sync"}
    check = world.play("plan.yml", Event("pull_request", files, sha, payload, allow, is_called=True))["plan"]
    assert check.conclusion == "success", check.log
    pull.update(merged_at="2026-01-01T00:00:00Z", merge_commit_sha="b" * 40)
    jobs = world.play("apply.yml", Event("push", files, "b" * 40, inputs={"allow": applied}, is_called=True))
    assert jobs["plan"].conclusion == "success", jobs["plan"].log
    if applied:
        assert jobs["plan"].steps["Plan anew"].outcome == "skipped"
        assert "reviewed in #1" in jobs["plan"].summary
        assert world.names() == {"nightly-sync"}
    else:
        assert "does not count as reviewed" in jobs["plan"].annotations("warning")[0]
        assert jobs["plan"].steps["Plan anew"].outcome == "success"
        assert "reviewed in #1" not in jobs["plan"].summary
        assert jobs["apply"].steps["apply"].outputs["exit_code"] == "12"
        assert world.names() == set()


WITH_ACTION = f"""
on: [push]
concurrency: {{group: one}}
defaults: {{run: {{shell: bash}}}}
jobs:
  plan:
    permissions: {{contents: read}}
    env: {{ALTER_BASE_URL: "${{{{ vars.ALTER_BASE_URL }}}}"}}
    steps:
      - uses: actions/checkout@{"a" * 40}
        with: {{persist-credentials: false}}
      - id: plan
        uses: {PROJECT}@{"b" * 40}
        with:
          command: plan
          config: agents.yaml
          args: |
            --target=nightly *
            --detailed-exitcode
            --save=a plan.json
          accept: 0 10
          api-key: ${{{{ secrets.ALTER_API_KEY_READ }}}}
      - id: status
        uses: {PROJECT}@{"b" * 40}
        with: {{command: schema, args: plan}}
      - name: Yours
        run: alter-sync --version; type -a python || true
      - id: drift
        uses: {PROJECT}@{"b" * 40}
        with: {{command: drift, api-key: "${{{{ secrets.NOBODY }}}}"}}
"""


def test_the_action_runs_any_command_and_hands_out_what_it_found(world: World) -> None:
    sha, files = world.commit({"nightly-sync": READER, "other": READER})
    job = world.runner.run_text(WITH_ACTION, Event("push", files, sha))["plan"]
    plan = job.steps["plan"]
    assert (plan.outcome, plan.outputs["exit_code"]) == ("failure", "2"), "no agent is called `nightly *`"
    text = WITH_ACTION.replace("nightly *", "nightly-*")
    job = world.runner.run_text(text, Event("push", files, sha))["plan"]
    plan = job.steps["plan"]
    assert plan.outcome == "success", job.log
    assert plan.outputs["exit_code"] == "10"
    assert (plan.outputs["changes_to_create"], plan.outputs["drift"]) == ("1", "0")
    assert plan.outputs["plan_path"] == "a plan.json"
    assert plan.outputs["plan_digest"].startswith("sha256:")
    assert "nightly-sync" in job.summary
    assert "alter-sync" in job.steps["Yours"].log
    assert "alter-sync/" not in job.steps["Yours"].log, "only the command is on the path, not its Python"
    assert job.steps["drift"].outputs["exit_code"] == "3"
    assert job.conclusion == "failure"


@pytest.mark.parametrize("workflow", ["plan.yml", "apply.yml", "drift.yml"])
def test_a_copy_needs_one_line_changed(world: World, workflow: str) -> None:
    text = (ROOT / ".github/workflows" / workflow).read_text(encoding="utf-8")
    copy = text.replace("$/.github/actions/install", f"{PROJECT}/.github/actions/install@{'b' * 40} # v0.1.0")
    assert copy != text
    assert "$/" not in copy
    sha, files = world.commit(named("nightly-sync"))
    pull = {"number": 1, "head": {"sha": sha, "repo": {"full_name": REPOSITORY}}, "user": {"login": "jane"}}
    world.github.opened(1, head=sha)
    name = {"plan.yml": "pull_request", "apply.yml": "workflow_dispatch", "drift.yml": "schedule"}[workflow]
    jobs = world.runner.run_text(copy, Event(name, files, sha, {"pull_request": pull}))
    assert {job.conclusion for job in jobs.values()} == {"success"}


def test_a_called_workflow_takes_what_its_caller_gives(world: World) -> None:
    asked = {"nightly-sync": {"scopes": {"google": ["drive"]}}}
    sha, files = world.commit(asked, guards={"sensitive_scopes": ["google:drive"]})
    (files / "agents.yaml").rename(files / "payments.yaml")
    inputs = {
        "config": "payments.yaml",
        "app": "payments",
        "allow": "sensitive-scopes=nightly-sync max-changes",
    }
    head = {"sha": sha, "repo": {"full_name": REPOSITORY}}
    payload = {"pull_request": {"number": 1, "head": head, "user": {"login": "jane"}}}
    world.github.opened(1, head=sha)
    check = world.play("plan.yml", Event("pull_request", files, sha, payload, inputs, is_called=True))["plan"]
    assert check.conclusion == "success", check.log
    assert [artifact.name for artifact in world.github.artifacts] == [f"alter-sync-plan-payments-{sha}"]
