"""Who may import whom, as the contracts in ``pyproject.toml`` say."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_imports_keep_every_contract() -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run(
        [linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (kept,) = re.findall(r"Contracts: (\d+) kept, 0 broken", done.stdout)
    assert int(kept) == (ROOT / "pyproject.toml").read_text().count("[[tool.importlinter.contracts]]")


def test_the_sandbox_is_loaded_by_the_embedded_one_alone() -> None:
    # The linter knows modules, not the line they stand in: here the command line has three doors to it.
    doors = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "reconciler").rglob("*.py")
        if "sandbox" not in path.relative_to(ROOT / "reconciler").parts[:1]
        and re.search(r"(from|import) reconciler\.sandbox", path.read_text())
    }
    assert doors == {"reconciler/cli/embedded.py", "reconciler/cli/commands/sandbox/serving.py"}


def test_the_command_starts_without_the_heavy_libraries() -> None:
    heavy = {
        "httpx",
        "yaml",
        "jsonschema",
        "jsonschema_rs",
        "deepdiff",
        "rich",
        "jinja2",
        "starlette",
        "uvicorn",
        "sqlite3",
    }
    program = (
        "import sys; from reconciler.cli.main import run; run([]); "
        f"print(sorted({heavy} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=20, check=True, cwd=ROOT
    )
    assert done.stderr == "[]\n"
