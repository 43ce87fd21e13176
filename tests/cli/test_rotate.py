"""``alter-sync rotate``: a new key now, how far each rotation is, and the way back."""

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from reconciler.config.schema import schema_document
from reconciler.errors import ExitCode
from reconciler.sandbox import SandboxServer
from reconciler.sandbox.answers import Refusal
from tests.support.commands import (
    EMBEDDED,
    TO_FILES,
    Result,
    advance,
    declare,
    declare_rotating,
    embedded_server,
    held_key,
    mutations,
    plaintexts,
    readers,
    run,
    terminal,
    use,
    use_key_of,
)
from tests.support.sandbox_server import SignedClient

pytestmark = pytest.mark.usefixtures("workplace")


@pytest.fixture
def rotating(workplace: Path) -> None:
    """Three agents with a delivered key each, in the embedded sandbox."""
    declare_rotating("alpha", "tenant-a", "tenant-b")
    apply()


def apply(*flags: str, code: ExitCode = ExitCode.OK) -> Result:
    result = run("apply", "--yes", EMBEDDED, *flags)
    assert result.code == code, result.stdout + result.stderr
    return result


def rotate(*words: str, code: ExitCode = ExitCode.OK) -> Result:
    """Without asking, on the embedded sandbox."""
    result = run("rotate", *words, "--yes", EMBEDDED)
    assert result.code == code, result.stdout + result.stderr
    return result


def status() -> dict[str, Any]:
    """The rows by name."""
    result = run("rotate", "--status", EMBEDDED, "--output", "jsonl")
    return {row["name"]: row for row in result.rows}


def live_keys(name: str) -> dict[str, bool]:
    """Its live keys, oldest first, and whether they are deprecated."""
    keys = status()[name]["keys"]
    return {key["key_id"]: key["deprecated_at"] is not None for key in keys if not key["revoked_at"]}


def works(plaintext: str) -> bool:
    """Whether a key authenticates. Trying counts as use."""
    with embedded_server() as server:
        try:
            server.use_key(plaintext)
        except Refusal:
            return False
    return True


def events() -> list[str]:
    """What the sandbox has recorded so far, an action each."""
    with embedded_server() as server:
        return [str(entry["action"]) for entry in server.store.audit_log()]


# Rotating.


@pytest.mark.usefixtures("rotating")
def test_it_delivers_a_new_key_and_lets_the_old_one_work_on() -> None:
    old = held_key("alpha")
    result = rotate("alpha")
    assert result.stdout.startswith("Plan: 1 key to mint, 1 key to deprecate")
    assert "asked for by name" in result.stdout
    assert "Apply: 2 done" in result.stdout
    assert "secrets/alpha.env" in result.stdout
    new = held_key("alpha")
    assert new != old
    assert works(new)
    assert works(old)
    assert list(live_keys("alpha").values()) == [True, False]


@pytest.mark.usefixtures("rotating")
def test_it_touches_no_other_agent_and_nothing_but_keys() -> None:
    declare_rotating("alpha", "tenant-a")
    others = {name: held_key(name) for name in ("tenant-a", "tenant-b")}
    before = len(events())
    rotate("alpha")
    assert {name: held_key(name) for name in others} == others
    assert {event for event in events()[before:] if not event.startswith("key.")} == {"agent.update"}
    assert len(live_keys("tenant-a")) == 1


@pytest.mark.usefixtures("rotating")
@pytest.mark.parametrize(
    "words", [["tenant-*"], ["tenant-?", "tenant-a"], ["tenant-a", "tenant-b"]], ids=" ".join
)
def test_names_and_globs_choose_agents_each_once(words: list[str]) -> None:
    document = run("rotate", *words, "--yes", EMBEDDED, "--output", "json").document
    minted = [row["agent"] for row in document["operations"] if row["kind"] == "mint_key"]
    assert minted == ["tenant-a", "tenant-b"]
    assert {row["status"] for row in document["operations"]} == {"done"}


