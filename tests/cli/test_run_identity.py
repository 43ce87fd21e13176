"""Runs have names that tell a later run on the same machine whether they are still alive."""

import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from reconciler.cli.run_identity import begin_run, dead_runs, end_run
from reconciler.model.mark import RunId
from tests.support.builders import claim_of, live, mark_of

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/stat").exists(), reason="other processes can be looked up only where there is /proc"
)


def is_dead(run: str) -> bool:
    """Whether a claim of that run may be taken over at once."""
    found = dead_runs([live(mark=mark_of(claim=claim_of(run, age=timedelta(minutes=1))))])
    assert found <= {run}
    return bool(found)


def test_a_run_of_this_process_lives_until_it_ends() -> None:
    run = begin_run()
    assert not is_dead(run)
    end_run(run)
    assert is_dead(run)


def test_two_runs_never_have_the_same_name() -> None:
    first, second = begin_run(), begin_run()
    assert first != second
    end_run(first)
    assert not is_dead(second)
    end_run(second)


def test_a_process_that_is_gone_has_no_living_run() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        alive = renamed(pid=child.pid)
        assert not is_dead(alive)
        child.communicate(b"\n")
    assert is_dead(alive)


def test_a_process_that_only_has_the_number_of_another_is_another() -> None:
    machine, _, _, random = begin_run().split("-")
    assert is_dead(f"{machine}-{os.getppid()}-1-{random}")


def test_of_a_run_on_another_machine_nothing_is_known() -> None:
    _, *rest = begin_run().split("-")
    assert not is_dead("-".join(["0123456789ab", *rest]))


def test_a_name_that_another_program_chose_says_nothing() -> None:
    for name in ("run-1", "a-b-c-d", begin_run() + "-more"):
        assert not is_dead(name)


def test_agents_without_a_claim_have_no_runs() -> None:
    assert dead_runs([live(), live(mark=mark_of()), live(mark=mark_of(claim=claim_of("")))]) == frozenset()


def renamed(*, pid: int) -> RunId:
    """The name of a run in another process of this machine."""
    machine, _, _, random = begin_run().split("-")
    with open(f"/proc/{pid}/stat") as stat:
        started = stat.read().rpartition(")")[2].split()[19]
    return RunId(f"{machine}-{pid}-{started}-{random}")
