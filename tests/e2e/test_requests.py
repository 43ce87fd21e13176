"""How many requests things cost, as docs/scale.md counts them: at a rate limit they are the time."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from reconciler.errors import ExitCode
from tests.support.commands import EMBEDDED, TO_FILES, advance, declare, readers, run

NAMES = [f"agent-{number:02}" for number in range(10)]
# A page of agents and the catalogue of scopes.
PLAN = 2

pytestmark = pytest.mark.usefixtures("workplace")


def requests(*words: str) -> int:
    result = run(*words, EMBEDDED, "--verbose")
    assert result.code == ExitCode.OK, result.stderr
    found = re.search(r"^(\d+) requests", result.stderr, re.MULTILINE)
    assert found, result.stderr
    return int(found[1])


def declare_all(**fields: str) -> None:
    agents = {name: {**block, **fields} for name, block in readers(*NAMES).items()}
    defaults = {"deliver_to": ["env"], "rotation": {"max_age": "90d"}}
    declare(agents, **{**TO_FILES, "defaults": defaults, "guards": {"max_changes": {"count": 100}}})


def use_all() -> None:
    assert run("sandbox", "use", *map(str, Path("secrets").glob("*.env"))).code == ExitCode.OK


def test_an_agent_is_made_with_one_request_and_its_key_delivered_with_a_second() -> None:
    declare(readers(*NAMES))
    assert requests("apply", "--yes") == PLAN + 1 * len(NAMES)
    declare_all()
    assert run("sandbox", "reset").code == ExitCode.OK
    assert requests("apply", "--yes") == PLAN + 2 * len(NAMES)
    assert requests("plan") == PLAN
    declare_all(display_name="Else")
    assert requests("apply", "--yes") == PLAN + 2 * len(NAMES)


def test_a_rotation_costs_seven_requests_now_seven_later_and_one_for_each_plan_between() -> None:
    declare_all()
    requests("apply", "--yes")
    assert requests("rotate", *NAMES, "--yes") == PLAN + 7 * len(NAMES)
    use_all()
    assert requests("plan") == PLAN + len(NAMES)
    advance("26h")
    use_all()
    assert requests("apply", "--yes") == PLAN + 7 * len(NAMES)
    assert requests("plan") == PLAN


def test_drift_and_status_read_the_keys_of_every_agent() -> None:
    declare_all()
    requests("apply", "--yes")
    assert requests("status") == 1 + len(NAMES)
    assert requests("drift") == 1 + len(NAMES)


def test_a_plan_reads_a_thousand_agents_with_one_request() -> None:
    declare(readers(*(f"agent-{number:04}" for number in range(1_001))))
    assert requests("apply", "--yes") == PLAN + 1_001
    assert requests("plan") == 2 + 1
