"""Plays workflows of GitHub Actions: every ``run`` step for real, in bash, with what a runner gives to it.

Steps that use an action of ours are played as well. Those of GitHub are modelled: checkout copies a folder,
setup-python names an interpreter, artifacts are folders. A context that is not available at a place, a
permission that a job was not given, an input that nobody declared: each is an error, as it is at GitHub.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from typing import Any

import yaml

from tests.support.expressions import as_text, condition, filled
from tests.support.github_repository import REPOSITORY, Artifact, GitHubRepository

# A step that has no outcome yet, and jobs that need one that failed.
SKIPPED = "skipped"
# Where others find this project: the same as `$/` is inside of it.
PROJECT = "acme/alter-sync"
_FILES = ("GITHUB_OUTPUT", "GITHUB_ENV", "GITHUB_PATH", "GITHUB_STEP_SUMMARY")
_OF_JOBS = ("github", "needs", "vars", "inputs")
_OF_STEPS = (*_OF_JOBS, "env", "steps", "runner", "job")


@dataclass(slots=True)
class StepRun:
    """How one step ended."""

    outcome: str = SKIPPED
    outputs: dict[str, str] = field(default_factory=dict)
    log: str = ""


@dataclass(slots=True)
class JobRun:
    """How one job ended; ``steps`` by their ids and by their names."""

    conclusion: str = SKIPPED
    steps: dict[str, StepRun] = field(default_factory=dict)
    summary: str = ""

    @property
    def log(self) -> str:
        """What all its steps printed."""
        return "".join(step.log for step in self.steps.values())

    def annotations(self, level: str) -> list[str]:
        """The messages that are shown with the run."""
        lines = [line for line in self.log.splitlines() if line.startswith(f"::{level}")]
        return [line.split("::", 2)[2] for line in lines]


@dataclass(frozen=True, slots=True)
class Event:
    """What a workflow runs for. ``files`` is what the repository holds at that commit."""

    name: str
    files: Path
    sha: str
    payload: Mapping[str, Any] = field(default_factory=dict)
    inputs: Mapping[str, Any] = field(default_factory=dict)
    from_fork: bool = False
    # Another workflow calls it, which was started by the event.
    is_called: bool = False


@dataclass(slots=True)
class Runner:
    """GitHub Actions for one repository. ``home`` is where its machines live, ``project`` what `$/` means."""

    home: Path
    project: Path
    github: GitHubRepository
    # Where the first machine leaves the tool that it installed, because that takes long.
    installed: Path
    variables: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    environments: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    # What the machines have besides: how Python finds its libraries where there is no network.
    machine: Mapping[str, str] = field(default_factory=dict)
    # What happens while the reviewers of an environment think about it.
    on_approval: Callable[[], None] = lambda: None
    runs: int = 0

    def run(self, workflow: str, event: Event) -> dict[str, JobRun]:
        """The jobs of a workflow, in their order."""
        text = (self.project / ".github/workflows" / workflow).read_text(encoding="utf-8")
        return self.run_text(text, event, name=workflow)

    def run_text(self, text: str, event: Event, *, name: str = "a workflow") -> dict[str, JobRun]:
        """The jobs of a workflow that is nobody's file."""
        document = yaml.safe_load(text)
        triggers = document[True]  # YAML 1.1 reads `on` like that
        assert ("workflow_call" if event.is_called else event.name) in triggers, (
            f"{name} does not run for {event.name}"
        )
        self.runs += 1
        played = _Played(self, document, event, self.runs)
        return played.jobs()


@dataclass(slots=True)
class _Played:
    """One run of one workflow."""

    runner: Runner
    document: Mapping[str, Any]
    event: Event
    run_id: int
    done: dict[str, JobRun] = field(default_factory=dict)

    def jobs(self) -> dict[str, JobRun]:
        filled(self.document["concurrency"]["group"], self.contexts("github", "inputs", "vars"))
        for name, job in self.document["jobs"].items():
            needed = [job["needs"]] if isinstance(job.get("needs"), str) else job.get("needs", [])
            ready = all(self.done[other].conclusion == "success" for other in needed)
            if condition(str(job.get("if", "true")), self.contexts(*_OF_JOBS), succeeded=ready):
                self.done[name] = _Job(self, name, job).play()
            else:
                self.done[name] = JobRun()
        return self.done

    def contexts(self, *names: str, **more: Any) -> dict[str, Any]:
        """The contexts that are available at some place."""
        event = self.event
        github = {
            "event": event.payload,
            "event_name": event.name,
            "repository": REPOSITORY,
            "sha": event.sha,
            "run_id": self.run_id,
            "ref_name": "main",
        }
        needs = {name: {"result": job.conclusion, "outputs": {}} for name, job in self.done.items()}
        known = {"github": github, "needs": needs, "vars": self.runner.variables, "inputs": event.inputs}
        return {**{name: known[name] for name in names if name in known}, **more}


