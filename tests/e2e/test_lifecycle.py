"""The life of agents: taken over, protected, narrowed, frozen, replaced, expired, each over several runs."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from reconciler.errors import ExitCode
from reconciler.sandbox import SandboxServer
from tests.support.commands import Result, declare, mutations, readers, run
from tests.support.sandbox_server import SignedClient

EMBEDDED = "--sandbox"


def apply(*flags: str, code: ExitCode = ExitCode.OK) -> Result:
    """Applies without asking and expects how it ends."""
    result = run("apply", "--yes", *flags)
    assert result.code == code, result.stdout + result.stderr
    return result


def plan(*flags: str) -> Any:
    """The document of a plan made now."""
    return run("plan", "--output", "json", *flags).document


def changes(document: Any) -> dict[str, int]:
    """What the plan's summary counts, without what is nothing."""
    return {name: count for name, count in document["summary"].items() if count}


def status(*flags: str) -> dict[str, Any]:
    """The rows by name."""
    return {row["name"]: row for row in run("status", "--output", "jsonl", *flags).rows}


def test_a_former_owner_is_taken_over_and_the_agents_stay_the_same(alter: SandboxServer) -> None:
    declare(readers("alpha", "beta"), owner="payments")
    apply()
    with SignedClient(alter) as client:
        before = {agent["name"]: agent["id"] for agent in client.get("/sdk/agents").json()["items"]}
        declare(readers("alpha"), former_owners=["payments"])
        assert changes(plan()) == {"adopt": 1}
        assert "former owner" in run("plan").stdout  # of beta, which is left alone
        apply()
        after = {agent["name"]: agent["id"] for agent in client.get("/sdk/agents").json()["items"]}
    assert after == before
    declare(readers("alpha"))
    assert changes(plan()) == {"in_sync": 1}
    # The former configuration has lost what it gave.
    declare(readers("alpha", "beta"), owner="payments")
    assert run("plan").code == ExitCode.REFUSED


def test_an_agent_made_by_hand_is_adopted_only_on_request(alter: SandboxServer) -> None:
    with SignedClient(alter) as somebody:
        made = somebody.create("alpha", display_name="By hand", metadata={"kept": 1})
        declare({"alpha": {"scopes": {"google": ["gmail.readonly"]}}})
        blocked = run("plan", "-o", "json")
        assert blocked.code == ExitCode.REFUSED
        assert {entry["guard"] for entry in blocked.document["blocked"]} == {"unowned"}
        apply(code=ExitCode.REFUSED)
        assert len(mutations(alter)) == 1
        apply("--allow", "unowned=alpha")
        live = somebody.get(f"/sdk/agents/{made['id']}").json()
    assert live["scopes"] == {"google": ["gmail.readonly"]}
    assert live["display_name"] == "By hand"
    assert live["metadata"]["kept"] == 1
    assert run("plan", "--detailed-exitcode").code == ExitCode.OK


def test_deleting_a_block_does_not_unprotect_its_agent(alter: SandboxServer) -> None:
    declare(readers("other") | {"alpha": {"scopes": {}, "protect": True}})
    apply()
    declare(readers("other"))
    result = apply(code=ExitCode.REFUSED)
    assert "its live mark says protect" in result.stdout
    assert status()["alpha"]["status"] == "active"
    declare(readers("other") | {"alpha": {"scopes": {}, "protect": False}})
    apply()
    declare(readers("other"))
    apply()
    assert list(status()) == ["other"]


def test_an_agent_in_use_is_not_revoked(alter: SandboxServer) -> None:
    sinks = {"env": {"type": "file", "path": "secrets/{agent}"}}
    declare(readers("other") | {"alpha": {"scopes": {}, "deliver_to": ["env"]}}, sinks=sinks)
    apply()
    alter.use_key(Path("secrets/alpha").read_text().strip())
    declare(readers("other"))
    assert "last used at" in apply(code=ExitCode.REFUSED).stdout
    apply("--allow", "revoke-in-use=alpha")
    assert list(status()) == ["other"]


def test_a_narrowing_is_on_its_way_until_its_time_has_come(workplace: Path) -> None:
    declare({"alpha": {"scopes": {"google": ["gmail.readonly", "calendar"]}}})
    apply(EMBEDDED)
    declare({"alpha": {"scopes": {"google": ["calendar"]}}})
    assert changes(plan(EMBEDDED))["narrowing"] == 1
    apply(EMBEDDED)
    waiting = run("plan", EMBEDDED, "--detailed-exitcode")
    assert waiting.code == ExitCode.OK
    assert "still works for a while: google:gmail.readonly" in waiting.stdout
    assert "what is not in sync needs time" in waiting.stdout
    assert status(EMBEDDED)["alpha"]["pending_until"] is not None
    run("sandbox", "advance", "25h")
    assert changes(plan(EMBEDDED)) == {"in_sync": 1}
    assert status(EMBEDDED)["alpha"]["pending_until"] is None


def test_a_narrowing_without_grace_is_there_at_once(workplace: Path) -> None:
    declare({"alpha": {"scopes": {"google": ["gmail.readonly", "calendar"]}}})
    apply(EMBEDDED)
    declare({"alpha": {"scopes": {"google": ["calendar"]}, "narrowing_grace": "0s"}})
    apply(EMBEDDED)
    assert changes(plan(EMBEDDED)) == {"in_sync": 1}


