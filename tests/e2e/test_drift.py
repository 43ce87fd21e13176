"""What others did to a fleet, on both planes: found, attributed, put back, and nothing else touched."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from alter_sdk import App

from reconciler.cli.embedded import write_alter
from reconciler.errors import ExitCode
from reconciler.model.mark import MARK_KEY
from reconciler.sandbox import SandboxServer
from reconciler.sandbox.catalog import DASHBOARD_PERMISSIONS
from tests.support.commands import (
    DATABASE,
    EMBEDDED,
    READER,
    TO_FILES,
    Result,
    advance,
    declare,
    embedded_server,
    environment,
    held_key,
    plaintexts,
    process,
    use,
)
from tests.support.planes import use_token

JANE = "jane@corp.example"
TERRAFORM = "terraform/prod"
BLOCK: dict[str, Any] = {**READER, "display_name": "One", "metadata": {"team": "payments"}}
Found = dict[str, Any]


class Office:
    """A terminal on which somebody runs our commands, each a process; all that they print is kept."""

    def __init__(self, *flags: str) -> None:
        self.flags = flags
        self.printed: list[str] = []

    def run(self, *words: str, code: ExitCode = ExitCode.OK) -> Result:
        result = process(*words, *self.flags)
        self.printed += [result.stdout, result.stderr]
        assert result.code == code, result.stdout + result.stderr
        return result

    def drift(self, *, code: ExitCode = ExitCode.CHANGES) -> dict[tuple[str, str, str], Found]:
        """What is found, by kind, agent and path; the text is looked at as well."""
        self.run("drift", "--exit-code", code=code)
        document = self.run("drift", "--exit-code", "--output", "json", code=code).document
        found = {(one["kind"], one["agent"], one["path"]): one for one in document["findings"]}
        assert len(found) == len(document["findings"])
        return found

    def kinds(self, *, code: ExitCode = ExitCode.CHANGES) -> list[tuple[str, str, str]]:
        return sorted(self.drift(code=code))


class Jane:
    """A person with a token of her own and the `alter` executable of the sandbox."""

    def __init__(self, server: SandboxServer) -> None:
        self.server = server
        self.token = server.create_pat(DASHBOARD_PERMISSIONS, user=JANE)
        self.program = str(write_alter(server.database))

    def does(self, command: str, *words: str) -> Any:
        variables = {"ALTER_PAT": self.token, "ALTER_APP_ID": self.server.app_id()}
        done = subprocess.run(
            [self.program, "agents", command, *words, "--output", "json"],
            env=environment(**variables),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=True,
            timeout=20,
        )
        return json.loads(done.stdout)

    def id_of(self, name: str) -> str:
        [found] = [one for one in self.does("list", "--status", "active")["items"] if one["name"] == name]
        return str(found["id"])

    def delivered_key(self, name: str) -> str:
        agent = self.does("show", "--agent", self.id_of(name))
        return str(agent["metadata"][MARK_KEY]["delivered"]["key_id"])


@pytest.fixture
def office(alter: SandboxServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Office]:
    """Three agents as they are declared, on a sandbox that is served, with credentials for both planes.

    At the end nothing that was printed may hold a key or a token.
    """
    token = use_token(monkeypatch, alter)
    declare({"alpha": BLOCK, "beta": BLOCK, "gamma": READER}, **TO_FILES)
    place = Office()
    place.run("apply", "--yes")
    assert place.kinds(code=ExitCode.OK) == []
    yield place
    printed = "".join(place.printed)
    assert len(printed) > 1000
    assert plaintexts(printed) == set()
    for secret in (token, alter.app_key(), *re.findall(r"alter_pat_\w+", printed)):
        assert secret not in printed


def widen(key: str, name: str, scopes: dict[str, list[str]]) -> None:
    """What another program does with the official client, under a name of its own."""

    async def story() -> None:
        async with App(key, caller=TERRAFORM) as app:
            agent = next(one for one in (await app.agents.list(limit=100)).agents if one.name == name)
            await app.agents.update(str(agent.id), scopes=scopes, expected_version=agent.version)

    asyncio.run(story())


def fleet(server: SandboxServer) -> dict[str, dict[str, Any]]:
    """Every field of every agent that is there, but for its version; of the mark what was applied last."""
    found = {}
    for row in server.store.rows("SELECT * FROM agents WHERE status <> 'revoked' ORDER BY seq"):
        agent = {name: value for name, value in dict(row).items() if name not in {"version", "last_used_at"}}
        agent["metadata"] = json.loads(row["metadata"])
        agent["metadata"][MARK_KEY] = agent["metadata"].get(MARK_KEY, {}).get("spec")
        found[row["name"]] = agent
    return found


def keys_of(server: SandboxServer, agent_id: str) -> dict[str, str]:
    """Id of each key → live, deprecated or revoked."""
    rows = server.store.rows("SELECT * FROM keys WHERE agent_id = ?", agent_id)
    return {
        row["id"]: "revoked" if row["revoked_at"] else "deprecated" if row["deprecated_at"] else "live"
        for row in rows
    }


def test_scopes_name_and_key_are_named_with_actor_and_time_and_exactly_that_is_put_back(
    alter: SandboxServer, office: Office
) -> None:
    jane = Jane(alter)
    agent_id, delivered = jane.id_of("alpha"), jane.delivered_key("alpha")
    before, plaintext = fleet(alter), held_key("alpha")

    # Meanwhile the configuration goes ahead, on the same agent and on others.
    pending = {**BLOCK, "metadata": {"team": "platform"}}
    declare({"alpha": pending, "beta": {**BLOCK, "display_name": "Two"}, "delta": READER}, **TO_FILES)
    ahead = [
        ("not_applied", "alpha", "metadata.team"),
        ("not_applied", "beta", "display_name"),
        ("not_applied", "delta", "agent"),
        ("not_applied", "gamma", "agent"),
    ]
    assert office.kinds(code=ExitCode.OK) == ahead

    began = datetime.now(UTC) - timedelta(seconds=2)
    widen(alter.app_key(), "alpha", {"google": ["gmail.readonly", "gmail.send"], "slack": ["chat:write"]})
    jane.does("update", "--agent", agent_id, "--display-name", "Hers")
    minted = jane.does("mint-key", "--agent", agent_id)

    found = office.drift()
    assert {name: one for name, one in found.items() if name[0] != "not_applied"}.keys() == {
        ("changed_outside", "alpha", "scopes.google"),
        ("changed_outside", "alpha", "scopes.slack"),
        ("changed_outside", "alpha", "display_name"),
        ("key_minted_outside", "alpha", "keys"),
        # Whoever changes agents and is none of ours is a shadow agent, too.
        ("shadow_agent", TERRAFORM, "agent"),
    }
    assert set(ahead) < set(found)
    who = {name[2]: one["event"] for name, one in found.items() if name[1] == "alpha" and one["event"]}
    assert {path: (event["actor"], event["action"]) for path, event in who.items()} == {
        "scopes.google": (TERRAFORM, "agent.update"),
        "scopes.slack": (TERRAFORM, "agent.update"),
        "display_name": (JANE, "agent.update"),
        "keys": (JANE, "key.mint"),
    }
    for event in who.values():
        assert began <= datetime.fromisoformat(event["at"]) <= datetime.now(UTC) + timedelta(seconds=2)
    assert found["key_minted_outside", "alpha", "keys"]["key_id"] == minted["key_id"]
    order = [one["severity"] for one in found.values() if one["kind"] != "not_applied"]
    assert order == ["high"] * 4 + ["low"]
    text = office.printed[-4]
    assert f"by {TERRAFORM} at 20" in text
    assert f"by {JANE} at 20" in text
    assert "+ gmail.send" in text

    office.run("apply", "--only-drift", "--yes")
    assert fleet(alter) == before
    assert keys_of(alter, agent_id) == {delivered: "live", minted["key_id"]: "deprecated"}
    assert held_key("alpha") == plaintext
    assert office.kinds() == sorted([*ahead, ("shadow_agent", TERRAFORM, "agent")])
    office.run("plan", "--only-drift", "--detailed-exitcode")
    office.run("apply", "--yes", "--allow", "revoke-in-use")
    assert office.kinds() == [("shadow_agent", TERRAFORM, "agent")]
    assert fleet(alter)["alpha"]["metadata"]["team"] == "platform"


def test_a_revoked_agent_is_named_and_only_a_whole_apply_makes_it_again(
    alter: SandboxServer, office: Office
) -> None:
    jane = Jane(alter)
    jane.does("revoke", "--agent", jane.id_of("beta"), "--yes")
    found = office.drift()
    assert list(found) == [("agent_revoked_outside", "beta", "agent")]
    assert found["agent_revoked_outside", "beta", "agent"]["event"]["actor"] == JANE
    before = fleet(alter)
    office.run("apply", "--only-drift", "--yes")
    assert fleet(alter) == before
    office.run("apply", "--yes")
    assert office.kinds(code=ExitCode.OK) == []
    assert alter.use_key(held_key("beta")) == jane.delivered_key("beta")


def test_a_workload_whose_key_was_revoked_gets_another_one(alter: SandboxServer, office: Office) -> None:
    jane = Jane(alter)
    agent_id, lost = jane.id_of("beta"), jane.delivered_key("beta")
    jane.does("revoke-key", "--agent", agent_id, "--key", lost, "--force", "--yes")
    found = office.drift()
    assert [(name, one["key_id"], one["event"]["actor"]) for name, one in found.items()] == [
        (("key_revoked_outside", "beta", "keys"), lost, JANE)
    ]
    before = fleet(alter)
    office.run("apply", "--only-drift", "--yes")
    assert office.kinds(code=ExitCode.OK) == []
    assert fleet(alter) == before
    assert alter.use_key(held_key("beta")) == jane.delivered_key("beta") != lost


def test_a_deprecated_key_is_restored(alter: SandboxServer, office: Office) -> None:
    jane = Jane(alter)
    agent_id, key_id = jane.id_of("beta"), jane.delivered_key("beta")
    jane.does("deprecate-key", "--agent", agent_id, "--key", key_id)
    [found] = office.drift().values()
    assert (found["kind"], found["event"]["actor"]) == ("key_deprecated_outside", JANE)
    office.run("apply", "--only-drift", "--yes")
    assert keys_of(alter, agent_id) == {key_id: "live"}
    assert office.kinds(code=ExitCode.OK) == []


def test_whoever_replaces_the_metadata_takes_the_mark_away_and_is_named(
    alter: SandboxServer, office: Office
) -> None:
    jane = Jane(alter)
    before = fleet(alter)
    jane.does("update", "--agent", jane.id_of("gamma"), "--metadata", "{}")
    [found] = office.drift().values()
    assert (found["kind"], found["severity"], found["path"]) == ("changed_outside", "high", "mark")
    assert found["event"]["actor"] == JANE
    assert "alter-sync adopt" in found["message"]
    office.run("apply", "--only-drift", "--yes")
    assert list(office.drift()) == [("changed_outside", "gamma", "mark")]
    office.run("adopt", "gamma", "--yes")
    found_then = office.kinds(code=ExitCode.OK)
    assert [one for one in found_then if one[0] != "not_applied"] == []
    assert fleet(alter).keys() == before.keys()


def test_who_runs_drift_and_apply_is_no_shadow_agent_and_no_one_s_workload_is(
    alter: SandboxServer, office: Office
) -> None:
    alter.use_key(held_key("alpha"))
    alter.use_key(held_key("beta"))
    office.run("status")
    assert office.kinds(code=ExitCode.OK) == []


def test_an_agent_that_nobody_used_for_a_month_is_listed_and_is_no_drift(workplace: Path) -> None:
    place = Office(EMBEDDED)
    declare({"busy": BLOCK, "idle": BLOCK}, **TO_FILES)
    place.run("apply", "--yes")
    advance("31d")
    use("busy")
    found = place.drift(code=ExitCode.OK)
    assert list(found) == [("unused_agent", "idle", "agent")]
    assert "no activity in 30 days; never used" in found["unused_agent", "idle", "agent"]["message"]
    assert "Unused agents (1)" in place.printed[-4]
    assert plaintexts("".join(place.printed)) == set()


def test_the_embedded_sandbox_tells_who_did_it_as_well(workplace: Path) -> None:
    place = Office(EMBEDDED)
    declare({"alpha": BLOCK}, **TO_FILES)
    place.run("apply", "--yes")
    with embedded_server() as server:
        jane = Jane(server)
        jane.does("update", "--agent", jane.id_of("alpha"), "--display-name", "Hers")
    assert DATABASE.exists()
    [found] = place.drift().values()
    assert (found["path"], found["event"]["actor"]) == ("display_name", JANE)
    place.run("apply", "--only-drift", "--yes")
    assert place.kinds(code=ExitCode.OK) == []
