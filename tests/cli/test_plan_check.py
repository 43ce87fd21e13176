"""``plan --check PLAN.JSON``: whether apply would still carry it out, told without changing anything."""

import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

from reconciler.errors import ExitCode
from reconciler.planning.freshness import STALE_KINDS
from reconciler.sandbox import SandboxServer
from tests.support.commands import Result, declare, mutations, readers, run
from tests.support.sandbox_server import SignedClient, running_sandbox

SCHEMA = json.loads((Path(__file__).parents[2] / "schemas" / "check.schema.json").read_text())


def saved(*flags: str) -> dict[str, Any]:
    assert run("plan", "--save", "plan.json", *flags).code in (ExitCode.OK, ExitCode.REFUSED)
    document: dict[str, Any] = json.loads(Path("plan.json").read_text())
    return document


def check(*flags: str) -> Result:
    result = run("plan", "--check", "plan.json", *flags, "--output", "json")
    Draft7Validator(SCHEMA).validate(result.document)
    assert result.document["exit"] == result.code
    assert result.document["fits"] is (result.code == ExitCode.OK)
    return result


def kinds(result: Result) -> list[str]:
    return [reason["kind"] for reason in result.document["reasons"]]


def rename(server: SandboxServer, name: str) -> None:
    """Somebody changes an agent by hand."""
    with SignedClient(server) as somebody:
        (agent,) = (one for one in somebody.get("/sdk/agents").json()["items"] if one["name"] == name)
        somebody.send("PATCH", f"/sdk/agents/{agent['id']}", document={"display_name": "Other"})
    server.store.clear_request_log()


def test_the_schema_names_every_reason() -> None:
    named = SCHEMA["properties"]["reasons"]["items"]["properties"]["kind"]["enum"]
    assert named == [*STALE_KINDS, "guard"]


def test_a_plan_that_fits_is_said_to_fit_and_apply_agrees(alter: SandboxServer) -> None:
    declare(readers("alpha"))
    plan = saved()
    alter.store.clear_request_log()
    result = check()
    assert result.code == ExitCode.OK
    assert result.document["plan_digest"] == plan["plan_digest"]
    assert result.document["reasons"] == []
    assert mutations(alter) == []
    shown = run("plan", "--check", "plan.json")
    assert "plan.json fits: `alter-sync apply plan.json` would carry out its 1 operation" in shown.stdout
    assert run("apply", "plan.json", "--yes").code == ExitCode.OK


def test_it_costs_one_list_of_agents_when_no_keys_are_due(alter: SandboxServer) -> None:
    declare(readers("alpha", "beta"))
    saved()
    alter.store.clear_request_log()
    assert check().code == ExitCode.OK
    assert [(request.method, request.path.partition("?")[0]) for request in alter.store.request_log()] == [
        ("GET", "/sdk/agents")
    ]


def test_an_expired_plan_of_another_configuration_costs_no_request_and_names_both(
    alter: SandboxServer,
) -> None:
    declare(readers("alpha"))
    plan = saved()
    plan["expires_at"] = f"{datetime.now(UTC) - timedelta(seconds=1):%Y-%m-%dT%H:%M:%SZ}"
    Path("plan.json").write_text(json.dumps(plan))
    declare(readers("alpha", "beta"))
    alter.store.clear_request_log()
    result = check()
    assert result.code == ExitCode.STALE
    assert kinds(result) == ["expired", "configuration"]
    assert alter.store.request_log() == []
    shown = run("plan", "--check", "plan.json")
    assert shown.code == ExitCode.STALE
    assert "plan.json does not fit any more" in shown.stdout
    assert "expired  the saved plan expired at" in shown.stdout
    assert "alter-sync plan --save" in shown.stdout


