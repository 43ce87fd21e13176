"""What a run tells a channel: counts, the gravest facts and a link, in the JSON that Slack's webhooks take.

Names come from anybody. They are made inert for Slack (``&``, ``<``, ``>``) and for those who take its format
and read mentions out of plain text.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from reconciler.model.drift import SEVERITIES
from reconciler.model.outcome import Outcome
from reconciler.planning.fingerprint import digest
from reconciler.reports.escaping import for_slack
from reconciler.reports.subject import Subject
from reconciler.reports.view import Gravity, PlanView, view_of

_FIRST_FACTS = 10
_FACT_LIMIT = 300


def slack_message(subject: Subject) -> Mapping[str, Any] | None:
    """The payload; ``None`` when there is nothing to tell."""
    counts, facts = _told(subject)
    if not counts:
        return None
    where = f"{subject.app} ({subject.owner})" if subject.app else "unknown app"
    title = f"alter-sync {subject.command}: {where}: {counts}"
    shown = [f"• {for_slack(fact, limit=_FACT_LIMIT)}" for fact in facts[:_FIRST_FACTS]]
    if len(facts) > _FIRST_FACTS:
        shown.append(f"… and {len(facts) - _FIRST_FACTS} more")
    # Plain text: nothing in it is a link, a mention or a format.
    blocks = [_section(for_slack(title, limit=_FACT_LIMIT))]
    if shown:
        blocks.append(_section("\n".join(shown)))
    if link := _link(subject.run.run_url):
        blocks.append({"type": "context", "elements": [{"type": "mrkdwn", "text": f"<{link}|The run>"}]})
    return {"text": for_slack(title, limit=_FACT_LIMIT), "blocks": blocks, "link_names": False}


def content_digest(subject: Subject) -> str:
    """The same for the same news: neither the time nor the run is part of it. Empty for no news."""
    counts, facts = _told(subject)
    return digest([subject.command, subject.owner, subject.app, counts, facts]) if counts else ""


def _told(subject: Subject) -> tuple[str, list[str]]:
    """What happened in a few words, empty when nobody need know, and the facts, gravest first."""
    if subject.failure is not None:
        return f"failed with exit code {int(subject.failure.exit_code)}", [subject.failure.message]
    if subject.outcome is not None:
        return _outcome(subject.outcome)
    if subject.drift is not None and subject.drift.has_drift:
        found = sorted(
            (finding for finding in subject.drift.findings if finding.is_drift),
            key=lambda finding: SEVERITIES.index(finding.severity),
        )
        counts = subject.drift.summary()
        parts = [f"{counts[severity]} {severity}" for severity in SEVERITIES if counts[severity]]
        return f"drift: {', '.join(parts)}", [
            f"{finding.severity}: {finding.agent}: {finding.message}" for finding in found
        ]
    if subject.plan is not None and (subject.plan.has_changes or subject.plan.blocked):
        view = view_of(subject.plan)
        return view.counts.removeprefix("Plan: "), list(_plan_facts(view))
    return "", []


def _outcome(outcome: Outcome) -> tuple[str, list[str]]:
    counts = outcome.counts()
    if not outcome.operations and not outcome.blocked:
        return "", []
    parts = [f"{count} {status.replace('_', ' ')}" for status, count in counts.items() if count]
    parts += [f"{len(outcome.blocked)} blocked"] if outcome.blocked else []
    facts = [
        f"failed: {one.agent}: {one.kind}: {one.failure.message if one.failure else ''}"
        for one in outcome.operations
        if one.status == "failed"
    ]
    facts += [
        f"blocked by {entry.guard}: {entry.agent or 'all'}: {entry.reason}" for entry in outcome.blocked
    ]
    facts += [
        f"done: {one.agent}: {one.kind}"
        for one in outcome.operations
        if one.status == "done" and one.kind in {"revoke_agent", "revoke_key", "create_agent"}
    ]
    return ", ".join(parts), facts


def _plan_facts(view: PlanView) -> Iterator[str]:
    for refusal in view.refusals:
        yield f"blocked by {refusal.guard}: {', '.join(refusal.agents[:5]) or 'all'}: {refusal.reason}"
    for agent in view.agents:
        if agent.gravity is not Gravity.OTHER:
            gains = ", ".join(agent.gains()[:5])
            yield f"{agent.title}: {agent.name}" + (f" gains {gains}" if gains else "")


def _section(text: str) -> Mapping[str, Any]:
    # Slack takes 3,000 characters.
    return {"type": "section", "text": {"type": "plain_text", "text": text[:3000], "emoji": False}}


def _link(url: str) -> str:
    """The address of the run, when it is one that cannot be mistaken for anything else."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    is_plain = url.isascii() and url.isprintable() and not set(url) & set("<>|\"' ")
    return url if parts.scheme in ("https", "http") and parts.hostname and is_plain else ""
