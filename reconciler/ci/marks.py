"""The hidden first line by which a comment or an issue is found again, and whose lines count."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

# GitHub refuses longer texts of comments and issues.
MOST_CHARACTERS = 65_536
_COMMENT = re.compile(r"<!-- alter-sync:comment .*-->")
_CUT = "\n\n… cut off here: GitHub takes no longer text. The whole report is in the run.\n"
_TRUSTED = frozenset({"OWNER", "MEMBER", "COLLABORATOR"})


def comment_mark(text: str) -> str:
    """The mark at the beginning of a report in Markdown; empty when there is none."""
    first = first_line(text)
    return first if _COMMENT.fullmatch(first) else ""


def drift_mark(owner: str, app: str) -> str:
    """What the first line of the issue for an app's drift begins with. Any name is safe in it."""
    return f"<!-- alter-sync:drift app={quote(app, safe='')} owner={quote(owner, safe='')} "


def first_line(text: str) -> str:
    """The first line, without what GitHub's editor may have put at its end."""
    return text.partition("\n")[0].strip()


def with_mark(mark: str, text: str) -> str:
    """A report with this first line instead of its own, cut to what GitHub takes."""
    own = comment_mark(text)
    rest = text.partition("\n")[2] if own else text
    whole = f"{mark}\n{rest}"
    if len(whole) <= MOST_CHARACTERS:
        return whole
    return whole[: MOST_CHARACTERS - len(_CUT)] + _CUT


def is_trusted(entry: Mapping[str, Any]) -> bool:
    """Whether a comment or an issue is by a workflow or a member.

    Anybody can write our mark into a comment, and could go on editing the plan in it. A member can edit every
    comment anyway.
    """
    user = entry.get("user") or {}
    return user.get("type") == "Bot" or entry.get("author_association") in _TRUSTED
