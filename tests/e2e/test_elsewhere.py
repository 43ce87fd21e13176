"""The same elsewhere: GitLab's jobs, Kubernetes' pods, the image, the hook. What they run, run for real."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from reconciler.errors import ExitCode
from reconciler.sandbox import SandboxServer
from tests.support.commands import SCRIPT, declare, readers, run
from tests.support.sandbox_server import SignedClient

ROOT = Path(__file__).parents[2]
GITLAB = yaml.safe_load((ROOT / "ci/gitlab.yml").read_text(encoding="utf-8"))
MANIFESTS = [
    document
    for path in sorted((ROOT / "deploy/kubernetes").glob("*.yaml"))
    if path.name != "kustomization.yaml"
    for document in yaml.safe_load_all(path.read_text(encoding="utf-8"))
]
NAMES = [f"tenant-{number:03}" for number in range(12)]


def names_in(alter: SandboxServer) -> set[str]:
    with SignedClient(alter) as client:
        return {agent["name"] for agent in client.get("/sdk/agents").json()["items"]}


# GitLab.


def job_of(name: str) -> dict[str, Any]:
    """A job with what it extends."""
    job = GITLAB[name]
    return {**job_of(job["extends"]), **job} if "extends" in job else job


def play(name: str, **project: str) -> subprocess.CompletedProcess[str]:
    """The script of a job, as GitLab's runner does it: one shell, which stops at the first failure."""
    job = job_of(name)
    variables = {key: about["value"] for key, about in GITLAB["variables"].items()} | project
    for key, value in job.get("variables", {}).items():
        variables[key] = variables.get(value.removeprefix("$"), "")
    done = subprocess.run(
        ["sh", "-e", "-c", "\n".join(job["script"])],
        env={"PATH": f"{Path(SCRIPT).parent}:/usr/bin:/bin", "CI_COMMIT_SHA": "c" * 40, **variables},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    for kept in [*job["artifacts"].get("paths", ()), *job["artifacts"].get("reports", {}).values()]:
        assert Path(kept).is_file(), f"{name} does not write {kept}"
    return done


@pytest.mark.timeout(60)
def test_a_merge_request_in_gitlab_is_planned_and_applied_and_checked(alter: SandboxServer) -> None:
    project = {
        "ALTER_BASE_URL": alter.base_url,
        "ALTER_API_KEY_READ": alter.create_app_key(("agents:read",)),
        "ALTER_API_KEY_WRITE": alter.create_app_key(("agents:read", "agents:write")),
    }
    declare({"nightly-sync": {"scopes": {"google": ["gmail.readonly"]}, "display_name": "Nightly"}})
    done = play("alter-sync-plan", **project)
    assert done.returncode == 0, done.stderr
    assert json.loads(Path("tfplan.json").read_text()) == {"create": 1, "update": 0, "delete": 0}
    assert json.loads(Path("gl-code-quality-report.json").read_text()) == []
    assert play("alter-sync-plan-merged", **project).returncode == 0
    assert play("alter-sync-apply", **project).returncode == 0
    assert names_in(alter) == {"nightly-sync"}
    assert play("alter-sync-drift", **project).returncode == 0
    with SignedClient(alter) as client:
        (agent,) = client.get("/sdk/agents").json()["items"]
        client.send("PATCH", f"/sdk/agents/{agent['id']}", document={"display_name": "Renamed"})
    assert play("alter-sync-drift", **project).returncode == ExitCode.CHANGES
    (problem,) = json.loads(Path("gl-code-quality-report.json").read_text())
    assert problem["check_name"] == "drift/changed-outside"
    assert problem["location"]["path"] == "agents.yaml"
    stale = play("alter-sync-apply", **project)
    assert stale.returncode == ExitCode.STALE, "the plan was carried out already"


@pytest.mark.timeout(60)
def test_guards_speak_in_gitlab_and_can_be_let_through(alter: SandboxServer) -> None:
    project = {"ALTER_BASE_URL": alter.base_url, "ALTER_API_KEY_READ": alter.create_app_key(("agents:read",))}
    declare({"a": {"scopes": {"google": ["drive"]}}}, guards={"sensitive_scopes": ["google:drive"]})
    assert play("alter-sync-plan", **project).returncode == ExitCode.REFUSED
    (problem,) = json.loads(Path("gl-code-quality-report.json").read_text())
    assert problem["check_name"] == "guard/sensitive-scopes"
    allowed = play("alter-sync-plan", **project, ALTER_SYNC_ALLOW="sensitive-scopes=a max-changes")
    assert allowed.returncode == 0, allowed.stderr
    assert job_of("alter-sync-plan-merged")["allow_failure"] == {"exit_codes": [ExitCode.REFUSED]}


@pytest.mark.usefixtures("workplace")
def test_a_fork_in_gitlab_is_checked_offline() -> None:
    declare(readers("nightly-sync"))
    assert play("alter-sync-validate").returncode == 0
    Path("agents.yaml").write_text("version: 1\nowner: a\nagents: []\n")
    assert play("alter-sync-validate").returncode == ExitCode.USAGE
    problems = json.loads(Path("gl-code-quality-report.json").read_text())
    assert problems
    assert len({problem["fingerprint"] for problem in problems}) == len(problems)


@pytest.mark.usefixtures("alter")
def test_a_plan_that_could_not_be_made_is_not_reported_as_no_change() -> None:
    declare(readers("nightly-sync"))
    result = run("plan", "--target", "nobody", "--report", "terraform=tfplan.json")
    assert result.code == ExitCode.USAGE
    assert json.loads(Path("tfplan.json").read_text()) == {}


@pytest.mark.usefixtures("alter")
def test_the_widget_counts_agents() -> None:
    declare(readers("a", "b"))
    assert run("apply", "--yes").code == ExitCode.OK
    declare({"b": {"scopes": {"google": ["gmail.send"]}, "display_name": "B"}, **readers("c")})
    run("plan", "--report", "terraform=tfplan.json")
    assert json.loads(Path("tfplan.json").read_text()) == {"create": 1, "update": 1, "delete": 1}


# Kubernetes.


def pod_of(manifest: Mapping[str, Any]) -> Mapping[str, Any]:
    spec = manifest["spec"]
    if manifest["kind"] == "CronJob":
        spec = spec["jobTemplate"]["spec"]
    pod: Mapping[str, Any] = spec["template"]["spec"]
    return pod


WORKLOADS = [manifest for manifest in MANIFESTS if manifest["kind"] in {"CronJob", "Job"}]
WORKLOAD_IDS = [f"{one['kind']} {one['metadata'].get('name', 'indexed')}" for one in WORKLOADS]


@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda one: str(one["metadata"]))
def test_a_manifest_is_what_kubernetes_takes(manifest: Mapping[str, Any]) -> None:
    kubernetes_validate.validate(manifest, "1.33", strict=True)


