"""``alter-sync drift`` and ``apply --only-drift``: exit codes, formats, targets, rules and baselines."""

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from jsonschema_rs import Draft7Validator

from reconciler.config.schema import schema_text
from reconciler.errors import ExitCode
from reconciler.sandbox import SandboxServer
from reconciler.sandbox.catalog import DASHBOARD_PERMISSIONS
from tests.support.commands import (
    EMBEDDED,
    READER,
    Result,
    advance,
    declare,
    embedded_server,
    mutations,
    run,
    use_key_of,
)
from tests.support.planes import use_token
from tests.support.sandbox_server import SignedClient
from tests.support.sandbox_server import alter as alter_program

JANE = "jane@corp.example"
BASELINE = "known.json"
BLOCK: dict[str, Any] = {**READER, "display_name": "One"}


def drift(*words: str, code: ExitCode = ExitCode.OK) -> Any:
    """The document of a run that ends with this code."""
    result = run("drift", "--output", "json", *words)
    assert result.code == code, result.stderr
    return result.document


def kinds(*words: str, code: ExitCode = ExitCode.OK) -> list[tuple[str, str, str]]:
    return [(one["kind"], one["agent"], one["path"]) for one in drift(*words, code=code)["findings"]]


def agent_id(server: SandboxServer, name: str) -> str:
    row = server.store.row("SELECT id FROM agents WHERE name = ? AND status <> 'revoked'", name)
    assert row is not None
    return str(row["id"])


def jane(server: SandboxServer, command: str, name: str, *words: str) -> Any:
    """What a person does to an agent with the `alter` executable."""
    token = server.create_pat(DASHBOARD_PERMISSIONS, user=JANE)
    return alter_program(server, command, "--agent", agent_id(server, name), *words, ALTER_PAT=token)


def rename(server: SandboxServer, name: str, display_name: str = "Hers") -> None:
    jane(server, "update", name, "--display-name", display_name)


@pytest.fixture
def applied(alter: SandboxServer) -> SandboxServer:
    """`alpha` and `beta` as they are declared."""
    declare({"alpha": BLOCK, "beta": BLOCK})
    assert run("apply", "--yes").code == ExitCode.OK
    alter.store.clear_request_log()
    return alter


# Exit codes and formats.


def test_without_drift_the_exit_code_is_0_whatever_is_asked_for(applied: SandboxServer) -> None:
    result = run("drift", "--exit-code")
    assert (result.code, result.stderr) == (ExitCode.OK, "")
    assert result.stdout.startswith("Drift: none; 2 in sync\n")
    assert mutations(applied) == []


def test_with_drift_it_is_10_only_when_that_is_asked_for(applied: SandboxServer) -> None:
    rename(applied, "alpha")
    assert run("drift").code == ExitCode.OK
    assert run("drift", "--exit-code").code == ExitCode.CHANGES
    assert run("drift", "--exit-code", "-o", "json").code == ExitCode.CHANGES


def test_what_is_not_applied_yet_and_unused_is_listed_and_no_drift(applied: SandboxServer) -> None:
    declare({"alpha": {**BLOCK, "display_name": "Two"}, "gamma": READER})
    found = kinds("--exit-code")
    assert found == [
        ("not_applied", "alpha", "display_name"),
        ("not_applied", "beta", "agent"),
        ("not_applied", "gamma", "agent"),
    ]
    assert "No drift. Run `alter-sync apply` to apply" in run("drift").stdout


def test_a_document_fits_its_schema_and_lines_are_its_findings(applied: SandboxServer) -> None:
    rename(applied, "alpha")
    document = drift()
    assert [*Draft7Validator(json.loads(schema_text("drift"))).iter_errors(document)] == []
    assert json.loads(run("schema", "drift").stdout) == json.loads(schema_text("drift"))
    [row] = run("drift", "-o", "jsonl").rows
    assert row == document["findings"][0]
    assert (row["live"], row["declared"], row["source"]["file"]) == ("Hers", "One", "agents.yaml")
    chosen = run("drift", "-o", "jsonl", "--fields", "agent,path,live").rows
    assert chosen == [{"agent": "alpha", "path": "display_name", "live": "Hers"}]
    unknown = run("drift", "-o", "jsonl", "--fields", "agnet")
    assert unknown.code == ExitCode.USAGE
    assert "did you mean 'agent'?" in unknown.stdout + unknown.stderr


