"""Ctrl-C and SIGTERM: what is begun is finished, and the exit code says who asked."""

import json
import os
import pty
import signal
import subprocess
import time
from pathlib import Path

import pytest

from reconciler.cli.interrupts import StopRequest, stop_on_signals
from reconciler.errors import ExitCode
from reconciler.sandbox import SandboxServer
from tests.support.commands import SCRIPT, declare, environment, readers, run


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, ExitCode.INTERRUPTED), (signal.SIGTERM, ExitCode.TERMINATED)]
)
def test_an_interrupted_apply_finishes_what_it_began_and_can_go_on(
    alter: SandboxServer, number: signal.Signals, code: ExitCode
) -> None:
    declare(readers(*(f"agent-{place}" for place in range(40))))
    alter.faults.add("delay", method="POST", seconds=0.1, times=None)
    with subprocess.Popen(
        [SCRIPT, "apply", "--yes", "--parallelism", "2", "--output", "json"],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as child:
        while not any(request.method == "POST" for request in alter.store.request_log()):
            time.sleep(0.01)
        child.send_signal(number)
        stdout, stderr = child.communicate(timeout=15)
    assert child.returncode == code
    assert stderr.count("stopping: what is begun will be finished") == 1
    alter.faults.clear()
    result = run("apply", "--yes", "--output", "json")
    assert result.code == ExitCode.OK
    document = json.loads(stdout)
    assert document["interrupted"] == code
    assert document["resume"] == "alter-sync apply"
    done = document["summary"]["done"]
    assert 0 < done < 40
    assert document["summary"]["failed"] == 0
    assert result.document["summary"]["done"] == 40 - done


def test_ctrl_c_at_the_question_is_a_no(alter: SandboxServer) -> None:
    declare(readers("alpha"))
    master, slave = pty.openpty()
    try:
        with subprocess.Popen(
            [SCRIPT, "apply", "--report", "json=report.json"],
            env=environment(),
            stdin=slave,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        ) as child:
            assert child.stderr is not None
            said = b""
            while b"[y/N] " not in said:
                said += os.read(child.stderr.fileno(), 1000)
            child.send_signal(signal.SIGINT)
            _, stderr = child.communicate(timeout=15)
        assert child.returncode == ExitCode.INTERRUPTED
        assert b"interrupted" in stderr
        assert b"Traceback" not in stderr
        assert json.loads(Path("report.json").read_text())["code"] == "interrupted"
    finally:
        os.close(master)
        os.close(slave)


def test_a_question_at_a_real_terminal_is_answered_there(alter: SandboxServer) -> None:
    declare(readers("alpha"))
    master, slave = pty.openpty()
    try:
        os.write(master, b"y\n")
        done = subprocess.run(
            [SCRIPT, "apply"], env=environment(), stdin=slave, capture_output=True, timeout=15, check=False
        )
    finally:
        os.close(master)
        os.close(slave)
    assert done.returncode == ExitCode.OK
    assert b"Apply: 1 done" in done.stdout


def test_the_first_signal_decides_and_is_announced_once() -> None:
    announced: list[str] = []
    before = signal.getsignal(signal.SIGTERM)
    stop = StopRequest()
    with stop_on_signals(stop, announced.append):
        assert stop.verdict() is None
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGINT)
        assert stop.verdict() == ExitCode.TERMINATED
    assert len(announced) == 1
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_command_that_is_interrupted_while_it_waits_says_so(
    alter: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_seconds: float) -> None:
        raise KeyboardInterrupt

    declare({})
    alter.faults.add("status", status=503)
    monkeypatch.setattr("time.sleep", interrupted)
    result = run("plan", "--output", "json")
    assert result.code == ExitCode.INTERRUPTED
    assert "interrupted" in result.stderr
    assert result.document["code"] == "interrupted"