def test_another_app_and_another_server_are_named(
    alter: SandboxServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(readers("alpha"))
    saved()
    declare(readers("alpha"), app={"name": "payments-staging"})
    with running_sandbox(tmp_path / "other") as other:
        monkeypatch.setenv("ALTER_BASE_URL", other.base_url)
        monkeypatch.setenv("ALTER_API_KEY", other.app_key())
        result = check()
    assert result.code == ExitCode.STALE
    assert kinds(result) == ["app", "server", "configuration"]


def test_a_plan_of_the_other_plane_is_named(
    alter: SandboxServer, monkeypatch: pytest.MonkeyPatch, both_planes: None
) -> None:
    declare(readers("alpha"))
    saved()
    monkeypatch.delenv("ALTER_API_KEY")
    assert kinds(check()) == ["plane"]


def test_every_agent_that_moved_is_named_and_no_other(alter: SandboxServer) -> None:
    agents = {name: {"scopes": {}, "display_name": "One"} for name in ("alpha", "beta", "gamma")}
    declare(agents)
    run("apply", "--yes")
    declare(agents | {name: {"scopes": {}, "display_name": "Two"} for name in ("alpha", "beta")})
    saved()
    for name in agents:
        rename(alter, name)
    result = check()
    assert result.code == ExitCode.STALE
    assert [(reason["kind"], reason["agent"]) for reason in result.document["reasons"]] == [
        ("agent", "alpha"),
        ("agent", "beta"),
    ]
    assert "planned for version 1" in result.document["reasons"][0]["message"]
    assert mutations(alter) == []


def test_a_changed_file_is_named_as_that(alter: SandboxServer) -> None:
    declare({"alpha": {"scopes": {"google": ["gmail.readonly"]}}})
    plan = saved()
    plan["operations"][0]["changes"][0]["after"] = ["drive"]
    Path("plan.json").write_text(json.dumps(plan))
    result = check()
    assert (result.code, kinds(result)) == (ExitCode.STALE, ["edited"])
    assert result.document["plan_digest"] is None
    assert "does not fit any more" in run("plan", "--check", "plan.json").stdout


def test_a_target_that_is_gone_makes_it_stale_for_check_and_for_apply(alter: SandboxServer) -> None:
    declare(readers("alpha", "old"))
    run("apply", "--yes")
    declare(readers("alpha"))
    saved("--target", "old")
    with SignedClient(alter) as somebody:
        (agent,) = (one for one in somebody.get("/sdk/agents").json()["items"] if one["name"] == "old")
        somebody.send("DELETE", f"/sdk/agents/{agent['id']}")
    result = check()
    assert (result.code, kinds(result)) == (ExitCode.STALE, ["agent"])
    assert "--target old: no such agent" in result.document["reasons"][0]["message"]
    assert run("apply", "plan.json", "--yes").code == ExitCode.STALE


def test_what_a_guard_refuses_now_is_named_and_the_rest_would_be_applied(alter: SandboxServer) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=2)
    declare(
        readers("alpha", "beta"),
        freeze=[{"from": f"{soon:%Y-%m-%dT%H:%M:%SZ}", "to": "2090-01-01", "reason": "year end"}],
    )
    saved("--allow", "freeze=alpha")
    assert check().code == ExitCode.OK
    time.sleep(max(0.0, (soon - datetime.now(UTC)).total_seconds()))
    result = check()
    assert result.code == ExitCode.REFUSED
    (reason,) = result.document["reasons"]
    assert (reason["kind"], reason["guard"], reason["agent"]) == ("guard", "freeze", "beta")
    shown = run("plan", "--check", "plan.json")
    assert shown.code == ExitCode.REFUSED
    assert "fits only in part" in shown.stdout
    assert "freeze  beta: frozen until" in shown.stdout
    assert run("apply", "plan.json", "--yes").code == ExitCode.REFUSED


def test_what_was_refused_when_it_was_saved_ends_it_as_it_ends_apply(alter: SandboxServer) -> None:
    declare(readers("alpha", "beta"), freeze=[{"from": "2026-01-01", "to": "2090-01-01"}])
    saved("--allow", "freeze=alpha")
    assert check().code == ExitCode.REFUSED
    assert run("apply", "plan.json", "--yes").code == ExitCode.REFUSED
    assert len(mutations(alter)) == 1


@pytest.mark.parametrize(
    "flags",
    [
        ("--save", "x.json"),
        ("--target", "alpha"),
        ("--allow", "freeze"),
        ("--only-drift",),
        ("--detailed-exitcode",),
    ],
)
def test_it_goes_with_no_flag_that_asks_for_a_plan(alter: SandboxServer, flags: tuple[str, ...]) -> None:
    declare(readers("alpha"))
    saved()
    result = run("plan", "--check", "plan.json", *flags)
    assert result.code == ExitCode.USAGE
    assert "--check looks at a saved plan as it is" in result.stderr


def test_a_file_that_is_no_plan_is_a_usage_error(alter: SandboxServer) -> None:
    declare(readers("alpha"))
    Path("plan.json").write_text("{}")
    assert run("plan", "--check", "plan.json").code == ExitCode.USAGE
    assert run("plan", "--check", "nowhere.json").code == ExitCode.NOT_FOUND


@pytest.mark.parametrize("moves", [False, True])
def test_a_report_of_a_check_tells_the_plan_or_why_it_is_stale(alter: SandboxServer, moves: bool) -> None:
    declare(readers("alpha"))
    saved()
    if moves:
        declare(readers("alpha", "beta"))
    run("plan", "--check", "plan.json", "--report", "json=report.json")
    report = json.loads(Path("report.json").read_text())
    assert report.get("code", report.get("format")) == ("stale_plan" if moves else "alter-sync.plan/1")
