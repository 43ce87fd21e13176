"""Keys rotate without a break and without a loss: the whole story, and what may go wrong on the way."""

import re
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from reconciler.errors import ExitCode
from reconciler.sandbox import SandboxServer
from reconciler.sandbox.answers import Refusal
from tests.support.commands import (
    EMBEDDED,
    SCRIPT,
    TO_FILES,
    Result,
    advance,
    declare,
    declare_rotating,
    embedded_server,
    environment,
    held_key,
    plaintexts,
    process,
    run,
    use,
)
from tests.support.fleet import Fleet
from tests.support.sandbox_server import SignedClient

KEYS_ONLY = {"mint_key", "deprecate_key", "undeprecate_key", "revoke_key"}


@pytest.fixture(autouse=True)
def _never_forced(workplace: Path) -> Iterator[None]:
    """Whatever a test does, no key was ever revoked by force."""
    yield
    if Path(".alter-sync").exists():
        with embedded_server() as server:
            revoked = [entry for entry in server.store.audit_log() if entry["action"] == "key.revoke"]
            assert not [entry for entry in revoked if entry["detail"]["forced"]]


def plan(*flags: str, execute: Callable[..., Result] = run) -> Any:
    """The document of a plan made now."""
    return execute("plan", EMBEDDED, "--output", "json", *flags).document


def operations(document: Any) -> list[tuple[str, str]]:
    """Kind and agent of what is planned, or was done."""
    return sorted((row["kind"], row["agent"]) for row in document["operations"])


def apply(
    *flags: str, code: ExitCode = ExitCode.OK, execute: Callable[..., Result] = run
) -> list[tuple[str, str]]:
    """What a plan announces; then it is applied, must do exactly that, and leave nothing to do."""
    announced = plan(*flags, execute=execute)
    result = execute("apply", "--yes", EMBEDDED, "--output", "json", *flags)
    assert result.code == code, result.stdout + result.stderr
    assert {row["id"] for row in result.document["operations"]} == {
        row["id"] for row in announced["operations"]
    }
    assert {row["status"] for row in result.document["operations"]} <= {"done"}
    assert plan(*flags)["operations"] == []
    return operations(result.document)


def status(name: str = "alpha") -> Any:
    (row,) = run("status", EMBEDDED, "--target", name, "--output", "jsonl").rows
    return row


def stage(name: str = "alpha") -> str:
    return str(status(name)["stage"])


def live(name: str = "alpha") -> list[str]:
    """The ids of its live keys, oldest first."""
    return [key["key_id"] for key in status(name)["keys"] if not key["revoked_at"]]


def is_usable(plaintext: str) -> bool:
    """Whether a workload that has this key gets through. Trying is use."""
    with embedded_server() as server:
        try:
            server.use_key(plaintext)
        except Refusal:
            return False
    return True


# The story.


def test_a_key_is_replaced_watched_and_retired_and_every_step_is_announced(workplace: Path) -> None:
    def advance_by(duration: str) -> None:
        assert process("sandbox", "advance", duration).code == ExitCode.OK

    def workload(path: str) -> str:
        result = process("sandbox", "use", path)
        assert result.code == ExitCode.OK
        return result.stdout

    declare_rotating("alpha", rotation={"max_age": "90d"})
    assert apply(execute=process) == [("create_agent", "alpha"), ("mint_key", "alpha")]
    Path("memory").write_text(held_key("alpha"))  # what the workload has read when it started
    workload("memory")
    advance_by("80d")
    assert process("plan", EMBEDDED, "--detailed-exitcode").code == ExitCode.OK

    advance_by("11d")  # due
    assert apply(execute=process) == [("deprecate_key", "alpha"), ("mint_key", "alpha")]
    assert "works, and is deprecated" in workload("memory")
    (waiting,) = plan(execute=process)["waiting"]
    assert waiting["stage"] == "observing"
    assert "(require_use)" in waiting["reason"]

    advance_by("3d")  # long enough, but nobody has used the new one
    assert apply(execute=process) == []
    Path("memory").write_text(held_key("alpha"))  # the workload starts anew
    assert workload("memory").endswith("works\n")
    assert apply(execute=process) == [("revoke_key", "alpha")]  # nobody has used the old one for a day

    assert stage() == "steady"
    assert len(live()) == 1
    assert workload("memory").endswith("works\n")
    assert process("plan", EMBEDDED, "--detailed-exitcode").code == ExitCode.OK
    shown = process("rotate", "--status", EMBEDDED)
    assert re.search(r"alpha .* steady +\d{4}-\d\d-\d\d ", shown.stdout)