def test_targets_choose_agents_and_typing_errors_are_refused(applied: SandboxServer) -> None:
    rename(applied, "alpha")
    rename(applied, "beta")
    assert kinds("--target", "al*", "--exit-code", code=ExitCode.CHANGES) == [
        ("changed_outside", "alpha", "display_name")
    ]
    assert drift("--target", "beta")["summary"]["changed_outside"] == 1
    wrong = run("drift", "--target", "alhpa")
    assert wrong.code == ExitCode.USAGE
    assert "did you mean 'alpha'?" in wrong.stderr


def test_a_key_that_reads_is_enough(applied: SandboxServer, monkeypatch: pytest.MonkeyPatch) -> None:
    rename(applied, "alpha")
    applied.store.clear_request_log()
    use_key_of(monkeypatch, applied, "agents:read")
    assert len(kinds("--exit-code", code=ExitCode.CHANGES)) == 1
    assert mutations(applied) == []


def test_a_live_agent_that_nobody_marked_is_not_counted_as_in_order(applied: SandboxServer) -> None:
    with SignedClient(applied) as somebody:
        somebody.create("gamma", scopes=READER["scopes"])
        somebody.create("stranger")
    declare({"alpha": BLOCK, "beta": BLOCK, "gamma": READER})
    document = drift("--exit-code")
    assert [(one["kind"], one["agent"]) for one in document["findings"]] == [("not_applied", "gamma")]
    assert (document["summary"]["in_sync"], document["unmanaged"]) == (2, ["gamma", "stranger"][1:])


# Who did it.


def test_without_a_token_nobody_is_named_and_all_is_found(applied: SandboxServer) -> None:
    rename(applied, "alpha")
    document = drift("--exit-code", code=ExitCode.CHANGES)
    assert document["attribution"]["available"] is False
    assert "ALTER_PAT" in document["attribution"]["reason"]
    assert document["findings"][0]["event"] is None
    assert "Not told: who did it, shadow agents: there is no token" in run("drift").stdout


