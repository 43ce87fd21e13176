"""One issue for each app's drift: opened, brought up to date, closed and opened again by its mark.

The first line of its text says whose it is, which findings it tells of, and who closed it:
``<!-- alter-sync:drift app=… owner=… findings=0123456789abcdef -->``, or ``closed-by=check`` instead of the
findings. So an issue that a person closed is told from one that a check closed, and the same findings are not
written twice.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from reconciler.ci.github import Repository
from reconciler.ci.marks import drift_mark, first_line, is_trusted, with_mark
from reconciler.errors import UsageError
from reconciler.model.drift import DRIFT_FORMAT, NOTICES
from reconciler.model.outcome import RUNS_FORMAT

LABEL = "alter-sync-drift"
_BY_CHECK = "closed-by=check"


@dataclass(frozen=True, slots=True)
class Told:
    """What was done about the issue; ``is_warning`` when somebody should know that nothing was."""

    message: str
    is_warning: bool = False


@dataclass(frozen=True, slots=True)
class DriftIssue:
    """The issue of one app, as a drift document and the report for people want it. ``run`` is its address."""

    repository: Repository
    document: Mapping[str, Any]
    report: str
    label: str = LABEL
    run: str = ""

    def settle(self) -> Told:
        """Makes the issue tell what the check found."""
        open_ones, closed = self._existing()
        if not self._has_drift():
            return self._over(open_ones, closed)
        if open_ones:
            return self._kept(open_ones[0])
        by_check = [issue for issue in closed if _BY_CHECK in first_line(issue.get("body") or "")]
        if by_check:
            return self._opened_again(by_check[0])
        if closed and self._tells_the_same(closed[0]):
            return Told(
                f"{_place(closed[0])} was closed by a person, and the drift is still there: put it back, or"
                " say in ignore_drift why not",
                is_warning=True,
            )
        issue = self.repository.post(
            "issues", {"title": self._title(), "body": self._body(), "labels": [self.label]}
        )
        return Told(f"opened {_place(issue)}")

    def _existing(self) -> tuple[Sequence[Mapping[str, Any]], Sequence[Mapping[str, Any]]]:
        """Our issues, open and closed, the newest first; open ones also where the label was taken off."""
        mark = drift_mark(self.document["owner"], self.document["app"])

        def ours(**query: str) -> list[Mapping[str, Any]]:
            return [
                issue
                for issue in self.repository.pages("issues", **query)
                if "pull_request" not in issue
                and is_trusted(issue)
                and (issue.get("body") or "").startswith(mark)
            ]

        found = ours(state="all", labels=self.label)
        open_ones = [issue for issue in found if issue["state"] == "open"] or ours(state="open")
        closed = [issue for issue in found if issue["state"] != "open"]
        return _newest_first(open_ones), _newest_first(closed)

    def _kept(self, issue: Mapping[str, Any]) -> Told:
        if self._tells_the_same(issue):
            return Told(f"{_place(issue)} tells of this drift already")
        self._change(issue, body=self._body(), title=self._title())
        if self.label not in _labels(issue):
            self.repository.post(f"issues/{int(issue['number'])}/labels", {"labels": [self.label]})
        return Told(f"{_place(issue)} brought up to date")

    def _opened_again(self, issue: Mapping[str, Any]) -> Told:
        self._change(issue, body=self._body(), title=self._title(), state="open")
        self._say(issue, "Something was changed outside again; the description above is new.")
        return Told(f"opened {_place(issue)} again")

    def _over(self, open_ones: Sequence[Mapping[str, Any]], closed: Sequence[Mapping[str, Any]]) -> Told:
        """No drift: whatever issue there is may be opened again by a later check."""
        for issue in open_ones:
            self._say(issue, "No drift any more.")
            self._change(issue, body=self._closed_body(issue), state="closed", state_reason="completed")
        if open_ones:
            return Told(f"no drift any more: closed {', '.join(map(_place, open_ones))}")
        if closed and _BY_CHECK not in first_line(closed[0].get("body") or ""):
            self._change(closed[0], body=self._closed_body(closed[0]))
        return Told("no drift, and no issue about it")

    def _closed_body(self, issue: Mapping[str, Any]) -> str:
        """What the issue told of stays readable; only the mark says that the check closed it."""
        rest = (issue.get("body") or "").partition("\n")[2]
        return with_mark(self._mark(_BY_CHECK), rest)

    def _body(self) -> str:
        return with_mark(self._mark(f"findings={self._findings()}"), self.report)

    def _mark(self, tail: str) -> str:
        return f"{drift_mark(self.document['owner'], self.document['app'])}{tail} -->"

    def _title(self) -> str:
        return f"Drift in {self.document['app']} ({self.document['owner']})"

    def _has_drift(self) -> bool:
        return any(finding["kind"] not in NOTICES for finding in self.document["findings"])

    def _findings(self) -> str:
        """The same for the same drift, whenever it was seen."""
        told = sorted(
            [finding["id"], finding["fingerprint"], finding["severity"], finding["event"]]
            for finding in self.document["findings"]
        )
        return sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]

    def _tells_the_same(self, issue: Mapping[str, Any]) -> bool:
        return f"findings={self._findings()}" in first_line(issue.get("body") or "").split()

    def _change(self, issue: Mapping[str, Any], **fields: str) -> None:
        self.repository.patch(f"issues/{int(issue['number'])}", fields)

    def _say(self, issue: Mapping[str, Any], what: str) -> None:
        run = f" Seen by {self.run}" if self.run else ""
        self.repository.post(f"issues/{int(issue['number'])}/comments", {"body": what + run})


def checked_document(document: object) -> Mapping[str, Any]:
    """The drift document of a check that came to its end; anything else says nothing about drift."""
    if isinstance(document, dict) and document.get("format") == RUNS_FORMAT:
        raise UsageError(
            "that check is of several apps, and each has an issue of its own",
            hint="check each app by itself: `alter-sync matrix` gives a job for each",
        )
    if not isinstance(document, dict) or document.get("format") != DRIFT_FORMAT:
        raise UsageError(
            "that is no drift document, so nothing is known about drift",
            hint="it is what `alter-sync drift --report json=PATH` writes when it comes to its end",
        )
    if "limited_to" in document:
        raise UsageError(
            "that check looked at some agents only, so it says nothing about the others",
            hint="leave out --target and --shard for the issue",
        )
    return document


def _labels(issue: Mapping[str, Any]) -> set[str]:
    return {label["name"] if isinstance(label, dict) else str(label) for label in issue.get("labels", ())}


def _newest_first(issues: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return sorted(issues, key=lambda issue: -int(issue["number"]))


def _place(issue: Mapping[str, Any]) -> str:
    return f"issue #{int(issue['number'])}"
