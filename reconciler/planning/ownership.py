"""Whose a live agent is, by its mark."""

from __future__ import annotations

from reconciler.model.agent import LiveAgent
from reconciler.model.desired import Desired
from reconciler.model.mark import Mark


def our_mark(desired: Desired, live: LiveAgent) -> Mark | None:
    """The mark of a live agent when it says that the agent is ours, in this app."""
    mark = live.mark
    return mark if mark is not None and (mark.owner, mark.app) == (desired.owner, desired.app.name) else None


def inherited_mark(desired: Desired, live: LiveAgent) -> Mark | None:
    """Our mark, or that of a former owner or of a renamed app: its fingerprints tell who moved."""
    mark = live.mark
    owners = {desired.owner, *desired.former_owners}
    return mark if mark is not None and mark.owner in owners else None
