"""A plan that changes nothing: against Terraform, against the least there is to do, and as fleets grow."""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.fleet import write_fleet
from benchmarks.measuring import TOOL, Usage, best_in_turn, measure, python, sandbox, sandbox_with
from benchmarks.rows import Row, at_most, seconds

_LARGEST_MIB = 200
_SIZES = (100, 1_000, 10_000, 50_000)
_PAGE_SIZE = 1_000


def against_terraform() -> Iterator[Row]:
    """1,000 agents whose keys rotate, and as many of Terraform's own resources, which need no server."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        config = write_fleet(folder, 1_000, delivers=True)
        with sandbox(folder / "sandbox.sqlite3") as environment:
            measure([TOOL, "apply", "--yes", "--quiet", "-c", str(config)], environment)
            plan = [TOOL, "plan", "--detailed-exitcode", "--quiet", "-c", str(config)]
            title = "plan without changes, 1,000 agents"
            terraform = shutil.which("terraform")
            if terraform is None:
                (ours,) = best_in_turn(plan, environment=environment)
                yield Row(title, seconds(ours.seconds), "terraform: not on the path", target="≤ 0.25×")
                return
            theirs_folder = _terraform_folder(folder / "terraform", 1_000)
            quiet = {**environment, "CHECKPOINT_DISABLE": "1", "TF_CLI_CONFIG_FILE": os.devnull}
            theirs_plan = [terraform, f"-chdir={theirs_folder}", "plan", "-input=false", "-detailed-exitcode"]
            ours, theirs = best_in_turn(plan, theirs_plan, environment=quiet)
    yield at_most(0.25, title, ours=ours.seconds, theirs=theirs.seconds, compared_with="terraform plan")


def against_floor() -> Iterator[Row]:
    """10,000 agents, and a script that composes the YAML, lists the pages, decodes and compares them."""
    with TemporaryDirectory() as name:
        config = write_fleet(Path(name), 10_000)
        (file,) = config.iterdir()
        with sandbox_with(config, Path(name)) as environment:
            ours, theirs = best_in_turn(
                _plan(config), python("benchmarks.floor", file), environment=environment
            )
    title = "plan without changes, 10,000 agents"
    yield at_most(1.5, title, ours=ours.seconds, theirs=theirs.seconds, compared_with="floor")
    yield Row(
        f"{title}: peak memory",
        f"{ours.peak_mib:.0f} MiB",
        f"floor: {theirs.peak_mib:.0f} MiB",
        f"{ours.peak_mib / theirs.peak_mib:.2f}×",
        f"≤ {_LARGEST_MIB} MiB",
        ours.peak_mib <= _LARGEST_MIB,
    )


def growth() -> Iterator[Row]:
    """Fleets from 100 to 50,000 agents: what each agent more costs, and how many requests there are."""
    found: dict[int, Usage] = {}
    for agents in _SIZES:
        with TemporaryDirectory() as name:
            config = write_fleet(Path(name), agents)
            with sandbox_with(config, Path(name)) as environment:
                metrics = Path(name) / "plan.prom"
                (usage,) = best_in_turn(
                    [*_plan(config), "--metrics", str(metrics)], environment=environment, runs=2
                )
                requests = _requests(metrics)
        found[agents] = usage
        pages = -(-agents // _PAGE_SIZE)
        yield Row(
            f"plan without changes, {agents:,} agents",
            f"{seconds(usage.seconds)}, {usage.peak_mib:.0f} MiB",
            f"{pages} {'page' if pages == 1 else 'pages'} and the catalogue",
            f"{requests} requests",
            f"{pages + 1} requests",
            requests == pages + 1,
        )
    milliseconds = {agents: usage.seconds * 1000 for agents, usage in found.items()}
    kibibytes = {agents: usage.peak_mib * 1024 for agents, usage in found.items()}
    yield _line("time of each agent more", milliseconds, "ms")
    yield _line("memory of each agent more", kibibytes, "KiB")


def _plan(config: Path) -> list[str]:
    # Anything to change would end it with another exit code, and the measurement with it.
    return [TOOL, "plan", "--detailed-exitcode", "--quiet", "-c", str(config)]


def _line(title: str, measured: dict[int, float], unit: str) -> Row:
    """How straight the line through the sizes is."""
    slope, intercept = statistics.linear_regression(list(measured), list(measured.values()))
    r_squared = statistics.correlation(list(measured), list(measured.values())) ** 2
    return Row(
        title,
        f"{slope:.3f} {unit}",
        f"a line from {intercept:,.0f} {unit}",
        f"r² = {r_squared:.4f}",
        "r² ≥ 0.99",
        r_squared >= 0.99,
    )


def _terraform_folder(folder: Path, resources: int) -> Path:
    """The same values in as many of the resources that Terraform has built in, applied."""
    folder.mkdir()
    with (folder / "main.tf").open("w") as file:
        for number in range(resources):
            file.write(
                f'resource "terraform_data" "agent_{number:06d}" {{\n  input = {{\n'
                f'    display_name = "Agent number {number}"\n    type = "service"\n'
                '    scopes = { google = ["gmail.readonly", "calendar", "drive.readonly"],'
                ' slack = ["chat:write", "channels:read"] }\n'
                f'    metadata = {{ team = "payments", cost_center = "{number}", purpose = "a benchmark" }}\n'
                "  }\n}\n"
            )
    for words in (["init"], ["apply", "-auto-approve"]):
        command = ["terraform", f"-chdir={folder}", *words, "-input=false"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return folder


def _requests(metrics: Path) -> int:
    lines = metrics.read_text(encoding="utf-8").splitlines()
    (line,) = (line for line in lines if line.startswith("alter_sync_api_requests{"))
    return int(float(line.rpartition(" ")[2]))