@dataclass(slots=True)
class _Job:
    """One job on a machine of its own."""

    played: _Played
    name: str
    job: Mapping[str, Any]
    run: JobRun = field(default_factory=JobRun)
    steps: dict[str, Any] = field(default_factory=dict)
    path: list[str] = field(default_factory=list)
    variables: dict[str, str] = field(default_factory=dict)
    failed: bool = False
    token: str = ""
    secrets: Mapping[str, str] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        return self.played.runner.home / f"run-{self.played.run_id}-{self.name}"

    @property
    def workspace(self) -> Path:
        return self.folder / "work"

    @property
    def temp(self) -> Path:
        return self.folder / "temp"

    def play(self) -> JobRun:
        runner, event = self.played.runner, self.played.event
        self.workspace.mkdir(parents=True)
        self.temp.mkdir()
        (self.folder / "event.json").write_text(json.dumps(event.payload))
        (self.folder / "GITHUB_STEP_SUMMARY").touch()
        tool = self.temp / "alter-sync"
        if runner.installed.exists():
            tool.symlink_to(runner.installed.resolve())
        granted = self.job.get("permissions", self.played.document.get("permissions", {}))
        # A run for a fork may only read, and gets no secrets.
        permissions = {name: "read" if event.from_fork else level for name, level in granted.items()}
        self.token = runner.github.token_for(permissions)
        environment = self.job.get("environment")
        self.secrets = {} if event.from_fork else runner.secrets
        if environment:
            runner.on_approval()
            name = filled(environment, self.played.contexts(*_OF_JOBS))
            self.secrets = {**self.secrets, **runner.environments[name]}
        contexts = self.contexts(*_OF_JOBS, secrets=self.secrets)
        shared = {**self.played.document.get("env", {}), **self.job.get("env", {})}
        self.variables = {name: filled(as_text(value), contexts) for name, value in shared.items()}
        for step in self.job["steps"]:
            self._step(step)
        if tool.exists() and not runner.installed.exists():
            runner.installed.symlink_to(tool)
        self.run.conclusion = "failure" if self.failed else "success"
        self.run.summary = (self.folder / "GITHUB_STEP_SUMMARY").read_text()
        return self.run

    def contexts(self, *names: str, **more: Any) -> dict[str, Any]:
        here = {
            "env": self.variables,
            "steps": self.steps,
            "runner": {"temp": str(self.temp)},
            "job": {"status": "failure" if self.failed else "success"},
        }
        contexts = self.played.contexts(*names, **{name: here[name] for name in names if name in here})
        contexts["github"] = {**contexts["github"], "token": self.token}
        return {**contexts, **more}

    def _step(self, step: Mapping[str, Any]) -> None:
        result = StepRun()
        self.run.steps[step.get("id") or step.get("name") or step["uses"]] = result
        if condition(str(step.get("if", "true")), self.contexts(*_OF_STEPS), succeeded=not self.failed):
            contexts = self.contexts(*_OF_STEPS, secrets=self.secrets)
            result.outcome = "success" if self._carry_out(step, contexts, result) else "failure"
            self.failed |= result.outcome == "failure"
        if "id" in step:
            self.steps[step["id"]] = {"outcome": result.outcome, "outputs": result.outputs}

    def _carry_out(self, step: Mapping[str, Any], contexts: Mapping[str, Any], result: StepRun) -> bool:
        given = {name: filled(as_text(value), contexts) for name, value in step.get("with", {}).items()}
        if "run" in step:
            return self._bash(step, contexts, result)
        name = step["uses"].partition("@")[0]
        for here in ("$/", f"{PROJECT}/"):
            if f"{name}/".startswith(here):
                return self._action(self.played.runner.project / f"{name}/".removeprefix(here), given, result)
        if name == "actions/checkout":
            assert given["persist-credentials"] == "false"
            shutil.copytree(self.played.event.files, self.workspace, dirs_exist_ok=True)
            return True
        if name == "actions/setup-python":
            result.outputs["python-path"] = sys.executable
            return True
        if name == "actions/upload-artifact":
            return self._upload(given)
        assert name == "actions/download-artifact", f"no model of {name}"
        return self._download(given)

    def _action(self, folder: Path, given: Mapping[str, str], result: StepRun) -> bool:
        """A composite action: its steps, with its inputs, and outputs of those."""
        action = yaml.safe_load((folder / "action.yml").read_text(encoding="utf-8"))
        declared = action.get("inputs", {})
        assert given.keys() <= declared.keys()
        inputs = {name: given.get(name, about.get("default", "")) for name, about in declared.items()}
        inner, ok = dict[str, Any](), True
        for step in action["runs"]["steps"]:
            contexts = {**self.contexts("github", "env", "runner", "job"), "inputs": inputs, "steps": inner}
            if not condition(str(step.get("if", "true")), contexts, succeeded=ok):
                continue
            part = StepRun()
            contexts["github"] = {**contexts["github"], "action_path": str(folder)}
            ok = self._carry_out({**step, "action": str(folder)}, contexts, part) and ok
            result.log += part.log
            inner[step.get("id", "")] = {"outputs": part.outputs}
        contexts = {"steps": inner, "inputs": inputs}
        for name, about in action.get("outputs", {}).items():
            result.outputs[name] = filled(about["value"], contexts)
        return ok

    def _bash(self, step: Mapping[str, Any], contexts: Mapping[str, Any], result: StepRun) -> bool:
        assert "${{" not in step["run"], "what comes from outside goes through the environment"
        assert step.get("shell") == "bash" or self.played.document["defaults"]["run"]["shell"] == "bash"
        script = self.temp / "step.sh"
        script.write_text(step["run"])
        own = {name: filled(as_text(value), contexts) for name, value in step.get("env", {}).items()}
        files = {name: self.folder / name for name in _FILES}
        for name in _FILES[:-1]:
            files[name].write_text("")
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", script],
            cwd=self.workspace,
            env=self._environment(step)
            | self.variables
            | own
            | {name: str(path) for name, path in files.items()},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
            check=False,
        )
        result.log += done.stdout
        result.outputs |= _pairs(files["GITHUB_OUTPUT"])
        self.variables |= _pairs(files["GITHUB_ENV"])
        self.path = files["GITHUB_PATH"].read_text().split() + self.path
        return done.returncode == 0

    def _environment(self, step: Mapping[str, Any]) -> dict[str, str]:
        """What every step of a job finds."""
        played = self.played
        return {
            **played.runner.machine,
            "PATH": os.pathsep.join([*self.path, "/usr/bin", "/bin"]),
            "HOME": str(self.folder),
            "CI": "true",
            "GITHUB_ACTIONS": "true",
            "GITHUB_ACTION_PATH": step.get("action", ""),
            "GITHUB_API_URL": played.runner.github.url,
            "GITHUB_EVENT_NAME": played.event.name,
            "GITHUB_EVENT_PATH": str(self.folder / "event.json"),
            "GITHUB_REPOSITORY": REPOSITORY,
            "GITHUB_RUN_ID": str(played.run_id),
            "GITHUB_SERVER_URL": "https://github.com",
            "GITHUB_SHA": played.event.sha,
            "GITHUB_WORKSPACE": str(self.workspace),
            "RUNNER_TEMP": str(self.temp),
        }

    def _upload(self, given: Mapping[str, str]) -> bool:
        github, source = self.played.runner.github, Path(given["path"])
        if not source.exists():
            assert given["if-no-files-found"] in ("ignore", "error")
            return given["if-no-files-found"] == "ignore"
        number = len(github.artifacts) + 1
        folder = self.played.runner.home / "artifacts" / str(number)
        folder.mkdir(parents=True)
        shutil.copy(source, folder)
        pull = self.played.event.payload.get("pull_request")
        head = pull["head"]["sha"] if pull else self.played.event.sha
        pulls = (pull["number"],) if pull else ()
        github.artifacts.append(
            Artifact(given["name"], self.played.run_id, head, folder, number, pulls=pulls)
        )
        return True

    def _download(self, given: Mapping[str, str]) -> bool:
        github, run_id = self.played.runner.github, int(given.get("run-id", self.played.run_id))
        if run_id != self.played.run_id:
            assert github.tokens[given["github-token"]].get("actions") == "read"
        found = [one for one in github.artifacts if (one.run_id, one.name) == (run_id, given["name"])]
        if found:
            shutil.copytree(found[-1].folder, given["path"], dirs_exist_ok=True)
        return bool(found)


def _pairs(path: Path) -> dict[str, str]:
    """``name=value``, or ``name<<end`` with lines up to that end."""
    lines, found = iter(path.read_text().splitlines()), dict[str, str]()
    for line in lines:
        name, heredoc, end = line.partition("<<")
        if heredoc and "=" not in name:
            found[name] = "\n".join(takewhile(lambda inner, end=end: inner != end, lines))  # type: ignore[misc]
        else:
            name, _, value = line.partition("=")
            found[name] = value
    return found