@pytest.mark.parametrize("manifest", WORKLOADS, ids=WORKLOAD_IDS)
def test_a_pod_may_do_as_little_as_can_be(manifest: Mapping[str, Any]) -> None:
    pod = pod_of(manifest)
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] > 1000
    assert pod["automountServiceAccountToken"] is False
    (container,) = pod["containers"]
    context = container["securityContext"]
    assert context["readOnlyRootFilesystem"] is True
    assert context["allowPrivilegeEscalation"] is False
    assert context["capabilities"] == {"drop": ["ALL"]}
    assert container["resources"]["limits"]["memory"]
    assert {mount["name"] for mount in container["volumeMounts"]} == {one["name"] for one in pod["volumes"]}
    secret = next(volume["secret"] for volume in pod["volumes"] if "secret" in volume)
    assert secret["secretName"] == ("alter-sync-read" if "drift" in container["args"] else "alter-sync-write")


def mounted(folder: Path, name: str, text: str) -> Path:
    """A ConfigMap or a Secret as the kubelet mounts it: links to links, so that it can be swapped at once."""
    (folder / "..2026_01_01").mkdir(parents=True)
    (folder / "..2026_01_01" / name).write_text(text)
    (folder / "..data").symlink_to("..2026_01_01")
    (folder / name).symlink_to(f"..data/{name}")
    return folder


def start(pod: Mapping[str, Any], alter: SandboxServer, tmp_path: Path, **environ: str) -> int:
    """The container's command, with what is mounted elsewhere, and in a folder that cannot be written."""
    (container,) = pod["containers"]
    arguments = [
        argument.replace("/etc/alter-sync", str(tmp_path / "config")).replace(
            "/run/secrets/alter-sync", str(tmp_path / "secret")
        )
        for argument in container["args"]
    ]
    given = {entry["name"]: entry["value"] for entry in container.get("env", ())}
    return subprocess.run(
        [SCRIPT, *arguments],
        env={"ALTER_BASE_URL": alter.base_url, **given, **environ},
        cwd="/proc/self",
        capture_output=True,
        timeout=30,
        check=False,
    ).returncode