@pytest.mark.usefixtures("rotating")
def test_one_name_that_nobody_has_stops_all_and_the_nearest_is_named() -> None:
    before = events()
    result = rotate("tenant-a", "alhpa", code=ExitCode.USAGE)
    assert "no agent alhpa is declared" in result.stderr
    assert "did you mean 'alpha'?" in result.stderr
    assert "no agent robot-* is declared" in rotate("robot-*", code=ExitCode.USAGE).stderr
    assert events() == before


def test_without_names_it_says_what_it_needs() -> None:
    declare_rotating("alpha")
    for words in ([], ["--rollback"]):
        result = rotate(*words, code=ExitCode.USAGE)
        assert "rotate needs the names of agents" in result.stderr
        assert "--status" in result.stderr


@pytest.mark.usefixtures("rotating")
def test_running_it_twice_rotates_once() -> None:
    rotate("alpha")
    held, before = held_key("alpha"), events()
    again = rotate("alpha")
    assert again.stdout.startswith("Plan: no changes; 1 waiting")
    assert "the rotation that was asked for waits for that" in again.stdout
    assert (held_key("alpha"), events()) == (held, before)


@pytest.mark.usefixtures("rotating")
def test_who_asks_for_one_more_gets_one_more() -> None:
    keys = [held_key("alpha")]
    for _ in range(2):
        rotate("--again", "alpha")
        keys.append(held_key("alpha"))
    assert len(set(keys)) == 3
    assert all(map(works, keys))
    assert list(live_keys("alpha").values()) == [True, True, False]


@pytest.mark.usefixtures("rotating")
def test_it_takes_an_agent_on_when_its_last_rotation_is_over() -> None:
    first = held_key("alpha")
    for _ in range(2):
        rotate("alpha")
        use("alpha")
        advance("25h")
        apply()  # retires the older key
        assert len(live_keys("alpha")) == 1
    assert held_key("alpha") != first
    assert events().count("key.revoke") == 2


def test_the_outcome_fits_its_schema_and_its_fields_can_be_chosen() -> None:
    declare_rotating("alpha", "beta")
    apply()
    result = run("rotate", "alpha", "--yes", EMBEDDED, "--output", "json", "--quiet")
    jsonschema.Draft7Validator(schema_document("outcome")).validate(result.document)
    assert result.stderr == ""
    before = events()
    wrong = run("rotate", "beta", "--yes", EMBEDDED, "--output", "json", "--fields", "stats")
    assert wrong.code == ExitCode.USAGE
    assert events() == before
    rows = run("rotate", "beta", "--yes", EMBEDDED, "--output", "jsonl", "--fields", "kind,status").rows
    assert rows == [{"kind": "mint_key", "status": "done"}, {"kind": "deprecate_key", "status": "done"}]


# Asking.


@pytest.mark.usefixtures("rotating")
def test_where_nobody_can_answer_it_changes_nothing() -> None:
    before = events()
    result = run("rotate", "alpha", EMBEDDED)
    assert result.code == ExitCode.USAGE
    assert result.stdout.startswith("Plan: 1 key to mint")
    assert "rotate asks before it changes anything, and there is nobody to answer" in result.stderr
    assert "--yes" in result.stderr
    assert events() == before


@pytest.mark.usefixtures("rotating")
def test_only_a_yes_at_a_terminal_is_one() -> None:
    before = events()
    with terminal("n") as typing:
        declined = run("rotate", "alpha", EMBEDDED, stdin=typing)
    assert declined.code == ExitCode.ERROR
    assert "Carry out 2 operations on payments-prod" in declined.stderr
    assert events() == before
    with terminal("y") as typing:
        assert run("rotate", "alpha", EMBEDDED, stdin=typing).code == ExitCode.OK
    assert len(live_keys("alpha")) == 2


# Status.


@pytest.mark.usefixtures("rotating")
def test_status_shows_every_agent_with_its_keys() -> None:
    rotate("alpha")
    before = events()
    result = run("rotate", "--status", EMBEDDED)
    assert result.code == ExitCode.OK
    lines = result.stdout.splitlines()
    assert [line.split()[0] for line in lines if line and not line.startswith(" ")][1:-1] == [
        "alpha",
        "tenant-a",
        "tenant-b",
    ]
    assert sum(line.startswith("    key ") for line in lines) == 4
    assert "observing" in lines[1]
    assert "(require_use)" in result.stdout
    assert events() == before


