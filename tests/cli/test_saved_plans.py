"""``apply plan.json``: exactly what was reviewed, or nothing."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from reconciler.errors import ExitCode
from reconciler.sandbox import SandboxServer
from tests.support.commands import Result, declare, mutations, readers, run
from tests.support.sandbox_server import SignedClient, running_sandbox


def saved(*flags: str) -> dict[str, Any]:
    """Saves a plan; its document."""
    assert run("plan", "--save", "plan.json", *flags).code in (ExitCode.OK, ExitCode.REFUSED)
    document: dict[str, Any] = json.loads(Path("plan.json").read_text())
    return document


def assert_stale(result: Result, because: str, server: SandboxServer) -> None:
    assert result.code == ExitCode.STALE
    assert result.document["exit"] == ExitCode.STALE
    assert result.document["code"] == "stale_plan"
    assert because in result.document["message"]
    assert "alter-sync plan --save" in result.document["hint"]
    assert mutations(server) == []


def test_it_is_carried_out_as_it_was_shown(alter: SandboxServer) -> None:
    declare(readers("alpha"))
    plan = saved()
    result = run("apply", "plan.json", "--yes", "--output", "json")
    assert result.code == ExitCode.OK
    assert result.document["plan_digest"] == plan["plan_digest"]
    assert [row["id"] for row in result.document["operations"]] == [row["id"] for row in plan["operations"]]


def test_it_asks_like_any_other(alter: SandboxServer) -> None:
    declare(readers("alpha"))
    saved()
    assert run("apply", "plan.json").code == ExitCode.USAGE
    assert mutations(alter) == []


def test_an_agent_of_it_that_changed_makes_it_stale(alter: SandboxServer) -> None:
    declare({"alpha": {"scopes": {}, "display_name": "One"}})
    run("apply", "--yes")
    declare({"alpha": {"scopes": {}, "display_name": "Two"}})
    saved()
    with SignedClient(alter) as somebody:
        agent = somebody.get("/sdk/agents").json()["items"][0]
        somebody.send("PATCH", f"/sdk/agents/{agent['id']}", document={"display_name": "Three"})
    alter.store.clear_request_log()
    assert_stale(run("apply", "plan.json", "--yes", "-o", "json"), "alpha: planned for version 1", alter)


def test_other_agents_may_have_moved(alter: SandboxServer) -> None:
    declare(readers("alpha"))
    saved()
    with SignedClient(alter) as somebody:
        somebody.create("stranger")
    assert run("apply", "plan.json", "--yes").code == ExitCode.OK


def test_a_changed_configuration_makes_it_stale(alter: SandboxServer) -> None:
    declare(readers("alpha"))
    saved()
    declare(readers("alpha", "beta"))
    assert_stale(run("apply", "plan.json", "--yes", "-o", "json"), "configuration changed", alter)


def test_where_a_block_stands_does_not_matter(alter: SandboxServer) -> None:
    declare(readers("alpha", "beta"))
    saved()
    declare(readers("beta", "alpha"), file="moved/other.yaml")
    assert run("apply", "plan.json", "-c", "moved", "--yes").code == ExitCode.OK


def test_it_is_for_one_app(alter: SandboxServer) -> None:
    declare(readers("alpha"))
    saved()
    declare(readers("alpha"), app={"name": "payments-staging"})
    assert_stale(run("apply", "plan.json", "--yes", "-o", "json"), "payments-staging", alter)


def test_it_is_for_one_server(alter: SandboxServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    declare(readers("alpha"))
    saved()
    with running_sandbox(tmp_path / "other") as other:
        monkeypatch.setenv("ALTER_BASE_URL", other.base_url)
        monkeypatch.setenv("ALTER_API_KEY", other.app_key())
        assert_stale(run("apply", "plan.json", "--yes", "-o", "json"), other.base_url, other)


def test_it_expires(alter: SandboxServer) -> None:
    declare(readers("alpha"))
    plan = saved()
    # The times are the only thing in it that its digest leaves out.
    plan["expires_at"] = f"{datetime.now(UTC) - timedelta(seconds=1):%Y-%m-%dT%H:%M:%SZ}"
    Path("plan.json").write_text(json.dumps(plan))
    assert_stale(run("apply", "plan.json", "--yes", "-o", "json"), "expired at", alter)


def test_it_cannot_be_edited(alter: SandboxServer) -> None:
    declare({"alpha": {"scopes": {"google": ["gmail.readonly"]}}})
    plan = saved()
    plan["operations"][0]["changes"][0]["after"] = ["drive"]
    Path("plan.json").write_text(json.dumps(plan))
    assert_stale(run("apply", "plan.json", "--yes", "-o", "json"), "was changed after it was written", alter)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{}", '"format" is a required property'),
        ("[]", "at the top"),
        ("not json", "it is not JSON"),
        ("[" * 100_000, "it is not JSON"),
        (b"\xff\xfe", "it is not JSON"),
        ('{"format": "alter-sync.plan/2"}', "is not a plan of this version"),
    ],
    ids=["empty", "list", "text", "deep", "binary", "future"],
)
def test_another_document_is_not_a_plan(alter: SandboxServer, text: str | bytes, said: str) -> None:
    declare(readers("alpha"))
    Path("plan.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    result = run("apply", "plan.json", "--yes", "--output", "json")
    assert result.code == ExitCode.USAGE
    assert said in result.document["message"]
    assert "plan --save" in result.document["hint"]
    assert mutations(alter) == []


def test_a_configuration_given_as_a_plan_is_told_how_to_be_given(alter: SandboxServer) -> None:
    Path("agents.yaml").write_text("version: 1\nowner: a\napp: {name: b}\nagents: {}\n")
    result = run("apply", "agents.yaml", "--yes")
    assert result.code == ExitCode.USAGE
    assert "hint: a configuration is named with -c agents.yaml" in result.stderr


def test_a_plan_that_is_not_there_is_not_found(alter: SandboxServer) -> None:
    declare(readers("alpha"))
    result = run("apply", "nowhere.json", "--yes", "--output", "json")
    assert result.code == ExitCode.NOT_FOUND
    assert result.document["message"] == "there is no plan file nowhere.json"


def test_saving_replaces_a_plan_and_nothing_else(alter: SandboxServer) -> None:
    declare(readers("alpha"))
    before = Path("agents.yaml").read_text()
    refused = run("plan", "--save", "agents.yaml")
    assert refused.code == ExitCode.USAGE
    assert "is there already and is no plan" in refused.stderr
    assert Path("agents.yaml").read_text() == before
    assert run("plan", "--save", "plan.json").code == ExitCode.OK
    assert run("plan", "--save", "plan.json").code == ExitCode.OK
    Path("link.json").symlink_to("plan.json")
    assert run("plan", "--save", "link.json").code == ExitCode.USAGE


def test_a_folder_is_not_a_plan(alter: SandboxServer) -> None:
    declare(readers("alpha"))
    result = run("apply", ".", "--yes")
    assert result.code == ExitCode.USAGE
    assert "is no regular file" in result.stderr


def test_a_plan_of_a_size_that_none_has_is_not_read(alter: SandboxServer) -> None:
    declare(readers("alpha"))
    with open("plan.json", "wb") as file:
        file.truncate(300 * 1024 * 1024)
    assert "too large to be a plan" in run("apply", "plan.json", "--yes").stderr


@pytest.mark.parametrize("flags", [["--target", "alpha"], ["--allow", "freeze"]])
def test_targets_and_allowances_belong_to_the_plan(alter: SandboxServer, flags: list[str]) -> None:
    declare(readers("alpha"))
    saved()
    result = run("apply", "plan.json", "--yes", *flags)
    assert result.code == ExitCode.USAGE
    assert "belong to `plan --save`" in result.stderr


def test_what_was_let_through_when_it_was_made_passes_again(alter: SandboxServer) -> None:
    declare({"alpha": {"scopes": {"google": ["drive"]}}}, guards={"sensitive_scopes": ["*:drive"]})
    saved("--allow", "sensitive-scopes=alpha")
    assert run("apply", "plan.json", "--yes").code == ExitCode.OK
    assert len(mutations(alter)) == 1


def test_a_second_time_it_is_stale(alter: SandboxServer) -> None:
    declare(readers("alpha"))
    saved()
    assert run("apply", "plan.json", "--yes").code == ExitCode.OK
    alter.store.clear_request_log()
    assert_stale(run("apply", "plan.json", "--yes", "-o", "json"), "is not what it needs any more", alter)
