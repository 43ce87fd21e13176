"""What an agent may do after a run, provider by provider, and its keys, as data for the page's script."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from reconciler.model.access import AgentAccess, KeyLine
from reconciler.model.drift import DriftFinding
from reconciler.model.scopes import Scopes
from reconciler.reports.changes import ScopesChange
from reconciler.reports.drift_view import finding_view
from reconciler.reports.html_strings import Strings, compact, seconds
from reconciler.reports.view import OperationView

Data = dict[str, Any]
Pair = tuple[str, str]


@dataclass(slots=True)
class Moves:
    """The scopes of one agent that come and go: pairs of provider and scope."""

    gained: set[Pair] = field(default_factory=set)
    lost: set[Pair] = field(default_factory=set)
    is_revoked: bool = False

    def add(self, path: str, gained: Iterable[str], lost: Iterable[str]) -> None:
        """Takes in a change; a whole map names its provider in each scope."""
        for found, names in ((self.gained, gained), (self.lost, lost)):
            for name in names:
                provider, _, scope = name.partition(":") if path == "scopes" else (path[7:], "", name)
                found.add((provider, scope))


def moves_of(operations: Iterable[OperationView]) -> Moves:
    """What the steps of a plan give and take."""
    moves = Moves()
    for operation in operations:
        moves.is_revoked |= operation.kind == "revoke_agent"
        for change in operation.changes:
            if isinstance(change, ScopesChange):
                moves.add(change.path, change.gained, change.lost)
    return moves


def drifted(findings: Iterable[DriftFinding]) -> Moves:
    """What somebody outside gave and took."""
    moves = Moves()
    for finding in findings:
        change = finding_view(finding).change if finding.kind == "changed_outside" else None
        if isinstance(change, ScopesChange):
            moves.add(change.path, change.gained, change.lost)
    return moves


def cells(strings: Strings, held: Scopes, moves: Moves, *, is_ahead: bool) -> list[Data]:
    """One cell for each provider: what is kept, gained and lost. ``is_ahead``: the moves are yet to come."""
    before = set(held.pairs())
    if is_ahead:
        # What a step takes away is there now, also when nobody read it.
        before |= moves.lost
        after = (set() if moves.is_revoked else before - moves.lost) | moves.gained
    else:
        # As read after the run, or as found: what was gained is in it, what was lost is not.
        after, before = before | moves.gained, (before - moves.gained) | moves.lost
    return [
        _cell(strings, provider, before, after)
        for provider in sorted({provider for provider, _ in before | after})
    ]


def _cell(strings: Strings, provider: str, before: set[Pair], after: set[Pair]) -> Data:
    def names(pairs: set[Pair]) -> Sequence[str]:
        return sorted(scope for of, scope in pairs if of == provider)

    kept, gained, lost = names(before & after), names(after - before), names(before - after)
    return {
        "provider": strings.name(provider),
        **compact(
            kept=strings.names(kept),
            gained=strings.names(gained),
            lost=strings.names(lost),
            more=strings.left_out(kept, gained, lost),
        ),
    }


def access_data(strings: Strings, access: AgentAccess) -> Data:
    """The state of an agent and the life of its keys, but for its stage, which a plan may know, too."""
    return compact(
        type=strings.name(access.type),
        status=None if access.status == "active" else strings.name(access.status),
        used=seconds(access.last_used_at),
        why=strings.message(access.reason) if access.reason else None,
        until=seconds(access.until),
        due=seconds(access.due_at),
        sinks=[strings.name(sink) for sink in access.sinks],
        keys=[_key(strings, key) for key in access.keys or ()],
    )


def _key(strings: Strings, key: KeyLine) -> Data:
    return {
        "id": strings.name(key.key_id),
        "prefix": strings.name(key.prefix),
        "minted": seconds(key.minted_at),
        **compact(
            deprecated=seconds(key.deprecated_at),
            revoked=seconds(key.revoked_at),
            used=seconds(key.last_used_at),
            quiet=seconds(key.quiet_since),
            delivered=key.is_delivered,
            next=strings.name(key.next) if key.next and key.next != "keep" else None,
            reason=strings.message(key.reason) if key.reason else None,
            until=seconds(key.until),
        ),
    }
