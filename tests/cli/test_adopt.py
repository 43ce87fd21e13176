"""``alter-sync adopt``: it marks what it is asked to mark, asks first, and changes nothing else."""

from collections.abc import Iterator
from typing import Any

import pytest

from reconciler.errors import ExitCode
from reconciler.model.mark import MARK_KEY
from reconciler.sandbox import SandboxServer
from tests.support.commands import (
    OWNER,
    TO_FILES,
    declare,
    mutations,
    readers,
    run,
    terminal,
    use_key_of,
)
from tests.support.sandbox_server import SignedClient

READER = {"google": ["gmail.readonly"]}


@pytest.fixture
def somebody(alter: SandboxServer) -> Iterator[SignedClient]:
    """Somebody who makes agents by hand."""
    with SignedClient(alter) as client:
        yield client


def live_agents(client: SignedClient) -> dict[str, Any]:
    return {agent["name"]: agent for agent in client.get("/sdk/agents").json()["items"]}


def owners(client: SignedClient) -> dict[str, str | None]:
    return {
        name: agent["metadata"].get(MARK_KEY, {}).get("owner") for name, agent in live_agents(client).items()
    }


def adopted(*arguments: str) -> list[str]:
    result = run("adopt", "--yes", "--output", "json", *arguments)
    assert result.code == ExitCode.OK, result.stdout
    assert {row["kind"] for row in result.document["operations"]} <= {"adopt_agent"}
    return [row["agent"] for row in result.document["operations"]]


def test_without_names_every_declared_agent_that_is_nobodys_is_adopted(
    alter: SandboxServer, somebody: SignedClient
) -> None:
    declare(readers("ours"))
    assert run("apply", "--yes").code == ExitCode.OK
    for name in ("alpha", "beta", "stranger"):
        somebody.create(name, scopes=READER)
    declare(readers("ours", "alpha", "beta", "not-live"))
    assert adopted() == ["alpha", "beta"]
    assert owners(somebody) == {"ours": OWNER, "alpha": OWNER, "beta": OWNER, "stranger": None}
    before = len(mutations(alter))
    assert adopted() == []
    assert len(mutations(alter)) == before


@pytest.mark.parametrize(
    ("names", "found"), [(["a-1"], ["a-1"]), (["a-*"], ["a-1", "a-2"]), (["b", "a-2"], ["a-2", "b"])]
)
def test_names_and_globs_choose(somebody: SignedClient, names: list[str], found: list[str]) -> None:
    for name in ("a-1", "a-2", "b"):
        somebody.create(name, scopes=READER)
    declare(readers("a-1", "a-2", "b"))
    assert adopted(*names) == found


def test_it_shows_asks_and_does_nothing_without_a_yes(alter: SandboxServer, somebody: SignedClient) -> None:
    somebody.create("alpha", scopes=READER)
    declare(readers("alpha"))
    nobody = run("adopt")
    assert nobody.code == ExitCode.USAGE
    assert "adopt asks before it changes anything, and there is nobody to answer" in nobody.stderr
    with terminal("n") as stdin:
        declined = run("adopt", stdin=stdin)
    assert (declined.code, "Carry out 1 operation on payments-prod" in declined.stderr) == (
        ExitCode.ERROR,
        True,
    )
    assert owners(somebody) == {"alpha": None}
    with terminal("y") as stdin:
        done = run("adopt", "alpha", stdin=stdin)
    assert done.code == ExitCode.OK
    assert done.stdout.startswith("Plan: 1 to adopt\n")
    assert "reason: declared; live without an owner" in done.stdout
    assert "Everything is done." in done.stdout
    assert owners(somebody) == {"alpha": OWNER}


def test_where_there_is_nothing_to_adopt_it_says_so_and_ends_well(somebody: SignedClient) -> None:
    declare(readers("alpha"))
    result = run("adopt")
    assert (result.code, result.stderr) == (ExitCode.OK, "")
    assert result.stdout == (
        f"Nothing to adopt: what is asked for is not live, or carries the mark of {OWNER} already.\n"
    )
    assert run("apply", "--yes").code == ExitCode.OK
    assert run("adopt", "alpha").stdout == result.stdout
    assert run("adopt", "--output", "jsonl").stdout == ""


def test_a_name_that_is_not_declared_or_not_live_is_refused(somebody: SignedClient) -> None:
    somebody.create("alpha", scopes=READER)
    somebody.create("undeclared", scopes=READER)
    declare(readers("alpha", "not-live"))
    wrong = run("adopt", "alpah", "--yes")
    assert (wrong.code, "did you mean 'alpha'?" in wrong.stderr) == (ExitCode.USAGE, True)
    assert "no agent undeclared is declared" in run("adopt", "undeclared", "--yes").stderr
    absent = run("adopt", "alpha", "not-live", "--yes")
    assert absent.code == ExitCode.REFUSED
    assert "agent 'not-live' is not live: there is nothing to adopt" in absent.stderr
    assert set(owners(somebody).values()) == {None}