def test_a_key_that_was_used_a_moment_ago_is_given_its_quiet_time(workplace: Path) -> None:
    declare_rotating("alpha", rotation={"quiet_for": "48h"})
    apply()
    old = held_key("alpha")
    advance("31d")
    apply()
    use("alpha")
    advance("30h")
    assert is_usable(old)
    assert apply() == []
    assert "quiet until" in plan()["waiting"][0]["reason"]
    advance("47h")
    assert apply() == []
    # A use shows up to an hour late.
    advance("1h")
    assert apply() == []
    advance("1h")
    assert apply() == [("revoke_key", "alpha")]
    assert not is_usable(old)


# Keys that stay in use.


@pytest.mark.parametrize(
    ("on_overdue", "code"),
    [("warn", ExitCode.OK), ("block", ExitCode.REFUSED), ("revoke", ExitCode.REFUSED)],
)
def test_an_old_key_in_use_is_never_revoked(workplace: Path, on_overdue: str, code: ExitCode) -> None:
    declare_rotating("alpha", rotation={"max_age": "365d", "max_overlap": "14d", "on_overdue": on_overdue})
    apply()
    old = held_key("alpha")
    run("rotate", "alpha", "--yes", EMBEDDED)
    for day in range(1, 61):
        assert is_usable(old)
        advance("1d")
        if day % 5 == 0:
            assert is_usable(old)
            ended = run("apply", "--yes", EMBEDDED, "--output", "json")
            assert ended.code == (code if day > 14 else ExitCode.OK), ended.stdout
            assert ended.document["operations"] == []
            guards = {entry["guard"] for entry in ended.document["blocked"]}
            assert guards == ({"key-in-use"} if code and day > 14 else set())
            assert stage() == ("overdue" if day > 14 else "observing")
    assert len(live()) == 2
    # Once nobody uses it any more it goes, and not before.
    use("alpha")
    advance("25h")
    assert apply() == [("revoke_key", "alpha")]
    assert not is_usable(old)


@pytest.mark.parametrize(("on_overdue", "goes"), [("warn", False), ("block", False), ("revoke", True)])
def test_a_consumer_that_never_reloads_keeps_its_key(workplace: Path, on_overdue: str, goes: bool) -> None:
    """That the old key is quiet proves nothing of the new one; only its use does."""
    declare_rotating("alpha", rotation={"max_age": "365d", "on_overdue": on_overdue})
    apply()
    old = held_key("alpha")
    run("rotate", "alpha", "--yes", EMBEDDED)
    advance("13d")
    assert apply() == []
    advance("2d")
    code = ExitCode.REFUSED if on_overdue == "block" else ExitCode.OK
    assert apply(code=code) == ([("revoke_key", "alpha")] if goes else [])
    assert is_usable(old) is not goes
    assert is_usable(held_key("alpha"))


def test_a_job_that_runs_once_a_month_finds_a_key_that_works_every_time(workplace: Path) -> None:
    declare_rotating("alpha", rotation={"max_age": "45d", "quiet_for": "7d"})
    apply()
    keys = set()
    for _month in range(8):
        use("alpha")  # it starts, reads the file, works, and ends
        keys.add(held_key("alpha"))
        for _ in range(3):
            advance("10d")
            run("apply", "--yes", EMBEDDED)
            assert len(live()) <= 2
    assert len(keys) >= 4
    assert run("plan", EMBEDDED).code == ExitCode.OK


def test_who_blocks_on_overdue_keys_gets_no_further_one_meanwhile(workplace: Path) -> None:
    declare_rotating("alpha", rotation={"on_overdue": "block"})
    apply()
    old = held_key("alpha")
    for _ in range(7):
        assert is_usable(old)
        advance("10d")
        assert is_usable(old)
        run("apply", "--yes", EMBEDDED)
    assert run("apply", "--yes", EMBEDDED).code == ExitCode.REFUSED
    assert len(live()) == 2


def test_keys_that_stay_in_use_never_pile_up_beyond_the_cap(workplace: Path) -> None:
    declare_rotating("alpha", guards={"key_cap": 3})
    apply()
    clinging = [held_key("alpha")]
    for _ in range(15):
        assert all(map(is_usable, clinging))
        advance("10d")
        assert all(map(is_usable, clinging))
        run("apply", "--yes", EMBEDDED)
        clinging = list(dict.fromkeys([*clinging, held_key("alpha")]))
        assert len(live()) == len(clinging) <= 3
    result = run("apply", "--yes", EMBEDDED)
    assert result.code == ExitCode.REFUSED
    assert "3 of 3 keys are live (guards.key_cap); the room is held by" in result.stdout
    assert all(key_id in result.stdout for key_id in live())