def test_with_a_token_whoever_did_it_is_named(
    applied: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename(applied, "alpha")
    use_token(monkeypatch, applied)
    document = drift("--exit-code", code=ExitCode.CHANGES)
    assert document["attribution"] == {"available": True, "reason": ""}
    event = document["findings"][0]["event"]
    assert (event["actor"], event["action"]) == (JANE, "agent.update")
    assert abs(datetime.fromisoformat(event["at"]) - datetime.now(UTC)) < timedelta(minutes=1)
    assert f"by {JANE} at " in run("drift").stdout


@pytest.mark.parametrize(
    ("missing", "not_told", "is_named"),
    [
        ("dashboard_audit:read", "who did it: ", False),
        ("dashboard_agents:read", "shadow agents: ", True),
    ],
)
def test_a_permission_that_the_token_lacks_is_named_and_drift_is_drift_all_the_same(
    applied: SandboxServer, monkeypatch: pytest.MonkeyPatch, missing: str, not_told: str, is_named: bool
) -> None:
    rename(applied, "alpha")
    use_token(monkeypatch, applied, permissions=[one for one in DASHBOARD_PERMISSIONS if one != missing])
    result = run("drift", "--exit-code", "-o", "json")
    assert result.code == ExitCode.CHANGES
    reason = result.document["attribution"]["reason"]
    assert reason.startswith(not_told)
    assert f"lacks {missing}" in reason
    assert f"lacks {missing}" in result.stderr
    [found] = result.document["findings"]
    assert (found["event"] is not None) is is_named


@pytest.mark.parametrize("broken", ["ALTER_PAT", "ALTER_CLI", "ALTER_APP_ID"])
def test_a_token_that_is_no_good_names_nobody_and_finds_all(
    applied: SandboxServer, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    rename(applied, "alpha")
    use_token(monkeypatch, applied)
    monkeypatch.setenv(broken, "nothing-of-this-kind")
    result = run("drift", "--exit-code", "-o", "json")
    assert result.code == ExitCode.CHANGES
    assert result.document["attribution"]["available"] is False
    assert result.document["findings"][0]["event"] is None
    assert os.environ["ALTER_API_KEY"] not in result.stdout + result.stderr


def test_a_shadow_agent_is_found_without_targets_and_left_alone_by_apply(
    applied: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with SignedClient(applied) as somebody:
        somebody.get("/sdk/agents", labelled={"X-Alter-Caller": "cron on mars"})
    use_token(monkeypatch, applied)
    assert kinds("--exit-code", code=ExitCode.CHANGES) == [("shadow_agent", "cron on mars", "agent")]
    assert kinds("--target", "*", "--exit-code") == []
    assert "What differs needs a person" in run("drift").stdout
    assert run("plan", "--only-drift", "--detailed-exitcode").code == ExitCode.OK


def test_an_agent_that_we_revoked_ourselves_and_declare_again_is_only_not_applied(
    applied: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare({"alpha": BLOCK})
    assert run("apply", "--yes").code == ExitCode.OK
    declare({"alpha": BLOCK, "beta": BLOCK})
    use_token(monkeypatch, applied)
    assert kinds("--exit-code") == [("not_applied", "beta", "agent")]
    jane(applied, "revoke", "alpha", "--yes")
    assert kinds("--exit-code", code=ExitCode.CHANGES)[0] == ("agent_revoked_outside", "alpha", "agent")


# Rules.


def test_a_rule_takes_its_drift_out_and_says_why(applied: SandboxServer) -> None:
    rename(applied, "alpha")
    rename(applied, "beta")
    rule = {"agent": "al*", "path": "display_name", "reason": "marketing renames it", "until": "2099-12-31"}
    declare({"alpha": BLOCK, "beta": BLOCK}, ignore_drift=[rule])
    document = drift("--exit-code", code=ExitCode.CHANGES)
    assert [one["agent"] for one in document["findings"]] == ["beta"]
    [ignored] = document["ignored"]
    assert (ignored["finding"]["agent"], ignored["reason"], ignored["until"]) == (
        "alpha",
        "marketing renames it",
        "2100-01-01T00:00:00Z",
    )
    assert "marketing renames it, until 2100-01-01" in run("drift").stdout
    assert kinds("--target", "alpha", "--exit-code") == []


def test_a_rule_that_has_ended_ignores_nothing_and_that_is_said(applied: SandboxServer) -> None:
    rename(applied, "alpha")
    rule = {"agent": "alpha", "reason": "for a while", "until": "2020-01-01"}
    declare({"alpha": BLOCK, "beta": BLOCK}, ignore_drift=[rule])
    result = run("drift", "--exit-code")
    assert result.code == ExitCode.CHANGES
    assert 'the drift of "alpha" is no longer ignored' in result.stderr
    assert "ignored" not in result.stdout
    assert run("drift", "-q").stderr == ""


def test_a_rule_ends_by_the_clock_of_the_sandbox(workplace: Path) -> None:
    until = f"{datetime.now(UTC) + timedelta(days=10):%Y-%m-%d}"
    declare({"alpha": BLOCK}, ignore_drift=[{"agent": "*", "reason": "for a while", "until": until}])
    assert run("apply", "--yes", EMBEDDED).code == ExitCode.OK
    with embedded_server() as server:
        rename(server, "alpha")
    assert run("drift", "--exit-code", EMBEDDED).code == ExitCode.OK
    advance("20d")
    assert run("drift", "--exit-code", EMBEDDED).code == ExitCode.CHANGES


def test_a_rule_does_not_keep_apply_from_putting_it_back(applied: SandboxServer) -> None:
    """What the configuration leaves to others for good is `ignore` in the agent's block."""
    rename(applied, "alpha")
    declare({"alpha": BLOCK, "beta": BLOCK}, ignore_drift=[{"agent": "*", "reason": "known"}])
    assert "display_name" in run("plan", "--only-drift").stdout


# Baselines.


def test_a_baseline_that_is_not_there_is_written_and_accepts_nothing_yet(applied: SandboxServer) -> None:
    rename(applied, "alpha")
    first = run("drift", "--exit-code", "--baseline", BASELINE)
    assert first.code == ExitCode.CHANGES
    assert f"today's drift is written to {BASELINE}" in first.stderr
    document = drift("--exit-code", "--baseline", BASELINE)
    assert document["findings"] == []
    assert [one["reason"] for one in document["ignored"]] == ["accepted by the baseline"]
    assert "Hers" not in Path(BASELINE).read_text()


def test_only_what_is_new_or_has_changed_again_counts(applied: SandboxServer) -> None:
    rename(applied, "alpha")
    run("drift", "--baseline", BASELINE)
    before = Path(BASELINE).read_bytes()
    rename(applied, "beta")
    assert kinds("--baseline", BASELINE, "--exit-code", code=ExitCode.CHANGES) == [
        ("changed_outside", "beta", "display_name")
    ]
    rename(applied, "beta", "One")
    rename(applied, "alpha", "Hers again")
    assert kinds("--baseline", BASELINE, "--exit-code", code=ExitCode.CHANGES) == [
        ("changed_outside", "alpha", "display_name")
    ]
    rename(applied, "alpha", "Hers")
    assert kinds("--baseline", BASELINE, "--exit-code") == []
    assert Path(BASELINE).read_bytes() == before


def test_an_accepted_revocation_does_not_cover_the_next_one(applied: SandboxServer) -> None:
    for _ in range(2):
        jane(applied, "revoke", "alpha", "--yes")
        found = kinds("--baseline", BASELINE, "--exit-code", code=ExitCode.CHANGES)
        assert found == [("agent_revoked_outside", "alpha", "agent")]
        assert run("apply", "--yes").code == ExitCode.OK


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("not json", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("[]", "is no baseline of drift"),
        ('{"format": "alter-sync.drift/1", "accepted": {}}', "is no baseline of drift"),
        (
            '{"format": "alter-sync.drift-baseline/1", "owner": "x", "app": "y\\u001b[2J", "accepted": {}}',
            "is of x in y\\x1b[2J, not of payments/agents in payments-prod",
        ),
    ],
)
def test_a_file_that_is_no_baseline_of_this_app_is_refused(
    applied: SandboxServer, text: str, said: str
) -> None:
    Path(BASELINE).write_text(text)
    result = run("drift", "--baseline", BASELINE)
    assert result.code == ExitCode.USAGE
    assert said in result.stderr
    assert result.stdout == ""
    assert Path(BASELINE).read_text() == text


def test_a_baseline_that_cannot_be_read_or_written_is_a_usage_error(applied: SandboxServer) -> None:
    Path("folder").mkdir()
    Path("bytes").write_bytes(b"\xff\xfe")
    for name, said in (
        ("folder", "cannot be read"),
        ("bytes", "is not JSON"),
        ("missing/known.json", "cannot be written"),
    ):
        result = run("drift", "--baseline", name)
        assert (result.code, said in result.stderr) == (ExitCode.USAGE, True), result.stderr


# Putting it back.


def test_only_drift_puts_back_what_others_did_and_nothing_else(applied: SandboxServer) -> None:
    rename(applied, "alpha")
    declare({"alpha": {**BLOCK, "scopes": {"google": ["drive.readonly"]}}, "gamma": READER})
    planned = run("plan", "--only-drift", "--detailed-exitcode", "-o", "json")
    assert planned.code == ExitCode.CHANGES
    [operation] = planned.document["operations"]
    assert (operation["kind"], [change["path"] for change in operation["changes"]]) == (
        "update_agent",
        ["display_name"],
    )
    assert mutations(applied) == []
    done = run("apply", "--only-drift", "--yes")
    assert done.code == ExitCode.OK
    assert [request.method for request in mutations(applied)] == ["PATCH"]
    assert run("plan", "--only-drift", "--detailed-exitcode").code == ExitCode.OK
    assert [one[0] for one in kinds("--exit-code")] == ["not_applied"] * 3
    left = run("plan", "-o", "json").document["operations"]
    assert [one["id"] for one in left] == ["set_scopes:alpha", "revoke_agent:beta", "create_agent:gamma"]


def test_without_a_yes_nothing_is_put_back_and_the_command_is_the_same_again(applied: SandboxServer) -> None:
    rename(applied, "alpha")
    result = run("apply", "--only-drift")
    assert result.code == ExitCode.USAGE
    assert "pass --yes" in result.stderr
    advised = run("plan", "--only-drift").stdout
    assert "alter-sync apply --only-drift" in advised
    applied.store.clear_request_log()
    assert mutations(applied) == []


def test_only_drift_works_on_its_targets_alone(applied: SandboxServer) -> None:
    rename(applied, "alpha")
    rename(applied, "beta")
    assert run("apply", "--only-drift", "--yes", "--target", "alpha").code == ExitCode.OK
    assert kinds() == [("changed_outside", "beta", "display_name")]


def test_only_drift_has_no_saved_plan(applied: SandboxServer) -> None:
    saved = run("plan", "--only-drift", "--save", "plan.json")
    assert saved.code == ExitCode.USAGE
    assert "--only-drift has no saved plan" in saved.stderr
    assert not Path("plan.json").exists()
    assert run("plan", "--save", "plan.json").code == ExitCode.OK
    carried_out = run("apply", "plan.json", "--only-drift", "--yes")
    assert carried_out.code == ExitCode.USAGE
    assert "--only-drift has no saved plan" in carried_out.stderr


def test_a_guard_refuses_a_repair_as_well(applied: SandboxServer) -> None:
    rename(applied, "alpha")
    start = datetime.now(UTC) - timedelta(days=2)
    window = {
        "from": f"{start:%Y-%m-%d}",
        "to": f"{start + timedelta(days=9):%Y-%m-%d}",
        "reason": "year end",
    }
    declare({"alpha": BLOCK, "beta": BLOCK}, freeze=[window])
    result = run("apply", "--only-drift", "--yes")
    assert result.code == ExitCode.REFUSED
    assert "year end" in result.stdout
    assert mutations(applied) == []


def test_an_expired_agent_that_somebody_resumed_is_suspended_again(workplace: Path) -> None:
    tomorrow = f"{datetime.now(UTC) + timedelta(days=1):%Y-%m-%d}"
    declare({"alpha": {**BLOCK, "expires_at": tomorrow}, "beta": BLOCK})
    run("apply", "--yes", EMBEDDED)
    advance("60h")
    assert run("apply", "--yes", EMBEDDED).code == ExitCode.OK
    with embedded_server() as server:
        server.store.connection.execute("UPDATE agents SET status = 'active' WHERE name = 'alpha'")
    assert ("changed_outside", "alpha", "status") in kinds(EMBEDDED, "--exit-code", code=ExitCode.CHANGES)
    assert run("apply", "--only-drift", "--yes", EMBEDDED).code == ExitCode.OK
    assert kinds(EMBEDDED, "--exit-code") == []


def test_an_expired_agent_that_is_gone_is_no_drift(workplace: Path) -> None:
    tomorrow = f"{datetime.now(UTC) + timedelta(days=1):%Y-%m-%d}"
    declare({"alpha": {**BLOCK, "expires_at": tomorrow}, "beta": BLOCK})
    run("apply", "--yes", EMBEDDED)
    for _ in range(2):
        advance("60h")
        assert run("apply", "--yes", EMBEDDED).code == ExitCode.OK
    with embedded_server() as server:
        assert server.store.row("SELECT 1 FROM agents WHERE name = 'alpha' AND status = 'revoked'")
    assert kinds(EMBEDDED, "--exit-code") == []


def test_over_the_dashboard_plane_alone_what_it_cannot_put_back_is_refused(
    applied: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with SignedClient(applied) as somebody:
        body = {"scopes": {"google": ["drive"]}}
        answer = somebody.send(
            "PATCH", f"/sdk/agents/{agent_id(applied, 'alpha')}?expected_version=1", document=body
        )
        assert answer.status_code == 200, answer.text
    rename(applied, "beta")
    monkeypatch.delenv("ALTER_API_KEY")
    use_token(monkeypatch, applied)
    assert kinds("--exit-code", code=ExitCode.CHANGES) == [
        ("changed_outside", "alpha", "scopes.google"),
        ("changed_outside", "beta", "display_name"),
    ]
    result = run("apply", "--only-drift", "--yes")
    assert result.code == ExitCode.REFUSED
    assert kinds() == [("changed_outside", "alpha", "scopes.google")]


def test_hostile_values_reach_neither_the_terminal_nor_a_runner(applied: SandboxServer) -> None:
    rename(applied, "alpha", "::error::x ##vso[task] \u202e")
    jane(applied, "update", "beta", "--metadata", json.dumps({"\x1b[2J::x": "\n::add-mask::x"}))
    result: Result = run("drift")
    assert all(line.isprintable() for line in result.stdout.splitlines())
    assert not any(line.lstrip().startswith("::") for line in result.stdout.splitlines())
    assert "##vso[" not in result.stdout
