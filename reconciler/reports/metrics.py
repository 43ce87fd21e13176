"""One run as metrics in Prometheus' text format, for the textfile collector of node_exporter.

Every series carries owner, app and command, so that the files of several commands stand beside each other.
What a run did not find out is absent and not zero; what it found out has its zeros.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from reconciler.errors import ExitCode
from reconciler.model.drift import DRIFT_KINDS, SEVERITIES, Drift
from reconciler.model.outcome import Outcome
from reconciler.model.plan import OPERATION_KINDS, Plan
from reconciler.reports.view import StatusRow

Labels = Mapping[str, str]
Sample = tuple[Labels, float]

_LAST_SUCCESS = "alter_sync_last_success_timestamp_seconds"
_KEPT = re.compile(
    rf"^{_LAST_SUCCESS}"
    r"\{(?:[a-z_]+=\"(?:[^\"\\\n]|\\[\\\"n])*\",?)+\} [0-9]+(?:\.[0-9]+)?$",
    re.MULTILINE,
)
_SUCCESSES = frozenset({ExitCode.OK, ExitCode.CHANGES})
_STAGES = ("undelivered", "claimed", "due", "steady", "orphaned", "observing", "retiring", "overdue")


@dataclass(frozen=True, slots=True)
class RunRecord:
    """How one run went. ``owner`` and ``app`` are empty when it never learned them."""

    command: str
    exit_code: ExitCode
    finished_at: datetime
    seconds: float
    owner: str = ""
    app: str = ""
    requests: int = 0
    retries: int = 0
    waited_seconds: float = 0.0
    plan: Plan | None = None
    outcome: Outcome | None = None
    drift: Drift | None = None
    rows: Sequence[StatusRow] | None = None

    @property
    def is_success(self) -> bool:
        """Whether the run did its whole work: differences and drift are results, refusals are not."""
        return self.exit_code in _SUCCESSES


def metrics_text(*records: RunRecord, former: str = "") -> str:
    """The file, of a run for each app. ``former`` is its text before: who failed keeps the last success."""
    found: dict[str, list[str]] = {}
    for record in records:
        common = {"owner": record.owner, "app": record.app, "command": record.command}
        for name, explanation, samples in _families(record):
            shown = [_line(name, {**common, **labels}, value) for labels, value in samples]
            if name == _LAST_SUCCESS and not record.is_success:
                shown = _kept(former, of=common if len(records) > 1 else {})
            # All samples of a name stand together, below one head.
            head = [f"# HELP {name} {explanation}", f"# TYPE {name} gauge"]
            if shown:
                found.setdefault(name, head).extend(shown)
    return "\n".join(line for lines in found.values() for line in lines) + "\n"


def _kept(former: str, *, of: Labels) -> list[str]:
    """The last success that a former file tells of; ``of`` one app when there may be others."""
    start = _line(_LAST_SUCCESS, of, 0).rpartition(" ")[0]
    return [line for line in _KEPT.findall(former) if not of or line.startswith(start)]


def _families(record: RunRecord) -> Iterator[tuple[str, str, list[Sample]]]:
    now = record.finished_at.timestamp()
    yield "alter_sync_last_run_timestamp_seconds", "When the last run ended.", [({}, now)]
    yield _LAST_SUCCESS, "When the last run that succeeded ended.", [({}, now)]
    yield "alter_sync_last_run_exit_code", "The exit code of the last run.", [({}, record.exit_code)]
    yield "alter_sync_run_duration_seconds", "How long the last run took.", [({}, record.seconds)]
    yield "alter_sync_api_requests", "Requests of the last run to Alter.", [({}, record.requests)]
    yield "alter_sync_api_retries", "Requests of the last run that were repeats.", [({}, record.retries)]
    waited: list[Sample] = [({}, record.waited_seconds)]
    yield "alter_sync_api_waited_seconds", "What the last run waited for retries and rate limits.", waited
    if record.plan:
        yield from _plan(record.plan)
    if record.outcome:
        counts = _counted("status", dict[str, int](record.outcome.counts().items()))
        yield "alter_sync_operations", "Operations of the last apply, by what became of them.", counts
    if record.drift:
        yield from _drift(record.drift)
    if record.rows is not None:
        yield from _status(record.rows)


def _plan(plan: Plan) -> Iterator[tuple[str, str, list[Sample]]]:
    kinds = Counter(operation.kind for operation in plan.operations)
    planned = _counted("kind", {kind: kinds[kind] for kind in OPERATION_KINDS})
    yield "alter_sync_planned_operations", "Operations of the last plan, by kind.", planned
    guards = Counter(entry.guard for entry in plan.blocked)
    yield "alter_sync_blocked", "Refusals of the last plan.", [({}, len(plan.blocked))]
    yield "alter_sync_blocked_by_guard", "Refusals of the last plan, by guard.", _counted("guard", guards)
    yield "alter_sync_waiting", "What the last plan waits for.", [({}, len(plan.waiting))]
    stages = Counter(entry.stage for entry in plan.waiting)
    changing = {operation.agent for operation in plan.operations}
    blocked = {entry.agent for entry in plan.blocked if entry.agent}
    waiting = {entry.agent for entry in plan.waiting}
    states = {
        "in_sync": plan.in_sync,
        "changing": len(changing),
        "blocked": len(blocked - changing),
        "waiting": len(waiting - changing - blocked),
        "unmanaged": len(plan.unmanaged),
    }
    yield _AGENTS, _ABOUT_AGENTS, _counted("state", states)
    keys = {"due": kinds["mint_key"] + stages["due"], "overdue": stages["overdue"]}
    yield _KEYS, _ABOUT_KEYS, _counted("state", keys)


def _drift(drift: Drift) -> Iterator[tuple[str, str, list[Sample]]]:
    found = Counter((finding.kind, finding.severity) for finding in drift.findings)
    samples: list[Sample] = [
        ({"kind": kind, "severity": severity}, found[kind, severity])
        for kind in DRIFT_KINDS
        for severity in SEVERITIES
    ]
    yield "alter_sync_drift_findings", "What differs, by kind and severity; notices included.", samples
    count = sum(finding.is_drift for finding in drift.findings)
    yield "alter_sync_drift", "What somebody did outside: findings that are no notices.", [({}, count)]
    yield (
        "alter_sync_drift_ignored",
        "Findings that a rule or a baseline takes out.",
        [({}, len(drift.ignored))],
    )
    states = {"in_sync": drift.in_sync, "unmanaged": len(drift.unmanaged)}
    yield _AGENTS, _ABOUT_AGENTS, _counted("state", states)


def _status(rows: Sequence[StatusRow]) -> Iterator[tuple[str, str, list[Sample]]]:
    states = Counter(row.status if row.is_live else "not_live" for row in rows)
    known = {state: states[state] for state in ("active", "inactive", "not_live")}
    yield _AGENTS, _ABOUT_AGENTS, _counted("state", known)
    stages = Counter[str](row.rotation.stage for row in rows if row.rotation)
    by_stage = _counted("stage", {stage: stages[stage] for stage in _STAGES})
    yield "alter_sync_rotation_agents", "Agents by the stage of their keys.", by_stage
    keys = {"due": stages["due"], "overdue": stages["overdue"]}
    yield _KEYS, _ABOUT_KEYS, _counted("state", keys)
    dates = [row.due_at.timestamp() for row in rows if row.due_at]
    if dates:
        yield "alter_sync_next_key_due_timestamp_seconds", "When the next key is due.", [({}, min(dates))]


_AGENTS, _ABOUT_AGENTS = "alter_sync_agents", "Agents of the configuration, by state."
_KEYS, _ABOUT_KEYS = "alter_sync_keys", "Agents whose key is due, and whose older key should be gone by now."


def _counted(label: str, counts: Mapping[str, int]) -> list[Sample]:
    return [({label: name}, count) for name, count in sorted(counts.items())]


def _line(name: str, labels: Labels, value: float) -> str:
    shown = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
    return f"{name}{{{shown}}} {_number(value)}"


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else f"{value:.3f}"


def _escaped(text: str) -> str:
    """Source: prometheus.io/docs/instrumenting/exposition_formats. Lone surrogates are no UTF-8."""
    readable = text.encode("utf-8", "replace").decode("utf-8")
    return readable.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
