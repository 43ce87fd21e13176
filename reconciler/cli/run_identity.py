"""Names a run so that a later run on the same machine can tell whether it is still alive.

A claim in an agent's mark carries the name of its run. On another machine nothing is known about that run and
its claim has to grow old; on the same machine the process can be looked up, and a dead one holds nobody up.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from reconciler.model.agent import LiveAgent
from reconciler.model.mark import RunId

_PROC = Path("/proc")
_UNKNOWN_MACHINE = secrets.token_hex(6)
# Fields of /proc/PID/stat after the name: the state, and the start in clock ticks since the boot (proc(5)).
_STATE, _STARTED = 0, 19
# The runs of this very process that have not ended.
_OURS: set[RunId] = set()


def begin_run() -> RunId:
    """A new name: machine, process, start of the process, and a random part."""
    fields = _stat(os.getpid())
    started = fields[_STARTED] if fields else "0"
    run = RunId(f"{_machine()}-{os.getpid()}-{started}-{secrets.token_hex(4)}")
    _OURS.add(run)
    return run


def end_run(run: RunId) -> None:
    """Says that a run of this process holds nothing any more."""
    _OURS.discard(run)


def dead_runs(agents: Iterable[LiveAgent]) -> frozenset[RunId]:
    """The runs in the agents' claims that are known to have ended."""
    marks = (agent.mark for agent in agents)
    claims = {mark.claim.run for mark in marks if mark and mark.claim and mark.claim.run}
    return frozenset(run for run in claims if _is_known_dead(run))


def _is_known_dead(run: RunId) -> bool:
    parts = run.split("-")
    if len(parts) != 4 or parts[0] != _machine() or not parts[1].isdecimal():
        return False
    pid = int(parts[1])
    if pid == os.getpid():
        return run not in _OURS
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    fields = _stat(pid)
    # Dead but not yet waited for, as happens in containers; or its number was given to another process since.
    # Without /proc neither can be told.
    return bool(fields) and (fields[_STATE] in "ZX" or fields[_STARTED] != parts[2])


def _machine() -> str:
    """This machine, this boot, this set of process ids; where that cannot be told, this process alone."""
    with suppress(OSError):
        boot = (_PROC / "sys/kernel/random/boot_id").read_text()
        namespace = os.readlink(_PROC / "self/ns/pid")
        return sha256(f"{boot}{namespace}".encode()).hexdigest()[:12]
    return _UNKNOWN_MACHINE


def _stat(pid: int) -> list[str]:
    """What the kernel says of a process, from its state on; empty when it says nothing."""
    with suppress(OSError):
        # The second field, the name, may contain spaces and parentheses; the rest comes after its end.
        return (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    return []