@pytest.mark.timeout(60)
def test_pods_do_their_work_with_mounted_files_and_nothing_else(alter: SandboxServer, tmp_path: Path) -> None:
    mounted(tmp_path / "config", "agents.yaml", declare(readers(*NAMES)).read_text())
    mounted(tmp_path / "secret", "api-key", alter.app_key() + "\n")
    pods = dict(zip(WORKLOAD_IDS, map(pod_of, WORKLOADS), strict=True))
    assert start(pods["CronJob alter-sync-apply"], alter, tmp_path) == ExitCode.OK
    assert names_in(alter) == set(NAMES)
    assert start(pods["CronJob alter-sync-drift"], alter, tmp_path) == ExitCode.OK


@pytest.mark.timeout(60)
def test_the_pods_of_an_indexed_job_share_the_agents(alter: SandboxServer, tmp_path: Path) -> None:
    (manifest,) = [one for one in WORKLOADS if one["kind"] == "Job"]
    spec = manifest["spec"]
    (environ,) = pod_of(manifest)["containers"][0]["env"]
    assert environ == {"name": "ALTER_SYNC_SHARDS", "value": str(spec["completions"])}
    mounted(tmp_path / "config", "agents.yaml", declare(readers(*NAMES)).read_text())
    mounted(tmp_path / "secret", "api-key", alter.app_key())
    counts = []
    for index in range(spec["completions"]):
        code = start(pod_of(manifest), alter, tmp_path, JOB_COMPLETION_INDEX=str(index))
        assert code == ExitCode.OK
        counts.append(len(names_in(alter)))
    assert counts[-1] == len(NAMES)
    assert 0 < counts[0] < len(NAMES)


# The image and the hook.


def instructions() -> list[tuple[str, str]]:
    text = (ROOT / "Containerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in lines)]


def test_the_image_runs_without_root_and_without_a_shell() -> None:
    found = instructions()
    last_stage = found[max(number for number, (word, _) in enumerate(found) if word == "FROM") :]
    (user,) = [rest for word, rest in last_stage if word == "USER"]
    assert re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", user)
    (entry,) = [rest for word, rest in last_stage if word == "ENTRYPOINT"]
    assert json.loads(entry) == ["/opt/alter-sync/bin/alter-sync"]
    assert not [word for word, _ in last_stage if word == "RUN"]


def test_what_the_image_is_built_from_is_enough_to_build_the_wheel(tmp_path: Path) -> None:
    context = tmp_path / "context"
    context.mkdir()
    lets_through = [
        line.removeprefix("!") for line in (ROOT / ".dockerignore").read_text().splitlines() if line[0] == "!"
    ]
    for word, rest in instructions():
        if word != "COPY" or rest.startswith("--from"):
            continue
        *sources, target = rest.split()
        for source in sources:
            assert source in lets_through
            place = context / (source if target == "./" else target)
            place.parent.mkdir(parents=True, exist_ok=True)
            if (ROOT / source).is_dir():
                shutil.copytree(ROOT / source, place, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(ROOT / source, place)
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel"],
        cwd=context,
        check=True,
        capture_output=True,
        timeout=30,
    )
    (wheel,) = (context / "dist").glob("*.whl")
    files = set(zipfile.ZipFile(wheel).namelist())
    assert {"reconciler/cli/main.py", "reconciler/schemas/agents.schema.json"} <= files
    assert {f"reconciler/cli/templates/{name}" for name in ("agents.yaml", "workflow.yml")} <= files


def test_the_hook_checks_all_files_at_once(workplace: Path) -> None:
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
    assert hook["pass_filenames"] is False
    wanted = re.compile(hook["files"])
    assert wanted.search("agents.yaml")
    assert wanted.search("agents/payments.yml")
    assert not wanted.search("docs/agents.yaml")
    declare(readers("nightly-sync"))
    program, *arguments = shlex.split(hook["entry"])
    assert program == Path(SCRIPT).name
    environ = {"PATH": os.environ["PATH"], "HOME": str(workplace)}
    done = subprocess.run([SCRIPT, *arguments], env=environ, capture_output=True, timeout=20, check=False)
    assert done.returncode == 0, done.stderr
