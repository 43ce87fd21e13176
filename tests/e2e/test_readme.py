"""The README's first five minutes, typed by somebody who does what it says and nothing else."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.support.commands import SCRIPT, environment, terminal

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")

pytestmark = pytest.mark.usefixtures("workplace")


def typed() -> list[str]:
    """The commands of the chapter, without that which puts the environment of a clone on the path."""
    chapter = README.partition("## The first five minutes")[2].partition("\n## ")[0]
    commands = re.findall(r"^\$ (.*)$", chapter, re.MULTILINE)
    return [command for command in commands if not command.startswith("export PATH=")]


def test_who_follows_it_gets_from_nothing_to_a_repaired_drift(workplace: Path) -> None:
    (workplace / "clone").mkdir()
    path = os.pathsep.join([str(Path(SCRIPT).parent), os.environ["PATH"]])
    with terminal("\n\ny\ny") as keyboard:
        done = subprocess.run(
            ["bash", "--norc", "-e", "-c", "\n".join(typed())],
            cwd="clone",
            env=environment() | {"PATH": path},
            stdin=keyboard,
            capture_output=True,
            text=True,
            timeout=25,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    said = done.stdout
    assert "mint a key and deliver it to files" in said
    assert re.search(r"by jane@corp\.example at .* \(agent\.update\)", said)
    assert said.endswith("Drift: none; 1 in sync\n\nNo drift: nothing was changed outside.\n")
    shown = README.partition("$ alter-sync drift --sandbox -q\n")[2].partition("\n$ ")[0]
    assert re.sub(r"at [-0-9]+ [0-9:]+ UTC", "at …", shown) in re.sub(r"at [-0-9]+ [0-9:]+ UTC", "at …", said)
