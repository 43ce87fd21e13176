"""A fleet with a past, on the embedded Alter: half a year of rotations, then a change full of everything."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.support.commands import OWNER, run

_TEAMS = {
    "billing": ("billing-export", "invoice-archiver", "dunning-mailer", "refund-checker", "ledger-sync"),
    "support": ("support-assistant", "ticket-triage", "csat-survey", "macro-writer"),
    "release": ("release-notes", "changelog-bot", "deploy-announcer", "incident-scribe"),
    "growth": ("crm-enrichment", "lead-router", "newsletter", "churn-radar"),
    "data": ("nightly-sync", "warehouse-loader", "usage-report", "anomaly-watch"),
}
_SCOPES: dict[str, dict[str, list[str]]] = {
    "billing": {"stripe": ["read_only"], "google": ["drive.readonly", "gmail.send"]},
    "support": {
        "google": ["gmail.readonly", "gmail.send"],
        "notion": ["content:read"],
        "slack": ["chat:write"],
    },
    "release": {"github": ["repo", "read:org"], "slack": ["chat:write", "channels:read"]},
    "growth": {"hubspot": ["crm.objects.contacts.read"], "salesforce": ["api"]},
    "data": {
        "google": ["drive.readonly", "calendar.readonly"],
        "slack": ["chat:write"],
        "jira": ["read:jira-work"],
    },
}
# Whose workloads read their new keys late or never.
_IDLE = ("csat-survey", "churn-radar", "macro-writer")


def live_half_a_year() -> None:
    """Applies the first configuration in the working directory, and lets its keys rotate week by week."""
    _declare(_first())
    _apply()
    for week in range(26):
        _run("sandbox", "advance", "7d")
        names = [name for name in _first() if name not in _IDLE or week < 14]
        _run("sandbox", "use", *(f"secrets/{name}.env" for name in names))
        _apply(*(["--target", "release-*"] if week % 3 == 2 else []))
        if week == 20:
            _run("rotate", "support-assistant", "--sandbox", "--yes")
    _run("sandbox", "advance", "30h")
    _run("sandbox", "use", *(f"secrets/{name}.env" for name in _first() if name.startswith(("l", "n", "t"))))


def declare_the_change() -> None:
    """What a busy pull request looks like: agents that come, change, gain, lose, sleep and go."""
    agents = _first()
    agents["support-assistant"]["scopes"]["google"] = ["gmail.readonly", "gmail.send", "calendar"]
    agents["support-assistant"]["display_name"] = "Support Assistant"
    agents["release-notes"]["scopes"] = {"github": ["public_repo"], "slack": ["chat:write"]}
    agents["ledger-sync"]["scopes"]["stripe"] = ["read_only", "read_write"]
    agents["usage-report"] |= {"status": "inactive", "metadata": {"team": "data", "cost_center": "4711"}}
    agents["lead-router"]["scopes"]["slack"] = ["admin.users:write"]
    agents["fraud-watch"] = {
        "scopes": {"stripe": ["read_only"], "slack": ["chat:write"]},
        "metadata": {"team": "billing"},
    }
    agents["oncall-brief"] = {"scopes": {"jira": ["read:jira-work"], "google": ["calendar.readonly"]}}
    agents["ticket-triage"]["rotation"] = "short"
    for name in ("churn-radar", "newsletter"):
        del agents[name]
    _declare(agents)


def write_report(path: Path, *words: str) -> str:
    """Plans, and writes the report there. Gives what the command printed."""
    done = run("plan", "--sandbox", "--report", f"html={path}", *words)
    assert done.code in (0, 12), done.stderr
    return done.stdout


def _first() -> dict[str, Any]:
    return {
        name: {
            "scopes": json.loads(json.dumps(_SCOPES[team])),
            "metadata": {"team": team},
            **({"rotation": "short"} if team == "release" else {}),
        }
        for team, names in _TEAMS.items()
        for name in names
    }


def _declare(agents: dict[str, Any]) -> None:
    lines = [
        "version: 1",
        f"owner: {OWNER}",
        "app: {name: payments-prod}",
        "defaults: {rotation: standard, deliver_to: env-files}",
        "rotation_policies:",
        "  standard: {max_age: 60d, min_overlap: 24h, max_overlap: 21d, quiet_for: 24h}",
        "  short: {max_age: 28d, min_overlap: 24h, max_overlap: 14d, quiet_for: 24h}",
        'sinks: {env-files: {type: file, path: "secrets/{agent}.env", format: dotenv, variable: KEY}}',
        'guards: {sensitive_scopes: ["*:*admin*"], max_revocations: {count: 5, percent: 30}}',
        "agents:",
        *(f"  {name}: {json.dumps(block)}" for name, block in agents.items()),
    ]
    Path("agents.yaml").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _apply(*words: str) -> None:
    _run("apply", "--sandbox", "--yes", *words, codes=(0, 12))


def _run(*words: str, codes: tuple[int, ...] = (0,)) -> None:
    done = run(*words)
    assert done.code in codes, (words, done.stdout, done.stderr)