def test_what_differs_stays_for_the_next_plan(somebody: SignedClient) -> None:
    made = somebody.create(
        "alpha", scopes={"slack": ["chat:write"]}, display_name="By hand", metadata={"x": 1}
    )
    declare({"alpha": {"scopes": READER, "display_name": "Alpha"}})
    blocked = run("plan")
    assert (blocked.code, "`alter-sync adopt` puts it under this owner" in blocked.stdout) == (
        ExitCode.REFUSED,
        True,
    )
    assert adopted("alpha") == ["alpha"]
    after = live_agents(somebody)["alpha"]
    metadata = {key: value for key, value in after["metadata"].items() if key != MARK_KEY}
    assert after | {"metadata": metadata, "version": 1} == {
        key: value for key, value in made.items() if key not in {"api_key", "key_id"}
    }
    assert {row["kind"] for row in run("plan", "--output", "jsonl").rows} == {"set_scopes", "update_agent"}


def test_a_narrowing_on_its_way_keeps_its_date_although_the_agent_is_to_get_a_sink(
    somebody: SignedClient,
) -> None:
    # With a sink the scopes go along, because only then a stale version is sure to be refused.
    agent = somebody.create("alpha", scopes={"google": ["gmail.readonly", "drive"]})
    target = f"/sdk/agents/{agent['id']}?expected_version=1&grace_seconds=7200"
    before = somebody.send("PATCH", target, document={"scopes": READER}).json()
    assert before["scopes_applies_at"] is not None
    declare(readers("alpha"), **TO_FILES)
    assert adopted() == ["alpha"]
    after = live_agents(somebody)["alpha"]
    assert after["metadata"].pop(MARK_KEY)["owner"] == OWNER
    assert after | {"version": before["version"]} == before
    keys = somebody.get(f"/sdk/agents/{agent['id']}/keys").json()["items"]
    assert [(key["key_id"], key["deprecated_at"], key["revoked_at"]) for key in keys] == [
        (agent["key_id"], None, None)
    ]


def test_agents_of_a_former_owner_are_taken_over_and_those_of_another_are_refused(
    somebody: SignedClient,
) -> None:
    declare(readers("alpha", "beta"), owner="payments")
    assert run("apply", "--yes").code == ExitCode.OK
    declare(readers("alpha", "beta"))
    refused = run("adopt", "alpha", "--yes")
    assert refused.code == ExitCode.REFUSED
    assert "`alter-sync adopt alpha --allow foreign-owner=alpha`" in refused.stdout
    assert set(owners(somebody).values()) == {"payments"}
    assert adopted("alpha", "--allow", "foreign-owner=alpha") == ["alpha"]
    declare(readers("alpha", "beta"), former_owners=["payments"])
    assert adopted() == ["beta"]
    assert run("plan", "--detailed-exitcode").code == ExitCode.OK


def test_a_freeze_window_holds_for_adoptions_too(somebody: SignedClient) -> None:
    somebody.create("alpha", scopes=READER)
    declare(readers("alpha"), freeze=[{"from": "2000-01-01", "to": "9000-01-01", "reason": "always"}])
    result = run("adopt", "--yes")
    assert (result.code, "frozen until" in result.stdout) == (ExitCode.REFUSED, True)
    assert adopted("--allow", "freeze=alpha") == ["alpha"]


def test_an_expired_agent_is_passed_over_with_a_word_and_refused_by_name(somebody: SignedClient) -> None:
    somebody.create("alpha", scopes=READER)
    declare({"alpha": {"scopes": READER, "expires_at": "2020-01-01"}})
    passed = run("adopt", "--yes")
    assert (passed.code, "Nothing to adopt" in passed.stdout) == (ExitCode.OK, True)
    assert "would suspend and then revoke it" in passed.stderr
    named = run("adopt", "alpha", "--yes")
    assert (named.code, "would suspend and then revoke it" in named.stderr) == (ExitCode.REFUSED, True)
    assert owners(somebody) == {"alpha": None}


def test_a_failure_names_the_command_that_goes_on_with_the_rest(
    alter: SandboxServer, somebody: SignedClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("alpha", "beta"):
        somebody.create(name, scopes=READER)
    declare(readers("alpha", "beta"), file="team.yaml")
    use_key_of(monkeypatch, alter, "agents:read")
    result = run("adopt", "-c", "team.yaml", "--yes", "--allow", "freeze=alpha", "--parallelism", "1")
    assert result.code in {ExitCode.PARTIAL, ExitCode.AUTH}
    assert "Go on with `alter-sync adopt alpha beta -c team.yaml --allow freeze=alpha`." in result.stdout
    assert set(owners(somebody).values()) == {None}


def test_fields_of_the_outcome_are_checked_before_anything_is_done(somebody: SignedClient) -> None:
    somebody.create("alpha", scopes=READER)
    declare(readers("alpha"))
    wrong = run("adopt", "--yes", "--output", "json", "--fields", "nothing")
    assert wrong.code == ExitCode.USAGE
    assert owners(somebody) == {"alpha": None}
    rows = run("adopt", "--yes", "--output", "jsonl", "--fields", "agent,status").rows
    assert rows == [{"agent": "alpha", "status": "done"}]