@pytest.mark.usefixtures("rotating")
def test_status_can_be_of_some_agents_and_refuses_names_that_nobody_has() -> None:
    result = run("rotate", "--status", "tenant-*", EMBEDDED, "--output", "json")
    assert [row["name"] for row in result.document["agents"]] == ["tenant-a", "tenant-b"]
    wrong = run("rotate", "--status", "alhpa", EMBEDDED)
    assert wrong.code == ExitCode.USAGE
    assert "did you mean 'alpha'?" in wrong.stderr
    assert "--target" not in wrong.stderr


@pytest.mark.usefixtures("rotating")
def test_status_says_of_every_key_what_comes_next_and_when() -> None:
    rotate("alpha")
    row = status()["alpha"]
    assert (row["stage"], row["waiting_until"]) == ("observing", None)  # no date ends the wait for a use
    assert [(key["next"], key["deprecated_at"] is None) for key in row["keys"]] == [
        ("wait", False),
        ("keep", True),
    ]
    steady = status()["tenant-a"]
    assert (steady["stage"], steady["keys"][0]["next"]) == ("steady", "keep")
    assert steady["due_at"] > steady["keys"][0]["created_at"]
    (chosen,) = run("rotate", "--status", "alpha", EMBEDDED, "-o", "jsonl", "--fields", "name,stage").rows
    assert chosen == {"name": "alpha", "stage": "observing"}