# Ways back, leaks, fleets.


def test_after_a_cut_over_there_is_a_way_back_and_forward_again(workplace: Path) -> None:
    declare_rotating("alpha", rotation={"max_age": "90d"})
    apply()
    first = held_key("alpha")
    run("rotate", "alpha", "--yes", EMBEDDED)
    use("alpha")
    second = held_key("alpha")
    assert run("rotate", "--rollback", "alpha", "--yes", EMBEDDED).code == ExitCode.OK
    assert held_key("alpha") == first
    use("alpha")
    assert is_usable(second)
    assert apply() == []
    advance("26h")
    assert apply() == [("revoke_key", "alpha")]
    assert (is_usable(first), is_usable(second)) == (True, False)
    assert run("rotate", "alpha", "--yes", EMBEDDED).code == ExitCode.OK
    use("alpha")
    assert held_key("alpha") not in {first, second}


def test_a_key_that_came_back_is_due_by_its_own_age_and_not_by_that_of_its_return(workplace: Path) -> None:
    declare_rotating("alpha")
    apply()
    first = held_key("alpha")
    advance("20d")
    run("rotate", "alpha", "--yes", EMBEDDED)
    run("rotate", "--rollback", "alpha", "--yes", EMBEDDED)
    use("alpha")
    advance("26h")
    assert apply() == [("revoke_key", "alpha")]
    advance("9d")
    assert stage() == "due"
    assert ("mint_key", "alpha") in apply()
    assert held_key("alpha") != first


def test_a_key_that_came_back_is_as_leaked_as_it_was_before(workplace: Path) -> None:
    declare_rotating("alpha")
    apply()
    first = held_key("alpha")
    advance("1d")
    run("rotate", "alpha", "--yes", EMBEDDED)
    run("rotate", "--rollback", "alpha", "--yes", EMBEDDED)
    use("alpha")
    advance("26h")
    assert apply() == [("revoke_key", "alpha")]
    leak = datetime.now(UTC) + timedelta(hours=12)  # after the key was made, before it came back
    declare_rotating("alpha", rotation={"rotate_keys_before": f"{leak:%Y-%m-%dT%H:%M:%SZ}"})
    assert ("mint_key", "alpha") in apply()
    assert held_key("alpha") != first


def test_after_a_leak_every_older_key_is_replaced_whatever_its_age(workplace: Path) -> None:
    declare_rotating("alpha", "beta")
    apply()
    leaked = {name: held_key(name) for name in ("alpha", "beta")}
    advance("1d")
    leak = datetime.now(UTC) + timedelta(hours=23)
    policy = {"rotate_keys_before": f"{leak:%Y-%m-%dT%H:%M:%SZ}", "min_overlap": "1h", "quiet_for": "1h"}
    declare_rotating("alpha", "beta", "gamma", rotation=policy)
    assert [kind for kind, _ in apply()] == ["create_agent", *["deprecate_key"] * 2, *["mint_key"] * 3]
    use("alpha", "beta")
    # Who cannot wait for the quiet names the agents, one by one.
    assert is_usable(leaked["beta"])
    hurried = run("rotate", "beta", "--yes", EMBEDDED, "--allow", "key-in-use=beta")
    assert hurried.code == ExitCode.OK
    assert not is_usable(leaked["beta"])
    advance("61m")
    assert apply() == [("revoke_key", "alpha")]
    assert not is_usable(leaked["alpha"])
    assert {stage(name) for name in ("alpha", "beta", "gamma")} == {"steady"}


def test_a_fleet_of_one_day_and_one_policy_does_not_fall_due_in_one_day(workplace: Path) -> None:
    names = [f"agent-{place:02}" for place in range(12)]
    declare_rotating(*names, rotation={"max_age": "90d"})
    apply()
    rows = run("status", EMBEDDED, "--output", "jsonl").rows
    assert len({row["due_at"][:10] for row in rows}) >= 5
    advance("80d")
    rotated: list[int] = []
    for _day in range(10):
        advance("1d")
        rotated.append(sum(kind == "mint_key" for kind, _ in apply()))
    assert sum(rotated) == 12
    assert max(rotated) <= 6
    assert sum(count > 0 for count in rotated) >= 4


# What changes while a rotation is on its way.