def test_an_expired_agent_is_suspended_and_a_day_later_revoked(workplace: Path) -> None:
    last_day = (datetime.now(UTC) + timedelta(days=10)).date().isoformat()
    declare(readers("other") | {"alpha": {"scopes": {}, "expires_at": last_day}})
    apply(EMBEDDED)
    run("sandbox", "advance", "9d")
    assert changes(plan(EMBEDDED)) == {"in_sync": 2}
    run("sandbox", "advance", "2d")
    assert changes(plan(EMBEDDED))["suspend"] == 1
    apply(EMBEDDED)
    assert status(EMBEDDED)["alpha"]["status"] == "inactive"
    (waiting,) = plan(EMBEDDED)["waiting"]
    assert (waiting["agent"], waiting["stage"]) == ("alpha", "expired")
    run("sandbox", "advance", "1d")
    apply(EMBEDDED)
    assert status(EMBEDDED)["alpha"]["status"] == "not live"
    assert "has expired and is not live any more" in run("plan", EMBEDDED).stdout
    assert run("plan", EMBEDDED, "--detailed-exitcode").code == ExitCode.OK


def test_inside_a_freeze_nothing_changes_and_afterwards_it_does(workplace: Path) -> None:
    today = datetime.now(UTC).date()
    window = {
        "from": (today - timedelta(days=1)).isoformat(),
        "to": (today + timedelta(days=1)).isoformat(),
        "reason": "year end",
    }
    declare(readers("alpha", "beta"), freeze=[window])
    result = apply(EMBEDDED, code=ExitCode.REFUSED)
    assert "year end" in result.stdout
    assert changes(plan(EMBEDDED))["blocked"] == 2
    apply(EMBEDDED, "--allow", "freeze", "--target", "alpha")
    run("sandbox", "advance", "3d")
    apply(EMBEDDED)
    assert changes(plan(EMBEDDED)) == {"in_sync": 2}


def test_a_sensitive_scope_waits_for_a_yes_and_everything_else_goes_on(alter: SandboxServer) -> None:
    guards = {"sensitive_scopes": ["google:drive"]}
    declare({"alpha": {"scopes": {"google": ["calendar"]}}}, guards=guards)
    apply()
    declare({"alpha": {"scopes": {"google": ["drive"]}, "display_name": "Alpha"}}, guards=guards)
    apply(code=ExitCode.REFUSED)
    with SignedClient(alter) as client:
        (live,) = client.get("/sdk/agents").json()["items"]
    assert (live["display_name"], live["scopes"]) == ("Alpha", {"google": ["calendar"]})
    apply("--allow", "sensitive-scopes=alpha")
    assert run("plan", "--detailed-exitcode").code == ExitCode.OK


def test_another_type_is_another_agent_and_only_on_request(alter: SandboxServer) -> None:
    sinks = {"env": {"type": "file", "path": "secrets/{agent}"}}
    block = {"scopes": {"google": ["calendar"]}, "deliver_to": ["env"]}
    declare({"alpha": {**block, "type": "agent"}}, sinks=sinks)
    apply()
    first = Path("secrets/alpha").read_text().strip()
    declare({"alpha": {**block, "type": "service"}}, sinks=sinks)
    assert "needs revoke and create, with new keys" in apply(code=ExitCode.REFUSED).stdout
    assert alter.use_key(first)
    apply("--allow", "replace=alpha", "--allow", "revoke-in-use=alpha")
    second = Path("secrets/alpha").read_text().strip()
    assert second != first
    assert alter.use_key(second)
    assert status()["alpha"]["type"] == "service"
    assert run("plan", "--detailed-exitcode").code == ExitCode.OK


@pytest.mark.parametrize("field", ["display_name", "metadata"])
def test_what_somebody_changed_by_hand_is_repaired_and_said_to_be_so(
    alter: SandboxServer, field: str
) -> None:
    declare({"alpha": {"scopes": {}, "display_name": "Alpha", "metadata": {"team": "payments"}}})
    apply()
    with SignedClient(alter) as somebody:
        (live,) = somebody.get("/sdk/agents").json()["items"]
        value: Any = "Changed" if field == "display_name" else {**live["metadata"], "team": "other"}
        somebody.send("PATCH", f"/sdk/agents/{live['id']}", document={field: value})
    assert "changed outside" in run("plan").stdout
    apply()
    assert run("plan", "--detailed-exitcode").code == ExitCode.OK


def test_suspending_keeps_the_key_and_resuming_revives_it(alter: SandboxServer) -> None:
    sinks = {"env": {"type": "file", "path": "secrets/{agent}"}}
    block = {"scopes": {}, "deliver_to": ["env"]}
    declare({"alpha": block}, sinks=sinks)
    apply()
    key_id = status()["alpha"]["delivered"]["key_id"]
    declare({"alpha": {**block, "status": "inactive"}}, sinks=sinks)
    apply()
    assert status()["alpha"]["status"] == "inactive"
    declare({"alpha": block}, sinks=sinks)
    apply()
    assert alter.use_key(Path("secrets/alpha").read_text().strip()) == key_id
