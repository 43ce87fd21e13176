"""``matrix``: the jobs of a fleet of apps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from reconciler.errors import ExitCode
from reconciler.model.shard import Shard
from reconciler.sandbox import SandboxServer
from tests.support.commands import declare, readers, run
from tests.support.several_apps import APPS, Fleet, declare_app, variable_of


def fleet_of(**agents: int) -> None:
    for app, count in agents.items():
        declare_app(app, readers(*(f"agent-{number:03}" for number in range(count))))


def jobs(*words: str) -> list[dict[str, Any]]:
    result = run("matrix", "-c", "apps", "--output", "json", *words)
    assert result.code == ExitCode.OK, result.stderr
    assert result.stdout.count("\n") == 1  # one line, as outputs of steps are
    found: list[dict[str, Any]] = result.document["include"]
    return found


def test_each_app_is_a_job_with_its_files_and_the_name_of_its_key(workplace: Path) -> None:
    fleet_of(bank=2, shop=1)
    assert jobs() == [
        {
            "name": app,
            "app": app,
            "apps": [app],
            "owners": [f"{app}/agents"],
            "config": f"apps/{app}.yaml",
            "shard": "1/1",
            "agents": agents,
            "api_key_env": variable_of(app),
            "api_key_envs": [variable_of(app)],
        }
        for app, agents in (("bank", 2), ("shop", 1))
    ]


def test_a_large_app_is_split_and_its_jobs_have_all_its_agents(workplace: Path) -> None:
    fleet_of(bank=50, shop=3)
    found = jobs("--agents-per-shard", "20")
    assert [(job["name"], job["shard"]) for job in found] == [
        ("bank 1/3", "1/3"),
        ("bank 2/3", "2/3"),
        ("bank 3/3", "3/3"),
        ("shop", "1/1"),
    ]
    names = [f"agent-{number:03}" for number in range(50)]
    assert [job["agents"] for job in found] == [
        *(sum(Shard(index, 3).holds(name) for name in names) for index in (1, 2, 3)),
        3,
    ]


def test_more_apps_than_jobs_share_them_evenly(workplace: Path) -> None:
    fleet_of(a=10, b=1, c=4, d=4, e=1)
    found = jobs("--max-jobs", "2")
    assert [(job["apps"], job["agents"]) for job in found] == [(["a"], 10), (["b", "c", "d", "e"], 10)]
    assert found[1]["config"].splitlines() == [f"apps/{app}.yaml" for app in "bcde"]
    assert found[1]["api_key_envs"] == ["B_KEY", "C_KEY", "D_KEY", "E_KEY"]
    assert (found[1]["app"], found[1]["api_key_env"]) == ("", "")
    said = run("matrix", "-c", "apps", "--max-jobs", "2").stderr
    assert said == "5 apps share 2 jobs: each needs the keys of its apps\n"


def test_a_folder_of_one_app_is_its_configuration(workplace: Path) -> None:
    for number in range(2):
        about = {"name": "bank", "api_key_env": "BANK_KEY"}
        declare(readers(f"bot-{number}"), file=f"apps/bank/{number}.yaml", app=about)
    fleet_of(shop=1)
    result = run("matrix", "-c", "apps/bank", "-c", "apps", "--output", "jsonl")
    assert [row["config"] for row in result.rows] == ["apps/bank", "apps"]


def test_one_app_is_one_job(workplace: Path) -> None:
    declare(readers("bot"))
    row = run("matrix", "--output", "jsonl").rows[0]
    assert (row["config"], row["api_key_env"]) == ("agents.yaml", "ALTER_API_KEY")


def test_people_get_a_table(workplace: Path) -> None:
    fleet_of(bank=1500, shop=1)
    assert run("matrix", "-c", "apps").stdout.splitlines() == [
        "JOB   AGENTS  KEYS      CONFIGURATION",
        "bank  1,500   BANK_KEY  apps/bank.yaml",
        "shop  1       SHOP_KEY  apps/shop.yaml",
    ]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--agents-per-shard", "1", "--max-jobs", "3"), "the parts alone are 4 jobs, and 3 are allowed"),
        (("--agents-per-shard", "1", "--max-jobs", "4"), "the parts alone are 4 jobs, and 4 are allowed"),
        (("--max-jobs", "257"), "256"),
    ],
)
def test_more_jobs_than_there_may_be_are_refused(
    workplace: Path, words: tuple[str, ...], message: str
) -> None:
    fleet_of(bank=4, shop=1)
    result = run("matrix", "-c", "apps", *words)
    assert (result.code, message in result.stderr) == (ExitCode.USAGE, True)


def test_the_jobs_of_a_matrix_do_what_one_run_would(
    alter: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet = Fleet(alter, monkeypatch)
    fleet_of(bank=6, mill=2, shop=1)
    for job in jobs("--agents-per-shard", "4"):
        words = [word for path in job["config"].splitlines() for word in ("-c", path)]
        assert run("apply", "--yes", "--shard", job["shard"], *words).code == ExitCode.OK
    assert {app: len(agents) for app, agents in fleet.live().items()} == {"bank": 6, "mill": 2, "shop": 1}
    assert run("plan", "-c", "apps", "--detailed-exitcode").code == ExitCode.OK
    assert set(APPS) == set(fleet.live())
