"""Running it again is safe and cheap: no change means no change, and requests do not grow with agents."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from reconciler.errors import ExitCode
from reconciler.sandbox import SandboxServer
from tests.support.commands import SCRIPT, declare, environment, mutations, readers, run


def test_a_second_apply_only_reads(alter: SandboxServer) -> None:
    sinks = {"env": {"type": "file", "path": "secrets/{agent}.env", "format": "dotenv"}}
    block = {
        "type": "service",
        "display_name": "Alpha",
        "status": "inactive",
        "scopes": {"google": ["gmail.readonly", "calendar"], "managed_secret_slugs": ["stripe"]},
        "metadata": {"team": "payments", "nested": {"a": [1, 2.5, None, True]}},
        "protect": True,
        "deliver_to": ["env"],
        "expires_at": "2090-01-01",
        "narrowing_grace": "1h",
    }
    declare({"alpha": block} | readers("beta"), sinks=sinks)
    assert run("apply", "--yes").code == ExitCode.OK
    alter.store.clear_request_log()
    for _ in range(2):
        result = run("apply", "--yes")
        assert result.code == ExitCode.OK
        assert "Nothing to do" in result.stdout
    assert mutations(alter) == []


@pytest.mark.timeout(30)
def test_a_plan_of_a_thousand_agents_without_changes_is_two_requests(alter: SandboxServer) -> None:
    names = [f"agent-{place:04}" for place in range(1000)]
    declare(readers(*names))
    assert run("apply", "--yes", "-q", "-o", "json", "--parallelism", "16").code == ExitCode.OK
    alter.store.clear_request_log()
    result = run("plan", "--detailed-exitcode")
    assert result.code == ExitCode.OK
    assert "1,000 in sync" in result.stdout or "1000 in sync" in result.stdout
    paths = [request.path for request in alter.store.request_log()]
    assert paths.count("/sdk/agents") == 1
    assert len(paths) <= 2


SLOW_STORE = """
import os, pathlib, sys, time
place = pathlib.Path(os.environ["ALTER_SYNC_AGENT"])
if sys.argv[1] == "read":
    sys.exit(print(place.read_text() if place.exists() else "", end=""))
key = sys.stdin.read()
if pathlib.Path("slow").exists():
    pathlib.Path("reached").touch()
    while pathlib.Path("slow").exists():
        time.sleep(0.02)
    sys.exit(1)
place.write_text(key)
"""


@pytest.mark.skipif(
    not Path("/proc/self/stat").exists(), reason="whether a run is dead is known only with /proc"
)
def test_a_run_that_was_killed_in_a_delivery_is_finished_by_the_next(alter: SandboxServer) -> None:
    Path("store.py").write_text(SLOW_STORE)
    Path("slow").touch()
    write, read = ([sys.executable, "store.py", word] for word in ("write", "read"))
    sinks = {"store": {"type": "command", "write": write, "read": read}}
    declare({"alpha": {"scopes": {}, "deliver_to": ["store"]}}, sinks=sinks)
    with subprocess.Popen(
        [SCRIPT, "apply", "--yes"], env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as child:
        while not Path("reached").exists():
            time.sleep(0.02)
        child.kill()
    Path("slow").unlink()
    assert not Path("alpha").exists()
    assert run("plan", "--detailed-exitcode").code == ExitCode.CHANGES
    result = run("apply", "--yes")
    assert result.code == ExitCode.OK, result.stdout
    (row,) = run("status", "-o", "jsonl").rows
    assert alter.use_key(Path("alpha").read_text()) == row["delivered"]["key_id"]
    assert [key["revoked_at"] is None for key in row["keys"]].count(True) == 1
    assert run("plan", "--detailed-exitcode").code == ExitCode.OK