def test_status_needs_a_key_that_reads_and_no_more(
    alter: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(readers("alpha"), **TO_FILES)
    assert run("apply", "--yes").code == ExitCode.OK
    alter.store.clear_request_log()
    use_key_of(monkeypatch, alter, "agents:read")
    assert run("rotate", "--status").code == ExitCode.OK
    refused = run("rotate", "alpha", "--yes", "--output", "json")
    assert refused.code == ExitCode.AUTH
    failed = [row["error"]["hint"] for row in refused.document["operations"] if row["error"]]
    assert "agents:write" in failed[0]
    assert all(request.status == 403 for request in mutations(alter))


def test_it_shows_or_goes_back_but_not_both() -> None:
    declare_rotating("alpha")
    result = run("rotate", "--status", "--rollback", "alpha", EMBEDDED)
    assert result.code == ExitCode.USAGE
    assert "--status, --rollback and --again exclude each other" in result.stderr


# The way back.


@pytest.mark.usefixtures("rotating")
def test_rollback_puts_the_key_before_back_and_revokes_nothing() -> None:
    old = held_key("alpha")
    rotate("alpha")
    new = held_key("alpha")
    result = rotate("--rollback", "alpha")
    assert "1 key to deprecate, 1 key to undeprecate" in result.stdout
    assert held_key("alpha") == old
    assert works(old)
    assert works(new)
    assert list(live_keys("alpha").values()) == [False, True]
    assert "key.revoke" not in events()
    # From here the newer key is the one that goes.
    use("alpha")
    advance("25h")
    apply()
    assert held_key("alpha") == old
    assert not works(new)


@pytest.mark.usefixtures("rotating")
def test_rollback_needs_a_key_to_go_back_to() -> None:
    before = events()
    result = rotate("--rollback", "alpha", code=ExitCode.REFUSED)
    assert "no live key from before its delivered one to go back to" in result.stderr
    assert "`rotate --again alpha`" in result.stderr
    assert events() == before
    rotate("alpha")
    rotate("--rollback", "alpha")
    rotate("--rollback", "alpha", code=ExitCode.REFUSED)


@pytest.mark.usefixtures("rotating")
def test_rollback_does_not_bring_a_leaked_key_back() -> None:
    advance("1h")
    leak = datetime.now(UTC) + timedelta(minutes=30)
    declare_rotating("alpha", rotation={"rotate_keys_before": f"{leak:%Y-%m-%dT%H:%M:%SZ}"})
    apply("--target", "alpha")
    new = held_key("alpha")
    result = rotate("--rollback", "alpha", code=ExitCode.REFUSED)
    assert "rotate_keys_before" in result.stderr
    assert held_key("alpha") == new


# Guards.


@pytest.mark.parametrize(
    ("allowed", "said"),
    [
        ("key-in-use", "name the agent whose key you want to revoke"),
        ("last-active-key", "nothing lets this guard pass"),
        ("last-active-key=alpha", "nothing lets this guard pass"),
        ("key-kap", "did you mean 'key-cap'?"),
        ("key-in-use=alhpa", "did you mean 'alpha'?"),
    ],
)
def test_what_may_be_allowed_is_narrow(allowed: str, said: str) -> None:
    declare_rotating("alpha")
    for words in (["rotate", "alpha"], ["apply"], ["plan"]):
        result = run(*words, EMBEDDED, "--allow", allowed, "--output", "json")
        assert result.code == ExitCode.USAGE
        assert said in result.stderr
        assert result.document["exit"] == ExitCode.USAGE


@pytest.mark.usefixtures("rotating")
def test_a_key_in_use_goes_only_when_its_agent_is_named() -> None:
    olds = {name: held_key(name) for name in ("tenant-a", "tenant-b")}
    rotate("tenant-*")
    assert all(works(old) for old in olds.values())
    result = rotate("tenant-*", "--allow", "key-in-use=tenant-a")
    assert "allowed by name, although it" in result.stdout
    assert [works(old) for old in olds.values()] == [False, True]
    # There is no second one to let go: the key that the sink holds stays, whatever is allowed.
    rotate("tenant-a", "--allow", "key-in-use=tenant-a")
    assert works(held_key("tenant-a"))


def test_a_full_key_cap_is_told_with_those_who_hold_the_room_and_can_be_allowed() -> None:
    declare_rotating("alpha", "beta", guards={"key_cap": 1})
    apply()
    assert rotate("beta", code=ExitCode.REFUSED).stdout.count("1 of 1 keys are live (guards.key_cap)") == 1
    advance("31d")
    held, before = held_key("alpha"), events()
    (key_id,) = live_keys("alpha")
    for words in (["plan"], ["apply", "--yes"]):
        result = run(*words, EMBEDDED, "--target", "alpha")
        assert result.code == ExitCode.REFUSED
        assert (
            f"1 of 1 keys are live (guards.key_cap); the room is held by {key_id} (never used)"
            in result.stdout
        )
        assert "--allow key-cap=alpha`" in result.stdout
        document = run(*words, EMBEDDED, "--output", "json").document
        assert {(entry["guard"], entry["agent"]) for entry in document["blocked"]} == {
            ("key-cap", "alpha"),
            ("key-cap", "beta"),
        }
    assert (held_key("alpha"), events()) == (held, before)
    apply("--target", "alpha", "--allow", "key-cap=alpha")
    assert held_key("alpha") != held


def test_a_limit_of_the_server_is_a_conflict_and_leaves_all_as_it_was(alter: SandboxServer) -> None:
    declare(readers("alpha"), **TO_FILES, guards={"key_cap": 10})
    assert run("apply", "--yes").code == ExitCode.OK
    held = held_key("alpha")
    with SignedClient(alter) as somebody:
        (agent,) = somebody.get("/sdk/agents").json()["items"]
        for _ in range(4):
            assert somebody.send("POST", f"/sdk/agents/{agent['id']}/keys", document={}).status_code == 201
    assert run("apply", "--yes").code == ExitCode.OK  # the four are looked at when something is asked for
    leak = datetime.now(UTC) + timedelta(seconds=1)
    before = {"rotate_keys_before": f"{leak:%Y-%m-%dT%H:%M:%SZ}"}
    defaults = {**TO_FILES["defaults"], "rotation": before}
    declare(readers("alpha"), sinks=TO_FILES["sinks"], defaults=defaults, guards={"key_cap": 10})
    while datetime.now(UTC) < leak:
        pass
    result = run("rotate", "alpha", "--yes", "--output", "json")
    assert result.code == ExitCode.CONFLICT, result.stdout
    (error,) = (row["error"] for row in result.document["operations"] if row["error"])
    assert error["code"] == "agent_key_limit_reached"
    assert held_key("alpha") == held
    assert alter.use_key(held)


def test_a_fleet_that_is_due_goes_at_its_pace_oldest_first() -> None:
    names: list[str] = []
    for name in ("gamma", "alpha", "beta"):
        names.append(name)
        declare_rotating(*names, guards={"max_rotations_per_run": 1})
        apply()
        advance("1h")
    advance("31d")
    olds = {name: held_key(name) for name in names}
    for turn, name in enumerate(names):
        code = ExitCode.REFUSED if turn < 2 else ExitCode.OK
        planned = run("plan", EMBEDDED, "--output", "json")
        assert planned.code == code
        assert [entry["guard"] for entry in planned.document["blocked"]] == ["rotation-pace"] * (2 - turn)
        result = apply(code=code)
        assert ("run again for the rest" in result.stdout) is (turn < 2)
        assert held_key(name) != olds[name]
        assert sum(held_key(other) != olds[other] for other in names) == turn + 1


def test_the_pace_can_be_let_go_for_once() -> None:
    declare_rotating("alpha", "beta", guards={"max_rotations_per_run": 0})
    apply()  # first keys are no rotations
    held = held_key("alpha")
    assert (
        "`alter-sync rotate 'alph*' --sandbox --allow rotation-pace`"
        in rotate("alph*", code=ExitCode.REFUSED).stdout
    )
    assert held_key("alpha") == held
    rotate("alph*", "--allow", "rotation-pace")
    assert held_key("alpha") != held


# Agents that cannot be rotated.


@pytest.mark.parametrize("flags", [[], ["--rollback"]], ids=["forwards", "back"])
def test_an_agent_that_is_not_live_has_no_key_to_rotate(flags: list[str]) -> None:
    declare_rotating("alpha")
    result = rotate("alpha", *flags, code=ExitCode.REFUSED)
    assert "agent 'alpha' is not live: it has no key to rotate" in result.stderr
    assert "apply first" in result.stderr


def test_an_agent_of_somebody_else_is_left_alone(alter: SandboxServer) -> None:
    with SignedClient(alter) as somebody:
        somebody.create("alpha")
    declare(readers("alpha"), **TO_FILES)
    result = run("rotate", "alpha", "--yes")
    assert result.code == ExitCode.REFUSED
    assert "agent 'alpha' is not managed by this configuration yet" in result.stderr
    assert len(mutations(alter)) == 1


@pytest.mark.usefixtures("rotating")
def test_an_agent_that_is_declared_no_more_is_no_name_here() -> None:
    declare_rotating("alpha", "tenant-a")
    assert "no agent tenant-b is declared" in rotate("tenant-b", code=ExitCode.USAGE).stderr


@pytest.mark.parametrize("flags", [[], ["--rollback"]], ids=["forwards", "back"])
def test_an_agent_without_a_sink_would_lose_its_key(flags: list[str]) -> None:
    declare(readers("alpha"))
    apply()
    before = events()
    result = rotate("alpha", *flags, code=ExitCode.REFUSED)
    assert "agent 'alpha' delivers to no sink, so a new key would be lost" in result.stderr
    assert "deliver_to" in result.stderr
    assert events() == before


def test_a_suspended_agent_waits_until_it_is_active_again() -> None:
    block = {"alpha": {"scopes": {}, "status": "inactive"}}
    declare(block, **TO_FILES)
    apply()
    held = held_key("alpha")
    result = rotate("alpha")
    assert "the agent is suspended: its keys wait until it is active again" in result.stdout
    assert held_key("alpha") == held
    declare({"alpha": {"scopes": {}}}, **TO_FILES)
    apply()
    rotate("alpha")
    assert held_key("alpha") != held


@pytest.mark.usefixtures("rotating")
def test_inside_a_freeze_no_key_changes_unless_it_is_allowed() -> None:
    today = datetime.now(UTC).date()
    window = {
        "from": (today - timedelta(days=1)).isoformat(),
        "to": (today + timedelta(days=40)).isoformat(),
        "reason": "year end",
    }
    declare_rotating("alpha", "tenant-a", "tenant-b", freeze=[window])
    held, before = held_key("alpha"), events()
    result = rotate("alpha", code=ExitCode.REFUSED)
    assert "year end" in result.stdout
    advance("31d")
    assert run("plan", EMBEDDED).code == ExitCode.REFUSED
    apply(code=ExitCode.REFUSED)
    assert (held_key("alpha"), events()) == (held, before)
    rotate("alpha", "--allow", "freeze=alpha")
    assert held_key("alpha") != held
    rotate("--rollback", "alpha", code=ExitCode.REFUSED)
    rotate("--rollback", "alpha", "--allow", "freeze=alpha")
    assert held_key("alpha") == held


# Sinks that fail, and what may be seen of a key.

STORE = """
import os, pathlib, sys
place = pathlib.Path("store", os.environ["ALTER_SYNC_AGENT"])
if sys.argv[1] == "read":
    print(place.read_text() if place.exists() else "", end="")
elif pathlib.Path("broken").exists():
    sys.exit(1)
else:
    place.parent.mkdir(exist_ok=True)
    place.write_text(sys.stdin.read())
"""
TO_STORE: dict[str, Any] = {
    "defaults": {"deliver_to": ["env", "store"]},
    "sinks": {
        **TO_FILES["sinks"],
        "store": {
            "type": "command",
            "write": [sys.executable, "store.py", "write"],
            "read": [sys.executable, "store.py", "read"],
        },
    },
}


def test_a_sink_that_fails_during_a_rotation_costs_no_working_key() -> None:
    Path("store.py").write_text(STORE)
    declare(readers("alpha"), **TO_STORE, file="fleet.yaml")
    config = ["-c", "fleet.yaml"]
    apply(*config)
    old = held_key("alpha")
    Path("broken").touch()
    result = rotate("alpha", *config, code=ExitCode.SINK)
    assert "was revoked again" in result.stdout
    assert result.stdout.endswith("Go on with `alter-sync rotate alpha -c fleet.yaml --sandbox`.\n")
    assert held_key("alpha") == held_key("alpha", folder="store", suffix="") == old
    assert works(old)
    (row,) = run("rotate", "--status", EMBEDDED, *config, "-o", "jsonl").rows
    assert [key["revoked_at"] is None for key in row["keys"]] == [True, False]
    assert row["keys"][0]["deprecated_at"] is None
    Path("broken").unlink()
    rotate("alpha", *config)
    assert held_key("alpha") == held_key("alpha", folder="store", suffix="") != old


@pytest.mark.usefixtures("rotating")
def test_a_sink_that_cannot_be_written_is_found_out_before_there_is_a_key() -> None:
    old = held_key("alpha")
    Path("secrets").rename("elsewhere")
    Path("secrets").write_text("a file where a folder is needed")
    before = events()
    rotate("alpha", code=ExitCode.SINK)
    assert events() == before
    Path("secrets").unlink()
    Path("elsewhere").rename("secrets")
    assert held_key("alpha") == old
    rotate("alpha")


def test_where_no_sink_keeps_an_earlier_version_there_is_no_way_back_and_nothing_is_lost() -> None:
    Path("store.py").write_text(STORE)
    declare(readers("alpha"), sinks=TO_STORE["sinks"], defaults={"deliver_to": ["store"]})
    apply()
    old = held_key("alpha", folder="store", suffix="")
    rotate("alpha")
    new = held_key("alpha", folder="store", suffix="")
    result = rotate("--rollback", "alpha", code=ExitCode.SINK)
    assert "no sink of agent 'alpha' keeps an earlier version" in result.stdout
    assert held_key("alpha", folder="store", suffix="") == new
    assert works(old)
    assert works(new)
    assert status()["alpha"]["delivered"]["key_id"] == list(live_keys("alpha"))[-1]
    apply()
    assert list(live_keys("alpha").values()) == [True, False]
    assert "go forward instead, with a new key: `rotate --again alpha`" in result.stdout
    rotate("--again", "alpha")
    assert held_key("alpha", folder="store", suffix="") not in {old, new}


def test_a_sink_that_cannot_go_back_is_named_when_others_can() -> None:
    Path("store.py").write_text(STORE)
    declare(readers("alpha"), **TO_STORE)
    apply()
    old = held_key("alpha")
    rotate("alpha")
    result = rotate("--rollback", "alpha")
    assert "not in store: no earlier version is kept there" in result.stdout
    assert held_key("alpha") == old
    # What that sink holds is not revoked under the consumers of it.
    newer = held_key("alpha", folder="store", suffix="")
    use("alpha")
    advance("2d")
    waiting = apply()
    assert "may be held by store, which the last rollback could not bring back" in waiting.stdout
    assert "rotate --again" in waiting.stdout
    assert works(newer)
    rotate("--again", "alpha")
    assert held_key("alpha") == held_key("alpha", folder="store", suffix="") not in {old, newer}


@pytest.mark.usefixtures("rotating")
def test_a_sink_that_lost_its_key_keeps_the_old_one_alive_until_it_has_another() -> None:
    old = held_key("alpha")
    rotate("alpha")
    use("alpha")
    advance("26h")
    Path("secrets/alpha.env").unlink()
    refused = apply(code=ExitCode.REFUSED)
    assert "sink 'env' does not hold the delivered key of agent 'alpha' any more" in refused.stdout
    assert "give it a new one with `rotate --again alpha`" in refused.stdout
    assert works(old)
    rotate("--again", "alpha")
    assert works(held_key("alpha"))


@pytest.mark.usefixtures("rotating")
def test_going_on_after_a_failure_means_the_same_direction_and_agents() -> None:
    rotate("tenant-*")
    Path("secrets").rename("elsewhere")
    Path("secrets").write_text("a file where a folder is needed")

    def resume(*words: str) -> str:
        document = run("rotate", *words, "--yes", EMBEDDED, "--output", "json").document
        return str(document["resume"])

    assert resume("--rollback", "tenant-*") == "alter-sync rotate --rollback tenant-a tenant-b --sandbox"
    assert resume("alpha") == "alter-sync rotate alpha --sandbox"
    allowed = "--allow", "key-cap=alpha"
    assert resume("alpha", *allowed) == "alter-sync rotate alpha --sandbox --allow key-cap=alpha"


def test_no_key_is_seen_anywhere_but_in_its_sinks() -> None:
    Path("store.py").write_text(STORE)
    declare(readers("alpha", "beta"), **TO_STORE)
    printed, seen = [apply("-vv")], set[str]()

    def note(result: Result) -> None:
        printed.append(result)
        for folder in ("secrets", "store"):
            seen.update(*(plaintexts(path.read_text()) for path in Path(folder).iterdir()))

    note(rotate("*", "-vv"))
    note(run("rotate", "--status", EMBEDDED, "-vv"))
    note(rotate("--rollback", "beta", "--output", "json"))
    use("alpha")
    advance("2d")
    note(apply("-vv", "--output", "json", "--target", "alpha"))
    Path("broken").touch()
    note(rotate("alpha", "-vv", code=ExitCode.SINK))
    note(run("sandbox", "use", "secrets/alpha.env"))
    note(run("rotate", "--status", EMBEDDED, "-o", "json"))
    Path("printed").write_text("".join(result.stdout + result.stderr for result in printed))
    assert len(seen) >= 4
    outside = [
        path for path in Path().rglob("*") if path.is_file() and path.parts[0] not in {"secrets", "store"}
    ]
    assert len(outside) >= 4  # the configuration, the store's program, the sandbox, what was printed
    assert [path for path in outside if plaintexts(path.read_bytes().decode("latin-1"))] == []
