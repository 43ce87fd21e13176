"""Several apps in one run: each with its key, side by side, and none that stands in another's way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from reconciler.errors import ExitCode
from reconciler.sandbox import SandboxServer
from tests.support.commands import SCRIPT, Result, declare, environment, mutations, readers, run, terminal
from tests.support.several_apps import APPS, Fleet, declare_app, declare_delivering, variable_of


@pytest.fixture
def fleet(alter: SandboxServer, monkeypatch: pytest.MonkeyPatch) -> Fleet:
    return Fleet(alter, monkeypatch)


def declared() -> None:
    """An agent of the same name in each app, and one more in one."""
    for app in APPS:
        declare_delivering(app, "bot", *(["extra"] if app == "mill" else []))


def call(*words: str, **options: Any) -> Result:
    return run(*words, "-c", "apps", **options)


def exits(document: Any) -> dict[str, int]:
    return {one["app"]: one["exit"] for one in document["runs"]}


def test_a_plan_shows_each_app_under_its_name_with_the_command_for_it_alone(fleet: Fleet) -> None:
    declared()
    result = call("plan")
    assert result.code == ExitCode.OK
    places = [result.stdout.index(f"{app} ({app}/agents)\n") for app in APPS]
    assert places == sorted(places)
    assert result.stdout.count("Plan: 1 to create") == 2
    assert "Run `alter-sync apply -c apps/mill.yaml` to carry this out" in result.stdout
    assert result.stdout.endswith("\n3 apps: 3 ok\n")


def test_apply_carries_out_each_app_with_its_own_key_and_then_nothing_is_left(fleet: Fleet) -> None:
    declared()
    result = call("apply", "--yes", "--report", "html=r.html", "--report", "json=r.json")
    assert result.code == ExitCode.OK
    assert fleet.live() == {"bank": ["bot"], "mill": ["bot", "extra"], "shop": ["bot"]}
    held = {path.read_text() for path in Path("secrets").rglob("*.env")}
    assert len(held) == 4
    written = result.stdout + result.stderr + Path("r.html").read_text() + Path("r.json").read_text()
    for text in (*fleet.keys.values(), *(one.partition("=")[2].strip().strip("'\"") for one in held)):
        assert text not in written
    again = call("plan", "--detailed-exitcode", "--output", "json")
    assert (again.code, exits(again.document)) == (ExitCode.OK, dict.fromkeys(APPS, 0))


def test_an_app_that_fails_stops_no_other_and_its_error_names_it(fleet: Fleet) -> None:
    declared()
    fleet.use_key("mill", "agents:write")
    result = call("apply", "--yes")
    assert result.code == ExitCode.AUTH
    assert fleet.live() == {"bank": ["bot"], "mill": [], "shop": ["bot"]}
    assert "mill: error: GET /sdk/agents: The key lacks agents:read" in result.stderr
    assert result.stdout.endswith("\n3 apps: 2 ok; exit 3 (auth): mill\n")


def test_the_gravest_end_of_an_app_is_that_of_the_run(fleet: Fleet) -> None:
    declare_app("bank", readers("bot"), freeze=[{"from": "2026-01-01", "to": "2090-01-01"}])
    declare_app("mill", readers("bot"))
    declare_app("shop", readers("bot"))
    fleet.use_key("mill", "agents:write")
    result = call("plan", "--detailed-exitcode", "--output", "json")
    assert result.code == ExitCode.REFUSED
    assert result.document["exit"] == ExitCode.REFUSED
    assert exits(result.document) == {"bank": 12, "mill": 3, "shop": 10}


def test_programs_get_the_document_of_each_app(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    declared()
    fleet.use_key("shop", "agents:write")
    result = call("plan", "--output", "json")
    assert result.code == ExitCode.AUTH
    assert result.document["format"] == "alter-sync.runs/1"
    bank, mill, shop = result.document["runs"]
    alone = run("plan", "-c", "apps/bank.yaml", "--output", "json").document
    assert bank["result"]["plan_digest"] == alone["plan_digest"]
    assert (mill["owner"], mill["result"]["summary"]["create"]) == ("mill/agents", 2)
    assert shop["result"]["code"] == "insufficient_scope"


def test_lines_for_programs_say_which_app_they_are_of(fleet: Fleet) -> None:
    declared()
    result = call("plan", "--output", "jsonl", "--fields", "kind,agent")
    created = {"kind": "create_agent", "agent": "bot"}
    assert {"app": "shop", "owner": "shop/agents", **created} in result.rows
    assert len(result.rows) == 8


def test_apply_shows_all_plans_and_asks_once(fleet: Fleet) -> None:
    declared()
    call("apply", "--yes")
    declare_delivering("bank", "bot", "new")
    declare_delivering("shop", "bot", "new")
    with terminal("no") as stdin:
        result = call("apply", stdin=stdin)
    assert (result.code, fleet.live()["shop"]) == (ExitCode.ERROR, ["bot"])
    assert result.stdout.count("Plan: 1 to create") == 2
    assert "Carry out 4 operations on 2 apps (bank, shop) at http://127.0.0.1" in result.stderr
    with terminal("yes") as stdin:
        result = call("apply", stdin=stdin)
    assert (result.code, result.stderr.count("[y/N]")) == (ExitCode.OK, 1)
    assert fleet.live() == {"bank": ["bot", "new"], "mill": ["bot", "extra"], "shop": ["bot", "new"]}
    assert call("apply").code == ExitCode.OK  # nothing to ask about


def test_nobody_to_ask_is_told_so_before_anything_is_done(fleet: Fleet) -> None:
    declared()
    result = call("apply", "--report", "json=r.json")
    assert result.code == ExitCode.USAGE
    assert "pass --yes" in result.stderr
    assert mutations(fleet.server) == []
    assert exits(json.loads(Path("r.json").read_text())) == dict.fromkeys(APPS, 2)


@pytest.mark.parametrize("words", [("--target", "ext*"), ("--target", "extra", "--target", "bot")])
def test_an_agent_that_is_named_may_be_in_any_app(fleet: Fleet, words: tuple[str, ...]) -> None:
    declared()
    assert call("apply", "--yes", *words).code == ExitCode.OK
    assert "extra" in fleet.live()["mill"]
    assert fleet.live()["bank"] == (["bot"] if "bot" in words else [])


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("apply", "--yes", "--target", "extra", "--target", "extro"), "--target extro"),
        (("apply", "--yes", "--allow", "revoke-in-use=extro"), "--allow extro"),
        (("plan", "--target", "extro"), "--target extro"),
        (("drift", "--target", "extro"), "--target extro"),
        (("status", "--target", "extro"), "--target extro"),
    ],
)
def test_a_name_that_no_app_has_is_refused_before_anything_is_done(
    fleet: Fleet, words: tuple[str, ...], named: str
) -> None:
    declared()
    result = call(*words)
    assert result.code == ExitCode.USAGE
    assert f"error: {named}: no such agent" in result.stderr
    assert "did you mean 'extra'?" in result.stderr
    assert mutations(fleet.server) == []


@pytest.mark.parametrize(
    "words",
    [
        ("plan", "--save", "plan.json"),
        ("plan", "--check", "plan.json"),
        ("apply", "plan.json"),
        ("drift", "--baseline", "known.json"),
        ("rotate", "bot"),
        ("adopt",),
    ],
)
def test_what_works_on_one_app_says_how_to_name_one(fleet: Fleet, words: tuple[str, ...]) -> None:
    declared()
    result = call(*words)
    assert result.code == ExitCode.USAGE
    assert "works on one app, and the configuration is of 3: bank, mill, shop" in result.stderr
    assert "-c apps/bank.yaml; `alter-sync matrix` lists them all" in result.stderr
    assert fleet.server.store.request_log() == []
    assert not Path("plan.json").exists()


def test_a_configuration_with_an_error_stops_all_apps(fleet: Fleet) -> None:
    declared()
    declare_app("mill", {"bot": {"scopes": {"google": "gmail"}}})
    result = call("apply", "--yes")
    assert result.code == ExitCode.USAGE
    assert "apps/mill.yaml" in result.stderr
    assert fleet.server.store.request_log() == []


def test_two_apps_with_one_key_are_refused(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    declared()
    monkeypatch.setenv(variable_of("shop"), fleet.keys["bank"])
    result = call("apply", "--yes")
    assert result.code == ExitCode.USAGE
    assert "apps bank and shop have the same key, in BANK_KEY and SHOP_KEY" in result.stderr
    assert fleet.keys["bank"] not in result.stderr
    assert fleet.server.store.request_log() == []


def test_a_file_with_a_key_and_the_id_of_one_app_are_refused(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    declared()
    Path("key").write_text(fleet.keys["bank"])
    result = call("plan", "--api-key-file", "key")
    assert (result.code, "--api-key-file is the key of one app" in result.stderr) == (ExitCode.USAGE, True)
    monkeypatch.setenv("ALTER_APP_ID", fleet.server.app_id())
    assert call("plan").code == ExitCode.OK  # nobody asks for it without a token
    monkeypatch.setenv("ALTER_PAT", fleet.server.pat())
    result = call("plan")
    assert (result.code, "ALTER_APP_ID names one app" in result.stderr) == (ExitCode.USAGE, True)
    monkeypatch.delenv("ALTER_APP_ID")
    for app in ("bank", "shop"):
        monkeypatch.delenv(variable_of(app))
    result = call("plan")
    assert result.code == ExitCode.USAGE
    assert "apps bank and shop have the same app.id, or have none" in result.stderr


def test_drift_of_one_app_decides_for_all(fleet: Fleet) -> None:
    declared()
    declare_app("mill", {"extra": {"scopes": {}, "display_name": "Extra"}})
    call("apply", "--yes")
    with fleet.client("mill") as somebody:
        agent = somebody.get("/sdk/agents?name=extra").json()["items"][0]
        somebody.send("PATCH", f"/sdk/agents/{agent['id']}", document={"display_name": "Else"})
    result = call("drift", "--exit-code", "--output", "json")
    assert result.code == ExitCode.CHANGES
    assert exits(result.document) == {"bank": 0, "mill": 10, "shop": 0}
    assert "Everything is done" in call("apply", "--only-drift", "--yes").stdout
    assert call("drift", "--exit-code").code == ExitCode.OK


def test_status_lists_the_agents_of_each_app(fleet: Fleet) -> None:
    declared()
    call("apply", "--yes")
    rows = call("status", "--output", "jsonl", "--fields", "name").rows
    assert [(row["app"], row["name"]) for row in rows] == [
        ("bank", "bot"),
        ("mill", "bot"),
        ("mill", "extra"),
        ("shop", "bot"),
    ]


def test_validate_counts_the_agents_of_each_app(workplace: Path) -> None:
    declared()
    assert "valid: 2 agents of mill/agents in app mill\n" in call("validate").stdout
    assert call("validate", "--output", "json").document["agents"] == 4


def test_guards_count_in_each_app_by_itself(fleet: Fleet) -> None:
    names = [f"agent-{number}" for number in range(8)]
    for app in APPS:
        declare_app(app, readers(*names))
    call("apply", "--yes")
    declare_app("bank", readers(*names[:2]))
    declare_app("mill", readers(*names[:-1]))
    result = call("apply", "--yes", "--output", "json")
    assert result.code == ExitCode.REFUSED
    assert exits(result.document) == {"bank": 12, "mill": 0, "shop": 0}
    assert {app: len(agents) for app, agents in fleet.live().items()} == {"bank": 8, "mill": 7, "shop": 8}


def test_parts_of_all_apps_make_the_whole(fleet: Fleet) -> None:
    names = [f"agent-{number}" for number in range(8)]
    for app in APPS:
        declare_app(app, readers(*names))
    assert call("apply", "--yes", "--shard", "1/2").code == ExitCode.OK
    assert 0 < len(fleet.live()["bank"]) < 8
    assert call("apply", "--yes", "--shard", "2/2").code == ExitCode.OK
    assert fleet.live() == dict.fromkeys(APPS, names)


def test_an_interrupted_apply_finishes_what_it_began_in_every_app(fleet: Fleet) -> None:
    for app in APPS:
        declare_app(app, readers(*(f"agent-{number:02}" for number in range(20))))
    fleet.server.faults.add("delay", method="POST", seconds=0.1, times=None)
    given = {variable_of(app): key for app, key in fleet.keys.items()}
    with subprocess.Popen(
        [SCRIPT, "apply", "-c", "apps", "--yes", "--parallelism", "3", "--output", "json"],
        env=environment(**given),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as child:
        while len(mutations(fleet.server)) < 3:
            time.sleep(0.01)
        child.send_signal(signal.SIGTERM)
        stdout, stderr = child.communicate(timeout=20)
    assert child.returncode == ExitCode.TERMINATED
    assert stderr.count("stopping: what is begun will be finished") == 1
    document = json.loads(stdout)
    done = {one["app"]: one["result"]["summary"]["done"] for one in document["runs"]}
    assert {app: len(agents) for app, agents in fleet.live().items()} == done
    assert 0 < sum(done.values()) < 60
    for one in document["runs"]:
        assert one["result"]["resume"].startswith(f"alter-sync apply -c apps/{one['app']}.yaml")
    fleet.server.faults.clear()
    assert call("apply", "--yes").code == ExitCode.OK
    assert [len(agents) for agents in fleet.live().values()] == [20, 20, 20]


def test_an_interrupted_plan_ends_and_says_so_in_its_reports(fleet: Fleet) -> None:
    declared()
    fleet.server.faults.add("delay", method="GET", seconds=0.5, times=None)
    given = {variable_of(app): key for app, key in fleet.keys.items()}
    with subprocess.Popen(
        [SCRIPT, "plan", "-c", "apps", "--report", "json=r.json"],
        env=environment(**given),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as child:
        time.sleep(0.2)
        while not fleet.server.store.request_log() and child.poll() is None:
            time.sleep(0.01)
        child.send_signal(signal.SIGINT)
        _, stderr = child.communicate(timeout=20)
    assert (child.returncode, "Traceback" in stderr) == (ExitCode.INTERRUPTED, False)
    assert json.loads(Path("r.json").read_text())["exit"] == ExitCode.INTERRUPTED


def test_in_the_sandbox_each_app_has_one_of_its_own_and_a_run_of_one_agrees(workplace: Path) -> None:
    declared()
    assert call("apply", "--sandbox", "--yes").code == ExitCode.OK
    for words in (("-c", "apps"), ("-c", "apps/mill.yaml")):
        result = run("plan", "--sandbox", "--detailed-exitcode", *words)
        assert (result.code, result.stderr) == (ExitCode.OK, "sandbox: .alter-sync/sandbox.sqlite3\n")
    # What has no app of its name stays where everything was before.
    declare(readers("alone"))
    assert "1 to create" in run("plan", "--sandbox").stdout
    assert "; 1 in sync" not in run("plan", "--sandbox").stdout


def test_an_app_that_was_alone_in_the_sandbox_is_found_where_it_was(workplace: Path) -> None:
    declare(readers("alone"))
    assert run("apply", "--sandbox", "--yes").code == ExitCode.OK
    assert run("plan", "--sandbox", "--detailed-exitcode").code == ExitCode.OK
    assert run("agents", "list", "--sandbox", "--output", "jsonl").rows[0]["name"] == "alone"


def test_a_folder_that_is_one_apps_is_named_as_that(fleet: Fleet) -> None:
    for number in range(2):
        about = {"name": "bank", "api_key_env": variable_of("bank")}
        declare(readers(f"bot-{number}"), file=f"apps/bank/{number}.yaml", app=about)
    declare_app("shop", readers("bot"))
    result = run("plan", "-c", "apps/bank", "-c", "apps/shop.yaml")
    assert "`alter-sync apply -c apps/bank`" in result.stdout
    assert "`alter-sync apply -c apps/shop.yaml`" in result.stdout


def test_a_closed_pipe_keeps_no_app_from_being_carried_out(fleet: Fleet) -> None:
    declared()
    given = {variable_of(app): key for app, key in fleet.keys.items()}
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as closed:
        done = subprocess.run(
            [SCRIPT, "apply", "-c", "apps", "--yes", "--report", "json=r.json"],
            env=environment(**given),
            stdout=closed,
            stderr=subprocess.PIPE,
            timeout=20,
            check=False,
        )
    assert done.returncode == ExitCode.ERROR
    assert b"stdout cannot be written" in done.stderr
    assert fleet.live() == {"bank": ["bot"], "mill": ["bot", "extra"], "shop": ["bot"]}
    assert exits(json.loads(Path("r.json").read_text())) == dict.fromkeys(APPS, 0)


def test_what_is_said_on_the_way_names_the_app_and_quiet_hides_it(fleet: Fleet) -> None:
    declared()
    fleet.server.faults.add("status", status=503, times=1)
    result = call("plan", "--verbose")
    assert result.code == ExitCode.OK
    assert (
        len([line for line in result.stderr.splitlines() if ": GET /sdk/" in line and "again" in line]) == 1
    )
    assert all(line.partition(":")[0] in APPS for line in result.stderr.splitlines())
    fleet.server.faults.add("status", status=503, times=1)
    assert call("plan", "--quiet").stderr == ""


def test_a_guard_over_a_whole_app_says_which(fleet: Fleet) -> None:
    declared()
    call("apply", "--yes")
    declare_app("mill", {})
    result = call("plan", "--report", "markdown=r.md")
    assert result.code == ExitCode.REFUSED
    text = Path("r.md").read_text()
    assert "`empty-config`" in text
    assert "`alter-sync apply -c apps/mill.yaml --allow empty-config`" in text