def test_a_sink_that_is_added_gets_a_key_at_once_and_all_sinks_the_same(workplace: Path) -> None:
    declare_rotating("alpha")
    apply()
    old = held_key("alpha")
    sinks = {**TO_FILES["sinks"], "raw": {"type": "file", "path": "more/{agent}"}}
    declare({"alpha": {"scopes": {}, "deliver_to": ["env", "raw"]}}, sinks=sinks, defaults={})
    assert "nothing is delivered to raw yet" in run("plan", EMBEDDED).stdout
    assert ("mint_key", "alpha") in apply()
    assert held_key("alpha") == held_key("alpha", folder="more", suffix="") != old
    use("alpha")
    advance("25h")
    assert apply() == [("revoke_key", "alpha")]
    assert status()["delivered"]["sinks"] == ["env", "raw"]


def test_an_adopted_agent_gets_a_delivered_key_and_the_one_from_before_goes_when_it_is_quiet(
    workplace: Path,
) -> None:
    declare_rotating()
    run("plan", EMBEDDED)
    with embedded_server() as server:
        server.start()
        with SignedClient(server) as somebody:
            by_hand = somebody.create("alpha", scopes={"google": ["gmail.readonly"]})["api_key"]
    declare_rotating("alpha")
    adopted = apply_without_look("--allow", "unowned=alpha")
    assert adopted == [("adopt_agent", "alpha")]
    assert is_usable(by_hand)
    assert apply() == [("deprecate_key", "alpha"), ("mint_key", "alpha")]
    for _day in range(5):
        assert is_usable(by_hand)
        use("alpha")
        advance("20h")
        assert apply() == []
    advance("5h")
    assert apply() == [("revoke_key", "alpha")]
    assert (is_usable(by_hand), is_usable(held_key("alpha"))) == (False, True)


def test_a_key_that_somebody_mints_in_the_middle_of_a_rotation_is_retired_like_any_other(
    workplace: Path,
) -> None:
    declare_rotating("alpha")
    apply()
    run("rotate", "alpha", "--yes", EMBEDDED)
    with embedded_server() as server:
        server.start()
        with SignedClient(server) as somebody:
            (agent,) = somebody.get("/sdk/agents").json()["items"]
            outside = somebody.send("POST", f"/sdk/agents/{agent['id']}/keys", document={}).json()["api_key"]
    assert is_usable(outside)
    assert apply() == [("deprecate_key", "alpha")]
    use("alpha")
    advance("20h")
    assert is_usable(outside)
    advance("5h")
    assert apply_without_look() == [("revoke_key", "alpha")]  # the replaced key
    assert is_usable(outside)
    advance("25h")
    assert apply() == [("revoke_key", "alpha")]
    assert not is_usable(outside)
    assert len(live()) == 1


def apply_without_look(*flags: str) -> list[tuple[str, str]]:
    """Applies where the next plan has the next step ready already."""
    announced = plan(*flags)
    result = run("apply", "--yes", EMBEDDED, "--output", "json", *flags)
    assert result.code == ExitCode.OK, result.stdout
    assert operations(result.document) == operations(announced)
    return operations(result.document)


# Two at once.


def test_two_applies_of_fifty_due_agents_rotate_each_exactly_once(
    alter: SandboxServer, workplace: Path
) -> None:
    names = [f"agent-{place:02}" for place in range(50)]
    declare_rotating(*names, guards={"max_changes": {"count": 100, "percent": 100}})
    assert run("apply", "--yes", "--quiet", "--parallelism", "16").code == ExitCode.OK
    olds = {name: held_key(name) for name in names}
    fleet = Fleet(alter, workplace)
    fleet.grow_older(days=31)
    fleet.close()
    alter.store.clear_request_log()
    command = [SCRIPT, "apply", "--yes", "--parallelism", "4", "--output", "json"]
    children = [
        subprocess.Popen(
            command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    ended = [(*child.communicate(timeout=25), child.returncode) for child in children]
    allowed = {ExitCode.OK, ExitCode.CONFLICT, ExitCode.PARTIAL}
    assert {code for _, _, code in ended} <= allowed, ended
    assert not any(plaintexts(stdout + stderr) for stdout, stderr, _ in ended)
    again = [run("apply", "--yes", "--output", "json") for _ in range(2)]
    assert [result.code for result in again] == [ExitCode.OK] * 2
    assert again[1].document["operations"] == []
    log = alter.store.request_log()
    minted = Counter(one.path for one in log if is_mint(one.method, one.path) and one.status == 201)
    assert len(minted) == 50
    assert set(minted.values()) == {1}
    assert not [one for one in log if "force" in one.query]
    rows = run("status", "--output", "jsonl").rows
    assert len(rows) == 50
    for row in rows:
        new = held_key(row["name"])
        assert new != olds[row["name"]]
        assert alter.use_key(new) == row["delivered"]["key_id"]
        assert alter.use_key(olds[row["name"]])


def is_mint(method: str, path: str) -> bool:
    return method == "POST" and path.endswith("/keys")
