"""``alter-sync matrix``: the jobs of a pipeline, one for each app or for each part of a large one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from reconciler.cli import options as opt
from reconciler.cli.boundary import guarded
from reconciler.cli.console import Console, OutputFormat
from reconciler.cli.source import Source
from reconciler.cli.wiring import Configuration, load_configurations
from reconciler.errors import ExitCode, UsageError
from reconciler.model.shard import EVERYTHING, Shard

EPILOG = """\b
Examples:
  alter-sync matrix -c apps                  which jobs there would be
  alter-sync matrix -c apps --output json    for fromJSON in a workflow of GitHub Actions
  alter-sync matrix -c apps --agents-per-shard 2000   large apps in several jobs
"""
# Source: docs.github.com/en/actions/reference/limits, "Job Matrix".
_MOST_JOBS = 256

AgentsPerShard = Annotated[
    int | None,
    typer.Option(
        "--agents-per-shard",
        help="Split an app that declares more agents than that over several jobs.",
        min=1,
        show_default=False,
        metavar="N",
    ),
]
MaxJobs = Annotated[
    int,
    typer.Option(
        "--max-jobs",
        help="With more apps than that, several share a job. GitHub runs 256 of one matrix.",
        min=1,
        max=_MOST_JOBS,
        metavar="N",
    ),
]


@dataclass(frozen=True, slots=True)
class Job:
    """Some apps as a whole, or a part of one."""

    apps: tuple[Configuration, ...]
    shard: Shard = EVERYTHING

    @property
    def agents(self) -> int:
        """How many declared agents it is about."""
        return sum(self.shard.holds(name) for app in self.apps for name in app.desired.agents)


def matrix(
    *,
    config: opt.Config = opt.DEFAULT_CONFIG,
    agents_per_shard: AgentsPerShard = None,
    max_jobs: MaxJobs = _MOST_JOBS,
    output: opt.Output = OutputFormat.TABLE,
    no_color: opt.NoColor = False,
    quiet: opt.Quiet = False,
) -> ExitCode:
    """Show the jobs that a fleet of apps is best run in: one for each app, or for each part of a large app.

    Needs no network and no credentials. With --output json it is the `matrix` of a job in GitHub Actions.
    Each job names the files of its app for -c, its part for --shard, and the variable that takes its key.
    """
    console = opt.make_console(output=output, no_color=no_color, quiet=quiet)

    def action() -> ExitCode:
        configurations = load_configurations(Source(config))
        jobs = jobs_of(configurations, agents_per_shard=agents_per_shard, max_jobs=max_jobs)
        if any(len(job.apps) > 1 for job in jobs):
            console.say(f"{len(configurations)} apps share {len(jobs)} jobs: each needs the keys of its apps")
        _show(console, [_row(Source(config), job) for job in jobs])
        return ExitCode.OK

    return guarded(console, action)


def jobs_of(
    apps: Sequence[Configuration], *, agents_per_shard: int | None = None, max_jobs: int = _MOST_JOBS
) -> list[Job]:
    """The jobs, in the order of their first apps. Parts of an app have jobs of their own."""
    parts = [job for app in apps for job in _parts(app, agents_per_shard)]
    alone = [job for job in parts if not job.shard.is_whole]
    whole = [job for job in parts if job.shard.is_whole]
    room = max_jobs - len(alone)
    if room < bool(whole):
        raise UsageError(
            f"the parts alone are {len(alone)} jobs, and {max_jobs} are allowed", hint="make the parts larger"
        )
    if len(whole) > room:
        whole = _shared(whole, room)
    return sorted([*alone, *whole], key=lambda job: (job.apps[0].desired.app.name, job.shard.index))


def _parts(app: Configuration, agents_per_shard: int | None) -> Iterator[Job]:
    count = -(-len(app.desired.agents) // agents_per_shard) if agents_per_shard else 1
    for index in range(1, max(count, 1) + 1):
        yield Job((app,), Shard(index, max(count, 1)))


def _shared(jobs: Sequence[Job], count: int) -> list[Job]:
    """So many jobs of about the same size: the largest app first, each to where there is least."""
    shares: list[list[Job]] = [[] for _ in range(count)]
    for job in sorted(jobs, key=lambda job: -job.agents):
        min(shares, key=lambda share: (sum(one.agents for one in share), len(share))).append(job)
    names = (sorted((one.apps[0] for one in share), key=lambda app: app.desired.app.name) for share in shares)
    return [Job(tuple(apps)) for apps in names]


def _row(source: Source, job: Job) -> dict[str, Any]:
    desired = [app.desired for app in job.apps]
    name = ", ".join(one.app.name for one in desired)
    files = [file for app in job.apps for file in app.files]
    return {
        "name": name if job.shard.is_whole else f"{name} {job.shard}",
        "app": desired[0].app.name if len(desired) == 1 else "",
        "apps": [one.app.name for one in desired],
        "owners": sorted({one.owner for one in desired}),
        # One a line: what the action takes.
        "config": "\n".join(map(str, source.narrowed(files).config)),
        "shard": str(job.shard),
        "agents": job.agents,
        "api_key_env": desired[0].app.api_key_env if len(desired) == 1 else "",
        "api_key_envs": [one.app.api_key_env for one in desired],
    }


def _show(console: Console, rows: Sequence[Mapping[str, Any]]) -> None:
    from reconciler.reports.columns import align, join
    from reconciler.reports.escaping import for_terminal
    from reconciler.reports.json_document import dump

    match console.output:
        case OutputFormat.JSON:
            # In one line: that is how an output of a step is set.
            console.text(dump({"include": rows}, "jsonl"))
        case OutputFormat.JSONL:
            console.document({"items": rows})
        case OutputFormat.TABLE:
            table = [("JOB", "AGENTS", "KEYS", "CONFIGURATION")]
            table += [
                (
                    for_terminal(row["name"]),
                    f"{row['agents']:,}",
                    ", ".join(row["api_key_envs"]),
                    " ".join(map(for_terminal, row["config"].splitlines())),
                )
                for row in rows
            ]
            console.text("\n".join(map(join, align(table))))
